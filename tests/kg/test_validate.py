"""Every check finds what was planted, says where, and is silent on clean data."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg import leaks
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.leaks import rank_correlation
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.problems import Problem
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import RDF_TYPE, Schema
from coldframe.kg.tables import graph_from_tables
from coldframe.kg.validate import check
from coldframe.kg.vocabulary import Vocabulary

EX = "https://example.org/"
SCHEMA = Schema.loads(
    """
name = "t"
users = "user"
items = "item"
[prefixes]
ex = "https://example.org/"
[nodes.user]
class = "ex:User"
[nodes.item]
class = "ex:Item"
text.title = "ex:title"
number.price = "ex:price"
date.made = "ex:made"
[nodes.maker]
class = "ex:Maker"
text.name = "ex:name"
[nodes.tag]
[relations.maker]
property = "ex:maker"
from = "item"
to = "maker"
[relations.tag]
property = "ex:tag"
from = "item"
to = "tag"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
positive = 4
"""
)
CLEAN = """@prefix ex: <https://example.org/> .
ex:u1 a ex:User . ex:m1 a ex:Maker ; ex:name "M" .
ex:i1 a ex:Item ; ex:title "one" ; ex:price 3.5 ; ex:made "2020-02-29" ; ex:maker ex:m1 ; ex:tag ex:t .
ex:i2 a ex:Item ; ex:title "two" ; ex:tag ex:undescribed .
ex:r1 a ex:Rating ; ex:by ex:u1 ; ex:of ex:i1 ; ex:stars 5 .
"""


def problems(tmp_path: Path, more: str = "") -> list[Problem]:
    (tmp_path / "clean.ttl").write_text(CLEAN)
    (tmp_path / "more.ttl").write_text("@prefix ex: <https://example.org/> .\n" + more)
    quads = read_quads(tmp_path)
    graph, _ = graph_from_quads(quads, SCHEMA)
    return check(graph, SCHEMA, quads)


def test_clean_data_has_no_findings(tmp_path: Path) -> None:
    assert problems(tmp_path) == []


@pytest.mark.parametrize(
    ("more", "kind", "iri", "property", "message"),
    [
        ("ex:i2 ex:maker ex:gone .", "dangling-iri", "gone", "maker", "nothing is said"),
        ("ex:i2 ex:maker ex:u1 .", "type-clash", "u1", "maker", "none of the classes of maker"),
        (
            "ex:i2 ex:maker ex:m1 . ex:x ex:maker ex:m1 ; a ex:Other .",
            "type-clash",
            "x",
            "maker",
            "classes of item",
        ),
        ('ex:i2 ex:maker "M" .', "iri-expected", "i2", "maker", "a literal"),
        ("ex:i2 ex:title ex:m1 .", "literal-expected", "i2", "title", "an IRI"),
        ('ex:i2 ex:price "cheap" .', "bad-number", "i2", "price", '"cheap" is not a finite'),
        ('ex:i2 ex:made "2021-02-29" .', "bad-date", "i2", "made", "ISO 8601"),
        ("ex:i1 ex:price 4 .", "several-values", "i1", "price", "several values"),
        ("ex:r1 ex:of ex:nothing .", "dangling-iri", "nothing", "of", "described item"),
    ],
)
def test_planted_faults_of_statements(
    tmp_path: Path, more: str, kind: str, iri: str, property: str, message: str
) -> None:
    found = [each for each in problems(tmp_path, more) if each.kind == kind]
    assert [(each.iri, each.property) for each in found] == [(EX + iri, EX + property)]
    assert message in found[0].message
    if kind != "several-values":
        assert found[0].where == str(tmp_path / "more.ttl")


def test_a_general_property_may_be_used_elsewhere(tmp_path: Path) -> None:
    elsewhere = "".join(f'ex:x{k} a ex:Other ; ex:tag "t" ; ex:maker ex:y .\n' for k in range(9))
    assert problems(tmp_path, elsewhere) == []


def test_an_events_property_may_say_something_else_of_other_nodes(tmp_path: Path) -> None:
    elsewhere = "".join(f"ex:x{k} a ex:Other ; ex:by ex:m1 .\n" for k in range(9))
    assert problems(tmp_path, elsewhere) == []
    (found,) = problems(tmp_path, elsewhere + "ex:r2 a ex:Rating ; ex:by ex:m1 ; ex:of ex:i2 .")
    assert (found.kind, found.iri) == ("type-clash", EX + "m1")


@pytest.mark.parametrize(
    ("more", "kind", "iri", "property"),
    [
        ("ex:lost a ex:Item .", "isolated-item", "lost", RDF_TYPE),
        (
            "ex:r2 a ex:Rating ; ex:by ex:u1 ; ex:of ex:i1 ; ex:stars 4 .",
            "duplicate-event",
            "u1",
            EX + "of",
        ),
        ('ex:i3 a ex:Item ; ex:title "two" ; ex:tag ex:t .', "same-text", "i3", EX + "title"),
        ("ex:u2 a ex:User , ex:Item ; ex:tag ex:t .", "type-clash", "u2", RDF_TYPE),
    ],
)
def test_faults_of_the_graph_name_property_and_file(
    tmp_path: Path, more: str, kind: str, iri: str, property: str
) -> None:
    (found,) = (each for each in problems(tmp_path, more) if each.kind == kind)
    assert (found.iri, found.property) == (EX + iri, property)
    assert found.where == str(tmp_path / "more.ttl")
    assert kind != "duplicate-event" or f"{EX}r2" in found.message


def test_leaks_name_a_node_too(tmp_path: Path) -> None:
    lines = [f"ex:j{k} a ex:Item ; ex:tag ex:t{k} . ex:t{k} ex:marks ex:j{k} ." for k in range(30)]
    (tmp_path / "clean.ttl").write_text(CLEAN)
    (tmp_path / "more.ttl").write_text("@prefix ex: <https://example.org/> .\n" + "\n".join(lines))
    more = '[relations.marks]\nproperty = "ex:marks"\nfrom = "tag"\nto = "item"\n'
    schema, quads = Schema.loads(SCHEMA.text + more), read_quads(tmp_path)
    graph, _ = graph_from_quads(quads, schema)
    (leak,) = (one for one in check(graph, schema, quads) if one.kind == "inverse-leak")
    assert (leak.iri, leak.property) == (EX + "t0", "marks")
    assert leak.where == str(tmp_path / "more.ttl")


def test_faults_of_tables_name_column_and_file() -> None:
    text = SCHEMA.text.replace('class = "ex:Item"', 'class = "ex:Item"\niri = "ex:{}"')
    text = text.replace('class = "ex:User"', 'class = "ex:User"\niri = "ex:{}"')
    schema = Schema.loads(
        text + '[tables.items]\nfile = "things.csv"\nnodes = "item"\nid = "id"\n'
        'columns = { title = "title", price = "price" }\n'
        '[tables.stars]\nevents = "rating"\ncolumns = { user = "u", item = "i", rating = "r" }\n'
    )
    tables = {
        "items": pa.table({"id": list("abcd"), "title": ["x", "x", "y", ""], "price": [None] * 4}),
        "stars": pa.table({"u": ["p", "p"], "i": ["c", "c"], "r": [5, 4]}),
    }
    graph, _ = graph_from_tables(tables, schema)
    found = {one.kind: one for one in check(graph, schema)}
    places = {kind: (one.iri, one.property, one.where) for kind, one in found.items()}
    assert places == {
        "same-text": (EX + "b", "title", "things.csv"),
        "isolated-item": (EX + "d", "id", "things.csv"),
        "duplicate-event": (EX + "p", "rating", "stars"),
    }


def test_repeated_statements_are_counted(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, 'ex:i1 ex:title "one" ; ex:price 3.5 .')
    assert (found.kind, found.message.split()[0]) == ("duplicate-statement", "2")


def test_long_lists_are_cut_with_a_total(tmp_path: Path) -> None:
    found = problems(tmp_path, "".join(f"ex:i1 ex:maker ex:g{k} .\n" for k in range(150)))
    dangling = [each for each in found if each.kind == "dangling-iri"]
    assert len(dangling) == 101
    assert "50 more" in dangling[-1].message


def test_the_tiny_graph_has_no_false_alarms(tiny_graph: Graph) -> None:
    assert check(tiny_graph, None) == []


def test_faults_of_the_graph(tiny_graph: Graph) -> None:
    items = NodeSet(tiny_graph.items.vocabulary.extend([EX + "lost", EX + "user/0"]))
    events = tiny_graph.interactions
    graph = replace(
        tiny_graph,
        nodes={**tiny_graph.nodes, "item": items},
        interactions=events.concat(events.select(np.array([0]))),
    )
    found = Counter((each.kind, each.iri) for each in check(graph, None))
    assert found["isolated-item", EX + "lost"] == 1
    assert found["type-clash", EX + "user/0"] == 1
    assert sum(n for (kind, _), n in found.items() if kind == "duplicate-event") == 1


def test_items_that_read_alike(tiny_graph: Graph) -> None:
    titles = ("same", "same", *"abcdef")
    items = NodeSet(tiny_graph.items.vocabulary, texts={"title": titles})
    graph = replace(tiny_graph, nodes={**tiny_graph.nodes, "item": items})
    (found,) = check(graph, None)
    assert found.kind == "same-text"
    assert {found.iri, found.message.split()[3].rstrip(":")} == set(items.vocabulary[:2])


def big(rng: np.random.Generator, **changes: object) -> Graph:
    """60 users, 100 items with shuffled numbers, 2,000 ratings, one relation; no leak."""
    numbers = rng.permutation(100)
    events = Interactions.build(
        rng.integers(0, 60, 2000),
        (rng.random(2000) ** 2 * 100).astype(int),
        rating=rng.integers(1, 6, 2000),
        time=rng.random(2000) * 1e9,
    )
    graph = Graph(
        nodes={
            "user": NodeSet(Vocabulary(f"{EX}user/{k}" for k in range(60))),
            "item": NodeSet(
                Vocabulary(f"{EX}item/{n}" for n in numbers),
                numbers={"price": rng.random(100).astype(np.float32)},
            ),
            "tag": NodeSet(Vocabulary(f"{EX}tag/{k}" for k in range(20))),
        },
        edges={("item", "tag", "tag"): random_edges(rng, 100, 20, 300)},
        interactions=events,
    )
    return replace(graph, **changes)  # type: ignore[arg-type]


def random_edges(rng: np.random.Generator, n: int, m: int, size: int) -> EdgeSet:
    return EdgeSet(
        np.unique(np.stack([rng.integers(0, n, size), rng.integers(0, m, size)]), axis=1)
    )


@pytest.mark.parametrize("seed", range(10))
def test_random_data_raises_no_suspicion(seed: int) -> None:
    graph = big(np.random.default_rng(seed))
    other = random_edges(np.random.default_rng(seed + 100), 20, 100, 300)
    graph = replace(graph, edges={**graph.edges, ("tag", "of", "item"): other})
    assert [each for each in check(graph, None) if each.kind != "isolated-item"] == []


@pytest.mark.parametrize("keep", [1.0, 0.95])
def test_inverse_and_copied_relations_are_found(keep: float) -> None:
    rng = np.random.default_rng(0)
    graph = big(rng)
    index = graph.edges["item", "tag", "tag"].index
    index = index[:, rng.random(index.shape[1]) < keep]
    edges = {
        **graph.edges,
        ("tag", "tagged", "item"): EdgeSet(index[::-1]),
        ("item", "label", "tag"): EdgeSet(index),
    }
    found = {(each.kind, each.property) for each in check(replace(graph, edges=edges), None)}
    assert ("inverse-leak", "tagged") in found
    assert ("copied-relation", "label") in found


def test_a_third_of_the_edges_shared_is_no_copy() -> None:
    rng = np.random.default_rng(0)
    graph = big(rng)
    index = graph.edges["item", "tag", "tag"].index
    half = np.concatenate(
        [index[:, : index.shape[1] // 3], random_edges(rng, 100, 20, 150).index], axis=1
    )
    edges = {**graph.edges, ("tag", "tagged", "item"): EdgeSet(half[::-1])}
    assert check(replace(graph, edges=edges), None) == []


@pytest.mark.parametrize("what", ["mean", "count"])
def test_features_made_from_the_interactions_are_suspected(what: str) -> None:
    rng = np.random.default_rng(1)
    graph = big(rng)
    events = graph.interactions
    count = np.bincount(events.item, minlength=100)
    mean = np.bincount(events.item, events.rating, 100) / np.maximum(count, 1)
    values = (mean * 20 + 3 if what == "mean" else np.log1p(count)) + rng.normal(0, 0.01, 100)
    items = replace(graph.items, numbers={"score": values.astype(np.float32)})
    (found,) = check(replace(graph, nodes={**graph.nodes, "item": items}), None)
    assert (found.kind, found.property) == ("label-leak", "score")
    assert ("mean rating" if what == "mean" else "number of interactions") in found.message


@pytest.mark.parametrize("turned", [False, True])
def test_interactions_among_the_edges_are_counted_held_out_ones_too(turned: bool) -> None:
    rng = np.random.default_rng(2)
    graph = big(rng)
    events = replace(
        graph.interactions,
        split=(np.arange(2000) % 4 == 0).astype(np.int8),
        split_names=("train", "test"),
    )
    index = np.unique(np.stack([events.user, events.item])[:, :40], axis=1)
    kind = ("item", "bought", "user") if turned else ("user", "bought", "item")
    edges = {**graph.edges, kind: EdgeSet(index[::-1] if turned else index)}
    (found,) = check(replace(graph, edges=edges, interactions=events), None)
    assert (found.kind, found.property) == ("interaction-in-graph", "bought")
    test = {(u, i) for u, i, s in zip(events.user, events.item, events.split, strict=True) if s}
    held = sum((u, i) in test for u, i in index.T.tolist())
    assert f"{index.shape[1]} of its {index.shape[1]} edges" in found.message
    assert f"{held} of them held out" in found.message


@pytest.mark.parametrize("by", ["count", "time", "idle"])
def test_ids_in_the_order_of_the_interactions_are_suspected(by: str) -> None:
    rng = np.random.default_rng(3)
    graph = big(rng)
    events = graph.interactions
    if by == "idle":
        events = events.select(events.item < 70)
        numbers = np.concatenate([rng.permutation(70), 70 + rng.permutation(30)])
    else:
        first = np.full(100, np.inf)
        np.minimum.at(first, events.item, events.time)
        key = -np.bincount(events.item, minlength=100) if by == "count" else first
        numbers = np.argsort(np.argsort(key))
    items = replace(graph.items, vocabulary=Vocabulary(f"{EX}i{n}" for n in numbers))
    graph = replace(graph, nodes={**graph.nodes, "item": items}, interactions=events)
    words = {"count": "number of", "time": "time of the first", "idle": "after all others"}[by]
    found = [each for each in check(graph, None) if each.kind == "order-leak"]
    assert any(words in each.message for each in found)


def test_rank_correlation_against_scipy() -> None:
    from scipy.stats import spearmanr

    rng = np.random.default_rng(4)
    for _ in range(20):
        one, two = rng.integers(0, 9, 50).astype(float), rng.random(50)
        two[rng.random(50) < 0.2] = np.nan
        both = np.isfinite(two)
        rho, n = rank_correlation(one, two)
        assert n == both.sum()
        assert rho == pytest.approx(spearmanr(one[both], two[both]).statistic)
    assert rank_correlation(np.ones(50), two) == (0.0, n)


def test_one_value_in_two_named_graphs_is_one_value() -> None:
    text = """@prefix ex: <https://example.org/> .
    ex:g { ex:i1 a ex:Item ; ex:price 3 , 4 . ex:i2 a ex:Item ; ex:price 5 . }
    ex:h { ex:i1 ex:price 3 . ex:i2 ex:price 5 . }"""
    quads = read_quads(text.encode(), syntax="trig")
    graph, _ = graph_from_quads(quads, SCHEMA)
    found = [p for p in check(graph, SCHEMA, quads) if p.kind == "several-values"]
    assert [problem.iri for problem in found] == [EX + "i1"]


def test_each_relation_is_sorted_once_however_many_it_is_held_against(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    def sorted_distinct(codes: np.ndarray) -> np.ndarray:
        sizes.append(len(codes))
        return np.unique(codes)

    monkeypatch.setattr(leaks, "sorted_distinct", sorted_distinct)
    nodes = {"item": NodeSet(Vocabulary(f"urn:i:{k}" for k in range(99)))}
    rng = np.random.default_rng(0)
    edges = {
        ("item", f"r{k}", "item"): EdgeSet(np.stack([np.arange(99), rng.permutation(99)]))
        for k in range(12)
    }
    graph = Graph(nodes, edges, Interactions.empty())
    assert not check(graph, None)
    assert sizes.count(99) <= 2 * 12
