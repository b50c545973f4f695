"""Ablations: what is taken out is out, what stays is untouched, and shuffles keep their counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldframe.gnn.ablation import REMOVABLE, WALKS, AblationConfig, ablated
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.kg_kernel import KGKernel
from coldframe.gnn.parts import PARTS
from coldframe.gnn.recommender import Recommender
from coldframe.kg.append import append
from coldframe.kg.errors import UsageError
from coldframe.kg.graph import Graph
from coldframe.kg.split import Split


def untouched(got: Graph, before: Graph) -> None:
    assert got.interactions is before.interactions
    for kind, nodes in before.nodes.items():
        assert got.nodes[kind].vocabulary is nodes.vocabulary


def test_nothing_taken_out_is_the_same_graph(tiny_graph: Graph) -> None:
    got = ablated(tiny_graph, AblationConfig(), 0)
    assert got == tiny_graph


def test_without_text(tiny_graph: Graph) -> None:
    got = ablated(tiny_graph, AblationConfig(without=("text",)), 0)
    untouched(got, tiny_graph)
    assert got.items.documents == ("",) * 8
    assert got.items.titles == tiny_graph.items.titles  # they still name the items
    more = append(got, ablated(tiny_graph, AblationConfig(without=("text",)), 0))
    assert not any(more.items.documents)
    assert got.edges == tiny_graph.edges
    assert got.items.numbers is tiny_graph.items.numbers


def test_without_kg(tiny_graph: Graph) -> None:
    got = ablated(tiny_graph, AblationConfig(without=("kg",)), 0)
    untouched(got, tiny_graph)
    assert not got.edges
    assert not any(nodes.categories or nodes.numbers for nodes in got.nodes.values())
    assert got.items.documents == tiny_graph.items.documents


def test_a_shuffled_graph_keeps_sources_degrees_and_values(planted_model: Recommender) -> None:
    graph = planted_model.graph
    got = ablated(graph, AblationConfig(randomise_kg=True), 0)
    untouched(got, graph)
    changed = 0
    for kind, edges in graph.edges.items():
        new = got.edges[kind].index
        assert len(new[0]) == len(np.unique(new, axis=1)[0])
        lost = len(edges) - new.shape[1]
        for end, size in ((0, len(graph.nodes[kind[0]])), (1, len(graph.nodes[kind[2]]))):
            old = np.bincount(edges.index[end], minlength=size)
            now = np.bincount(new[end], minlength=size)
            assert (now <= old).all()
            assert (old - now).sum() == lost
        changed += len({*zip(*edges.index, strict=True)} - {*zip(*new, strict=True)})
    assert changed > 0.3 * sum(map(len, graph.edges.values()))
    for kind, nodes in graph.nodes.items():
        for name, values in nodes.numbers.items():
            np.testing.assert_array_equal(np.sort(got.nodes[kind].numbers[name]), np.sort(values))
        for name, category in nodes.categories.items():
            now = got.nodes[kind].categories[name]
            assert now.names == category.names
            np.testing.assert_array_equal(np.sort(now.codes), np.sort(category.codes))
        assert got.nodes[kind].texts == nodes.texts


def test_shuffles_follow_the_seed(tiny_graph: Graph) -> None:
    config = AblationConfig(randomise_kg=True)
    prices = [ablated(tiny_graph, config, seed).items.numbers["price"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(prices[0], prices[1])
    assert not np.array_equal(prices[0], prices[2], equal_nan=True)


def test_a_shuffled_graph_and_no_text_tell_nothing_of_cold_items(
    planted_model: Recommender, planted_split: Split
) -> None:
    """The planted tastes follow attributes; without them the kernel falls back to luck."""
    config = AblationConfig(without=("text",), randomise_kg=True)
    noise = replace(planted_model.data, graph=ablated(planted_model.graph, config, 0), text={})
    value = {}
    for name, data in (("true", planted_model.data), ("shuffled", noise)):
        found = evaluate({"kernel": KGKernel().fit(data)}, data, planted_split)
        value[name] = found.value("kernel", "cold-only", "ndcg@10")
    assert value["shuffled"] < 0.7 * value["true"]


@pytest.mark.parametrize("without", REMOVABLE)
def test_a_recommender_does_without(
    planted_model: Recommender, planted_split: Split, quick_config: RecommenderConfig, without: str
) -> None:
    parts = ("popularity", "ease", "kg-knn", "kg-kernel", "encoder")
    config = replace(
        quick_config,
        hybrid=replace(quick_config.hybrid, parts=parts),
        ablation=AblationConfig(without=(without,)),
    )
    model = Recommender(config, device="cpu").fit(planted_model.graph, planted_split)
    expected = {
        "kg": {"popularity", "ease", "kg-kernel", "encoder"},
        "text": set(parts),
        "walk": {"kg-knn", "kg-kernel", "encoder"},
        "ids": set(parts),
    }
    assert set(model.scorer.parts) == expected[without]
    assert bool(model.data.text) == (without != "text")
    assert (model.data.profile.nnz > 0) == (without != "kg")
    assert model.scorer.parts["encoder"].config.ids == (without != "ids")
    assert len(model.recommend(k=3)) == 3 * model.graph.n_users


def test_every_walk_is_a_part() -> None:
    assert set(WALKS) < set(PARTS)


def test_only_what_can_be_removed() -> None:
    with pytest.raises(UsageError, match=r"cannot do without 'walks'.*'walk'"):
        AblationConfig(without=("walks",))


def test_no_walk_and_nothing_else_is_refused(
    planted_model: Recommender, planted_split: Split, quick_config: RecommenderConfig
) -> None:
    hybrid = replace(quick_config.hybrid, parts=("ease", "popularity"))
    config = replace(quick_config, hybrid=hybrid, ablation=AblationConfig(without=("walk",)))
    with pytest.raises(UsageError, match="at least one part"):
        Recommender(config, device="cpu").fit(planted_model.graph, planted_split)
