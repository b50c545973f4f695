"""rdflib graphs as a source of statements."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyoxigraph as ox

from .errors import DataError

if TYPE_CHECKING:
    import rdflib


def statements(graph: rdflib.Graph) -> Iterator[ox.Quad]:
    """The statements of an rdflib Graph, or of all graphs of a Dataset, in strict terms.

    Raises:
        DataError: a term that no RDF file can hold, such as an IRI with a space in it.
    """
    from rdflib import Dataset
    from rdflib.graph import DATASET_DEFAULT_GRAPH_ID

    known: dict[Any, Any] = {None: ox.DefaultGraph(), DATASET_DEFAULT_GRAPH_ID: ox.DefaultGraph()}

    def strict(term: Any) -> Any:
        if term not in known:
            known[term] = _term(term)
        return known[term]

    rows: Any = graph.quads() if isinstance(graph, Dataset) else ((*row, None) for row in graph)
    for s, p, o, g in rows:
        try:
            yield ox.Quad(strict(s), strict(p), strict(o), strict(g))
        except (TypeError, ValueError) as error:
            raise DataError(
                f"the statement {s!s} {p!s} {o!s} is not valid RDF: {error}"[:400],
                where="rdflib graph",
                hint="repair the graph before reading it",
            ) from None


def _term(term: Any) -> ox.NamedNode | ox.BlankNode | ox.Literal:
    from rdflib import BNode, Literal, URIRef

    if isinstance(term, URIRef):
        return ox.NamedNode(str(term))
    if isinstance(term, BNode):
        return ox.BlankNode(str(term))
    if isinstance(term, Literal):
        if term.language:
            return ox.Literal(str(term), language=term.language)
        datatype = None if term.datatype is None else ox.NamedNode(str(term.datatype))
        return ox.Literal(str(term), datatype=datatype)
    raise TypeError(f"a {type(term).__name__} is no RDF term")
