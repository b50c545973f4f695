"""N-Quads tokens and lines, whole Arrow columns at a time."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .files import atomic_write
from .quads import CodeArray, Quads
from .vocabulary import TEXT

ROWS = 1 << 17


def write_statements(quads: Quads, path: str | Path | BinaryIO) -> int:
    """Write statements as they are to a file, atomically, or to an open one; returns how many."""
    if isinstance(path, str | Path):
        atomic_write(path, lambda out: _write(quads, out))
    else:
        _write(quads, path)
    return len(quads)


def string_tokens(text: pa.Array) -> pa.Array:
    """Plain literals; null stays null."""
    for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r")):
        text = pc.replace_substring(text, raw, escaped)
    return concat('"', text.cast(TEXT), '"')


def iri_tokens(iris: pa.Array) -> pa.Array:
    """IRIs in angle brackets."""
    return concat("<", iris, ">")


def concat(*parts: pa.Array | str) -> pa.Array:
    """Texts and constants joined row by row; null where any is null."""
    columns = [pa.scalar(part, TEXT) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*columns, pa.scalar("", TEXT))


def repeat(text: str, n: int) -> pa.Array:
    """A constant column."""
    return pa.repeat(pa.scalar(text, TEXT), n)


def joined_bytes(lines: pa.Array) -> memoryview:
    """The bytes of all values of a text array, one after the other."""
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int64)[lines.offset : lines.offset + len(lines) + 1]
    return memoryview(data)[int(ends[0]) : int(ends[-1])] if len(lines) else memoryview(b"")


def _write(quads: Quads, out: BinaryIO) -> None:
    terms = iri_tokens(quads.terms.cast(TEXT))
    literals = _literal_tokens(quads)
    ends = pa.concat_arrays([terms, literals])
    graphs = pa.concat_arrays([concat(terms, " "), pa.array([""], TEXT)])
    for start in range(0, len(quads), ROWS):
        part = slice(start, start + ROWS)
        o = quads.o[part].astype(np.int64)
        lines = concat(
            terms.take(pa.array(quads.s[part])),
            " ",
            terms.take(pa.array(quads.p[part])),
            " ",
            ends.take(pa.array(np.where(o >= 0, o, len(terms) - o - 1))),
            " ",
            graphs.take(pa.array(_or_last(quads.g[part], len(terms)))),
            ".\n",
        )
        out.write(joined_bytes(lines))


def _literal_tokens(quads: Quads) -> pa.Array:
    literals = quads.literals
    quoted = string_tokens(literals.value.cast(TEXT))
    kinds = concat("^^", iri_tokens(quads.terms.cast(TEXT)))
    kinds = pa.concat_arrays([kinds, pa.array([""], TEXT)])
    kind = kinds.take(pa.array(_or_last(literals.datatype, len(quads.terms))))
    tags = pa.array([*(f"@{tag}" for tag in literals.languages), ""], TEXT)
    tag = tags.take(pa.array(_or_last(literals.language, len(literals.languages))))
    return concat(quoted, tag, pc.if_else(pc.equal(tag, ""), kind, pa.scalar("", TEXT)))


def _or_last(codes: CodeArray, last: int) -> npt.NDArray[np.int64]:
    """Codes with `last` in the place of -1."""
    return np.where(codes >= 0, codes, last).astype(np.int64)
