"""Tables straight to a graph: cells become codes in Arrow and NumPy, never one by one.

`table_reading` goes over the tables first; here what it found gets ids and becomes the graph.
"""

from __future__ import annotations

from collections.abc import Iterator

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
from .problems import Problem
from .references import Reference, cells, claim, locate, together
from .report import Report
from .row_places import RowPlaces
from .schema import Event, Schema, TableMap
from .table_inputs import TableFiles
from .table_reading import VALUE_ROLES, Edges, EventRows, FeatureCells, TableReading
from .table_rows import several_units
from .table_sources import Sources
from .vocabulary import TEXT, IntArray, is_text
from .written_values import advice, plain_numbers, plain_times, units, zoned

BoolArray = npt.NDArray[np.bool_]


@system_memory()
def graph_from_tables(
    tables: Sources, schema: Schema, kept: dict[str, pa.Table] | None = None
) -> tuple[Graph, Report]:
    """Build the graph that the schema's `[tables.*]` sections describe.

    Args:
        tables: section name -> Arrow table, or path of a table file, or paths of several that are one.
        kept: takes the columns and rows that each section reads, of which the graph can be built again.

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
    reading = TableReading(schema, TableFiles(tables, schema), kept)
    for name, table in schema.tables.items():
        reading.read(table, tables[name])
    return _Building(reading).build()


class _Building:
    """Second pass: ids, then everything in node indices."""

    def __init__(self, reading: TableReading) -> None:
        """Raises DataError where the tables have no rows."""
        self.reading = reading
        self.schema, self.findings = reading.schema, reading.findings
        self.members = claim(reading.references, {}, self.schema.nodes)
        if not any(map(len, self.members.values())):
            raise DataError("the tables have no rows", where=self.schema.source)
        self.builder = GraphBuilder(self.schema, self.members, self.findings)
        self.places: dict[int, list[tuple[str, IntArray]]] = {}

    def build(self) -> tuple[Graph, Report]:
        """The graph, and what was found on the way."""
        self._undescribed()
        for cell in self.reading.features:
            self._feature(cell)
        self._labels()
        for edges in self.reading.edges:
            self._edges(edges)
        for rows in self.reading.events:
            self._events(rows)
        graph = self.builder.graph()
        statements, repeated = self.builder.statements(), self.builder.repeated
        return graph, self.builder.report(graph, statements, repeated)

    def _undescribed(self) -> None:
        """Nodes that are spoken of but have no row in the table of their type."""
        kind = "undescribed"
        for name, parts in self.reading.described.items():
            known = pa.chunked_array([iris.cast(TEXT) for _, iris in parts], TEXT)
            where = ", ".join(dict.fromkeys(str(place) for place, _ in parts))
            missing = self.members[name].filter(pc.invert(pc.is_in(self.members[name], known)))
            message = f"this {name} has no row of its own"
            listed = [
                Problem(kind, iri, name, where, message)
                for iri in missing[: self.findings.room(kind, name)].to_pylist()
            ]
            self.findings.add(kind, name, len(missing), listed)

    def _feature(self, cell: FeatureCells) -> None:
        node = self._node_of_row(cell.id, cell.node_type, len(cell.data))
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
        value = self._as_said(value, cell.feature.kind, cell.map, cell.column.name, cell.place)
        values = Values(node[row], value, np.zeros(len(row), np.int64))
        self.builder.add_values(
            cell.node_type, cell.feature, values, lambda k: cell.place.row(int(row[k]))
        )

    def _as_said(
        self, values: pa.Array, kind: str, table: TableMap, column: str, where: RowPlaces
    ) -> pa.Array:
        """Numbers and dates in the form in which they are parsed, by what the table's section says of how
        they are written; time stamps by its time zone."""
        if kind == "date" and table.timezone and pa.types.is_timestamp(values.type):
            return zoned(values, table.timezone)
        if not is_text(values):
            return values
        if kind == "number" and table.decimal:
            several_units(self.findings, units(values), column, where)
            return plain_numbers(values, table.decimal)
        if kind == "date" and (table.dates or table.timezone):
            return plain_times(values, table.dates, table.timezone)
        return values

    def _labels(self) -> None:
        """The ids themselves, as the least preferred value of "label"."""
        for name, node_type in self.schema.nodes.items():
            if not node_type.label:
                continue
            for ref in self.reading.references:
                if ref.verbatim:
                    continue
                for type_name, index in self._located(ref):
                    known = index >= 0
                    if type_name == name and known.any():
                        text = pc.utf8_trim_whitespace(ref.cells.distinct.filter(pa.array(known)))
                        rank = np.ones(int(known.sum()), np.int64)
                        values = Values(index[known], text, rank)
                        self.builder.add_values(name, node_type.features[0], values, lambda _: "")

    def _edges(self, edges: Edges) -> None:
        row, source_code, target_code = together(edges.source.cells, edges.target.cells)
        kind = np.zeros(len(row), np.int64) if edges.kind is None else edges.kind[row]
        for source_type, source_index in self._located(edges.source):
            source = source_index[source_code]
            for target_type, target_index in self._located(edges.target):
                target = target_index[target_code]
                keep = np.flatnonzero((source >= 0) & (target >= 0))
                for number, some in _by_kind(kind[keep]):
                    key = (source_type, edges.relations[number], target_type)
                    self.builder.add_edges(key, source[keep[some]], target[keep[some]])

    def _events(self, rows: EventRows) -> None:
        n = rows.n_rows
        event = self.schema.events[rows.event]
        user = self._node_of_row(rows.user, self.schema.user_type, n)
        item = self._node_of_row(rows.item, self.schema.item_type, n)
        keep = (user >= 0) & (item >= 0)
        self._dropped("missing-end", event, rows, ~keep, "the user or the item is missing")
        columns = {
            role: flat(rows.values[rows.map.columns[role].name])
            for role in VALUE_ROLES
            if role in rows.map.columns
        }
        number, none = {}, np.zeros(n, bool)
        if "rating" in columns:
            written = trimmed(columns["rating"])
            column = rows.map.columns["rating"].name
            rating = parse_numbers(self._as_said(written, "number", rows.map, column, rows.place))
            bad = np.isnan(rating) & filled(columns["rating"])
            self._dropped("bad-rating", event, rows, bad, "the rating is not a number")
            number["rating"], none = split_unrated(event, rating)
        if "time" in columns:
            column = rows.map.columns["time"].name
            moments = self._as_said(trimmed(columns["time"]), "date", rows.map, column, rows.place)
            number["time"] = parse_moments(moments, event.time_unit)
            bad = np.isnan(number["time"]) & filled(moments)
            none_such = moments.filter(pa.array(bad))
            message = wrong_time(none_such, event.time_unit) + advice("date", none_such)
            self._dropped("bad-time", event, rows, bad, message)
        if event.positive is not None:
            unknown = keep & np.isnan(number.get("rating", np.full(n, np.nan))) & ~none
            message = "no rating, so neither positive nor negative: left out"
            self._dropped("no-rating", event, rows, unknown, message)
            keep &= ~unknown
        split = columns.get("split")
        if not keep.all():
            user, item = user[keep], item[keep]
            number = {role: values[keep] for role, values in number.items()}
            split = None if split is None else split.filter(pa.array(keep))
        if event.property:
            pairs = sorted_distinct(user * len(self.members[self.schema.item_type]) + item)
            self.builder.repeated += len(user) - len(pairs)
            user, item = np.divmod(pairs, len(self.members[self.schema.item_type]))
        events = make_events(event, user, item, number.get("rating"), number.get("time"), split)
        self.builder.add_events(event.name, events)

    def _dropped(
        self, kind: str, event: Event, rows: EventRows, mask: BoolArray, message: str
    ) -> None:
        found = np.flatnonzero(mask)
        listed = [
            Problem(kind, "", event.name, rows.place.row(row), message)
            for row in found[: self.findings.room(kind, event.name)]
        ]
        self.findings.add(kind, event.name, len(found), listed)

    def _node_of_row(self, ref: Reference, name: str, n_rows: int) -> IntArray:
        """Node index per table row, -1 where there is none."""
        index = dict(self._located(ref))[name]
        code = ref.by_row(n_rows)
        if ref.cells.whole or not len(index):
            return index[code] if len(index) else code
        return np.where(code >= 0, index[code], -1)

    def _located(self, ref: Reference) -> list[tuple[str, IntArray]]:
        """`locate`, done once for each column."""
        key = id(ref)
        if key not in self.places:
            self.places[key] = locate(ref, self.members)
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
    return array.cast(TEXT) if pa.types.is_dictionary(array.type) else array


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
