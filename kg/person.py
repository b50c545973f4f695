"""A person whose traces are looked for: her IRIs anywhere, her original ids only where users stand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self
from urllib.parse import quote, unquote

from .vocabulary import local_name

# Columns of tables and keys of JSON whose text is the id of a user or an annotator.
USER_PLACES = frozenset({"user", "users", "user_id", "annotator", "annotators"})
# What goes on with an IRI: "john" is not in "john.doe", and is in "john." at the end of a sentence. A
# comma or semicolon may part cells as well, and a slash leads to something of hers.
_GOES_ON = r"(?:[.:@!$&'*+=]*(?:[\w~%-]|\\u))"
_PART_OF_IRI = "[^/?#]"


@dataclass(frozen=True)
class Person:
    """The names of a person.

    An id may be any word, such as "7", and the id of an item as well: it counts only in user places.

    Attributes:
        iris: hers, of what is said to be the same, and of her as an annotator.
        ids: original ids that nobody else among the users has.
        places: columns and keys in which an id stands for a user.
    """

    iris: frozenset[str]
    ids: frozenset[str] = frozenset()
    places: frozenset[str] = USER_PLACES

    @classmethod
    def of(
        cls, iris: Iterable[str], others: Iterable[str] = (), places: Iterable[str] = ()
    ) -> Self:
        """The person with these IRIs.

        Args:
            others: IRIs of the other users, whose ids are not hers.
            places: further names of columns with the ids of users.
        """
        own = frozenset(iris)
        ids = {local_name(iri) for iri in own}
        ids |= {unquote(one) for one in ids}
        taken = {local_name(iri) for iri in others if iri not in own}
        ids -= taken | {unquote(one) for one in taken} | own
        annotators = {f"urn:coldframe:annotator:{quote(one, safe='')}" for one in ids}
        return cls(own | annotators, frozenset(ids), USER_PLACES | frozenset(places))

    @classmethod
    def restored(cls, names: Mapping[str, Iterable[str]]) -> Self:
        """The reverse of `as_dict`."""
        return cls(*(frozenset(names[key]) for key in ("iris", "ids", "places")))

    def as_dict(self) -> dict[str, list[str]]:
        """Her names as JSON."""
        return {key: sorted(getattr(self, key)) for key in ("iris", "ids", "places")}

    def is_user(self, name: str) -> bool:
        """Whether a name in a user place is hers, whole."""
        return name in self.iris or name in self.ids

    def is_edge(self, edge: tuple[str, str]) -> bool:
        """Whether a pair of user and item is hers, or names her as an item."""
        return self.is_user(edge[0]) or self.is_named(edge[1])

    def is_in(self, value: Any, place: str = "") -> bool:
        """Whether a value of JSON, under the key `place`, names her."""
        if isinstance(value, str):
            return self.mentions(value) or (place in self.places and value in self.ids)
        if isinstance(value, Mapping):
            return any(
                self.is_in(str(key), place) or self.is_in(one, str(key))
                for key, one in value.items()
            )
        return isinstance(value, list | tuple) and any(self.is_in(one, place) for one in value)

    def mentions(self, text: str) -> bool:
        """Whether one of her IRIs stands in a text, not as the beginning of a longer one."""
        return bool(self.iris) and self._text.search(text) is not None

    def is_named(self, iri: str) -> bool:
        """Whether an IRI is hers, of something below hers, or made of one of hers."""
        return bool(self.iris) and self._iri.search(iri) is not None

    @cached_property
    def pattern(self) -> re.Pattern[bytes]:
        """`mentions` for bytes of a file in UTF-8."""
        going_on = _GOES_ON.replace(r"\w", r"\w\x80-\xff")
        return re.compile(f"(?:{self._any_form})(?!{going_on})".encode())

    @cached_property
    def _text(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self._any_form})(?!{_GOES_ON})")

    @cached_property
    def _iri(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self._any_form})(?!{_PART_OF_IRI})")

    @cached_property
    def forms(self) -> tuple[str, ...]:
        """Her IRIs as they stand, as JSON writes them and percent-encoded; the longest first."""
        found: set[str] = set()
        for iri in self.iris:
            found |= {iri, json.dumps(iri)[1:-1], quote(iri, safe="")}
        return tuple(sorted(found, key=len, reverse=True))

    @property
    def _any_form(self) -> str:
        """`forms` as alternatives of a pattern."""
        return "|".join(map(re.escape, self.forms))
