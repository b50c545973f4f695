"""RDF in any syntax -> `Quads`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyoxigraph as ox

from .assemble import Block, assemble
from .errors import DataError, ParseError
from .quads import BLANK_NODE_PREFIX, XSD_STRING, Quads, Source

FORMATS = {
    "nt": ox.RdfFormat.N_TRIPLES,
    "n3": ox.RdfFormat.N_TRIPLES,
    "nq": ox.RdfFormat.N_QUADS,
    "ttl": ox.RdfFormat.TURTLE,
    "trig": ox.RdfFormat.TRIG,
}


def read_quads(
    source: str | Path | Sequence[str | Path] | bytes, *, format: str | None = None
) -> Quads:
    """Read files into one canonical `Quads`."""
    blocks, sources = [], []
    if isinstance(source, bytes):
        inputs = [("<bytes>", source, format or "ttl")]
    else:
        names = [source] if isinstance(source, str | Path) else source
        paths = sorted(Path(name) for name in names)
        inputs = [(str(p), p.read_bytes(), format or p.suffix[1:]) for p in paths]
    for number, (name, content, kind) in enumerate(inputs):
        if kind not in FORMATS:
            raise DataError(f"unknown RDF format {kind!r}", where=name)
        digest = hashlib.sha256(content).hexdigest()
        block = _parse(content, FORMATS[kind], name, digest, number)
        blocks.append(block)
        sources.append(Source(name, digest, len(block.s)))
    return assemble(blocks, sources)


def _parse(content: bytes, kind: ox.RdfFormat, name: str, digest: str, number: int) -> Block:
    table: dict[str, int] = {}

    def code(term: object) -> int:
        if isinstance(term, ox.NamedNode):
            token = f"<{term.value}>"
        elif isinstance(term, ox.BlankNode):
            token = f"<{BLANK_NODE_PREFIX}{digest[:16]}:{term.value}>"
        elif isinstance(term, ox.Literal):
            datatype = term.datatype.value
            suffix = f"@{term.language}" if term.language else ""
            suffix = suffix or ("" if datatype == XSD_STRING else f"^^<{datatype}>")
            token = f'"{term.value}"{suffix}'
        elif isinstance(term, ox.DefaultGraph):
            return -1
        else:
            raise ParseError("triple terms are not read yet", where=name)
        return table.setdefault(token, len(table))

    rows = []
    try:
        for quad in ox.parse(content, kind):
            rows.append(
                (code(quad.subject), code(quad.predicate), code(quad.object), code(quad.graph_name))
            )
    except SyntaxError as error:
        raise ParseError(str(error), where=name) from None
    s, p, o, g = np.array(rows, np.int32).reshape(-1, 4).T
    return Block(pa.array(table, pa.large_string()), s, p, o, g, number)
