"""RDF terms <-> tokens, the plain strings by which statements are encoded.

A token is `<iri>`, `_:label`, or `"value"` followed by nothing, `@language` or `^^<datatype>`. The value
is not escaped: no suffix can hold a quote, so the last quote always ends the value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pyoxigraph as ox

from .quads import XSD_STRING
from .schema import RDF

Row = tuple[str, str, str, str]
"""Tokens of subject, predicate, object and graph ("" = default graph)."""

_REIFIES = f"{RDF}reifies"


def token(term: ox.NamedNode | ox.BlankNode | ox.Literal | ox.Triple) -> str:
    """The token of a term; that of a triple is the blank node into which `rows` unfolds it."""
    if isinstance(term, ox.Triple):
        return f"_:triple-{hashlib.sha256(str(term).encode()).hexdigest()[:24]}"
    if isinstance(term, ox.NamedNode):
        return f"<{term.value}>"
    if isinstance(term, ox.BlankNode):
        return f"_:{term.value}"
    if term.language:
        direction = f"--{term.direction}" if term.direction else ""
        return f'"{term.value}"@{term.language}{direction}'
    datatype = term.datatype.value
    return f'"{term.value}"' if datatype == XSD_STRING else f'"{term.value}"^^<{datatype}>'


def rows(quad: ox.Quad) -> Iterator[Row]:
    """A statement as tokens. RDF 1.2 triple terms are unfolded into RDF's reification vocabulary.

    `e rdf:reifies <<( s p o )>>` becomes `e a rdf:Statement; rdf:subject s; rdf:predicate p;
    rdf:object o`: the shape of an event node, with which the annotations of `e` stand already. A triple
    term in any other place becomes a blank node of that shape, the same for the same triple.
    """
    graph = "" if isinstance(quad.graph_name, ox.DefaultGraph) else token(quad.graph_name)
    subject, predicate = token(quad.subject), f"<{quad.predicate.value}>"
    if not isinstance(quad.object, ox.Triple):
        yield subject, predicate, token(quad.object), graph
    elif quad.predicate.value == _REIFIES:
        yield from _unfold(subject, quad.object, graph)
    else:
        name = token(quad.object)
        yield subject, predicate, name, graph
        yield from _unfold(name, quad.object, graph)


def _unfold(node: str, triple: ox.Triple, graph: str) -> Iterator[Row]:
    yield node, f"<{RDF}type>", f"<{RDF}Statement>", graph
    yield node, f"<{RDF}subject>", token(triple.subject), graph
    yield node, f"<{RDF}predicate>", token(triple.predicate), graph
    yield node, f"<{RDF}object>", token(triple.object), graph
    if isinstance(triple.object, ox.Triple):
        yield from _unfold(token(triple.object), triple.object, graph)
