"""Delimited text, as CSV: every column as text, by what the table's section says of the file."""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from .errors import ParseError
from .row_places import RowPlaces
from .schema import TableMap
from .vocabulary import TEXT

DELIMITERS = (";", "\t", "|", ",")
BLOCK = 1 << 23  # bytes that are parsed at a time: no row may be longer
_LONGEST_HEADER = 100_000  # characters that are looked at: below the reader's limit for a cell


class Remark(NamedTuple):
    """What is odd in a table file.

    Attributes:
        kind: of finding.
        where: file and line or row.
        message: what is odd there.
        left_out: number of the row that was left out, from 0; None = it was not.
    """

    kind: str
    where: str
    message: str
    left_out: int | None = None


Remarks = list[Remark]


def left_out(remarks: Remarks) -> list[int]:
    """Numbers of the rows that were left out, from 0."""
    return [remark.left_out for remark in remarks if remark.left_out is not None]


def likely_delimiter(header: str, usual: str) -> str:
    """What parts a header's cells: another sign than usual where that makes one cell of it, and the
    other several."""
    line = re.split("\r\n|\r|\n", header[:_LONGEST_HEADER], maxsplit=1)[0]
    cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in DELIMITERS}
    best = max(DELIMITERS, key=lambda mark: cells[mark])
    return best if cells[usual] <= 1 < cells[best] else usual


def read_delimited(path: Path, table: TableMap, usual: str, remarks: Remarks) -> pa.Table:
    """Every column as text, those too that no section reads: a quote that one of them leaves open takes
    whole rows with it.

    Args:
        usual: what parts the cells where the section does not say.
        remarks: takes the rows with too many or too few cells, where the section says to leave them out
            (`bad-row`), and cells in which whole rows stand (`open-quote`).

    Raises:
        ParseError: the table is empty, or its header is none. Also what Arrow and the codecs raise.
    """
    delimiter = table.delimiter or usual
    names, alone = _header(path, delimiter, table)
    header = list(table.header) or names
    if alone and not table.header:
        return pa.table({name: pa.array([], TEXT) for name in header})

    odd: Remarks = []

    def leave_out(row: pacsv.InvalidRow) -> str:
        reason = f"{row.actual_columns} cells, expected {row.expected_columns}: left out"
        number = row.number - (1 if table.header else 2)
        odd.append(Remark("bad-row", f"{path}:{row.number}", reason, number))
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
        places = RowPlaces.of(str(path), [(str(path), len(data), left_out(odd))])
        odd += _open_quotes(data, delimiter, places)
    remarks += odd
    return data


def _open_quotes(data: pa.Table, delimiter: str, places: RowPlaces) -> Remarks:
    """Cells with a line that has as many cells as a row: a quote that is never closed takes what follows
    it, up to the next quote or the end of the file, for text."""
    message = (
        "a cell holds a whole row: is a quote left open? quote = false takes quotes as they are"
    )
    out: Remarks = []
    for column in data.columns if data.num_columns > 1 else ():
        several = pc.match_substring(column, "\n")
        rows = np.flatnonzero(np.asarray(several, bool)).tolist()
        for row, cell in zip(rows, column.filter(several), strict=True):
            lines = cell.as_py().split("\n")[1:]
            if any(line.count(delimiter) == data.num_columns - 1 for line in lines):
                out.append(Remark("open-quote", places.row(row), message))
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
    check_names(names, f"{path}:1")
    return names, not rest


def check_names(names: Sequence[str], where: str) -> None:
    """Raise ParseError where a table has two columns of one name."""
    again = Counter(names)
    for name in names:
        if again[name] > 1:
            raise ParseError(
                f"column {name!r} stands twice", where=where, hint="rename one of them"
            )
