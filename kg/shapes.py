"""SHACL: pyshacl for small data, the same core constraints on the columns for large data.

pyshacl takes about 2 CPU-seconds per 100,000 triples and a kilobyte of memory per triple; the columns
take 50 M triples. Shapes never run code and never fetch: SPARQL constraints, JavaScript and imports
are refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyoxigraph as ox

from . import sandbox
from .archives import SUFFIXES as FILE_SYNTAX
from .core_checks import check_core, source_of_node
from .core_shapes import core_shapes
from .errors import ParseError, ResourceError, SchemaError
from .files import StrPath, naming
from .guarded import RefusedError
from .problems import Problem
from .quads import BLANK_NODE_PREFIX, Quads
from .reading import Reading
from .report import Findings
from .shape_values import SH
from .store import rdf_format

PYSHACL_LIMIT = 1_000_000  # triples
_RUNNABLE = ("sparql", "select", "ask", "construct", "js", "jsFunctionName", "SPARQLTarget", "rule")
_ACTIVE = frozenset(SH + name for name in _RUNNABLE) | {"http://www.w3.org/2002/07/owl#imports"}


def check_shapes(
    quads: Quads, shapes: StrPath, *, engine: str = "auto", reading: Reading = Reading()
) -> list[Problem]:
    """Hold statements against SHACL shapes (a Turtle, TriG or N-Triples file).

    Args:
        engine: "pyshacl" (everything of SHACL Core; needs the extra `shacl`), "core" (the constraints
            of `core_shapes`; a shape with another one is an error), or "auto": pyshacl up to
            `PYSHACL_LIMIT` triples where it is installed.
        reading: limits and base IRI of the shapes file.

    Returns:
        problems of kind "shape", naming focus node, property and source file.

    Raises:
        ParseError: the shapes file is not RDF.
        SchemaError: the shapes would run code or fetch, or "core" does not know a constraint.
        ResourceError: "pyshacl" was asked for and is not installed.
    """
    triples = read_shapes(shapes, reading)
    if engine == "auto":
        engine = "pyshacl" if len(quads) <= PYSHACL_LIMIT and _has_pyshacl() else "core"
    found = Findings()
    if engine == "pyshacl":
        _check_with_pyshacl(quads, triples, found, str(shapes))
    else:
        check_core(quads, core_shapes(triples, str(shapes)), found)
    return list(found.problems())


def read_shapes(path: StrPath, reading: Reading = Reading()) -> list[ox.Quad]:
    """The statements of a shapes file, without any that would run code or fetch."""
    rdf_format(path)
    syntax = FILE_SYNTAX[Path(path).suffix.lower()]
    try:
        with naming(path, "read"), Path(path).open("rb") as stream:
            pieces = sandbox.nquads(stream, syntax, reading.limits, reading.base_iri)
            text = b"".join(pieces)
    except RefusedError as refused:
        place = f":{refused.line}:{refused.column}" if refused.line else ""
        raise ParseError(refused.message, where=f"{path}{place}", hint=refused.hint) from None
    triples = list(ox.parse(text, format=ox.RdfFormat.N_QUADS))
    for triple in triples:
        for term in (triple.predicate, triple.object):
            if isinstance(term, ox.NamedNode) and term.value in _ACTIVE:
                raise SchemaError(
                    f"shapes with <{term.value}> are refused: they would run code or fetch",
                    where=str(path),
                    hint="use the constraints of SHACL Core",
                )
    return triples


def _has_pyshacl() -> bool:
    from importlib.util import find_spec

    return find_spec("pyshacl") is not None


def _check_with_pyshacl(quads: Quads, shapes: list[ox.Quad], found: Findings, source: str) -> None:
    try:
        import pyshacl
    except ImportError:
        raise ResourceError(
            "SHACL needs pyshacl", hint="install coldframe[shacl], or take the engine 'core'"
        ) from None
    data = _rdflib_graph(ox.parse("\n".join(quads.lines()), format=ox.RdfFormat.N_QUADS))
    report = _report(pyshacl.validate, data, _rdflib_graph(shapes), source)
    from rdflib import URIRef

    for result in report.subjects(URIRef(SH + "focusNode")):
        value = {
            name: next(report.objects(result, URIRef(SH + name)), "")
            for name in ("focusNode", "resultPath", "resultMessage")
        }
        iri, property, listed = str(value["focusNode"]), str(value["resultPath"]), []
        if found.room("shape", property):
            message = " ".join(str(value["resultMessage"]).split())
            where = source_of_node(quads, iri)
            listed.append(Problem("shape", iri, property, where, message))
        found.add("shape", property, 1, listed)


def _report(validate: Callable[..., Any], data: Any, shapes: Any, source: str) -> Any:
    """pyshacl's report as a graph; SchemaError where it cannot work with the shapes."""
    try:
        _, report, _ = validate(
            data,
            shacl_graph=shapes,
            advanced=False,
            js=False,
            meta_shacl=False,
            do_owl_imports=False,
            inference="none",
        )
    except Exception as error:  # pyshacl, rdflib, re and decimal each raise kinds of their own
        raise _unusable(error, source) from error
    if isinstance(report, Exception):
        raise _unusable(report, source) from report
    return report


def _unusable(error: Exception, source: str) -> SchemaError:
    said = " ".join((str(getattr(error, "message", "")) or str(error)).split())
    return SchemaError(
        f"these shapes cannot be used: {said[:300] or type(error).__name__}",
        where=source,
        hint="correct the shape it speaks of, or take the engine 'core', which names it",
    )


def _rdflib_graph(quads: Any) -> Any:
    """An rdflib Graph. Literals stay as written: normalising "1e300000000" would eat the memory."""
    import rdflib

    def term(each: Any) -> Any:
        if isinstance(each, ox.NamedNode) and each.value.startswith(BLANK_NODE_PREFIX):
            return rdflib.BNode(each.value)  # the reader has given it an IRI
        if isinstance(each, ox.NamedNode):
            return rdflib.URIRef(each.value)
        if isinstance(each, ox.BlankNode):
            return rdflib.BNode(each.value)
        if each.language:
            return rdflib.Literal(each.value, lang=each.language)
        if each.datatype.value.endswith("#string") or len(each.value) > 10_000:
            return rdflib.Literal(each.value)
        datatype = rdflib.URIRef(each.datatype.value)
        return rdflib.Literal(each.value, datatype=datatype, normalize=False)

    graph = rdflib.Graph()
    quiet = logging.getLogger("rdflib.term")  # logs a traceback for every odd literal
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        for quad in quads:
            if not isinstance(quad.object, ox.Triple) and not isinstance(quad.subject, ox.Triple):
                graph.add((term(quad.subject), term(quad.predicate), term(quad.object)))
    finally:
        quiet.setLevel(level)
    return graph
