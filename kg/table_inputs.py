"""Table files for a schema's sections: only the columns that are asked for, ids kept as text."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from .errors import DataError, ParseError, SchemaError, nearest
from .files import naming
from .record_tables import SUFFIXES as RECORDS
from .record_tables import read_record_table
from .schema import Schema, TableMap
from .vectors import plain_cells, vector_column, with_parts
from .vocabulary import TEXT

SUFFIXES = (".csv", ".tsv", ".parquet", *RECORDS)
_PACKED = (".gz", ".bz2", ".zst")
_BLOCK = 1 << 23  # bytes that are parsed at a time: no row may be longer
DELIMITERS = (";", "\t", "|", ",")


def is_table(path: Path) -> bool:
    """Whether a file's suffix says that it is a table (all but Parquet may be compressed)."""
    return _suffix(path) in SUFFIXES


def is_text_table(path: Path) -> bool:
    """Whether it is one of delimited cells, as CSV."""
    return _suffix(path) in (".csv", ".tsv")


def usual_delimiter(path: Path) -> str:
    """What parts the cells of a CSV or TSV file where its section does not say."""
    return "\t" if _suffix(path) == ".tsv" else ","


def find_tables(files: Iterable[Path], schema: Schema) -> dict[str, Path]:
    """Which file serves which `[tables.*]` section: by `file`, or by the section's name.

    Raises:
        DataError: two files fit one section, or a section has none.
    """
    known = list(files)
    out: dict[str, Path] = {}
    for name, table in schema.tables.items():
        fitting = [path for path in known if _fits(path, name, table)]
        if len(fitting) != 1:
            got = "no file fits" if not fitting else f"{len(fitting)} files fit"
            raise DataError(
                f"{got} the table {name!r}",
                where=", ".join(map(str, fitting[:3])) or f"{schema.source}:tables.{name}",
                hint=f"give one file named {table.file or name + '.csv (or .tsv, .parquet, .jsonl, .yaml)'}",
            )
        out[name] = fitting[0]
    return out


def read_columns(source: pa.Table | Path | str, table: TableMap, key: str) -> pa.Table:
    """The columns that a section names, as an Arrow table.

    Raises:
        SchemaError: a column is missing; `key` is the section's place in the schema.
        ParseError: the file does not follow its format.
        DataError: a column holds what is neither plain values nor lists of them.
    """
    found = plain_cells(_read_columns(source, table, key), place(source, table))
    return _without_missing(found, table.missing) if table.missing else found


def _read_columns(source: pa.Table | Path | str, table: TableMap, key: str) -> pa.Table:
    wanted = list(dict.fromkeys(column.name for column in table.columns.values()))
    if isinstance(source, pa.Table):
        return _pick(source, wanted, key, table.file or table.name)
    path = Path(source)
    with naming(path, "read"):
        try:
            if _suffix(path) == ".parquet":
                with pq.ParquetFile(path, memory_map=True) as file:
                    names = file.schema_arrow.names
                    needed = list(dict.fromkeys(vector_column(name, names) for name in wanted))
                    _expect(names, needed, key, str(path))
                    read = file.read(columns=needed, use_threads=False)
                    return _pick(read, wanted, key, str(path))
            return _pick(_read_text(path, table, wanted), wanted, key, str(path))
        except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
            raise _unreadable(path, error, table) from None


