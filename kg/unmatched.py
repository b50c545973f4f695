"""What a schema names and no statement of the input has: typing errors show as nothing at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from .errors import closest
from .problems import Problem
from .quads import Quads
from .report import Findings
from .schema import PropertyPath, Schema
from .subclasses import instances, rows_of_any

KIND = "unmatched"
COMPARED = 1000  # terms of the data, the most frequent first, among which the nearest is looked for


def find_unmatched(quads: Quads, schema: Schema, found: Findings) -> None:
    """A finding for every class and property of the schema that no statement has.

    A subclass counts for its classes. An inverse counts for its property: either may state the edges.
    """
    data = _Terms(quads, schema)
    for key, iri in _named_classes(schema):
        if not data.has_class(iri):
            found.add(KIND, key, 1, [_problem(schema, key, iri, "class", data.classes)])
    for key, path, inverse in _named_paths(schema):
        if inverse and data.has_property(inverse):
            continue
        for hop in path.hops:
            if not data.has_property(hop.property):
                problem = _problem(schema, key, hop.property, "property", data.properties)
                found.add(KIND, key, 1, [problem])


class _Terms:
    """Classes and properties of some statements."""

    def __init__(self, quads: Quads, schema: Schema) -> None:
        self.quads, self._schema = quads, schema
        types = quads.o[rows_of_any(quads, schema.type_properties)]
        self._classes: Counter[int] = Counter(types[types >= 0].tolist())

    def has_class(self, iri: str) -> bool:
        if self._classes[self.quads.find(iri)]:
            return True
        schema = self._schema
        below = instances(
            self.quads, [iri], types=schema.type_properties, subclasses=schema.subclass_properties
        )
        return bool(below.any())

    def has_property(self, iri: str) -> bool:
        rows = self.quads.rows_of(iri)
        return bool(rows.stop > rows.start)

    @cached_property
    def classes(self) -> list[str]:
        return self._frequent(self._classes)

    @cached_property
    def properties(self) -> list[str]:
        codes, counts = np.unique(self.quads.p, return_counts=True)
        return self._frequent(Counter(dict(zip(codes.tolist(), counts.tolist(), strict=True))))

    def _frequent(self, counts: Counter[int]) -> list[str]:
        return [self.quads.term(code) for code, _ in counts.most_common(COMPARED)]


def _named_classes(schema: Schema) -> Iterator[tuple[str, str]]:
    """Key in the schema and IRI of every class."""
    for section, kinds in (("nodes", schema.nodes), ("events", schema.events)):
        for name, kind in kinds.items():
            for iri in kind.classes:
                yield f"{section}.{name}.class", iri


def _named_paths(schema: Schema) -> Iterator[tuple[str, PropertyPath, str]]:
    """Key in the schema, path and inverse of everything that is read along properties."""
    for node in schema.nodes.values():
        for feature in node.features[node.label :]:  # values that become nodes are labels too
            yield f"nodes.{node.name}.{feature.name}", feature.path, ""
    for relation in schema.relations.values():
        yield f"relations.{relation.name}", relation.path, relation.inverse
    for event in schema.events.values():
        if event.property:
            yield f"events.{event.name}", PropertyPath.of(event.property), event.inverse
        for role, path in event.roles.items():
            yield f"events.{event.name}.{role}", path, ""


def _problem(schema: Schema, key: str, iri: str, what: str, known: Sequence[str]) -> Problem:
    near = closest_iri(iri, known)
    message = f"no statement of the input has this {what}" + (f"; nearest: {near}" if near else "")
    return Problem(KIND, iri, key, schema.source, message)


def closest_iri(iri: str, known: Sequence[str]) -> str:
    """The most similar of some IRIs, "" if none is; one that differs in http or https, or in how
    its namespace ends, is nearest."""
    same = [each for each in known if _bare(each) == _bare(iri)]
    return same[0] if same else closest(iri, known)


def _bare(iri: str) -> str:
    """Without scheme, and with "/" for "#"; an end of either is cut."""
    return iri.partition("://")[2].replace("#", "/").rstrip("/")
