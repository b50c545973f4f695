"""One hierarchy of errors. Each says what, where, and how to fix it; the command line prints it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ColdframeError(Exception):
    """Base of every error that a user can cause or cure.

    Args:
        message: what is wrong: what was got and what was expected.
        where: file:line, IRI, key or flag; empty if there is no such place.
        hint: how to fix it, as one sentence.
    """

    kind = "error"
    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{advice}"

    def as_dict(self) -> dict[str, str]:
        """The error object of `--json`."""
        return {
            "kind": self.kind,
            "message": self.message,
            "where": self.where,
            "hint": self.hint,
        }


class UsageError(ColdframeError):
    """A flag, argument or configuration key is wrong."""

    kind = "usage"
    exit_code = 2


class DataError(ColdframeError):
    """The content of an input is wrong."""

    kind = "data"
    exit_code = 3


class ParseError(DataError):
    """A file does not follow its format; `where` is file:line:column."""

    kind = "parse"


class SchemaError(DataError):
    """A schema file is wrong or does not fit the data; `where` is file:key."""

    kind = "schema"


class UnknownIdError(DataError):
    """A user, item or entity is not in the catalog."""

    kind = "unknown-id"


class StateError(ColdframeError):
    """A catalog, run or journal is in a state that does not allow this."""

    kind = "state"
    exit_code = 4


class IntegrityError(StateError):
    """A hash, size or shape does not match what the artefact's manifest says."""

    kind = "integrity"


class LockedError(StateError):
    """Another process holds the folder; the message names it."""

    kind = "locked"


class ResourceError(ColdframeError):
    """Disk, memory, time or a needed package is missing."""

    kind = "resource"
    exit_code = 5


def closest(word: str, valid: Iterable[str]) -> str:
    """The most similar of the valid words; "" if none is similar."""
    close = difflib.get_close_matches(word, list(valid), n=1)
    return close[0] if close else ""


def nearest(word: str, valid: Iterable[str]) -> str:
    """A hint that names the nearest valid word and the valid words, at most twelve of them."""
    names = sorted(valid)
    close = closest(word, names)
    start = f"did you mean {close!r}? " if close else ""
    more = ", ..." if len(names) > 12 else ""
    return f"{start}valid: {', '.join(names[:12])}{more}"
