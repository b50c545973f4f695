"""First pass over tables: which cells name which nodes, edges, events and features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .minting import mint
from .problems import Problem
from .references import Reference, cells, reference
from .report import Findings
from .row_places import RowPlaces
from .schema import Column, Feature, Relation, Schema, TableMap
from .table_inputs import TableFiles
from .table_rows import empty_rows, escaped_quotes, odd_rows, repeated_ids, values_not_met
from .table_sections import read_section
from .table_sources import Source
from .vocabulary import IntArray

VALUE_ROLES = ("rating", "time", "split")


@dataclass
class Edges:
    """Edges of one table before ids are known.

    Attributes:
        relations: names; `kind` says which of them each table row is of, (n_rows,), None = the first.
    """

    relations: Sequence[str]
    kind: IntArray | None
    source: Reference
    target: Reference


@dataclass
class EventRows:
    """Events of one table before ids are known."""

    event: str
    user: Reference
    item: Reference
    values: pa.Table
    n_rows: int
    map: TableMap
    place: RowPlaces


@dataclass
class FeatureCells:
    """A feature column of a node table before ids are known."""

    node_type: str
    feature: Feature
    id: Reference
    column: Column
    data: pa.Table
    map: TableMap
    place: RowPlaces


@dataclass
class TableReading:
    """What the first pass over all tables finds: columns as codes and IRIs, no ids yet.

    Attributes:
        files: what the sources that are no tables are read from.
        kept: takes what each section reads, by its name, where it is wanted later.
        references: every column that names nodes.
        edges, events, features: of the tables, in the order in which they were read.
        described: node type -> place and IRIs of each table with a row for each of its nodes.
    """

    schema: Schema
    files: TableFiles
    kept: dict[str, pa.Table] | None = None
    findings: Findings = field(default_factory=Findings)
    references: list[Reference] = field(default_factory=list)
    edges: list[Edges] = field(default_factory=list)
    events: list[EventRows] = field(default_factory=list)
    features: list[FeatureCells] = field(default_factory=list)
    described: dict[str, list[tuple[RowPlaces, pa.Array]]] = field(default_factory=dict)

    def read(self, table: TableMap, source: Source) -> None:
        """Take in one table.

        Raises:
            SchemaError: a column is missing, or a type lacks its `iri` template.
            ParseError: a file does not follow its format.
            DataError: a row has several values of a part that there is one of.
        """
        section = read_section(source, table, self.schema, self.files)
        data, where = section.data, section.places
        if self.kept is not None:
            self.kept[table.name] = data
        odd_rows(self.findings, section.remarks, table)
        values_not_met(self.findings, section.unmet, where)
        if section.texts and table.quote and not table.escape:
            escaped_quotes(self.findings, data, table, where)
        if table.kind == "nodes":
            self._read_nodes(table, data, where)
        elif table.kind == "events":
            event = self.schema.events[table.target]
            user = self._refer_one(data, table, "user", self.schema.user_type, where)
            item = self._refer_one(data, table, "item", self.schema.item_type, where)
            kept = [table.columns[role].name for role in table.columns if role in VALUE_ROLES]
            values = data.select(dict.fromkeys(kept))
            n = len(data)
            self.events.append(EventRows(event.name, user, item, values, n, table, where))
        elif table.target:
            self._read_edges(self.schema.relations[table.target], data, table, where)
        else:
            self._read_triples(data, table, where)

    def _read_nodes(self, table: TableMap, data: pa.Table, where: RowPlaces) -> None:
        node_type = self.schema.nodes[table.target]
        ids = self._refer_one(data, table, "id", node_type.name, where)
        self.described.setdefault(node_type.name, []).append((where, ids.iris))
        features = {feature.name: feature for feature in node_type.features}
        empty_rows(self.findings, "missing-id", ids, len(data), where)
        if set(table.columns) & set(features):
            repeated_ids(self.findings, ids, where)
        for part, column in table.columns.items():
            if part in features:
                cell = FeatureCells(node_type.name, features[part], ids, column, data, table, where)
                self.features.append(cell)
            elif part != "id":
                relation = self.schema.relations[part]
                target = self._refer(data, table, part, relation.targets, where)
                self.edges.append(Edges([part], None, ids, target))

    def _read_edges(
        self, relation: Relation, data: pa.Table, table: TableMap, where: RowPlaces
    ) -> None:
        source = self._refer(data, table, "from", relation.sources, where)
        target = self._refer(data, table, "to", relation.targets, where)
        for end in (source, target):
            empty_rows(self.findings, "missing-end", end, len(data), where)
        self.edges.append(Edges([relation.name], None, source, target))

    def _read_triples(self, data: pa.Table, table: TableMap, where: RowPlaces) -> None:
        """A table with relation names in a column.

        Rows of relations between the same types are taken together: there may be thousands of relations,
        and each column costs a look at all nodes of its types.
        """
        named = cells(data[table.columns["relation"].name])
        minted = mint(named.distinct, self.schema.open_relations or "{}").to_pylist()
        count = np.bincount(named.code, minlength=len(minted))
        names: list[str] = []
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
        for code, name in enumerate(pc.utf8_trim_whitespace(named.distinct).to_pylist()):
            relation = self.schema.relations.get(name)
            if relation is None and minted[code] is not None:
                relation = self.schema.open_relation(minted[code])
            names.append(name if relation is None else relation.name)
            if relation is None:
                message = "the schema has no relation of this name: its rows are left out"
                problem = Problem("unknown-relation", "", name, str(where), message)
                self.findings.add("unknown-relation", name, int(count[code]), [problem])
            else:
                groups.setdefault((relation.sources, relation.targets), []).append(code)
        for (sources, targets), codes in groups.items():
            chosen = np.isin(named.code, codes)
            rows, kind = named.row[chosen], named.code[chosen]
            part, place = data.take(pa.array(rows)), where.take(rows)
            source = self._refer(part, table, "from", sources, place)
            target = self._refer(part, table, "to", targets, place)
            for end in (source, target):
                empty_rows(self.findings, "missing-end", end, len(part), place)
            self.edges.append(Edges(names, kind, source, target))

    def _refer_one(
        self, data: pa.Table, table: TableMap, part: str, node_type: str, where: RowPlaces
    ) -> Reference:
        """As `refer`, of a part that each row has one of.

        Raises:
            DataError: a row has several; names the first.
        """
        ref = self._refer(data, table, part, (node_type,), where)
        if not ref.cells.whole and (again := np.diff(ref.cells.row) == 0).any():
            row = int(ref.cells.row[1:][again][0])
            raise DataError(
                f"column {table.columns[part].name!r} holds several values, expected one {part} per row",
                where=where.row(row),
                hint="give each a row of its own",
            )
        return ref

    def _refer(
        self, data: pa.Table, table: TableMap, part: str, types: tuple[str, ...], where: RowPlaces
    ) -> Reference:
        column = table.columns[part]
        key = f"tables.{table.name}.columns.{part}"
        ref = reference(self.schema, types, column, cells(data[column.name], column.separator), key)
        self.references.append(ref)
        text = pc.utf8_trim_whitespace(ref.cells.distinct)
        bad = text.filter(pc.and_(ref.iris.is_null(), pc.not_equal(text, "")))
        message = "makes no IRI: left out"
        problems = [
            Problem("bad-id", value, column.name, str(where), message)
            for value in bad[: self.findings.room("bad-id", column.name)].to_pylist()
        ]
        self.findings.add("bad-id", column.name, len(bad), problems)
        return ref
