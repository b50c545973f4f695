"""Columns of Arrow tables that hold more than one plain value per cell: vectors, and what is not read."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .vocabulary import TEXT


def vector_length(column: pa.ChunkedArray) -> int:
    """How many numbers each cell holds; 0 where the column is no vector.

    A vector is a list of fixed size, or lists of one length whose numbers have fractions: whole ones
    may be ids.
    """
    kind = column.type
    if pa.types.is_fixed_size_list(kind):
        numeric = pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type)
        return int(kind.list_size) if numeric else 0
    if not _holds_fractions(column):
        return 0
    lengths = pc.unique(pc.list_value_length(column.drop_null()))
    return int(lengths[0].as_py()) if len(lengths) == 1 else 0


def vector_column(name: str, names: Iterable[str]) -> str:
    """The column of which `NAME.k` is a part, if the table lacks it itself; else `name`."""
    base, dot, place = name.rpartition(".")
    there = set(names)
    return base if dot and place.isdecimal() and name not in there and base in there else name


def with_parts(table: pa.Table, wanted: Iterable[str]) -> pa.Table:
    """The table and a column of numbers for each `NAME.k` among the wanted that a vector has."""
    for name in wanted:
        base = vector_column(name, table.column_names)
        place = int(name.rpartition(".")[2]) if base != name else 0
        if base != name and place < vector_length(table[base]):
            table = table.append_column(name, pc.list_element(table[base], place))
    return table


def plain_cells(table: pa.Table, where: str) -> pa.Table:
    """The table with bytes as the text that they are, and text of 64-bit offsets: joined chunks of the
    others end at 2 GiB.

    Raises:
        DataError: a column holds records, bytes that are no text, vectors, or lists of such.
    """
    for place, field in enumerate(table.schema):
        kind = field.type
        if (wide := _wide(kind)) != kind:
            try:
                table = table.set_column(place, field.name, table[field.name].cast(wide))
            except pa.ArrowInvalid:
                raise _refused(field, where, "bytes that are no UTF-8 text") from None
        elif not is_readable(table[field.name]):
            hint = "leave it out of the section's columns"
            if size := vector_length(table[field.name]):
                hint = (
                    f"name its numbers, each a feature of its own: {field.name}.0 to "
                    f"{field.name}.{size - 1}"
                )
            raise _refused(field, where, str(kind), hint)
    return table


def _wide(kind: pa.DataType) -> pa.DataType:
    """The type in which text, bytes and lists of them are read; any other is itself."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _wide(kind.value_type)
        return kind if inner == kind.value_type else pa.large_list(inner)
    types = pa.types
    text = types.is_string(kind) or types.is_string_view(kind)
    raw = types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
    return TEXT if text or raw else kind


def is_readable(column: pa.ChunkedArray) -> bool:
    """Whether cells hold plain values or lists of them, but no vectors."""
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
        if _holds_fractions(column):
            return False
    opaque = pa.types.is_fixed_size_binary(kind) or pa.types.is_duration(kind)
    return not (pa.types.is_nested(kind) or opaque)


def _holds_fractions(column: pa.ChunkedArray) -> bool:
    """Whether it has lists of numbers that are not all whole."""
    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not lists or not pa.types.is_floating(kind.value_type):
        return False
    values = pc.list_flatten(column).drop_null()
    return not pc.all(pc.equal(values, pc.floor(values)), min_count=0).as_py()


def _refused(field: pa.Field, where: str, what: str, hint: str = "") -> DataError:
    return DataError(
        f"column {field.name!r} holds {what}, expected text, numbers, dates or lists of them",
        where=where,
        hint=hint or "leave it out of the section's columns",
    )
