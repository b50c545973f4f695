"""A graph as RDF: the schema's mapping turned round, whole columns at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .cache import part_hashes
from .errors import DataError
from .events import label_of
from .files import atomic_write, sha256_bytes
from .graph import Graph, Interactions, NodeSet
from .literals import TIME_UNITS
from .minting import is_iri, mint
from .nquads import ROWS, concat, iri_tokens, joined_bytes, repeat, string_tokens
from .schema import RDF_TYPE, XSD, Event, Feature, PropertyPath, Schema
from .vocabulary import TEXT, IntArray

MINTED = "urn:coldframe:"
EVENT_NODE = f"{MINTED}event:"
BoolArray = npt.NDArray[np.bool_]


def implied_class(node_type: str) -> str:
    """The class of the nodes of a type for which the schema names none."""
    return f"{MINTED}type:{quote(node_type, safe='')}"


def write_nquads(
    graph: Graph, schema: Schema, path: str | Path | BinaryIO, *, graph_iri: str = ""
) -> int:
    """Write the graph as N-Quads, atomically; read through the same schema it gives the same graph.

    Event nodes that were none in RDF, and the inner nodes of paths, get IRIs under `urn:coldframe:`, which
    hold a hash of the graph, so that several exports can be read together. Languages, and which of several
    literals was taken, are not known any more. Closures are written out.

    Args:
        path: a file, or one that is open for writing bytes.
        graph_iri: the named graph; "" = the default graph.

    Returns:
        Number of statements.

    Raises:
        DataError: an id is no IRI, or the schema has no event that could express a row.
    """
    writer = _Writer(graph, schema, graph_iri)
    if isinstance(path, str | Path):
        atomic_write(path, writer.write)
    else:
        writer.write(path)
    return writer.statements


class _Writer:
    def __init__(self, graph: Graph, schema: Schema, graph_iri: str) -> None:
        self.graph = graph
        self.schema = schema
        self.end = f" <{graph_iri}> .\n" if graph_iri else " .\n"
        parts = part_hashes(graph)
        rows = parts.pop("interactions")
        # IRIs are minted by row: a row of another graph must not get the same one.
        self.fact_hash = sha256_bytes(repr(parts).encode())[:16]
        self.event_hash = sha256_bytes(f"{self.fact_hash} {rows}".encode())[:16]
        self.statements = 0

    def write(self, out: BinaryIO) -> None:
        for subject, predicate, obj in self.blocks():
            for start in range(0, len(subject), ROWS):
                part = slice(start, start + ROWS)
                lines = concat(subject[part], f" <{predicate}> ", obj[part], self.end)
                out.write(joined_bytes(lines))
                self.statements += len(lines)

    def blocks(self) -> Iterator[tuple[pa.Array, str, pa.Array]]:
        """Statements of one predicate each: subjects and objects as N-Quads tokens."""
        self.tokens = {
            name: _iris(nodes.vocabulary.array) for name, nodes in self.graph.nodes.items()
        }
        for name, nodes in self.graph.nodes.items():
            yield from self.node_blocks(name, nodes)
        for (source, relation, target), edges in self.graph.edges.items():
            subject = self.tokens[source].take(pa.array(edges.index[0]))
            obj = self.tokens[target].take(pa.array(edges.index[1]))
            ends = f"{quote(source, safe='')}-{quote(target, safe='')}"
            inner = f"{self.fact_hash}:{quote(relation, safe='')}:{ends}"
            yield from _along(self.path_of(relation), subject, obj, inner)
        yield from self.event_blocks()

    def node_blocks(self, name: str, nodes: NodeSet) -> Iterator[tuple[pa.Array, str, pa.Array]]:
        node_type = self.schema.nodes.get(name)
        tokens = self.tokens[name]
        if node_type is None:
            return
        if node_type.classes:
            yield tokens, RDF_TYPE, repeat(f"<{node_type.classes[0]}>", len(tokens))
        else:
            loose = tokens.filter(pa.array(self.loose(name)))
            yield loose, RDF_TYPE, repeat(f"<{implied_class(name)}>", len(loose))
        for feature in node_type.features:
            rows, literals = _literals(nodes, feature)
            inner = f"{self.fact_hash}:{quote(name, safe='')}-{quote(feature.name, safe='')}"
            subject = tokens.take(pa.array(rows))
            yield from _along(feature.path, subject, literals, inner)

    def loose(self, name: str) -> BoolArray:
        """Nodes of a type without class that no edge shows to be of this type."""
        out = np.ones(len(self.graph.nodes[name]), bool)
        for (source, relation, target), edges in self.graph.edges.items():
            declared = self.schema.relations.get(relation)
            if declared is not None and declared.sources == (name,) == (source,):
                out[edges.index[0]] = False
            if declared is not None and declared.targets == (name,) == (target,):
                out[edges.index[1]] = False
        rows = self.graph.interactions
        if name == self.graph.user_type:
            out[rows.user] = False
        if name == self.graph.item_type:
            out[rows.item] = False
        return out

    def path_of(self, relation: str) -> PropertyPath:
        declared = self.schema.relations.get(relation)
        if declared is not None:
            return declared.path
        template = self.schema.open_relations
        iri = mint(pa.array([relation], TEXT), template)[0].as_py() if template else None
        opened = None if iri is None else self.schema.open_relation(iri)
        if opened is None:
            raise DataError(
                f"the schema has no relation {relation!r}", where=f"{self.schema.source}:relations"
            )
        return opened.path

    def event_blocks(self) -> Iterator[tuple[pa.Array, str, pa.Array]]:
        rows = self.graph.interactions
        kind = _kinds(rows, list(self.schema.events.values()))
        if (kind < 0).any():
            row = int(np.flatnonzero(kind < 0)[0])
            raise DataError(
                f"{int((kind < 0).sum())} interactions fit no event of the schema",
                where=f"{self.graph.users.vocabulary[int(rows.user[row])]} "
                f"{self.graph.items.vocabulary[int(rows.item[row])]}",
                hint="an event needs the roles that its rows fill, and a way to say their label",
            )
        for code, event in enumerate(self.schema.events.values()):
            chosen = np.flatnonzero(kind == code)
            if len(chosen):
                yield from self.one_kind(event, rows.select(chosen), chosen)

    def one_kind(
        self, event: Event, rows: Interactions, numbers: IntArray
    ) -> Iterator[tuple[pa.Array, str, pa.Array]]:
        user = self.tokens[self.graph.user_type].take(pa.array(rows.user))
        item = self.tokens[self.graph.item_type].take(pa.array(rows.item))
        if event.property:
            yield user, event.property, item
            return
        name = quote(event.name, safe="")
        node = concat(f"<{EVENT_NODE}{self.event_hash}:{name}:", pa.array(numbers).cast(TEXT), ">")
        if rows.iri is not None:
            node = pc.coalesce(_iris(rows.iri), node)
        yield node, RDF_TYPE, repeat(f"<{event.classes[0]}>", len(node))
        names = pa.array(rows.split_names, TEXT)
        split = names.take(pa.array(np.asarray(rows.split, np.int64), mask=rows.split < 0))
        objects = {"user": user, "item": item}
        rating = rows.rating
        if event.positive is not None and event.unrated:
            rating = np.where(np.isnan(rating), np.float32(event.unrated[0]), rating)
        objects["rating"] = number_tokens(rating)
        objects["time"] = _time_tokens(rows.time, event.time_unit)
        objects["split"] = string_tokens(split)
        for role, path in event.roles.items():
            there = np.asarray(objects[role].is_valid(), bool)
            mask = pa.array(there)
            inner = f"{self.event_hash}:event-{name}-{role}"
            yield from _along(path, node.filter(mask), objects[role].filter(mask), inner)


def _kinds(rows: Interactions, events: list[Event]) -> IntArray:
    """Which event expresses each row: its own, or where that is unknown or cannot, the one with the fewest
    idle roles, then event nodes, then the first.

    -1 where none can: a filled field has no role, or the label would come out otherwise.
    """
    fields = {
        "rating": ~np.isnan(rows.rating),
        "time": ~np.isnan(rows.time),
        "split": rows.split >= 0,
    }
    best = np.full(len(rows), 99.0)
    out = np.full(len(rows), -1, np.int64)
    for code, event in enumerate(events):
        fits = rows.label == label_of(event)
        if event.positive is not None:
            said = rows.rating >= np.float32(event.positive)
            fits = fields["rating"] & (rows.label == said)
            fits |= bool(event.unrated) & ~fields["rating"] & (rows.label == 1)
        cost = np.full(len(rows), 0.5 if event.property else 0.0)
        for role, filled in fields.items():
            if role in event.roles:
                cost += ~filled
            else:
                fits = fits & ~filled
        if rows.event is not None and event.name in rows.event_names:
            cost[rows.event == rows.event_names.index(event.name)] = -1.0
        better = fits & (cost < best)
        out[better], best[better] = code, cost[better]
    return out


def _literals(nodes: NodeSet, feature: Feature) -> tuple[IntArray, pa.Array]:
    """Rows that have the feature, and its values as tokens."""
    if feature.kind == "text":
        if feature.name not in nodes.texts:
            return np.zeros(0, np.int64), pa.array([], TEXT)
        text = nodes.text_array(feature.name)
        rows = np.flatnonzero(np.asarray(pc.not_equal(text, ""), bool))
        return rows, string_tokens(text.take(pa.array(rows)))
    if feature.kind == "category":
        if feature.name not in nodes.categories:
            return np.zeros(0, np.int64), pa.array([], TEXT)
        category = nodes.categories[feature.name]
        rows = np.flatnonzero(category.codes >= 0)
        names = string_tokens(pa.array(category.names, TEXT))
        return rows, names.take(pa.array(category.codes[rows]))
    numbers = nodes.numbers.get(feature.name, np.zeros(0, np.float32))
    rows = np.flatnonzero(~np.isnan(numbers))
    make: Callable[[npt.NDArray[Any]], pa.Array] = (
        number_tokens if feature.kind == "number" else _date_tokens
    )
    return rows, make(numbers[rows])


def _along(
    path: PropertyPath, subject: pa.Array, obj: pa.Array, inner: str
) -> Iterator[tuple[pa.Array, str, pa.Array]]:
    """One statement per hop; the inner nodes are minted by row."""
    last = len(path.hops) - 1
    here = subject
    for k, hop in enumerate(path.hops):
        there = obj
        if k < last:
            rows = pa.array(np.arange(len(subject))).cast(TEXT)
            there = concat(f"<{MINTED}path:{inner}:{k}:", rows, ">")
        yield (there, hop.property, here) if hop.inverse else (here, hop.property, there)
        here = there


def number_tokens(numbers: npt.NDArray[Any]) -> pa.Array:
    """xsd:integer where whole, else xsd:decimal or xsd:double with the fewest digits; NaN -> null."""
    known = ~np.isnan(numbers)
    whole = known & (np.abs(np.where(known, numbers, 0.5)) < 2**53)
    whole &= numbers == np.floor(numbers)
    digits = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(TEXT)
    short = pa.array(numbers, mask=~known).cast(TEXT)
    power = pc.match_substring(short, "e")
    kind = pc.if_else(power, f'"^^<{XSD}double>', f'"^^<{XSD}decimal>').cast(TEXT)
    kind = pc.if_else(pa.array(whole), pa.scalar(f'"^^<{XSD}integer>', TEXT), kind)
    return concat('"', pc.if_else(pa.array(whole), digits, short), kind)


def _date_tokens(days: npt.NDArray[Any]) -> pa.Array:
    return concat('"', iso_date(days), f'"^^<{XSD}date>')


def _time_tokens(seconds: npt.NDArray[np.float64], unit: str) -> pa.Array:
    """xsd:dateTime for whole seconds of the years 1 to 9999, else a number of units; NaN -> null."""
    plain = ~np.isnan(seconds) & (seconds == np.floor(seconds))
    plain &= (seconds >= -62_135_596_800) & (seconds < 253_402_300_800)
    whole = np.where(plain, seconds, 0).astype(np.int64)
    clock = pa.array(whole % 86_400 * 1_000_000).cast(pa.time64("us")).cast(TEXT)
    clock = pc.utf8_slice_codeunits(clock, 0, 8)
    moment = concat('"', iso_date(whole // 86_400), "T", clock, f'Z"^^<{XSD}dateTime>')
    return pc.if_else(pa.array(plain), moment, number_tokens(seconds * TIME_UNITS[unit]))


def iso_date(days: npt.NDArray[Any]) -> pa.Array:
    """YYYY-MM-DD from days since 1970-01-01 (proleptic Gregorian, years may be negative)."""
    stamps = np.asarray(days, np.int64).astype("datetime64[D]")
    years = stamps.astype("datetime64[Y]").astype(np.int64) + 1970
    months = stamps.astype("datetime64[M]").astype(np.int64) % 12 + 1
    day = (stamps - stamps.astype("datetime64[M]")).astype(np.int64) + 1
    sign = pc.if_else(pa.array(years < 0), "-", "").cast(TEXT)
    return concat(sign, _padded(np.abs(years), 4), "-", _padded(months, 2), "-", _padded(day, 2))


def _padded(numbers: IntArray, width: int) -> pa.Array:
    return pc.utf8_lpad(pa.array(numbers).cast(TEXT), width, "0")


def _iris(ids: pa.Array) -> pa.Array:
    good = is_iri(ids)
    if not pc.all(good, min_count=0, skip_nulls=True).as_py():
        bad = ids.filter(pc.invert(good))[0].as_py()
        raise DataError(f"{bad!r} is not an IRI, so it cannot be written as RDF")
    return iri_tokens(ids)
