"""Identifiers and their indices: the only place where an IRI becomes an integer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from .errors import DataError, UnknownIdError

IntArray = npt.NDArray[np.int64]


class Vocabulary(Sequence[str]):
    """An ordered list of distinct identifiers; position = index.

    Appending never renumbers: `extend` returns a vocabulary whose first `len(self)` entries are
    the same. `content_hash` changes if any identifier or its position does.
    """

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids: tuple[str, ...] = tuple(ids)
        if len(self._positions) != len(self._ids):
            seen: set[str] = set()
            twice = next(name for name in self._ids if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise DataError(f"identifier {twice!r} stands twice in one vocabulary")

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._ids)}

    @cached_property
    def _by_local_name(self) -> dict[str, int]:
        """Local part (after the last / or #) -> index, or -1 where two entries share it."""
        table: dict[str, int] = {}
        for position, name in enumerate(self._ids):
            local = local_name(name)
            table[local] = -1 if local in table else position
        return table

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int -> str, slice -> tuple
        return self._ids[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._ids == other._ids

    def __hash__(self) -> int:
        return hash(self.content_hash)

    @cached_property
    def content_hash(self) -> str:
        """sha256 over the identifiers in order, each prefixed by its length (so no two lists clash)."""
        digest = hashlib.sha256()
        for name in self._ids:
            raw = name.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(8, "little"))
            digest.update(raw)
        return digest.hexdigest()

    def find(self, name: str) -> int:
        """Index of an IRI or, where no IRI matches, of a local name (original id); -1 if unknown.

        A local name that two IRIs share matches neither.
        """
        position = self._positions.get(name)
        if position is not None:
            return position
        return self._by_local_name.get(name, -1)

    def indices(
        self, names: Iterable[str], *, missing: str = "raise", kind: str = "id"
    ) -> IntArray:
        """Indices of `names`, shape (n,).

        Args:
            missing: "raise" (UnknownIdError naming the first five) or "mark" (-1 in their place).
            kind: the word for one identifier in the error, such as "user".
        """
        wanted = list(names)
        found = np.fromiter((self.find(name) for name in wanted), np.int64, len(wanted))
        if missing == "raise" and (found < 0).any():
            unknown = [wanted[i] for i in np.flatnonzero(found < 0)[:5]]
            raise UnknownIdError(
                f"{int((found < 0).sum())} unknown {kind}(s): {', '.join(unknown)}",
                hint="give the IRI, or the original id where it is unique",
            )
        return found

    def extend(self, ids: Iterable[str]) -> Vocabulary:
        """This vocabulary with the identifiers it lacks appended in the order given."""
        new = [name for name in dict.fromkeys(ids) if name not in self._positions]
        return Vocabulary((*self._ids, *new)) if new else self


def local_name(iri: str) -> str:
    """The part of an IRI after its last `/` or `#`; the whole where there is none."""
    return iri[max(iri.rfind("/"), iri.rfind("#")) + 1 :] or iri
