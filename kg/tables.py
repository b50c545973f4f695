"""Tables straight to a graph: cells become codes in Arrow and NumPy, never one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .allocator import system_memory
from .build import GraphBuilder
from .errors import DataError, nearest
from .events import make_events, split_unrated
from .features import Values
from .graph import Graph
from .ids import sorted_distinct
from .literals import parse_moments, parse_numbers, wrong_time
from .minting import mint
from .problems import Problem
from .references import Reference, cells, claim, locate, reference, together
from .report import Findings, Report
from .row_places import RowPlaces
from .schema import Column, Event, Feature, Relation, Schema, TableMap
from .table_inputs import read_section
from .table_rows import (
    empty_rows,
    escaped_quotes,
    odd_rows,
    repeated_ids,
    several_units,
    values_not_met,
)
from .table_sources import Source, Sources
from .vocabulary import TEXT, IntArray
from .written_values import advice, plain_numbers, plain_times, units

BoolArray = npt.NDArray[np.bool_]
VALUE_ROLES = ("rating", "time", "split")


@system_memory()
def graph_from_tables(tables: Sources, schema: Schema) -> tuple[Graph, Report]:
    """Build the graph that the schema's `[tables.*]` sections describe.

    Args:
        tables: section name -> Arrow table, or path of a table file, or paths of several that are one.

    Raises:
        DataError: a section has no table, a table has no section, or nothing was read.
        SchemaError: a column is missing, or a type lacks its `iri` template.
        ParseError: a file does not follow its format.
    """
    for name in tables:
        if name not in schema.tables:
            where = f"{schema.source}:tables"
            raise DataError(
                f"no section reads the table {name!r}",
                where=where,
                hint=f"write [tables.{name}] into the schema; {nearest(name, schema.tables)}",
            )
    for name in schema.tables:
        if name not in tables:
            raise DataError(
                f"the table {name!r} is missing",
                where=f"{schema.source}:tables.{name}",
                hint="give it, or take its section out of the schema",
            )
    reading = _Reading(schema)
    for name, table in schema.tables.items():
        reading.read(table, tables[name])
    return reading.build()


@dataclass
class _Edges:
    """Edges of one table before ids are known.

    Attributes:
        relations: names; `kind` says which of them each table row is of, (n_rows,), None = the first.
    """

    relations: Sequence[str]
    kind: IntArray | None
    source: Reference
    target: Reference


@dataclass
class _EventRows:
    """Events of one table before ids are known."""

    event: str
    user: Reference
    item: Reference
    values: pa.Table
    n_rows: int
    map: TableMap
    place: RowPlaces


@dataclass
class _FeatureCells:
    """A feature column of a node table before ids are known."""

    node_type: str
    feature: Feature
    id: Reference
    column: Column
    data: pa.Table
    map: TableMap
    place: RowPlaces


@dataclass
class _Reading:
    schema: Schema
    findings: Findings = field(default_factory=Findings)
    references: list[Reference] = field(default_factory=list)
    edges: list[_Edges] = field(default_factory=list)
    events: list[_EventRows] = field(default_factory=list)
    features: list[_FeatureCells] = field(default_factory=list)
    described: dict[str, list[tuple[RowPlaces, pa.Array]]] = field(default_factory=dict)
    places: dict[int, list[tuple[str, IntArray]]] = field(default_factory=dict)

    def read(self, table: TableMap, source: Source) -> None:
        """First pass over one table: columns to codes and IRIs."""
        section = read_section(source, table, f"{self.schema.source}:tables.{table.name}")
        data, where = section.data, section.places
        odd_rows(self.findings, section.remarks, table)
        values_not_met(self.findings, section.unmet, where)
        if section.texts and table.quote and not table.escape:
            escaped_quotes(self.findings, data, table, where)
        if table.kind == "nodes":
            self.read_nodes(table, data, where)
        elif table.kind == "events":
            event = self.schema.events[table.target]
            user = self.refer_one(data, table, "user", self.schema.user_type, where)
            item = self.refer_one(data, table, "item", self.schema.item_type, where)
            kept = [table.columns[role].name for role in table.columns if role in VALUE_ROLES]
            values = data.select(dict.fromkeys(kept))
            n = len(data)
            self.events.append(_EventRows(event.name, user, item, values, n, table, where))
        elif table.target:
            self.read_edges(self.schema.relations[table.target], data, table, where)
        else:
            self.read_triples(data, table, where)

    def read_nodes(self, table: TableMap, data: pa.Table, where: RowPlaces) -> None:
        node_type = self.schema.nodes[table.target]
        ids = self.refer_one(data, table, "id", node_type.name, where)
        self.described.setdefault(node_type.name, []).append((where, ids.iris))
        features = {feature.name: feature for feature in node_type.features}
        empty_rows(self.findings, "missing-id", ids, len(data), where)
        if set(table.columns) & set(features):
            repeated_ids(self.findings, ids, where)
        for part, column in table.columns.items():
            if part in features:
                cell = _FeatureCells(
                    node_type.name, features[part], ids, column, data, table, where
                )
                self.features.append(cell)
            elif part != "id":
                relation = self.schema.relations[part]
                target = self.refer(data, table, part, relation.targets, where)
                self.edges.append(_Edges([part], None, ids, target))

    def read_edges(
        self, relation: Relation, data: pa.Table, table: TableMap, where: RowPlaces
    ) -> None:
        source = self.refer(data, table, "from", relation.sources, where)
        target = self.refer(data, table, "to", relation.targets, where)
        for end in (source, target):
            empty_rows(self.findings, "missing-end", end, len(data), where)
        self.edges.append(_Edges([relation.name], None, source, target))

    def read_triples(self, data: pa.Table, table: TableMap, where: RowPlaces) -> None:
        """A table with relation names in a column.

        Rows of relations between the same types are taken together: there may be thousands of relations,
        and each column costs a look at all nodes of its types.
        """
        named = cells(data[table.columns["relation"].name])
        minted = mint(named.distinct, self.schema.open_relations or "{}").to_pylist()
        count = np.bincount(named.code, minlength=len(minted))
        names: list[str] = []
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[int]] = {}
        for code, name in enumerate(named.distinct.to_pylist()):
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
            source = self.refer(part, table, "from", sources, place)
            target = self.refer(part, table, "to", targets, place)
            for end in (source, target):
                empty_rows(self.findings, "missing-end", end, len(part), place)
            self.edges.append(_Edges(names, kind, source, target))

    def refer_one(
        self, data: pa.Table, table: TableMap, part: str, node_type: str, where: RowPlaces
    ) -> Reference:
        """As `refer`, of a part that each row has one of.

        Raises:
            DataError: a row has several; names the first.
        """
        ref = self.refer(data, table, part, (node_type,), where)
        if not ref.cells.whole and (again := np.diff(ref.cells.row) == 0).any():
            row = int(ref.cells.row[1:][again][0])
            raise DataError(
                f"column {table.columns[part].name!r} holds several values, expected one {part} per row",
                where=where.row(row),
                hint="give each a row of its own",
            )
        return ref

    def refer(
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

    def build(self) -> tuple[Graph, Report]:
        """Second pass: ids, then everything in node indices."""
        members = claim(self.references, {}, self.schema.nodes)
        if not any(map(len, members.values())):
            raise DataError("the tables have no rows", where=self.schema.source)
        self.undescribed(members)
        builder = GraphBuilder(self.schema, members, self.findings)
        for cell in self.features:
            self.build_feature(builder, cell)
        self.build_labels(builder)
        for edges in self.edges:
            self.build_edges(builder, edges)
        for rows in self.events:
            self.build_events(builder, rows)
        graph = builder.graph()
        return graph, builder.report(graph, builder.statements(), builder.repeated)

    def undescribed(self, members: Mapping[str, pa.Array]) -> None:
        """Nodes that are spoken of but have no row in the table of their type."""
        kind = "undescribed"
        for name, parts in self.described.items():
            known = pa.chunked_array([iris.cast(TEXT) for _, iris in parts], TEXT)
            where = ", ".join(dict.fromkeys(str(place) for place, _ in parts))
            missing = members[name].filter(pc.invert(pc.is_in(members[name], known)))
            message = f"this {name} has no row of its own"
            listed = [
                Problem(kind, iri, name, where, message)
                for iri in missing[: self.findings.room(kind, name)].to_pylist()
            ]
            self.findings.add(kind, name, len(missing), listed)

    def build_feature(self, builder: GraphBuilder, cell: _FeatureCells) -> None:
        node = self.node_of_row(builder, cell.id, cell.node_type, len(cell.data))
        column = cell.data[cell.column.name]
        if cell.column.separator or pa.types.is_nested(column.type):
            found = cells(column, cell.column.separator)
            row, value = found.row, found.values
        else:
            array = flat(column)
            row, value = np.flatnonzero(filled(array)), array.drop_null()
            value = array.take(pa.array(row)) if len(row) < len(value) else value
        keep = node[row] >= 0
        if not keep.all():
            row, value = row[keep], value.filter(pa.array(keep))
        value = self.as_said(value, cell.feature.kind, cell.map, cell.column.name, cell.place)
        values = Values(node[row], value, np.zeros(len(row), np.int64))
        builder.add_values(
            cell.node_type, cell.feature, values, lambda k: cell.place.row(int(row[k]))
        )

    def as_said(
        self, values: pa.Array, kind: str, table: TableMap, column: str, where: RowPlaces
    ) -> pa.Array:
        """Numbers and dates that are text, in the form in which they are parsed, by what the table's
        section says of how they are written."""
        if not is_text(values):
            return values
        if kind == "number" and table.decimal:
            several_units(self.findings, units(values), column, where)
            return plain_numbers(values, table.decimal)
        if kind == "date" and (table.dates or table.timezone):
            return plain_times(values, table.dates, table.timezone)
        return values

    def build_labels(self, builder: GraphBuilder) -> None:
        """The ids themselves, as the least preferred value of "label"."""
        for name, node_type in self.schema.nodes.items():
            if not node_type.label:
                continue
            for ref in self.references:
                if ref.verbatim:
                    continue
                for type_name, index in self.located(builder, ref):
                    known = index >= 0
                    if type_name == name and known.any():
                        text = pc.utf8_trim_whitespace(ref.cells.distinct.filter(pa.array(known)))
                        rank = np.ones(int(known.sum()), np.int64)
                        values = Values(index[known], text, rank)
                        builder.add_values(name, node_type.features[0], values, lambda _: "")

    def build_edges(self, builder: GraphBuilder, edges: _Edges) -> None:
        row, source_code, target_code = together(edges.source.cells, edges.target.cells)
        kind = np.zeros(len(row), np.int64) if edges.kind is None else edges.kind[row]
        for source_type, source_index in self.located(builder, edges.source):
            source = source_index[source_code]
            for target_type, target_index in self.located(builder, edges.target):
                target = target_index[target_code]
                keep = np.flatnonzero((source >= 0) & (target >= 0))
                for number, some in _by_kind(kind[keep]):
                    key = (source_type, edges.relations[number], target_type)
                    builder.add_edges(key, source[keep[some]], target[keep[some]])

    def build_events(self, builder: GraphBuilder, rows: _EventRows) -> None:
        n = rows.n_rows
        event = self.schema.events[rows.event]
        user = self.node_of_row(builder, rows.user, self.schema.user_type, n)
        item = self.node_of_row(builder, rows.item, self.schema.item_type, n)
        keep = (user >= 0) & (item >= 0)
        self.dropped("missing-end", event, rows, ~keep, "the user or the item is missing")
        columns = {
            role: flat(rows.values[rows.map.columns[role].name])
            for role in VALUE_ROLES
            if role in rows.map.columns
        }
        number, none = {}, np.zeros(n, bool)
        if "rating" in columns:
            written = trimmed(columns["rating"])
            column = rows.map.columns["rating"].name
            rating = parse_numbers(self.as_said(written, "number", rows.map, column, rows.place))
            bad = np.isnan(rating) & filled(columns["rating"])
            self.dropped("bad-rating", event, rows, bad, "the rating is not a number")
            number["rating"], none = split_unrated(event, rating)
        if "time" in columns:
            column = rows.map.columns["time"].name
            moments = self.as_said(trimmed(columns["time"]), "date", rows.map, column, rows.place)
            number["time"] = parse_moments(moments, event.time_unit)
            bad = np.isnan(number["time"]) & filled(moments)
            none_such = moments.filter(pa.array(bad))
            message = wrong_time(none_such, event.time_unit) + advice("date", none_such)
            self.dropped("bad-time", event, rows, bad, message)
        if event.positive is not None:
            unknown = keep & np.isnan(number.get("rating", np.full(n, np.nan))) & ~none
            message = "no rating, so neither positive nor negative: left out"
            self.dropped("no-rating", event, rows, unknown, message)
            keep &= ~unknown
        split = columns.get("split")
        if not keep.all():
            user, item = user[keep], item[keep]
            number = {role: values[keep] for role, values in number.items()}
            split = None if split is None else split.filter(pa.array(keep))
        if event.property:
            pairs = sorted_distinct(user * len(builder.members[self.schema.item_type]) + item)
            builder.repeated += len(user) - len(pairs)
            user, item = np.divmod(pairs, len(builder.members[self.schema.item_type]))
        events = make_events(event, user, item, number.get("rating"), number.get("time"), split)
        builder.add_events(event.name, events)

    def dropped(
        self, kind: str, event: Event, rows: _EventRows, mask: BoolArray, message: str
    ) -> None:
        found = np.flatnonzero(mask)
        listed = [
            Problem(kind, "", event.name, rows.place.row(row), message)
            for row in found[: self.findings.room(kind, event.name)]
        ]
        self.findings.add(kind, event.name, len(found), listed)

    def node_of_row(
        self, builder: GraphBuilder, ref: Reference, name: str, n_rows: int
    ) -> IntArray:
        """Node index per table row, -1 where there is none."""
        index = dict(self.located(builder, ref))[name]
        code = ref.by_row(n_rows)
        if ref.cells.whole or not len(index):
            return index[code] if len(index) else code
        return np.where(code >= 0, index[code], -1)

    def located(self, builder: GraphBuilder, ref: Reference) -> list[tuple[str, IntArray]]:
        """`locate`, done once for each column."""
        key = id(ref)
        if key not in self.places:
            self.places[key] = locate(ref, builder.members)
        return self.places[key]


def _by_kind(kind: IntArray) -> Iterator[tuple[int, IntArray | slice]]:
    """Each kind that there is, and the places that have it."""
    if len(kind) and (kind == kind[0]).all():
        yield int(kind[0]), slice(None)
        return
    order = np.argsort(kind, kind="stable")
    starts = np.flatnonzero(np.diff(kind[order], prepend=-1))
    for places in np.split(order, starts[1:]) if len(order) else ():
        yield int(kind[places[0]]), places


def flat(column: pa.ChunkedArray) -> pa.Array:
    """One array; dictionaries decoded."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array.cast(TEXT) if pa.types.is_dictionary(array.type) else array


def is_text(array: pa.Array) -> bool:
    """Whether the values are strings."""
    return bool(pa.types.is_string(array.type) or pa.types.is_large_string(array.type))


def trimmed(array: pa.Array) -> pa.Array:
    """Text without white space around it; anything else as it is."""
    return pc.utf8_trim_whitespace(array) if is_text(array) else array


def filled(array: pa.Array) -> BoolArray:
    """Mask of the values that are neither null, NaN nor empty text, shape (n,)."""
    there = np.asarray(array.is_valid(), bool)
    if is_text(array):
        there &= np.asarray(pc.fill_null(pc.not_equal(pc.utf8_trim_whitespace(array), ""), False))
    elif pa.types.is_floating(array.type):
        there &= ~np.isnan(array.to_numpy(zero_copy_only=False))
    return there
