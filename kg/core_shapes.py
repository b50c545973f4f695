"""SHACL shapes whose constraints can be checked on columns (`core_checks`).

Known: targets `sh:targetClass`, `sh:targetSubjectsOf`, `sh:targetObjectsOf`, `sh:targetNode`; paths of
one property or its `sh:inversePath`; constraints `sh:minCount`, `sh:maxCount`, `sh:class`,
`sh:datatype`, `sh:nodeKind`, `sh:minInclusive`, `sh:maxInclusive`, `sh:minExclusive`,
`sh:maxExclusive`, `sh:minLength`, `sh:maxLength`, `sh:pattern`, `sh:in` and `sh:hasValue`. Everything
else is an error, never passed over. Classes are taken as stated, with `rdfs:subClassOf` closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyoxigraph as ox

from .errors import SchemaError
from .schema import RDF, RDF_TYPE
from .shape_values import SH, check_value

Term = ox.NamedNode | ox.BlankNode | ox.Literal

_TARGETS = ("targetClass", "targetNode", "targetSubjectsOf", "targetObjectsOf")
CONSTRAINTS = frozenset(
    [
        "minCount",
        "maxCount",
        "class",
        "datatype",
        "nodeKind",
        "minInclusive",
        "maxInclusive",
        "minExclusive",
        "maxExclusive",
        "minLength",
        "maxLength",
        "pattern",
        "in",
        "hasValue",
    ]
)
_WORDS = frozenset(
    [
        "path",
        "property",
        "name",
        "description",
        "message",
        "severity",
        "order",
        "group",
        "deactivated",
        "flags",
    ]
)


@dataclass(frozen=True)
class Constraint:
    """`sh:<name>` with its value: an IRI or lexical form, and the terms themselves (a list's for `in`).

    Attributes:
        flags: of the shape's patterns, such as "i".
    """

    name: str
    value: str
    terms: tuple[Term, ...]
    flags: str = ""

    def __str__(self) -> str:
        more = " ..." if len(self.terms) > 5 else ""
        return f"sh:{self.name} {' '.join(map(str, self.terms[:5]))}{more}"


@dataclass(frozen=True)
class CoreShape:
    """The constraints of one property path on the nodes of some targets.

    Attributes:
        targets: (kind of target, IRI).
        property: IRI; "" = the constraints are on the node itself.
        inverse: the path runs against the property.
    """

    targets: tuple[tuple[str, str], ...]
    property: str = ""
    inverse: bool = False
    constraints: tuple[Constraint, ...] = ()


def core_shapes(triples: Iterable[ox.Quad], source: str) -> list[CoreShape]:
    """Read shapes; SchemaError names what is not among the core constraints."""
    about: dict[str, dict[str, list[Term]]] = defaultdict(lambda: defaultdict(list))
    nodes: dict[str, Term] = {}
    for triple in triples:
        if isinstance(triple.subject, ox.Triple) or isinstance(triple.object, ox.Triple):
            raise SchemaError("shapes are not made of triple terms", where=source)
        nodes[str(triple.subject)] = triple.subject
        about[str(triple.subject)][triple.predicate.value].append(triple.object)
    shapes: list[CoreShape] = []
    known = False
    for name, values in sorted(about.items()):
        targets = [(kind, term.value) for kind in _TARGETS for term in values.get(SH + kind, ())]
        is_class = any(_is(term, SH + "NodeShape") for term in values.get(RDF_TYPE, ()))
        if is_class and any(
            _is(term, "http://www.w3.org/2000/01/rdf-schema#Class")
            for term in values.get(RDF_TYPE, ())
        ):
            targets.append(("targetClass", nodes[name].value))
        if targets:
            inner = [about[str(term)] for term in values.get(SH + "property", ())]
            if any(SH + "property" in part for part in inner):
                raise SchemaError(
                    "a property shape within a property shape is not known to the engine 'core'",
                    where=source,
                    hint="name the inner one's target, or take the engine 'pyshacl'",
                )
            known = True
            where = f"{source}: {name}"
            parts = () if _switched_off(values) else (values, *inner)
            for part in parts:
                if part is not values and SH + "path" not in part:
                    raise SchemaError(
                        "a property shape without sh:path", where=where, hint="name its property"
                    )
                if not _switched_off(part):
                    shapes.append(_shape(tuple(targets), part, about, where))
    if not known:
        raise SchemaError("no shape with a target", where=source)
    return [shape for shape in shapes if shape.constraints]


def _switched_off(values: Mapping[str, list[Term]]) -> bool:
    return any(
        str(getattr(term, "value", "")) in ("true", "1")
        for term in values.get(SH + "deactivated", ())
    )


def _shape(
    targets: tuple[tuple[str, str], ...],
    values: Mapping[str, list[Term]],
    about: Mapping[str, Mapping[str, list[Term]]],
    where: str,
) -> CoreShape:
    property, inverse = "", False
    constraints: list[Constraint] = []
    flags = "".join(term.value for term in values.get(SH + "flags", ()))
    for predicate, terms in values.items():
        name = predicate.removeprefix(SH)
        if name == "path":
            property, inverse = _path(terms, about, where)
        elif name in CONSTRAINTS:
            if name in ("minCount", "maxCount") and SH + "path" not in values:
                raise SchemaError(
                    f"sh:{name} without sh:path", where=where, hint="put it into an sh:property"
                )
            for term in terms:
                check_value(name, term, flags, where)
                members = _members(term, about, where) if name == "in" else (term,)
                constraints.append(Constraint(name, term.value, members, flags))
        elif predicate.startswith(SH) and name not in _WORDS and name not in _TARGETS:
            raise SchemaError(
                f"sh:{name} is not among the core constraints",
                where=where,
                hint="take the engine 'pyshacl', or leave it out",
            )
    return CoreShape(targets, property, inverse, tuple(constraints))


def _path(
    terms: list[Term], about: Mapping[str, Mapping[str, list[Term]]], where: str
) -> tuple[str, bool]:
    if len(terms) == 1 and isinstance(terms[0], ox.NamedNode):
        return terms[0].value, False
    turned = about.get(str(terms[0]), {}).get(SH + "inversePath", [])
    if len(terms) == 1 and len(turned) == 1 and isinstance(turned[0], ox.NamedNode):
        return turned[0].value, True
    raise SchemaError(
        "sh:path is not one property or its inverse", where=where, hint="use 'pyshacl'"
    )


def _members(
    term: Term, about: Mapping[str, Mapping[str, list[Term]]], where: str
) -> tuple[Term, ...]:
    out, seen = [], set()
    while str(term) != f"<{RDF}nil>":
        cell = about.get(str(term), {})
        first, rest = cell.get(RDF + "first", []), cell.get(RDF + "rest", [])
        if str(term) in seen or len(first) != 1 or len(rest) != 1:
            raise SchemaError(
                "sh:in is not a list that ends", where=where, hint='write it as ( "a" "b" )'
            )
        seen.add(str(term))
        out.append(first[0])
        term = rest[0]
    return tuple(out)


def _is(term: Term, iri: str) -> bool:
    return isinstance(term, ox.NamedNode) and term.value == iri
