"""Tables on disk: CSV, TSV, JSON lines and Parquet, chosen by the file's suffix."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from .delimited import likely_delimiter
from .errors import DataError, IntegrityError, ParseError, UsageError
from .json_files import plain
from .vocabulary import is_text
from .writing import StrPath, atomic_write, naming

_DELIMITERS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")
# A spreadsheet runs a cell that starts with one of these; a quote before it makes it text. Cells that
# already start with quotes and such a sign get one more, so that reading takes exactly one away.
_RUNNABLE = r"^('*[=+\-@\t\r])"
_SEAL = b"coldframe.sha256"
ESCAPED = r"^'('*[=+\-@\t\r])"


def write_table(path: StrPath, table: pa.Table) -> None:
    """Write a table atomically. In CSV and TSV, text that a spreadsheet would run is escaped by a
    leading quote (`read_table` takes it away again); missing values become empty
    cells, which read back as missing numbers but as empty text.

    Raises:
        UsageError: unknown suffix.
        DataError: a column that the format cannot hold (lists or structs in CSV).
        ResourceError: the file cannot be written.
    """
    suffix = _suffix(path)
    if suffix == ".parquet":
        atomic_write(path, lambda out: _write_parquet(table, out))
    elif suffix == ".jsonl":
        atomic_write(path, lambda out: _write_lines(table, out))
    else:
        options = pacsv.WriteOptions(delimiter=_DELIMITERS[suffix])
        escaped = _escape(table, path)
        atomic_write(path, lambda out: pacsv.write_csv(escaped, out, options))


def write_batches(path: StrPath, batches: Iterable[pa.Table], schema: pa.Schema) -> int:
    """`write_table` piece by piece, so that memory holds one piece at a time; returns the rows.

    Args:
        batches: tables of this schema, in order.
    """
    suffix, rows = _suffix(path), 0

    def write(out: BinaryIO) -> None:
        nonlocal rows
        with contextlib.ExitStack() as stack:
            add = _writer(stack, out, suffix, schema)
            for batch in batches:
                rows += len(batch)
                add(batch.cast(schema))

    atomic_write(path, write)
    return rows


def _writer(
    stack: contextlib.ExitStack, out: BinaryIO, suffix: str, schema: pa.Schema
) -> Callable[[pa.Table], object]:
    if suffix == ".jsonl":
        return lambda batch: _write_lines(batch, out)
    if suffix == ".parquet":
        rows = stack.enter_context(_parquet_writer(out, schema))
        return lambda batch: rows.write_table(batch)
    options = pacsv.WriteOptions(delimiter=_DELIMITERS[suffix])
    cells = stack.enter_context(
        pacsv.CSVWriter(out, _escape(schema.empty_table(), "").schema, write_options=options)
    )
    return lambda batch: cells.write_table(_escape(batch, ""))


def read_table(path: StrPath, *, text: Iterable[str] = ()) -> pa.Table:
    """Read a table; types are inferred where the format has none.

    Args:
        text: columns to read as text whatever they look like (ids such as "007" stay as they are).

    Raises:
        UsageError: unknown suffix.
        ResourceError: no such file, or it cannot be read.
        ParseError: the content does not follow the format; names the line where it is known.
    """
    suffix = _suffix(path, spreadsheet_hint(path))
    as_text = dict.fromkeys(text, pa.string())
    as_text |= {re.sub(_RUNNABLE, r"'\1", name): pa.string() for name in as_text}
    with naming(path, "read"), Path(path).open("rb") as source:
        try:
            if suffix == ".parquet":
                table = _read_parquet(source)
            elif suffix == ".jsonl":
                table = _read_lines(source, path, as_text)
            else:
                table = _read_cells(path, source, _DELIMITERS[suffix], as_text)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ParseError(_first_line(error), where=_place(path, error)) from None
    _check_names(table, path)
    for name in set(as_text) & set(table.column_names):
        try:
            column = table[name].cast(pa.string())
        except pa.ArrowException:
            kind = table[name].type
            raise ParseError(
                f"column {name!r} holds {kind}, expected text", where=str(path)
            ) from None
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _read_parquet(source: BinaryIO) -> pa.Table:
    # In this thread alone: where a thread of Arrow's lets go of bytes of Python's while the interpreter
    # ends, the process aborts.
    file = pq.ParquetFile(source, pre_buffer=False, page_checksum_verification=True)
    return file.read(use_threads=False)


def _write_parquet(table: pa.Table, out: BinaryIO) -> None:
    with _parquet_writer(out, table.schema) as rows:
        rows.write_table(table)


def _parquet_writer(out: BinaryIO, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(out, schema, compression="zstd", write_page_checksum=True)


def seal(table: pa.Table) -> pa.Table:
    """The table with a hash of its content in its metadata, for Parquet files that must not change."""
    kept = dict(table.schema.metadata or {})
    return table.replace_schema_metadata({**kept, _SEAL: _content(table)})


def unseal(table: pa.Table, path: StrPath) -> pa.Table:
    """A sealed table as it was.

    Raises:
        IntegrityError: the content is not what was sealed, or the seal is gone.
    """
    kept = dict(table.schema.metadata or {})
    found = kept.pop(_SEAL, None)
    if found is None:
        raise IntegrityError("its seal is missing", where=str(path))
    if found != _content(table):
        raise IntegrityError("its content was changed", where=str(path))
    return table.replace_schema_metadata(kept or None)


def _content(table: pa.Table) -> bytes:
    kept = {key: value for key, value in (table.schema.metadata or {}).items() if key != _SEAL}
    columns = [(f.name, str(f.type), table[f.name].to_pylist()) for f in table.schema]
    return hashlib.sha256(repr((sorted(kept.items()), columns)).encode()).hexdigest().encode()


def spreadsheet_hint(path: StrPath) -> str:
    """How to hand over a spreadsheet as a table; "" where the file is none by its suffix."""
    if Path(path).suffix.lower() not in _SPREADSHEETS:
        return ""
    return "save the sheet as .csv in the spreadsheet program, and give that file"


def _suffix(path: StrPath, hint: str = "") -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format of a table from the suffix {suffix!r}",
            where=str(path),
            hint=hint or f"use one of {', '.join(SUFFIXES)}",
        )
    return suffix


def _check_names(table: pa.Table, path: StrPath) -> None:
    seen: set[str] = set()
    for field in table.schema:
        if field.name in seen:
            raise ParseError(f"column {field.name!r} stands twice", where=f"{path}:1")
        seen.add(field.name)
        if pa.types.is_binary(field.type):
            raise ParseError(f"column {field.name!r} is not UTF-8 text", where=str(path))


def _escape(table: pa.Table, path: StrPath) -> pa.Table:
    columns = []
    for name in table.column_names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_nested(column.type):
            raise DataError(f"column {name!r} ({column.type}) has no place in CSV", where=str(path))
        if is_text(column):
            column = pc.replace_substring_regex(column, _RUNNABLE, r"'\1")
        columns.append(column)
    return pa.table(columns, [re.sub(_RUNNABLE, r"'\1", name) for name in table.column_names])


def _unescape(table: pa.Table) -> pa.Table:
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type):
            column = pc.replace_substring_regex(column, ESCAPED, r"\1")
        columns.append(column)
    return pa.table(columns, [re.sub(ESCAPED, r"\1", name) for name in table.column_names])


def _read_cells(
    path: StrPath, source: BinaryIO, usual: str, types: dict[str, pa.DataType]
) -> pa.Table:
    header = source.readline(1 << 20).decode(errors="replace").removeprefix("\ufeff")
    delimiter = likely_delimiter(header, usual)  # spreadsheets write the one of their country
    table = pacsv.read_csv(
        str(path),  # a file of Arrow's own, as it reads ahead in a thread: see _read_parquet
        pacsv.ReadOptions(use_threads=False),
        pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        pacsv.ConvertOptions(column_types=types),
    )
    _check_names(table, path)
    return _unescape(table)


def _write_lines(table: pa.Table, out: BinaryIO) -> None:
    for batch in table.to_batches(max_chunksize=10_000):
        for row in batch.to_pylist():
            line = json.dumps(plain(row), ensure_ascii=False, allow_nan=False, default=str)
            out.write(line.encode("utf-8", "backslashreplace") + b"\n")


def _read_lines(source: BinaryIO, path: StrPath, types: dict[str, pa.DataType]) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(source, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ParseError(f"not JSON: {error}", where=f"{path}:{number}") from None
        if not isinstance(row, dict):
            raise ParseError("expected one JSON object per line", where=f"{path}:{number}")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: _column(name, [row.get(name) for row in rows], types, path) for name in names}
    return pa.table(columns)


def _column(name: str, values: list[Any], types: dict[str, pa.DataType], path: StrPath) -> pa.Array:
    if name in types:
        values = [
            value if value is None or isinstance(value, str) else json.dumps(value)
            for value in values
        ]
    try:
        return pa.array(values, types.get(name))
    except (pa.ArrowException, OverflowError) as error:
        raise ParseError(f"column {name!r}: {_first_line(error)}", where=str(path)) from None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _place(path: StrPath, error: BaseException) -> str:
    row = re.search(r"Row #(\d+)", str(error))
    return f"{path}:{row[1]}" if row else str(path)
