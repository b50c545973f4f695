"""Schema graph, its drawing, and explanation paths against a slow search with networkx."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import networkx as nx
import numpy as np
import pytest

from coldframe.kg.drawing import draw_schema, schema_graph
from coldframe.kg.errors import UnknownIdError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.paths import explain_paths
from coldframe.kg.vocabulary import Vocabulary

SVG = "{http://www.w3.org/2000/svg}"


def test_schema_graph_has_the_counts(tiny_graph: Graph) -> None:
    graph = schema_graph(tiny_graph)
    assert dict(graph.nodes(data="count")) == {"user": 6, "item": 8, "genre": 3, "maker": 4}
    assert graph.edges["item", "genre", "genre"]["count"] == 8
    assert graph.edges["user", "item", "interactions"]["count"] == len(tiny_graph.interactions)


def test_the_drawing_is_well_formed_complete_and_repeatable(tiny_graph: Graph) -> None:
    text = draw_schema(tiny_graph)
    assert text == draw_schema(tiny_graph)
    root = ElementTree.fromstring(text)
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert {"user", "item", "genre", "maker", "genre (8)", "interactions (24)"} <= set(words)
    assert len(list(root.iter(f"{SVG}rect"))) == 4
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    for each in root.iter(f"{SVG}rect"):
        assert 0 <= float(each.get("x", -1)) <= width - float(each.get("width", 0))
        assert 0 <= float(each.get("y", -1)) <= height - float(each.get("height", 0))


def test_hostile_names_stay_text() -> None:
    name = '</text><script>alert(1)</script>\x00\x1b&"'
    nodes = {name: NodeSet(Vocabulary(["a:b"])), "item": NodeSet(Vocabulary(["a:i"]))}
    edges = {(name, name, "item"): EdgeSet(np.zeros((2, 1), np.int64))}
    graph = Graph(nodes, edges, Interactions.empty(), user_type=name, name=name)
    root = ElementTree.fromstring(draw_schema(graph))
    assert not list(root.iter(f"{SVG}script"))
    assert any("<script>" in (each.text or "") for each in root.iter(f"{SVG}text"))


def test_one_and_many_types_can_be_drawn() -> None:
    alone = Graph({"item": NodeSet(Vocabulary(["a:b"]))}, {}, Interactions.empty())
    ElementTree.fromstring(draw_schema(alone))
    many = {f"t{k}": NodeSet(Vocabulary([f"a:{k}"])) for k in range(40)}
    ElementTree.fromstring(draw_schema(replace(alone, nodes={**alone.nodes, **many})))


def slow_entities(graph: Graph, user: int, item: int) -> dict[tuple[str, str], tuple[int, int]]:
    """(relation, entity) -> (liked items that share it, items that have it), by networkx."""
    g = nx.MultiGraph()
    for (source, relation, target), edges in graph.edges.items():
        for s, t in edges.index.T.tolist():
            g.add_edge((source, s), (target, t), key=relation)
    events = graph.interactions
    liked = {
        int(i)
        for u, i, label in zip(events.user, events.item, events.label, strict=True)
        if u == user and label == 1 and i != item
    }
    found = {}
    for _, entity, relation in g.edges(("item", item), keys=True):
        owners = {n for _, n, r in g.edges(entity, keys=True) if r == relation}
        among = {i for kind, i in owners if kind == "item"}
        if shared := among & liked:
            iri = graph.nodes[entity[0]].vocabulary[entity[1]]
            found[relation, iri] = (len(shared), len(among))
    return found


@pytest.mark.parametrize("user", range(6))
@pytest.mark.parametrize("item", range(8))
def test_paths_are_those_of_a_slow_search(tiny_graph: Graph, user: int, item: int) -> None:
    paths = explain_paths(tiny_graph, user, item, tiny_graph.interactions, k=100)
    wanted = slow_entities(tiny_graph, user, item)
    got = {(path.relation, path.entity): path.support for path in paths}
    n = tiny_graph.n_items
    assert got == {key: support for key, (support, among) in wanted.items() if among < n}
    assert [path.score for path in paths] == sorted((path.score for path in paths), reverse=True)
    events = tiny_graph.interactions
    liked = {int(i) for i in events.item[(events.user == user) & (events.label == 1)]} - {item}
    for path in paths:
        support, among = wanted[path.relation, path.entity]
        assert path.score == pytest.approx(np.log(n / among) * support / len(liked))
        assert tiny_graph.items.vocabulary.find(path.liked) in liked
        assert tiny_graph.items.titles[item] in path.text


def test_rare_entities_come_first_and_k_bounds(tiny_graph: Graph) -> None:
    paths = explain_paths(tiny_graph, 0, 6, tiny_graph.interactions)
    assert len(paths) >= 1
    assert explain_paths(tiny_graph, 0, 6, tiny_graph.interactions, k=1) == paths[:1]
    assert explain_paths(tiny_graph, 0, 6, Interactions.empty()) == []


def test_a_direct_link_between_items_is_a_reason(tiny_graph: Graph) -> None:
    edges = {("item", "sequel", "item"): EdgeSet(np.array([[6], [0]]))}
    graph = replace(tiny_graph, edges=edges)
    events = Interactions.build([0], [0])
    (path,) = explain_paths(graph, 0, 6, events)
    assert path.text == "Red Peony is linked by sequel to Red Rose, liked before."
    (back,) = explain_paths(graph, 0, 0, Interactions.build([0], [6]))
    assert back.liked == graph.items.vocabulary[6]


def test_a_reason_that_is_told_in_both_directions_stands_once(tiny_graph: Graph) -> None:
    edges = {("item", "near", "item"): EdgeSet(np.array([[0, 0, 1, 6], [1, 6, 0, 0]]))}
    graph = replace(tiny_graph, edges=edges)
    paths = explain_paths(graph, 0, 0, Interactions.build([0, 0], [1, 6]))
    assert [path.liked for path in paths] == graph.items.vocabulary.take(np.array([1, 6]))


def test_names_and_indices_and_unknown_ones(tiny_graph: Graph) -> None:
    events = tiny_graph.interactions
    by_name = explain_paths(tiny_graph, "https://example.org/user/0", "6", events)
    assert by_name == explain_paths(tiny_graph, 0, 6, events)
    for user, item in ((0, 8), (-1, 0), ("nobody", 0), (0, "nothing")):
        with pytest.raises(UnknownIdError):
            explain_paths(tiny_graph, user, item, events)
