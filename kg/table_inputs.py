"""Table files for a schema's sections: only the columns that are named are kept, ids as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .delimited import BLOCK, DELIMITERS, Remarks, check_names, read_delimited
from .errors import ParseError, SchemaError, nearest
from .fields import field_column, flattened, with_fields
from .files import naming
from .record_tables import SUFFIXES as RECORDS
from .record_tables import read_record_table
from .schema import Schema, TableMap
from .table_sources import Sources, paths_of, suffix_of, usual_delimiter
from .vectors import plain_cells, vector_column, with_parts
from .vocabulary import TEXT, is_text

_EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class FileColumns:
    """What a section reads of one file.

    Attributes:
        remarks: what is odd in the file: rows that were left out, cells that hold rows.
    """

    data: pa.Table
    remarks: Remarks


class TableFiles:
    """The files of a schema's sections, each parsed once for all sections that read it alike."""

    def __init__(self, sources: Sources, schema: Schema) -> None:
        self._schema = schema
        self._alike: dict[tuple[object, ...], list[TableMap]] = {}
        self._parsed: dict[tuple[Path, str], FileColumns] = {}
        for name, table in schema.tables.items():
            source = sources[name]
            for path in () if isinstance(source, pa.Table) else paths_of(source):
                self._alike.setdefault((path, *_dialect(table)), []).append(table)

    def take(self, path: Path, table: TableMap) -> FileColumns:
        """The columns of a file that a section names, which are forgotten here.

        Raises:
            SchemaError: a column is missing that this section names, or another of the same file.
            ParseError: the file does not follow its format.
            DataError: a column holds what is neither plain values nor lists of them.
        """
        if (path, table.name) not in self._parsed:
            self._parse(path, self._alike[path, *_dialect(table)])
        return self._parsed.pop((path, table.name))

    def _parse(self, path: Path, sections: Sequence[TableMap]) -> None:
        """All that these sections name; what the file's folders say (`dt=2026-01-01`) are columns too."""
        wanted = list(dict.fromkeys(name for section in sections for name in section.wanted))
        remarks: Remarks = []
        with naming(path, "read"):
            try:
                if suffix_of(path) == ".parquet":
                    data = self._read_parquet(path, sections)
                else:
                    data = _read_text(path, sections[0], wanted, remarks)
            except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
                raise _unreadable(path, error, sections[0]) from None
        for name, value in _partition(path).items():
            if name in wanted and name not in data.column_names:
                data = data.append_column(name, pa.repeat(pa.scalar(value, TEXT), len(data)))
        for section in sections:
            own = plain_cells(pick(data, section, self._schema, str(path)), str(path))
            self._parsed[path, section.name] = FileColumns(own, remarks)

    def _read_parquet(self, path: Path, sections: Sequence[TableMap]) -> pa.Table:
        with pq.ParquetFile(path, memory_map=True) as file:
            names = file.schema_arrow.names
            check_names(names, str(path))
            needed: dict[str, None] = {}
            for section in sections:
                inner = [n for n in section.wanted if n in names or n not in _partition(path)]
                own = [field_column(vector_column(name, names), names) for name in inner]
                _expect(names, own, _place(self._schema, section), str(path))
                needed |= dict.fromkeys(own)
            return file.read(columns=list(needed), use_threads=False)


def _dialect(table: TableMap) -> tuple[object, ...]:
    """All that a section says of how its file is parsed."""
    cells = (table.delimiter, table.encoding, table.quote, table.escape)
    return *cells, table.header, table.skip_bad_rows


def _partition(path: Path) -> dict[str, str | None]:
    """The columns that a file's folders name, as Hive writes them: `NAME=VALUE`."""
    pairs = (part.partition("=") for part in path.parts[:-1])
    found = {name: unquote(value) for name, sign, value in pairs if name and sign}
    return {name: None if value == _EMPTY_PARTITION else value for name, value in found.items()}


def joined(parts: list[pa.Table], name: str) -> pa.Table:
    """The parts one after another; columns of different types become one that holds both."""
    if len(parts) == 1:
        return parts[0]
    try:
        return pa.concat_tables(parts, promote_options="permissive")
    except pa.ArrowException as error:
        first = str(error).splitlines()[0]
        raise ParseError(
            f"its files have columns of different types: {first}",
            where=name,
            hint="write them with one type, or give each file a section of its own",
        ) from None


