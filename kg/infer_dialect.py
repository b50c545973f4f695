"""How a table file is written, where it is not as usual: what parts its cells, and its encoding."""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from .delimited import likely_delimiter
from .files import naming
from .schema import TableMap
from .table_sources import is_text_table, usual_delimiter

_UTF8 = "utf-8"
_GUESSES = ("cp1252", "latin-1")  # the first has signs such as € where the other has none
_CHUNK = 1 << 20
# A quote behind a backslash that ends no cell, in a file whose cells are quoted.
_ESCAPED = re.compile(rb'(?:^|[,;\t|\n])"[^"\r\n]*\\"(?=[^",;\t|\r\n])')


def find_dialect(path: Path, name: str) -> tuple[TableMap, list[str]]:
    """A section by which a table file can be read, and the lines that say so in a schema.

    The delimiter is another than the suffix says where its header would be one cell and is several
    with that one; a file that is not UTF-8 is taken for Latin-1, in which every byte is a letter;
    quotes are escaped where one stands behind a backslash within a quoted cell.

    Args:
        name: the section's name.
    """
    table = TableMap(name, "nodes", "", {})
    if not is_text_table(path):
        return table, []
    with naming(path, "read"):
        encoding, head, escaped = _encoding(path)
    usual = usual_delimiter(path)
    likely = likely_delimiter(head, usual)
    delimiter = "" if likely == usual else likely
    lines = []
    if delimiter:
        written = "\\t" if delimiter == "\t" else delimiter
        lines.append(f'delimiter = "{written}"')
    if encoding != _UTF8:
        sure = "" if encoding not in _GUESSES else "   # a guess: it is not UTF-8"
        lines.append(f'encoding = "{encoding}"{sure}')
    if escaped:
        lines.append('escape = "\\\\"')
    escape = "\\" if escaped else ""
    return replace(table, delimiter=delimiter, encoding=encoding, escape=escape), lines


def _encoding(path: Path) -> tuple[str, str, bool]:
    """The encoding, the file's first characters, and whether quotes are escaped by a backslash."""
    escaped = False
    decoder = codecs.getincrementaldecoder(_UTF8)()
    try:
        with pa.input_stream(str(path), compression="detect") as source:
            first = chunk = source.read(_CHUNK)
            if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                text = first.decode("utf-16", errors="replace")
                return "utf-16", text.removeprefix("\ufeff"), False
            while chunk:
                decoder.decode(chunk)
                escaped |= _ESCAPED.search(chunk) is not None
                chunk = source.read(_CHUNK)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        encoding = _guess(path)
        return encoding, first.decode(encoding, errors="replace"), escaped
    return _UTF8, first.decode(_UTF8, errors="replace").removeprefix("\ufeff"), escaped


def _guess(path: Path) -> str:
    """The first of `_GUESSES` that reads all of a file."""
    decoder = codecs.getincrementaldecoder(_GUESSES[0])()
    with pa.input_stream(str(path), compression="detect") as source:
        try:
            while chunk := source.read(_CHUNK):
                decoder.decode(chunk)
        except UnicodeDecodeError:
            return _GUESSES[1]
    return _GUESSES[0]
