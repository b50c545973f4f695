"""Statements in columns: what every reader of RDF produces and what the schema maps to a graph.

A `Quads` is canonical: the same set of statements gives the same arrays, whatever the order of lines
and files. Terms and literals are sorted by their bytes, rows by (p, s, o, g), repeats are dropped.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .schema import XSD

CodeArray = npt.NDArray[np.int32]

XSD_STRING = f"{XSD}string"
BLANK_NODE_PREFIX = "urn:coldframe:bnode:"

# Of canonical N-Triples (RDF 1.2), as the parser writes a literal.
_CONTROLS = {chr(code): f"\\u{code:04X}" for code in (*range(32), 127)}
_SHORT = {"\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPES = str.maketrans(_CONTROLS | _SHORT | {'"': '\\"', "\\": "\\\\"})


@dataclass(frozen=True)
class Source:
    """One file that was read (or one member of an archive, as `archive.zip!member`).

    Attributes:
        path: as it was found.
        sha256: of the decompressed content.
        triples: statements read, repeats included.
    """

    path: str
    sha256: str
    triples: int


@dataclass(frozen=True)
class Literals:
    """Distinct literals, sorted by their N-Triples form; position = literal index.

    Attributes:
        value: the lexical forms, exactly as written (never evaluated), shape (n,), large_string.
        datatype: term index of the datatype IRI, shape (n,); -1 = xsd:string, or a language string.
        language: index into `languages`, shape (n,); -1 = none.
        languages: the language tags in lower case, sorted ("en-us", or "ar--rtl" with a direction).
    """

    value: pa.LargeStringArray
    datatype: CodeArray
    language: CodeArray
    languages: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.value)


@dataclass(frozen=True)
class Quads:
    """Distinct statements as codes.

    Attributes:
        terms: IRIs without brackets, sorted, large_string. Blank nodes are IRIs of the form
            `urn:coldframe:bnode:<first 16 hex digits of the file's sha256>:<label>`.
        s, p: term indices, int32, shape (n,).
        o: shape (n,). o >= 0: term index; o < 0: the literal of index -(o + 1).
        g: term index of the named graph, -1 = default graph, shape (n,); read-only.
        literals: see `Literals`.
        duplicates: how many repeated statements were dropped.
        sources: the files, sorted by path.
        origin: index into `sources` of the first file that states the row, shape (n,), or None
            where there is at most one source.
    """

    terms: pa.LargeStringArray
    s: CodeArray
    p: CodeArray
    o: CodeArray
    g: CodeArray
    literals: Literals
    duplicates: int = 0
    sources: tuple[Source, ...] = ()
    origin: CodeArray | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.s)

    def find(self, iri: str) -> int:
        """Index of a term, -1 if no statement has it. O(log n)."""
        at = bisect_left(range(len(self.terms)), iri, key=self.term)
        return at if at < len(self.terms) and self.term(at) == iri else -1

    def term(self, index: int) -> str:
        """The IRI of a term index."""
        return str(self.terms[index].as_py())

    def rows_of(self, predicate: int | str) -> slice:
        """The rows of one predicate (they are contiguous); an empty slice if it has none."""
        code = self.find(predicate) if isinstance(predicate, str) else predicate
        if code < 0:
            return slice(0, 0)
        # Needles of the column's own type: for any other all of it would be copied.
        low, high = np.searchsorted(self.p, np.array([code, code + 1], np.int32))
        return slice(int(low), int(high))

    def source_of(self, row: int) -> str:
        """Path of the first file that states this row; "" where there is no file."""
        if not self.sources:
            return ""
        return self.sources[0 if self.origin is None else int(self.origin[row])].path

    @cached_property
    def content_hash(self) -> str:
        """sha256 of the set of statements (not of paths and repeats)."""
        digest = hashlib.sha256()
        for text in (self.terms, self.literals.value):
            for chunk in _text_bytes(text):
                digest.update(chunk)
        digest.update("\n".join(self.literals.languages).encode())
        for codes in (
            self.literals.datatype,
            self.literals.language,
            self.s,
            self.p,
            self.o,
            self.g,
        ):
            digest.update(len(codes).to_bytes(8, "little"))
            digest.update(np.ascontiguousarray(codes, "<i4").data)
        return digest.hexdigest()

    def literal_text(self, index: int) -> str:
        """A literal in canonical N-Triples form."""
        value = str(self.literals.value[index].as_py()).translate(_ESCAPES)
        if self.literals.language[index] >= 0:
            return f'"{value}"@{self.literals.languages[self.literals.language[index]]}'
        datatype = int(self.literals.datatype[index])
        return f'"{value}"' if datatype < 0 else f'"{value}"^^<{self.term(datatype)}>'

    def row_text(self, row: int) -> str:
        """One statement as a line of N-Quads, without the line end."""
        code = int(self.o[row])
        last = f"<{self.term(code)}>" if code >= 0 else self.literal_text(-code - 1)
        graph = f"<{self.term(int(self.g[row]))}> " if self.g[row] >= 0 else ""
        return f"<{self.term(int(self.s[row]))}> <{self.term(int(self.p[row]))}> {last} {graph}."

    def lines(self) -> Iterator[str]:
        """All statements as lines of N-Quads. For tests, exports of small graphs and messages."""
        return (self.row_text(row) for row in range(len(self)))


def _text_bytes(text: pa.LargeStringArray) -> Iterator[bytes]:
    """Lengths and bytes of a string column, independent of how the array is sliced."""
    offsets = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    yield len(text).to_bytes(8, "little")
    if len(text):
        yield np.diff(offsets).astype("<i8").tobytes()
        yield text.buffers()[2].slice(int(offsets[0]), int(offsets[-1] - offsets[0])).to_pybytes()
