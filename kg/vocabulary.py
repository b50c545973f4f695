"""Identifiers and their indices: the only place where an IRI becomes an integer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError, UnknownIdError, UsageError

IntArray = npt.NDArray[np.int64]
TEXT = pa.large_string()


def is_text(column: pa.Array | pa.ChunkedArray) -> bool:
    """Whether the values are strings."""
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


@dataclass(frozen=True)
class Aliases:
    """Further names of identifiers, such as IRIs that were merged into them.

    Attributes:
        names: large_string, shape (n,).
        index: of the identifier that each name stands for, shape (n,).
    """

    names: pa.Array = field(default_factory=lambda: pa.array([], TEXT))
    index: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.names)


class Vocabulary(Sequence[str]):
    """An ordered list of distinct identifiers; position = index.

    Appending never renumbers: `extend` returns a vocabulary whose first `len(self)` entries are
    the same. `content_hash` changes if any identifier or its position does. The identifiers stay in
    an Arrow array (possibly of a mapped file); Python strings are made when they are asked for.

    Attributes:
        aliases: names by which `find` knows identifiers too; no part of the content.
    """

    aliases = Aliases()

    def __init__(self, ids: Iterable[str] | pa.Array) -> None:
        """Raises DataError where an identifier stands twice or is not Unicode text."""
        if isinstance(ids, pa.Array):
            self._array = ids.cast(TEXT)
        else:
            names = tuple(ids)
            self.__dict__["_ids"] = names
            try:
                self._array = pa.array(names, TEXT)
            except UnicodeEncodeError as error:
                raise DataError(f"an identifier is not Unicode text: {error.reason}") from None
            except (pa.ArrowException, TypeError):
                wrong = next(name for name in names if not isinstance(name, str))
                raise DataError(
                    f"identifier {wrong!r} is no text", hint="IRIs are best: f'urn:item:{number}'"
                ) from None
        if pc.count_distinct(self._array, mode="all").as_py() != len(self._array):
            counts = pc.value_counts(self._array)
            twice = next(c["values"].as_py() for c in counts if c["counts"].as_py() > 1)
            raise DataError(f"identifier {twice!r} stands twice in one vocabulary")

    @classmethod
    def trusted(cls, ids: pa.Array, aliases: Aliases = Aliases()) -> Vocabulary:
        """From text that is known to be distinct and without nulls (nothing is checked)."""
        out = cls.__new__(cls)
        out._array = ids.cast(TEXT)
        out.aliases = aliases
        return out

    def __repr__(self) -> str:
        first = "" if not len(self) else f", the first {self[0]!r}"
        return f"Vocabulary({len(self):,} identifiers{first})"

    @property
    def array(self) -> pa.Array:
        """The identifiers as an Arrow text (large_string) array."""
        return self._array

    @cached_property
    def _ids(self) -> tuple[str, ...]:
        return tuple(self._array.to_pylist())

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self._ids)}

    @cached_property
    def _by_alias(self) -> dict[str, int]:
        return dict(zip(self.aliases.names.to_pylist(), self.aliases.index.tolist(), strict=True))

    @cached_property
    def _by_local_name(self) -> dict[str, int]:
        """Local part (see `local_name`) -> index, or -1 where two entries share it."""
        table: dict[str, int] = {}
        for position, name in enumerate(self._ids):
            local = local_name(name)
            table[local] = -1 if local in table else position
        return table

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # int -> str, slice -> tuple
        if "_ids" in self.__dict__:
            return self._ids[index]
        if isinstance(index, slice):
            rows = range(*index.indices(len(self)))
            return tuple(self._array.take(pa.array(rows, pa.int64())).to_pylist())
        return self._array[index].as_py()

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, name: object) -> bool:
        return name in self._positions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and bool(self._array.equals(other._array))

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __reduce__(self) -> tuple[object, ...]:
        return Vocabulary.trusted, (self._array, self.aliases)

    @cached_property
    def content_hash(self) -> str:
        """sha256 over the number of identifiers, their lengths in bytes, and their bytes."""
        digest = hashlib.sha256(len(self).to_bytes(8, "little"))
        if len(self):
            _, offsets, data = self._array.buffers()
            start = self._array.offset
            ends = np.frombuffer(offsets, np.int64)[start : start + len(self) + 1]
            digest.update(np.diff(ends).astype("<i8").tobytes())
            if data is not None:
                digest.update(memoryview(data)[int(ends[0]) : int(ends[-1])])
        return digest.hexdigest()

    def take(self, indices: IntArray) -> list[str]:
        """The identifiers at these indices."""
        return list(self._array.take(pa.array(indices)).to_pylist())

    def find(self, name: object) -> int:
        """Index of an IRI or alias or, where none matches, of a local name (original id); -1 if unknown.

        A local name may be given as it stands or before percent-encoding; one that fits two IRIs matches
        neither. Numbers and scalars (Arrow, NumPy, torch) count as the text that they read as.
        """
        text = as_text(name)
        position = self._positions.get(text, self._by_alias.get(text))
        if position is not None:
            return position
        forms = {text, quote(text, safe="", errors="replace")}
        found = {self._by_local_name[form] for form in forms if form in self._by_local_name}
        return found.pop() if len(found) == 1 else -1

    def indices(
        self, names: Iterable[object], *, missing: str = "raise", kind: str = "id"
    ) -> IntArray:
        """Indices of `names`, shape (n,).

        Args:
            names: as `find` takes them; a single one is refused, and so is a table of them.
            missing: "raise" (UnknownIdError naming the first five) or "mark" (-1 in their place).
            kind: the word for one identifier in the error, such as "user".

        Raises:
            UsageError: `names` is no list of them. UnknownIdError: some are unknown, or fit several.
        """
        wanted = [as_text(name) for name in several(names, kind)]
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
        if not new:
            return self
        added = Vocabulary(pa.array(new, TEXT))
        return Vocabulary.trusted(pa.concat_arrays([self._array, added.array]), self.aliases)


def several(names: Iterable[object], kind: str) -> Iterable[object]:
    """The names, if they are several: a text would be read by its letters, a frame by its columns.

    Raises:
        UsageError: they are one, or a table.
    """
    if hasattr(names, "column_names") or getattr(names, "ndim", 1) != 1:
        raise UsageError(
            f"got {type(names).__name__} where a list of {kind}s is expected",
            hint=f"give the column of the ids: table[{kind!r}]",
        )
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise UsageError(
            f"{names!r} stands where several {kind}s are expected", hint=f"give a list: [{names!r}]"
        )
    return names


def as_text(name: object) -> str:
    """An identifier as text: of a scalar its value, of a whole number its digits.

    1.0 is 1: data frames make decimals of whole numbers where one is missing.
    """
    if isinstance(name, str):
        return name
    value: Any = name.as_py() if isinstance(name, pa.Scalar) else name
    if hasattr(value, "item"):  # a scalar of NumPy or torch
        value = value.item()
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def local_name(iri: str) -> str:
    """The part of an IRI after its last `/` or `#`, of a URN after its last `:`; else the whole."""
    cut = max(iri.rfind("/"), iri.rfind("#"))
    if cut < 0 and iri.startswith("urn:"):
        cut = iri.rfind(":")
    return iri[cut + 1 :] or iri
