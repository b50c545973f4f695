"""Properties of the bridge: tables are RDF, RDF comes back as it went, and later equals earlier."""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coldframe.kg.append import append
from coldframe.kg.cache import graph_hash
from coldframe.kg.errors import DataError
from coldframe.kg.export import write_nquads
from coldframe.kg.graph import Graph
from coldframe.kg.hetero import from_hetero, to_hetero
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.quads import Quads
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import Schema
from coldframe.kg.tables import graph_from_tables

EXAMPLES = int(os.environ.get("COLDFRAME_EXAMPLES", "40"))  # many more in a long run
QUICK = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SCHEMA = """
items = "item"
splits = ["train", "test"]
open_relations = "ex:open/{}"
[prefixes]
ex = "https://example.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{}"
text.title = "ex:title"
text.note = "ex:about/ex:note"
number.price = "ex:price"
date.listed = "ex:listed"
category.colour = "ex:colour"
[nodes.user]
class = ["ex:User", "ex:Person"]
iri = "ex:user/{}"
[nodes.tag]
iri = "ex:tag/{}"
label = "ex:label"
number.weight = "ex:weight"
[relations.tag]
property = "ex:tag"
from = "item"
to = "tag"
[relations.maker]
path = "ex:made/^ex:did"
from = "item"
to = "user"
[relations.near]
property = "ex:near"
from = ["item", "tag"]
to = ["tag", "item"]
[relations.broader]
property = "ex:broader"
from = "tag"
to = "tag"
closure = true
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of/ex:thing"
rating = "ex:stars"
time = "ex:at"
split = "ex:split"
positive = 3.5
[events.viewed]
property = "ex:viewed"
[events.hidden]
class = "ex:Hidden"
user = "ex:by"
item = "ex:of"
negative = true
[tables.items]
nodes = "item"
id = "id"
columns = { title = "title", note = "note", price = "price", listed = "listed", colour = "colour", maker = "maker", tag = { column = "tags", separator = "|" } }
[tables.tags]
nodes = "tag"
id = "id"
columns = { weight = "weight", broader = "up" }
[tables.facts]
columns = { from = { column = "h", iri = "{}" }, relation = "r", to = { column = "t", iri = "{}" } }
[tables.ratings]
events = "rating"
columns = { user = "u", item = "i", rating = "r", time = "t", split = "s" }
[tables.views]
events = "viewed"
columns = { user = "u", item = "i" }
[tables.hidden]
events = "hidden"
columns = { user = "u", item = "i" }
"""
EX = "https://example.org/"

ids = st.sampled_from(["1", "2", "10", " 3 ", "a b", "ü/ö", "100%", "x#y", "日本", ""])
text = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
floats = st.one_of(st.none(), st.floats(width=32, allow_nan=False, allow_infinity=False))
days = st.one_of(st.none(), st.dates().map(str), st.just("1999"), st.just("no date"))
nodes = st.sampled_from([EX + "item/1", EX + "item/9", EX + "tag/1", EX + "tag/zz", EX + "else"])


def table(**columns: tuple[Any, st.SearchStrategy[Any]]) -> st.SearchStrategy[pa.Table]:
    """Tables of up to 6 rows; column -> (Arrow type, values)."""
    rows = st.lists(st.tuples(*(values for _, values in columns.values())), max_size=6)
    kinds = [kind for kind, _ in columns.values()]

    def make(found: list[tuple[Any, ...]]) -> pa.Table:
        parts = list(zip(*found, strict=True)) if found else [()] * len(kinds)
        arrays = [pa.array(part, kind) for part, kind in zip(parts, kinds, strict=True)]
        return pa.table(arrays, list(columns))

    return rows.map(make)


STRING, FLOAT = pa.string(), pa.float64()
tables = st.fixed_dictionaries(
    {
        "items": table(
            id=(STRING, ids),
            title=(STRING, text),
            note=(STRING, text),
            price=(FLOAT, floats),
            listed=(STRING, days),
            colour=(STRING, text),
            maker=(STRING, ids),
            tags=(STRING, st.lists(ids, max_size=3).map("|".join)),
        ),
        "tags": table(id=(STRING, ids), weight=(FLOAT, floats), up=(STRING, ids)),
        "facts": table(
            h=(STRING, nodes),
            r=(STRING, st.sampled_from(["near", "part of", "x/y"])),
            t=(STRING, nodes),
        ),
        "ratings": table(
            u=(STRING, ids),
            i=(STRING, ids),
            r=(FLOAT, st.sampled_from([1.0, 3.5, 4.1, None])),
            t=(FLOAT, st.sampled_from([None, 0.0, 1e9, 1.5, -7e10, 7e9])),
            s=(STRING, st.sampled_from(["train", "test", "other", "", None])),
        ),
        "views": table(u=(STRING, ids), i=(STRING, ids)),
        "hidden": table(u=(STRING, ids), i=(STRING, ids)),
    }
)


def built(found: dict[str, pa.Table], schema: Schema) -> Graph:
    """The graph of some tables, unless they hold nothing."""
    try:
        return graph_from_tables(found, schema)[0]
    except DataError as error:
        assume("no rows" not in error.message)
        raise


def as_rdf(graph: Graph, schema: Schema) -> Quads:
    """Written as N-Quads and read again."""
    out = io.BytesIO()
    written = write_nquads(graph, schema, out)
    quads = read_quads(out.getvalue(), syntax="nquads")
    assert len(quads) + quads.duplicates == written
    return quads