def _without_missing(data: pa.Table, missing: Iterable[str]) -> pa.Table:
    """The table with null for the text cells that count as missing."""
    words = pa.array(list(missing), TEXT)
    for place, name in enumerate(data.column_names):
        column = data[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            text = column.cast(TEXT)
            none = pc.is_in(pc.utf8_trim_whitespace(text), value_set=words)
            data = data.set_column(place, name, pc.if_else(none, pa.scalar(None, TEXT), text))
    return data


def read_all(path: Path, table: TableMap) -> pa.Table:
    """Every column of a table file."""
    with naming(path, "read"):
        try:
            if _suffix(path) == ".parquet":
                return pq.read_table(path, use_threads=False)
            return _read_text(path, table)
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
        first = f"a row takes more than {_BLOCK:,} bytes"
        hint = "is a quote left open? quote = false in its section takes quotes as they are"
    elif re.search(r"Expected \d+ columns", first):
        hint = (
            "is a quote left open, or a cell with the delimiter not quoted? A file whose cells are parted, "
            "or whose quotes are escaped, otherwise needs a schema that says so: "
            f"delimiter = ';' or escape = '\\' in [tables.{table.name}]"
        )
    elif isinstance(error, UnicodeError) or "UTF8" in first:
        first = f"not {table.encoding} text: {first}"
        hint = f'say encoding = "latin-1" (or what it is) in [tables.{table.name}]'
    return ParseError(first, where=where, hint=hint)


def _read_text(path: Path, table: TableMap, wanted: Iterable[str] | None = None) -> pa.Table:
    """CSV, TSV or records with every column as text; of records only those that are wanted."""
    if _suffix(path) in RECORDS:
        return read_record_table(path, _suffix(path), wanted)
    delimiter = table.delimiter or usual_delimiter(path)
    codecs.lookup(table.encoding)
    names, alone = _header(path, delimiter, table)
    header = list(table.header) or names
    if alone and not table.header:
        return pa.table({name: pa.array([], TEXT) for name in header})
    return pacsv.read_csv(
        pa.input_stream(str(path), compression="detect"),
        pacsv.ReadOptions(
            use_threads=False,
            column_names=header,
            skip_rows=0 if table.header else 1,
            encoding=table.encoding,
            block_size=_BLOCK,
        ),
        pacsv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if table.quote else False,
            escape_char=table.escape or False,
            newlines_in_values=table.quote,
        ),
        pacsv.ConvertOptions(column_types=dict.fromkeys(header, TEXT), strings_can_be_null=False),
    )


def _header(path: Path, delimiter: str, table: TableMap) -> tuple[list[str], bool]:
    """The names in the first line, and whether nothing follows it; none if the schema has them."""
    if table.header:
        return [], False
    with pa.input_stream(str(path), compression="detect") as source:
        head = source.read(1 << 20)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and table.encoding == "utf-8":
        hint = f'say encoding = "utf-16" in [tables.{table.name}]'
        raise ParseError("not utf-8 text but UTF-16", where=str(path), hint=hint)
    # What is no text is told of by the reader, which knows its line.
    decoder = codecs.getincrementaldecoder(table.encoding)(errors="replace")
    text = decoder.decode(head).removeprefix("\ufeff")
    line, *rest = re.split("\r\n|\r|\n", text, maxsplit=1)
    if not line.strip():
        raise ParseError("the table is empty", where=str(path), hint="its first line names columns")
    parts = line.split(delimiter)
    if table.quote:
        parts = next(csv.reader([line], delimiter=delimiter, escapechar=table.escape or None))
        if line.count('"') % 2:
            raise ParseError("a column's name is quoted over lines", where=f"{path}:1")
    names = [part.strip() for part in parts]
    for name in names:
        if names.count(name) > 1:
            raise ParseError(f"column {name!r} stands twice", where=f"{path}:1")
    return names, not rest


def _pick(table: pa.Table, wanted: list[str], key: str, place: str) -> pa.Table:
    table = with_parts(table, wanted)
    _expect(table.column_names, wanted, key, place)
    return table.select(wanted)


def _expect(names: Iterable[str], wanted: Iterable[str], key: str, place: str) -> None:
    there = list(names)
    for name in wanted:
        if name not in there:
            hint = nearest(name, there)
            sign = next((sign for sign in DELIMITERS if sign in "".join(there)), "")
            if sign and len(there) == 1:
                hint = f"its only column is {there[0]!r}: say delimiter = {sign!r} in its section"
            raise SchemaError(f"{key} needs the column {name!r}", where=place, hint=hint)


def _fits(path: Path, name: str, table: TableMap) -> bool:
    if table.file:
        packed = path.suffix.lower() in _PACKED and path.stem == table.file
        return path.name == table.file or packed
    return is_table(path) and path.name.split(".")[0] == name


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in _PACKED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def place(source: pa.Table | Path | str, table: TableMap) -> str:
    """What to call the source in a problem's `where`."""
    return (table.file or table.name) if isinstance(source, pa.Table) else str(source)


Sources = Mapping[str, pa.Table | Path | str]
