"""Tables of triples are drafted by their columns' names, and join the items whose ids they hold."""

from __future__ import annotations

from typing import Any

import pytest

import coldframe
from coldframe.kg import infer_schema
from coldframe.kg.graph import Graph

RATINGS = {"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "rating": [5, 3, 4, 1]}
FACTS = {"head": [1, 2, 3], "relation": ["genre", "genre", "maker"], "tail": ["a", "a", "b"]}


def graph_of(**tables: Any) -> Graph:
    return coldframe.read(tables).graph


def test_triples_alone_are_a_graph_of_entities() -> None:
    graph = graph_of(facts=FACTS)
    assert graph.item_type == "entity"
    assert graph.n_items == 5
    assert {name: len(edges) for (_, name, _), edges in graph.edges.items()} == {
        "genre": 2,
        "maker": 1,
    }


@pytest.mark.parametrize(
    "names", [("head", "relation", "tail"), ("subject", "predicate", "object")]
)
def test_heads_that_are_ids_of_items_are_these_items(names: tuple[str, ...]) -> None:
    facts = dict(zip(names, FACTS.values(), strict=True))
    graph = graph_of(ratings=RATINGS, facts=facts)
    assert set(graph.edges) == {("item", "genre", "entity"), ("item", "maker", "entity")}
    assert graph.n_items == 3  # users have the ids 1 and 2 as well
    assert len(graph.nodes["entity"]) == 2


def test_a_column_of_items_and_others_is_left_apart_with_a_remark() -> None:
    facts = {"head": [1, 2, 3, "x", "y"], "relation": ["r"] * 5, "tail": ["x", "y", "x", "z", "z"]}
    facts["head"] = list(map(str, facts["head"]))
    draft = infer_schema({"ratings": RATINGS, "facts": facts})
    assert "60% of the column 'head' are ids of 'item'" in draft
    graph = graph_of(ratings=RATINGS, facts=facts)
    assert graph.n_items == 3
    assert set(graph.edges) == {("entity", "r", "entity")}


def test_iris_stay_as_they_are() -> None:
    base = "http://x.org/"
    facts = {
        "s": [f"{base}{k}" for k in range(3)], "p": [f"{base}p"] * 3, "o": [f"{base}a"] * 3
    }  # fmt: skip
    graph = graph_of(facts=facts)
    assert f"{base}1" in graph.items.vocabulary
    assert [name for _, name, _ in graph.edges] == [f"{base}p"]


def test_other_tables_of_three_columns_are_none_of_triples() -> None:
    graph = graph_of(items={"id": [1, 2], "source": ["a", "a"], "target": ["b", "c"]})
    assert graph.n_items == 2