@QUICK
@given(found=tables)
def test_tables_to_graph_equals_tables_to_rdf_to_graph(found: dict[str, pa.Table]) -> None:
    schema = Schema.loads(SCHEMA)
    graph = built(found, schema)
    again, report = graph_from_quads(as_rdf(graph, schema), schema)
    assert graph_hash(again) == graph_hash(graph)
    assert {problem.kind for problem in report.problems} <= {"unmatched", "no-likes"}
    assert not report.unused


@pytest.mark.R(14)
@settings(QUICK, max_examples=max(EXAMPLES, 100))
@given(found=tables, seed=st.integers(0, 2**32))
def test_the_order_of_rows_does_not_matter(found: dict[str, pa.Table], seed: int) -> None:
    schema = Schema.loads(SCHEMA)
    rng = np.random.default_rng(seed)
    mixed = {name: each.take(pa.array(rng.permutation(len(each)))) for name, each in found.items()}
    assert graph_hash(built(found, schema)) == graph_hash(built(mixed, schema))


@pytest.mark.R(11)
@settings(QUICK, max_examples=max(EXAMPLES, 500))
@given(found=tables, inverses=st.booleans())
def test_rdf_to_heterodata_to_rdf_is_the_same_set(
    found: dict[str, pa.Table], inverses: bool
) -> None:
    schema = Schema.loads(SCHEMA)
    first = as_rdf(built(found, schema), schema)
    data = to_hetero(graph_from_quads(first, schema)[0], inverses=inverses)
    second = as_rdf(from_hetero(data), schema)
    assert set(second.lines()) == set(first.lines())
    assert second.content_hash == first.content_hash


@pytest.mark.R(11)
@QUICK
@given(found=tables, seed=st.integers(0, 2**32), blank=st.booleans())
def test_event_nodes_of_others_keep_their_iris(
    found: dict[str, pa.Table], seed: int, blank: bool
) -> None:
    schema = Schema.loads(
        SCHEMA.replace("ex:of/ex:thing", "ex:thing")
    )  # inner nodes are minted anew
    minted = as_rdf(built(found, schema), schema)
    nodes = sorted({line.split(" ", 1)[0] for line in minted.lines() if ":event:" in line})
    order = np.random.default_rng(seed).permutation(len(nodes))
    start = "<urn:coldframe:bnode:0123456789abcdef:" if blank else "<https://example.org/said/"
    names = {node: f"{start}{k}>" for node, k in zip(nodes, order, strict=True)}
    lines = [line.split(" ", 1) for line in minted.lines()]
    text = "".join(f"{names.get(s, s)} {rest}\n" for s, rest in lines)
    first = read_quads(text.encode(), syntax="nquads")
    graph = graph_from_quads(first, schema)[0]
    second = as_rdf(from_hetero(to_hetero(graph)), schema)
    assert set(second.lines()) == set(first.lines())
    some = np.random.default_rng(seed).random(len(graph.interactions)) < 0.5
    halves = [graph.interactions.select(rows) for rows in (some, ~some)]
    joined = graph.with_interactions(halves[0].concat(halves[1]))
    assert set(as_rdf(joined, schema).lines()) == set(first.lines())


def canonical(graph: Graph) -> dict[str, Any]:
    """A graph by identifiers alone, whatever the order of its nodes."""
    names = {kind: list(each.vocabulary) for kind, each in graph.nodes.items()}
    out: dict[str, Any] = {}
    for kind, each in graph.nodes.items():
        for k, iri in enumerate(names[kind]):
            values = {f: None if np.isnan(v[k]) else float(v[k]) for f, v in each.numbers.items()}
            values |= {f: t[k] for f, t in each.texts.items()}
            values |= {
                f: c.names[c.codes[k]] if c.codes[k] >= 0 else ""
                for f, c in each.categories.items()
            }
            out[f"{kind} {iri}"] = values
    for (source, relation, target), edges in graph.edges.items():
        out[f"{source} {relation} {target}"] = {
            (names[source][s], names[target][t]) for s, t in edges.index.T
        }
    rows = graph.interactions
    out["events"] = sorted(
        (names["user"][u], names["item"][i], int(y), repr(r), repr(t))
        for u, i, y, r, t in zip(
            rows.user, rows.item, rows.label, rows.rating, rows.time, strict=True
        )
    )
    return out


@pytest.mark.R(18)
@settings(QUICK, max_examples=max(EXAMPLES, 100))
@given(found=tables, cut=st.integers(0, 6))
def test_appending_later_equals_having_been_there(found: dict[str, pa.Table], cut: int) -> None:
    """Rows of nodes are cut by id, so that no feature has values on both sides; no closure."""
    schema = Schema.loads(SCHEMA.replace("closure = true\n", ""))
    found = {**found, "facts": found["facts"].slice(0, 0), "views": found["views"].slice(0, 0)}
    for name in ("items", "tags"):
        seen: dict[str, int] = {}
        for k, value in enumerate(found[name]["id"].to_pylist()):
            seen.setdefault(value.strip(), k)
        found[name] = found[name].take(pa.array(sorted(seen.values()), pa.int64()))
    whole = built(found, schema)
    early = built({name: each.slice(0, cut) for name, each in found.items()}, schema)
    late = built({name: each.slice(cut) for name, each in found.items()}, schema)
    joined = append(early, late)
    for kind, each in early.nodes.items():
        assert list(joined.nodes[kind].vocabulary[: len(each)]) == list(each.vocabulary)
    assert canonical(joined) == canonical(whole)
