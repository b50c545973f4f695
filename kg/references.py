"""Columns of tables that name nodes: cells -> distinct values -> IRIs, as integer codes per row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import SchemaError
from .ids import positions, sorted_ids
from .minting import mint
from .schema import Column, NodeType, Schema
from .vocabulary import TEXT, IntArray


@dataclass(frozen=True)
class Cells:
    """A column as codes: value `distinct[code[k]]` stands in table row `row[k]`; no nulls.

    `rows` is None where every table row has exactly one entry, in order.
    """

    rows: IntArray | None
    code: IntArray
    distinct: pa.Array

    @property
    def whole(self) -> bool:
        """Whether every table row has exactly one entry, in order."""
        return self.rows is None

    @property
    def row(self) -> IntArray:
        """Table row per entry, int64 (m,)."""
        return np.arange(len(self.code)) if self.rows is None else self.rows

    @property
    def values(self) -> pa.Array:
        """One value per entry, length m."""
        return self.distinct.take(pa.array(self.code))

    def select(self, rows: IntArray) -> Cells:
        """The entries whose table row is among `rows` (sorted)."""
        keep = np.isin(self.row, rows)
        return Cells(self.row[keep], self.code[keep], self.distinct)


@dataclass(frozen=True)
class Reference:
    """A column that names nodes of one or several types.

    Attributes:
        types: candidate node types, in order of preference.
        cells: codes of the ids as they stand in the table.
        iris: IRI per distinct id; null where the id is empty or makes no IRI.
        verbatim: the ids are IRIs as they stand.
    """

    types: tuple[str, ...]
    cells: Cells
    iris: pa.Array
    verbatim: bool = False

    def by_row(self, n_rows: int) -> IntArray:
        """Code per table row, int64 (n_rows,), -1 where there is none; the last of several."""
        if self.cells.whole:
            return self.cells.code
        out = np.full(n_rows, -1, np.int64)
        out[self.cells.row] = self.cells.code
        return out


def cells(column: pa.ChunkedArray | pa.Array, separator: str = "") -> Cells:
    """Codes of a column of text, integers, floats, dictionaries or lists of those.

    With a separator, each text cell is split, its parts are trimmed, and empty parts are dropped.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    row = None
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        row = np.asarray(pc.list_parent_indices(array), np.int64)
        array = pc.list_flatten(array)
    code, distinct = _encode(array)
    if separator:
        row = np.arange(len(code)) if row is None else row
        row, code, distinct = _split(row, code, distinct, separator)
    present = code >= 0
    if not present.all():
        row = np.flatnonzero(present) if row is None else row[present]
        code = code[present]
    return Cells(row, code, distinct)


def together(left: Cells, right: Cells) -> tuple[IntArray, IntArray, IntArray]:
    """Every pair of entries that two columns have in one table row: the row, and both codes, (m,)."""
    if left.whole:
        return right.row, left.code[right.row], right.code
    first = np.searchsorted(left.row, right.row, "left")
    count = np.searchsorted(left.row, right.row, "right") - first
    offset = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    place = np.repeat(first, count) + offset
    return left.row[place], left.code[place], np.repeat(right.code, count)


def reference(
    schema: Schema, types: Sequence[str], column: Column, found: Cells, key: str
) -> Reference:
    """Mint IRIs for the ids of a column; `key` is the place in the schema for errors."""
    template = column.iri or next((schema.nodes[t].iri for t in types if schema.nodes[t].iri), "")
    if not template:
        raise SchemaError(
            f"column {column.name!r} names nodes of type {types[0]!r}, which has no `iri` template",
            where=f"{schema.source}:{key}",
            hint=f'add iri = "https://…/{{}}" to [nodes.{types[0]}], or iri = "{{}}" to the column',
        )
    return Reference(tuple(types), found, mint(found.distinct, template), template == "{}")


