"""A graph made by hand is refused where its columns do not fit together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coldframe.gnn.recommender import Recommender
from coldframe.kg.errors import DataError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.graph_checks import check_graph
from coldframe.kg.vocabulary import Vocabulary


def with_nodes(graph: Graph, kind: str, **changes: Any) -> Graph:
    return replace(graph, nodes={**graph.nodes, kind: replace(graph.nodes[kind], **changes)})


def with_edges(graph: Graph, index: np.ndarray, target: str = "genre") -> Graph:
    return replace(graph, edges={**graph.edges, ("item", "new", target): EdgeSet(index)})


def test_a_graph_that_fits_passes(tiny_graph: Graph) -> None:
    check_graph(tiny_graph)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: replace(g, item_type="film"), "no node type 'film'"),
        (
            lambda g: with_nodes(g, "item", numbers={"p": np.zeros(3, np.float32)}),
            "p of item has 3",
        ),
        (
            lambda g: with_nodes(g, "item", texts={"t": ("a",)}),
            "t of item has 1 values, expected 8",
        ),
        (
            lambda g: with_edges(g, np.array([[0, 9], [0, 0]])),
            "run from 0 to 9 in the edges of 'new'",
        ),
        (lambda g: with_edges(g, np.array([0, 1])), "shape"),
        (lambda g: with_edges(g, np.zeros((2, 1), int), "maker2"), "'maker2', which there is not"),
        (lambda g: g.with_interactions(Interactions.build([6], [0])), "indices of user run from 6"),
        (
            lambda g: g.with_interactions(Interactions.build([0], [-1])),
            "indices of item run from -1",
        ),
        (lambda g: g.with_interactions(Interactions.build([0], [0], label=[4])), "neither 1 nor 0"),
    ],
)
def test_what_does_not_fit_is_named(tiny_graph: Graph, change: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        check_graph(change(tiny_graph))


def test_it_is_refused_before_anything_is_learned() -> None:
    nodes = {kind: NodeSet(Vocabulary([f"urn:{kind}"])) for kind in ("user", "item")}
    with pytest.raises(DataError, match="expected 0 to 0"):
        Recommender(device="cpu").fit(Graph(nodes, {}, Interactions.build([0, 5], [0, 0])))


def test_ids_are_no_indices_and_numbers_no_identifiers() -> None:
    with pytest.raises(DataError, match=r"vocabulary.indices\(ids\)"):
        Interactions.build(["ann"], ["rose"])
    with pytest.raises(DataError, match="identifier 1 is no text"):
        Vocabulary([1, 2])  # type: ignore[list-item]
