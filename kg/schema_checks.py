"""Statements held against the schema: ends of relations, and values of features."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .literals import EXPECTED, parse_numbers, parse_times
from .problems import Problem
from .quads import CodeArray, Quads
from .report import Findings
from .schema import NodeType, PropertyPath, Schema
from .subclasses import terms_of
from .vocabulary import IntArray

Mask = npt.NDArray[np.bool_]
_PARSERS = {"number": parse_numbers, "date": parse_times}


def check_statements(quads: Quads, schema: Schema, found: Findings) -> None:
    """Findings of single statements, each with IRI, property and source file.

    Kinds: `duplicate-statement` (a total), `dangling-iri` (an end that nothing is said about, where
    the schema expects a described node), `type-clash` (an end that is described, but as something
    else), `iri-expected`, `literal-expected`, `bad-number`, `bad-date`, `several-values`.
    Only paths of one hop are looked at.
    """
    if quads.duplicates:
        message = f"{quads.duplicates} statements were given more than once"
        problem = Problem("duplicate-statement", "", "", _files(quads), message)
        found.add("duplicate-statement", "", 1, [problem])
    checker = _Checker(quads, schema, found)
    for relation in schema.relations.values():
        checker.relation(relation.path, relation.sources, relation.targets)
    for event in schema.events.values():
        for role, kind in (("user", schema.user_type), ("item", schema.item_type)):
            if role in event.roles:
                checker.relation(event.roles[role], (), (kind,), event.classes)
    for node_type in schema.nodes.values():
        for feature in node_type.features:
            if property := feature.path.single:
                checker.feature(node_type, property, feature.kind)


class _Checker:
    """Rows below are absolute row numbers of the quads."""

    def __init__(self, quads: Quads, schema: Schema, found: Findings) -> None:
        self.quads, self.schema, self.found = quads, schema, found
        self.described = np.zeros(len(quads.terms), bool)
        self.described[quads.s] = True
        self._members: dict[str, Mask] = {}

    def members(self, node_type: NodeType) -> Mask:
        """Terms that have one of the type's classes, shape (n_terms,)."""
        if node_type.name not in self._members:
            self._members[node_type.name] = terms_of(self.quads, self.schema, node_type.classes)
        return self._members[node_type.name]

    def relation(
        self,
        path: PropertyPath,
        sources: Iterable[str],
        targets: Iterable[str],
        classes: Iterable[str] = (),
    ) -> None:
        """Both ends of a one-hop relation, along or against its property.

        Args:
            classes: of the nodes that it starts from, where these are no node type; () = any.
        """
        if len(path.hops) != 1:
            return
        property, inverse = path.hops[0].property, path.hops[0].inverse
        at = self.quads.rows_of(property)
        rows, subject, target = np.arange(at.start, at.stop), self.quads.s[at], self.quads.o[at]
        if classes:
            start = target if inverse else subject
            own = (start >= 0) & terms_of(self.quads, self.schema, classes)[start]
            rows, subject, target = rows[own], subject[own], target[own]
        first, last = (targets, sources) if inverse else (sources, targets)
        subject_types, target_types = self._types(first), self._types(last)
        fits = self._member(subject_types)[subject]
        if 2 * fits.sum() > len(fits):  # else the property is a general one, used elsewhere too
            self._ends(property, rows, subject, subject_types)
        literal = fits & (target < 0)
        if target_types and not any(each.iri for each in target_types):
            self._add("iri-expected", property, rows[literal], "a literal where an IRI belongs")
        linked = fits & (target >= 0)
        self._ends(property, rows[linked], target[linked], target_types)

    def _types(self, names: Iterable[str]) -> list[NodeType]:
        return [self.schema.nodes[name] for name in names if name in self.schema.nodes]

    def _member(self, types: list[NodeType]) -> Mask:
        """Terms of any of these types, shape (n_terms,); all where a type has no class."""
        if any(not each.classes for each in types) or not types:
            return np.ones(len(self.quads.terms), bool)
        return np.asarray(np.logical_or.reduce([self.members(each) for each in types]))

    def _ends(self, property: str, rows: IntArray, ends: CodeArray, types: list[NodeType]) -> None:
        """Ends that are no described node of one of these types, each once."""
        if not types or any(not each.classes and not each.features for each in types):
            return  # such nodes are known by being an end
        ends, first = np.unique(ends, return_index=True)
        rows, known = rows[first], self.described[ends]
        wanted = " or ".join(each.name for each in types)
        message = f"nothing is said about it; expected a described {wanted}"
        self._add("dangling-iri", property, rows[~known], message, ends[~known])
        wrong = known & ~self._member(types)[ends]
        message = f"has none of the classes of {wanted}"
        self._add("type-clash", property, rows[wrong], message, ends[wrong])

    def feature(self, node_type: NodeType, property: str, kind: str) -> None:
        """Values of one feature on the nodes of its type."""
        at = self.quads.rows_of(property)
        rows = np.arange(at.start, at.stop)
        if node_type.classes:
            rows = rows[self.members(node_type)[self.quads.s[at]]]
        value = self.quads.o[rows]
        if kind != "category":
            self._add(
                "literal-expected", property, rows[value >= 0], "an IRI where a literal belongs"
            )
        if kind in _PARSERS:
            literal = rows[value < 0]
            index = -self.quads.o[literal].astype(np.int64) - 1
            text = self.quads.literals.value.take(pa.array(index))
            bad = ~np.isfinite(_PARSERS[kind](text))
            self._add(f"bad-{kind}", property, literal[bad], f"is not {EXPECTED[kind]}")
        if kind != "text":
            # Rows are sorted by subject and object: a value that two graphs state follows itself.
            subject, value = self.quads.s[rows], self.quads.o[rows]
            other = np.r_[False, (np.diff(subject) == 0) & (np.diff(value) != 0)][: len(rows)]
            _, first = np.unique(subject[other], return_index=True)
            message = "has several values; one of them is taken"
            self._add("several-values", property, rows[other][first], message)

    def _add(
        self,
        kind: str,
        property: str,
        rows: IntArray,
        message: str,
        iris: CodeArray | None = None,
    ) -> None:
        """Problems of these rows; `iris` are the terms concerned where they are not the subjects."""
        quads, listed = self.quads, []
        for k, row in enumerate(rows[: self.found.room(kind, property)].tolist()):
            iri = quads.term(int(quads.s[row] if iris is None else iris[k]))
            bad_value = kind.startswith("bad-")
            text = f"{quads.literal_text(-int(quads.o[row]) - 1)[:80]} " if bad_value else ""
            listed.append(Problem(kind, iri, property, quads.source_of(row), text + message))
        self.found.add(kind, property, len(rows), listed)


def _files(quads: Quads) -> str:
    paths = [source.path for source in quads.sources]
    return ", ".join(paths[:3]) + (", ..." if len(paths) > 3 else "")