def claim(
    references: Iterable[Reference],
    claimed: Mapping[str, Sequence[pa.Array]],
    nodes: Mapping[str, NodeType],
) -> dict[str, pa.Array]:
    """The sorted IRIs of every node type.

    An end of one type claims its IRIs for that type; an end of several types leaves each IRI to the
    types that have it, and what none has to `fallback`.

    Args:
        claimed: node type -> IRIs that are of this type already.
    """
    parts: dict[str, list[pa.Array]] = {name: list(claimed.get(name, ())) for name in nodes}
    several = []
    for ref in references:
        if len(ref.types) == 1:
            parts[ref.types[0]].append(ref.iris)
        else:
            several.append(ref)
    members = {name: sorted_ids(arrays) for name, arrays in parts.items()}
    extra: dict[str, list[pa.Array]] = {}
    for ref in several:
        known = np.zeros(len(ref.iris), bool)
        for name in ref.types:
            known |= positions(members[name], ref.iris) >= 0
        extra.setdefault(fallback(ref.types, nodes) or ref.types[0], []).append(
            ref.iris.filter(pa.array(~known))
        )
    for name, arrays in extra.items():
        members[name] = sorted_ids([members[name], *arrays])
    return members


def fallback(types: Sequence[str], nodes: Mapping[str, NodeType]) -> str | None:
    """The node type, among candidates, of a node that no type has: the schema's last without class."""
    open_types = [name for name in nodes if name in types and not nodes[name].classes]
    return open_types[-1] if open_types else None


def locate(ref: Reference, members: Mapping[str, pa.Array]) -> list[tuple[str, IntArray]]:
    """Per candidate type: (type, node index per distinct id), -1 where the node is not of this type.

    A node of several candidate types counts for the first.
    """
    out = []
    free = np.ones(len(ref.iris), bool)
    for name in ref.types:
        index = positions(members[name], ref.iris)
        index[~free] = -1
        free &= index < 0
        out.append((name, index))
    return out


def _encode(array: pa.Array) -> tuple[IntArray, pa.Array]:
    """Codes (-1 = null) and distinct values."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        codes = np.asarray(pc.fill_null(array.indices.cast(pa.int64()), -1))
        used = np.zeros(len(array.dictionary), bool)  # categories outlive the rows that had them
        used[codes[codes >= 0]] = True
        place = np.append(np.cumsum(used) - 1, -1)
        return place[codes], array.dictionary.filter(pa.array(used)).cast(TEXT)
    if pa.types.is_floating(kind):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, kind), array)
        try:
            array = array.cast(pa.int64())
        except pa.ArrowInvalid:
            array = array.cast(TEXT)
    if pa.types.is_integer(array.type) and len(array) > array.null_count:
        return _encode_integers(array)
    encoded = array.cast(TEXT).dictionary_encode()
    codes = np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), -1))
    return codes, encoded.dictionary


def _encode_integers(array: pa.Array) -> tuple[IntArray, pa.Array]:
    """Like a dictionary, by a look-up table where the range allows it."""
    numbers = np.asarray(array.drop_null() if array.null_count else array)
    numbers = numbers if array.type == pa.uint64() else numbers.astype(np.int64, copy=False)
    low, high = int(numbers.min()), int(numbers.max())
    if high - low < 4 * len(numbers) + 1024:
        codes = (numbers - low).astype(np.int64, copy=False)
        seen = np.zeros(high - low + 1, bool)
        seen[codes] = True
        distinct = np.flatnonzero(seen).astype(numbers.dtype) + numbers.dtype.type(low)
        np.take(np.cumsum(seen) - 1, codes, out=codes, mode="clip")  # "raise" would copy
    else:
        distinct, codes = np.unique(numbers, return_inverse=True)
        codes = codes.reshape(-1)
    names = pa.array(distinct).cast(TEXT)
    if not array.null_count:
        return codes, names
    out = np.full(len(array), -1, np.int64)
    out[np.asarray(array.is_valid(), bool)] = codes
    return out, names


def _split(
    row: IntArray, code: IntArray, distinct: pa.Array, separator: str
) -> tuple[IntArray, IntArray, pa.Array]:
    """Split the distinct cells once, then repeat rows by the number of parts of their cell."""
    parts = pc.split_pattern(distinct, separator)
    owner = np.asarray(pc.list_parent_indices(parts), np.int64)
    text = pc.utf8_trim_whitespace(pc.list_flatten(parts))
    filled = np.asarray(pc.not_equal(text, ""), bool)
    owner, encoded = owner[filled], text.filter(pa.array(filled)).dictionary_encode()
    part_code = np.asarray(encoded.indices, np.int64)
    size = np.bincount(owner, minlength=len(distinct))
    start = np.cumsum(size) - size
    row, code = row[code >= 0], code[code >= 0]
    times = size[code]
    offset = np.arange(int(times.sum())) - np.repeat(np.cumsum(times) - times, times)
    place = np.repeat(start[code], times) + offset
    return np.repeat(row, times), part_code[place], encoded.dictionary
