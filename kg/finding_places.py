"""Where a finding about the graph comes from: the property and the source file behind it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from .quads import Quads
from .schema import Event, Feature, PropertyPath, Schema
from .vocabulary import IntArray


class Places:
    """Properties and files of nodes, relations, features and events, "" where they are not known.

    Of statements, the file is that of the first one; of a graph from tables, that of the section.
    """

    def __init__(self, schema: Schema | None, quads: Quads | None) -> None:
        self.schema, self.quads = schema, quads

    def relation(self, name: str) -> str:
        """The file of a relation."""
        if self.schema is None or name not in self.schema.relations:
            return ""
        relation = self.schema.relations[name]
        return self._file(relation.path) or self._section(name, relation.sources)

    def feature(self, node_type: str, name: str) -> str:
        """The file of a feature."""
        for feature in self._features(node_type):
            if feature.name == name:
                return self._file(feature.path) or self._section(name, (node_type,))
        return ""

    def texts(self, node_type: str) -> str:
        """The properties (of tables: the features) whose values are a type's texts."""
        texts = [f for f in self._features(node_type) if f.kind == "text"]
        return ", ".join(f.name if self.quads is None else f.path.text for f in texts)

    def typing(self, node_type: str) -> str:
        """What makes a node one of a type: rdf:type, or of tables "id"; "" where neither does."""
        if self.schema is None or node_type not in self.schema.nodes:
            return ""
        if self.quads is None:
            return "id" if self._described(node_type) else ""
        return (
            ", ".join(self.schema.type_properties) if self.schema.nodes[node_type].classes else ""
        )

    def nodes(self, node_type: str, iris: Sequence[str]) -> list[str]:
        """The file of each node: of its first statement, as subject or else as object."""
        if self.quads is None:
            return [self._described(node_type)] * len(iris)
        codes = np.array([self.quads.find(iri) for iri in iris], np.int64)
        first = self._first_rows(codes)
        return [self.quads.source_of(int(row)) if row >= 0 else "" for row in first]

    def event(self, user: str, item: str) -> tuple[str, str, str]:
        """Of an event between two nodes: its property, its file, and its node's IRI."""
        kinds = [] if self.schema is None else list(self.schema.events.values())
        for event in kinds:
            rows = self._event_rows(event, user, item)
            if self.quads is not None and len(rows):
                row = int(rows[-1])
                node = "" if event.property else self.quads.term(int(self.quads.s[row]))
                return self.quads.term(int(self.quads.p[row])), self.quads.source_of(row), node
        if len(kinds) != 1:
            return ", ".join(event.name for event in kinds), "", ""
        event, path = kinds[0], kinds[0].roles.get("item")
        name = event.name if path is None or self.quads is None else path.text
        return name, (self._file(path) if path else "") or self._section(event.name, ()), ""

    def _event_rows(self, event: Event, user: str, item: str) -> IntArray:
        """Rows that give the item to an event of the user; none where a role is a longer path."""
        none: IntArray = np.zeros(0, np.int64)
        if self.quads is None:
            return none
        quads, one, two = self.quads, self.quads.find(user), self.quads.find(item)
        if one < 0 or two < 0:
            return none
        if event.property:
            rows = self._rows(event.property)
            rows = rows[quads.s[rows] == one]
            return np.asarray(rows[quads.o[rows] == two])
        by, of = (event.roles[role].single for role in ("user", "item"))
        if by is None or of is None:
            return none
        span = quads.rows_of(by)
        nodes = quads.s[span][quads.o[span] == one]
        rows = self._rows(of)
        rows = rows[quads.o[rows] == two]
        return np.asarray(rows[np.isin(quads.s[rows], nodes)])

    def _rows(self, property: str) -> IntArray:
        """Row numbers of a property's statements."""
        span = slice(0, 0) if self.quads is None else self.quads.rows_of(property)
        return np.arange(span.start, span.stop, dtype=np.int64)

    def _first_rows(self, codes: IntArray) -> IntArray:
        """First row of each term as subject, else as object; -1 where there is none."""
        out = np.full(len(codes), -1, np.int64)
        if self.quads is None:
            return out
        for column in (self.quads.s, self.quads.o):
            open_ = codes[(out < 0) & (codes >= 0)]
            rows = np.flatnonzero(np.isin(column, open_))
            terms, first = np.unique(column[rows], return_index=True)
            place = np.searchsorted(terms, codes)
            fits = (out < 0) & (place < len(terms))
            fits[fits] = terms[place[fits]] == codes[fits]
            out[fits] = rows[first[place[fits]]]
        return out

    def _features(self, node_type: str) -> Sequence[Feature]:
        nodes = {} if self.schema is None else self.schema.nodes
        return nodes[node_type].features if node_type in nodes else ()

    def _file(self, path: PropertyPath) -> str:
        if self.quads is None:
            return ""
        rows = self.quads.rows_of(path.hops[0].property)
        return self.quads.source_of(rows.start) if rows.stop > rows.start else ""

    @cached_property
    def _from_tables(self) -> bool:
        return self.quads is None and self.schema is not None and bool(self.schema.tables)

    def _section(self, part: str, node_types: Sequence[str]) -> str:
        """The file of the table that gives a relation, an event, or a part of some node types."""
        if not self._from_tables or self.schema is None:
            return ""
        for table in self.schema.tables.values():
            own = table.kind == "nodes" and table.target in node_types and part in table.columns
            if own or (table.kind != "nodes" and table.target == part):
                return table.file or table.name
        return ""

    def _described(self, node_type: str) -> str:
        """The file of the table whose rows are the nodes of a type."""
        if not self._from_tables or self.schema is None:
            return ""
        return next(
            (
                table.file or table.name
                for table in self.schema.tables.values()
                if table.kind == "nodes" and table.target == node_type
            ),
            "",
        )