def without_missing(data: pa.Table, missing: Sequence[str]) -> pa.Table:
    """The table with null for the text cells that count as missing."""
    if not missing:
        return data
    words = pa.array(list(missing), TEXT)
    for place, name in enumerate(data.column_names):
        column = data[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if is_text(column):
            text = column.cast(TEXT)
            none = pc.is_in(pc.utf8_trim_whitespace(text), value_set=words)
            data = data.set_column(place, name, pc.if_else(none, pa.scalar(None, TEXT), text))
    return data


def read_all(path: Path, table: TableMap, remarks: Remarks | None = None) -> pa.Table:
    """Every column of a table file, the fields of records as columns with dotted names.

    Args:
        remarks: takes what is odd in the file.
    """
    with naming(path, "read"):
        try:
            if suffix_of(path) == ".parquet":
                data = flattened(pq.read_table(path, use_threads=False, partitioning=None))
                check_names(data.column_names, str(path))
                return data
            return _read_text(path, table, None, [] if remarks is None else remarks)
        except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
            raise _unreadable(path, error, table) from None


def _unreadable(path: Path, error: Exception, table: TableMap) -> Exception:
    """One error for what Arrow and the codecs raise; an error of the disk stays as it is."""
    if isinstance(error, OSError) and error.errno:
        return error
    row = re.search(r"Row #(\d+)", str(error))
    where = f"{path}:{row[1]}" if row else str(path)
    first = (str(error).splitlines() or [type(error).__name__])[0]
    hint = ""
    if isinstance(error, OSError):
        first, hint = f"damaged: {first}", "unpack it with its own tool to see what is left of it"
    elif "straddl" in first:
        first = f"a row takes more than {BLOCK:,} bytes"
        hint = "is a quote left open? quote = false in its section takes quotes as they are"
    elif re.search(r"Expected \d+ columns", first):
        hint = (
            "is a quote left open, or a cell with the delimiter not quoted? A file whose cells are parted, "
            "or whose quotes are escaped, otherwise needs a schema that says so: "
            f"delimiter = ';' or escape = '\\' in [tables.{table.name}]. skip_bad_rows = true there leaves such rows out"
        )
    elif isinstance(error, UnicodeError) or "UTF8" in first:
        first = f"not {table.encoding} text: {first}"
        hint = f'say encoding = "latin-1" (or what it is) in [tables.{table.name}]'
    return ParseError(first, where=where, hint=hint)


def _read_text(
    path: Path, table: TableMap, wanted: Iterable[str] | None, remarks: Remarks
) -> pa.Table:
    """CSV, TSV or records with every column as text; of records only those that are wanted."""
    if suffix_of(path) in RECORDS:
        lenient = remarks if table.skip_bad_rows else None
        return read_record_table(path, suffix_of(path), wanted, lenient)
    return read_delimited(path, table, usual_delimiter(path), remarks)


def pick(table: pa.Table, section: TableMap, schema: Schema, where: str) -> pa.Table:
    """The columns that a section names, the fields and numbers within others as columns of their own.

    Raises:
        SchemaError: one is missing. ParseError: two have the same name.
    """
    check_names(table.column_names, where)
    wanted = section.wanted
    table = with_fields(with_parts(table, wanted), wanted)
    _expect(table.column_names, wanted, _place(schema, section), where)
    return table.select(wanted)


def _place(schema: Schema, section: TableMap) -> str:
    return f"{schema.source}:tables.{section.name}"


def _expect(names: Iterable[str], wanted: Iterable[str], key: str, place: str) -> None:
    there = list(names)
    for name in wanted:
        if name not in there:
            hint = nearest(name, there)
            sign = next((sign for sign in DELIMITERS if sign in "".join(there)), "")
            if sign and len(there) == 1:
                hint = f"its only column is {there[0]!r}: say delimiter = {sign!r} in its section"
            raise SchemaError(f"{key} needs the column {name!r}", where=place, hint=hint)
