"""Delimited text, as CSV: every column as text, by what the table's section says of the file."""

from __future__ import annotations

import codecs
import csv
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from .errors import ParseError
from .schema import TableMap
from .vocabulary import TEXT

DELIMITERS = (";", "\t", "|", ",")
BLOCK = 1 << 23  # bytes that are parsed at a time: no row may be longer
_LONGEST_HEADER = 100_000  # characters that are looked at: below the reader's limit for a cell

Remarks = list[tuple[str, str, str]]  # kind of finding, file and line or row, what is odd there


def likely_delimiter(header: str, usual: str) -> str:
    """What parts a header's cells: another sign than usual where that makes one cell of it, and the
    other several."""
    line = re.split("\r\n|\r|\n", header[:_LONGEST_HEADER], maxsplit=1)[0]
    cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: cells[mark])
    return best if cells[usual] <= 1 < cells[best] else usual


def read_delimited(path: Path, table: TableMap, usual: str, remarks: Remarks) -> pa.Table:
    """Every column as text.

    Args:
        usual: what parts the cells where the section does not say.
        remarks: takes the rows with too many or too few cells, where the section says to leave them out
            (`bad-row`), and cells in which whole rows stand (`open-quote`).

    Raises:
        ParseError: the table is empty, or its header is none. Also what Arrow and the codecs raise.
    """
    delimiter = table.delimiter or usual
    codecs.lookup(table.encoding)
    names, alone = _header(path, delimiter, table)
    header = list(table.header) or names
    if alone and not table.header:
        return pa.table({name: pa.array([], TEXT) for name in header})

    def leave_out(row: pacsv.InvalidRow) -> str:
        reason = f"{row.actual_columns} cells, expected {row.expected_columns}: left out"
        remarks.append(("bad-row", f"{path}:{row.number}" if row.number else str(path), reason))
        return "skip"

    data = pacsv.read_csv(
        pa.input_stream(str(path), compression="detect"),
        pacsv.ReadOptions(
            use_threads=False,
            column_names=header,
            skip_rows=0 if table.header else 1,
            encoding=table.encoding,
            block_size=BLOCK,
        ),
        pacsv.ParseOptions(
            delimiter=delimiter,
            quote_char='"' if table.quote else False,
            escape_char=table.escape or False,
            newlines_in_values=table.quote,
            invalid_row_handler=leave_out if table.skip_bad_rows else None,
        ),
        pacsv.ConvertOptions(column_types=dict.fromkeys(header, TEXT), strings_can_be_null=False),
    )
    if table.quote:
        remarks += _open_quotes(data, delimiter, path)
    return data


def _open_quotes(data: pa.Table, delimiter: str, path: Path) -> Remarks:
    """Cells with a line that has as many cells as a row: a quote that is never closed takes what follows
    it, up to the next quote or the end of the file, for text."""
    rest = rf"[^{re.escape(delimiter)}\n]*"
    row = rf"\n{rest}(?:{re.escape(delimiter)}{rest}){{{data.num_columns - 1}}}(?:\n|$)"
    message = (
        "a cell holds a whole row: is a quote left open? quote = false takes quotes as they are"
    )
    out: Remarks = []
    for name in data.column_names if data.num_columns > 1 else ():
        found = np.flatnonzero(np.asarray(pc.match_substring_regex(data[name], row), bool))
        out += [("open-quote", f"{path}:row {k + 1}", message) for k in found]
    return out


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
