"""Tables, pairs and counts as people hold them in Python: checked, and in one form each."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from .errors import DataError, UsageError

Pair = tuple[str, str]


def is_table_like(data: object) -> bool:
    """Whether it is an Arrow table, or a data frame that gives its columns to Arrow; a series is none."""
    if hasattr(data, "to_frame"):
        return False
    return isinstance(data, pa.Table | pa.RecordBatch) or hasattr(data, "__arrow_c_stream__")


def as_table(data: Any, where: str) -> pa.Table:
    """An Arrow table of one in another form; the named index of a pandas frame becomes a column.

    Args:
        data: an Arrow table or batch; a data frame of pandas, Polars or whatever else speaks Arrow's C
            stream; a mapping of columns; or a list of records, null where one lacks a field.
        where: what the table is, for errors.

    Raises:
        UsageError: it is nothing of these. DataError: a column mixes types, or columns differ in length.
    """
    if isinstance(data, pa.Table):
        return data
    try:
        if isinstance(data, pa.RecordBatch):
            return pa.Table.from_batches([data])
        if hasattr(data, "reset_index") and hasattr(data, "columns"):  # pandas
            named = any(name is not None for name in data.index.names)
            return pa.Table.from_pandas(data.reset_index() if named else data, preserve_index=False)
        if is_table_like(data) or isinstance(data, Mapping):
            return pa.table(data)
        if isinstance(data, Sequence) and data and all(isinstance(r, Mapping) for r in data):
            names = dict.fromkeys(str(name) for record in data for name in record)
            return pa.table({name: [record.get(name) for record in data] for name in names})
    except (pa.ArrowException, TypeError, ValueError) as error:
        said = ". ".join(map(str, error.args)) or type(error).__name__
        raise DataError(
            f"cannot be read as a table: {said.splitlines()[0]}",
            where=where,
            hint="each column needs a name of its own, one type, and as many rows as the others",
        ) from None
    raise UsageError(
        f"got {type(data).__name__}, expected a table",
        where=where,
        hint="a data frame, an Arrow table, {column: values}, or a list of records",
    )


def as_sources(tables: Mapping[str, Any]) -> dict[str, pa.Table | Path | str]:
    """Tables by name, each as `as_table` makes it; paths stay."""
    return {
        name: table if isinstance(table, str | Path) else as_table(table, f"tables.{name}")
        for name, table in tables.items()
    }


def as_pairs(pairs: Any, where: str = "pairs") -> list[Pair]:
    """(user, item) pairs by id as a list.

    Args:
        pairs: pairs in any iterable, an array (n, 2), or a table-like with columns user and item.

    Raises:
        UsageError: it is something else, or a pair is not two ids.
    """
    if is_table_like(pairs) or isinstance(pairs, Mapping):
        table = as_table(pairs, where)
        for name in ("user", "item"):
            if name not in table.column_names:
                raise UsageError(
                    f"column {name!r} is missing, got {', '.join(table.column_names)}",
                    where=where,
                    hint="rename the columns to user and item",
                )
        return list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
    if not isinstance(pairs, Iterable) or isinstance(pairs, str | bytes):
        raise _not_pairs(pairs, where)
    if isinstance(pairs, np.ndarray):
        pairs = pairs.tolist()  # ten times as fast as row by row
    out = []
    for pair in pairs:
        if isinstance(pair, str | bytes) or not hasattr(pair, "__len__") or len(pair) != 2:
            raise _not_pairs(pair, where)
        user, item = pair
        out.append((user, item))
    return out


def _not_pairs(got: object, where: str) -> UsageError:
    return UsageError(
        f"got {got!r:.80}, expected pairs of a user and an item",
        where=where,
        hint="give [(user, item), ...], or a table with columns user and item",
    )


def numbers_by_id(numbers: Any, where: str) -> dict[str, float]:
    """Numbers by id, from a mapping or a series of a data frame.

    Raises:
        UsageError: it is neither, or a value is no number.
    """
    try:
        return {name: float(value) for name, value in dict(numbers).items()}
    except (TypeError, ValueError):
        raise UsageError(
            f"got {numbers!r:.60}, expected numbers by id", where=where, hint="{'ann': 2.0}"
        ) from None


def whole(value: Any, where: str, least: int = 1) -> int:
    """A whole number of at least `least` as an int; NumPy's count, decimals and booleans do not.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UsageError(f"expected a whole number, got {value!r}", where=where)
    number = operator.index(value)
    if number < least:
        raise UsageError(f"must be at least {least}, got {number}", where=where)
    return number
