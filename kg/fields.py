"""Fields within fields, by dotted names: `address.city` of records, and of Arrow's structs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def field_column(name: str, names: Iterable[str]) -> str:
    """The column that a dotted name leads into, if the table has none of that name; else `name`."""
    there = set(names)
    parts = name.split(".")
    starts = (".".join(parts[:k]) for k in range(len(parts), 0, -1))
    return next((start for start in starts if start in there), name)


def with_fields(table: pa.Table, wanted: Iterable[str]) -> pa.Table:
    """The table, and a column for each dotted name among the wanted that leads to a field of a struct.

    A list on the way makes the column one of lists.
    """
    for name in wanted:
        base = field_column(name, table.column_names)
        if base == name or name in table.column_names:
            continue
        found = _inner(table[base].combine_chunks(), name[len(base) + 1 :].split("."))
        if found is not None:
            table = table.append_column(name, found)
    return table


def flattened(table: pa.Table) -> pa.Table:
    """The table with the fields of structs as columns of their own; lists of structs stay."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _inner(array: pa.Array, steps: list[str]) -> pa.Array | None:
    """The values of a field, None if the array has no such field."""
    if not steps:
        return array
    kind = array.type
    if pa.types.is_struct(kind):
        if kind.get_field_index(steps[0]) < 0:
            return None
        return _inner(pc.struct_field(array, [steps[0]]), steps[1:])
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = _inner(pc.list_flatten(array), steps)
        if inner is None:
            return None
        if pa.types.is_list(inner.type) or pa.types.is_large_list(inner.type):
            return None  # a list of lists is read by nobody
        sizes = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
        ends = pc.cumulative_sum(sizes)
        offsets = pa.concat_arrays([pa.array([0], pa.int64()), ends])
        return pa.LargeListArray.from_arrays(offsets, inner)
    return None


def has_field(record: Mapping[str, Any], name: str) -> bool:
    """Whether a record has a field of this dotted name, be it null."""
    if name in record:
        return True
    base = field_column(name, record)
    if base == name:
        return False
    inner = record[base] if isinstance(record[base], list) else [record[base]]
    rest = name[len(base) + 1 :]
    return any(has_field(one, rest) for one in inner if isinstance(one, Mapping))


def field_of(record: Mapping[str, Any], name: str) -> Any:
    """The value of a dotted name in a record; None where there is none, a list through lists."""
    if name in record:
        return record[name]
    base = field_column(name, record)
    return None if base == name else _value(record[base], name[len(base) + 1 :])


def _value(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return field_of(value, name)
    if not isinstance(value, list):
        return None
    found = [_value(one, name) for one in value]
    return [part for one in found for part in (one if isinstance(one, list) else [one])]


def dotted_names(record: Mapping[str, Any]) -> list[str]:
    """The names of a record's fields, those within records dotted."""
    out: list[str] = []
    for name, value in record.items():
        inner = dotted_names(value) if isinstance(value, Mapping) else []
        out += [f"{name}.{one}" for one in inner] or [name]
    return out
