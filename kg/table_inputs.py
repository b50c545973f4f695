"""Table files for a schema's sections: only the columns that are asked for, ids kept as text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .delimited import BLOCK, DELIMITERS, Remarks, read_delimited
from .errors import ParseError, SchemaError, nearest
from .fields import field_column, flattened, with_fields
from .files import naming
from .record_tables import SUFFIXES as RECORDS
from .record_tables import read_record_table
from .row_choice import Unmet, chosen_rows
from .row_places import RowPlaces
from .schema import TableMap
from .table_sources import Source, is_text_table, paths_of, suffix_of, usual_delimiter
from .vectors import plain_cells, vector_column, with_parts
from .vocabulary import TEXT, is_text

_EMPTY_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Section:
    """What a section's source holds: the columns and the rows that the section names.

    Attributes:
        places: where each row stands.
        remarks: what was odd in the files: rows that were left out, cells that hold rows.
        unmet: what of `where` no row has.
        texts: whether it was read from delimited text.
    """

    data: pa.Table
    places: RowPlaces
    remarks: Remarks
    unmet: Unmet
    texts: bool = False


def read_section(source: Source, table: TableMap, key: str) -> Section:
    """The rows and columns that a section names, as an Arrow table.

    Raises:
        SchemaError: a column is missing; `key` is the section's place in the schema.
        ParseError: a file does not follow its format.
        DataError: a column holds what is neither plain values nor lists of them.
    """
    name = table.file or table.name
    remarks: Remarks = []
    if isinstance(source, pa.Table):
        parts = [plain_cells(_pick(source, table.wanted, key, name), name)]
        files: tuple[str, ...] = (name,)
    else:
        paths = paths_of(source)
        parts = [plain_cells(_read_file(path, table, key, remarks), str(path)) for path in paths]
        files = tuple(map(str, paths))
        name = files[0] if len(files) == 1 else name
    places = RowPlaces.of(name, files, [len(part) for part in parts])
    data = joined(parts, name)
    data = without_missing(data, table.missing)
    kept, unmet = chosen_rows(data, table)
    if kept is not None:
        data, places = data.filter(pa.array(kept)), replace(places, kept=np.flatnonzero(kept))
    texts = not isinstance(source, pa.Table) and is_text_table(Path(files[0]))
    return Section(data, places, remarks, unmet, texts)


def read_columns(source: Source, table: TableMap, key: str) -> pa.Table:
    """The table of `read_section`, which says what is raised."""
    return read_section(source, table, key).data


def _read_file(path: Path, table: TableMap, key: str, remarks: Remarks) -> pa.Table:
    """The wanted columns of one file; what its folders say (`dt=2026-01-01`) are columns as well."""
    wanted = table.wanted
    with naming(path, "read"):
        try:
            if suffix_of(path) == ".parquet":
                with pq.ParquetFile(path, memory_map=True) as file:
                    names = file.schema_arrow.names
                    inner = [n for n in wanted if n in names or n not in _partition(path)]
                    needed = [field_column(vector_column(n, names), names) for n in inner]
                    needed = list(dict.fromkeys(needed))
                    _expect(names, needed, key, str(path))
                    data = file.read(columns=needed, use_threads=False)
            else:
                data = _read_text(path, table, wanted, remarks)
        except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
            raise _unreadable(path, error, table) from None
    for name, value in _partition(path).items():
        if name in wanted and name not in data.column_names:
            data = data.append_column(name, pa.repeat(pa.scalar(value, TEXT), len(data)))
    return _pick(data, wanted, key, str(path))


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
                return flattened(pq.read_table(path, use_threads=False, partitioning=None))
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


def _pick(table: pa.Table, wanted: list[str], key: str, place: str) -> pa.Table:
    table = with_fields(with_parts(table, wanted), wanted)
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
