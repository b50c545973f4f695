"""Rows of a table one by one with their lines, so that a bad one is named and costs no other row."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from numbers import Real
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from ..kg.delimited import likely_delimiter
from ..kg.errors import DataError, ParseError
from ..kg.files import StrPath, read_table
from ..kg.table_files import ESCAPED
from ..kg.writing import naming

Source: TypeAlias = StrPath | pa.Table | Iterable[Mapping[str, Any]]
# The line, and the row, or why it cannot be read.
NumberedRow = tuple[int, Mapping[str, Any] | str]
_LARGEST_CELL = 2**31 - 1  # what the reader takes; its own limit would refuse the whole file


def numbered_rows(source: Source, needed: Sequence[str], what: str) -> list[NumberedRow]:
    """All rows of a table but blank ones; lines count from 1, a header being line 1.

    Args:
        source: a CSV, TSV, JSONL or Parquet file, an Arrow table, or rows as mappings.
        needed: columns that there must be. what: the table is, for errors.

    Raises:
        ParseError: the file as a whole cannot be read. DataError: a needed column is missing.
        ResourceError: no such file.
    """
    rows = list(_rows(source, needed))
    named = [row for _, row in rows if not isinstance(row, str)]
    if named:
        place = str(source) if isinstance(source, str | os.PathLike) else what
        columns = dict.fromkeys(str(name) for row in named for name in row)
        _check_columns(needed, list(columns), place)
    return rows


def text_of(value: Any) -> str:
    """A cell as text; "" where it is blank."""
    if is_blank(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def is_blank(value: Any) -> bool:
    """Nothing, or NaN or NaT, as data frames have in its place."""
    if isinstance(value, Real | datetime):
        return bool(value != value)
    return value is None or (isinstance(value, str) and not value)


def _rows(source: Source, needed: Sequence[str]) -> Iterator[NumberedRow]:
    if isinstance(source, pa.Table):
        yield from enumerate(source.to_pylist(), 2)
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        suffix = path.suffix.lower()
        if suffix in (".csv", ".tsv"):
            yield from _cells(path, "," if suffix == ".csv" else "\t", needed)
        elif suffix == ".jsonl":
            yield from _lines(path)
        else:
            yield from enumerate(read_table(path).to_pylist(), 2)
    else:
        yield from enumerate(source, 1)


def _cells(path: Path, usual: str, needed: Sequence[str]) -> Iterator[NumberedRow]:
    with (
        naming(path, "read"),
        path.open(encoding="utf-8-sig", errors="replace", newline="") as text,
    ):
        delimiter = likely_delimiter(text.readline(_LARGEST_CELL), usual)
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter)
        limit = csv.field_size_limit(_LARGEST_CELL)
        try:
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) != len(header):
                raise ParseError("a column stands twice in the header", where=f"{path}:1")
            _check_columns(needed, header, f"{path}:1")
            for cells in reader:
                line = reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    yield line, f"{len(cells)} cells, expected {len(header)}"
                    continue
                # A quote that keeps spreadsheets from running the cell is taken away again.
                plain = [re.sub(ESCAPED, r"\1", cell) for cell in cells]
                yield line, dict(zip(header, plain, strict=True))
        except csv.Error as error:
            raise ParseError(str(error), where=f"{path}:{reader.line_num}") from None
        finally:
            csv.field_size_limit(limit)


def _lines(path: Path) -> Iterator[NumberedRow]:
    with naming(path, "read"), path.open("rb") as source:
        for number, line in enumerate(source, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield number, "not JSON"
                continue
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _check_columns(needed: Sequence[str], columns: Sequence[str], where: str) -> None:
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(
            f"column {missing[0]!r} is missing; there are {', '.join(columns) or 'none'}",
            where=where,
            hint=f"needed: {', '.join(needed)}",
        )
