"""Inputs are fitted once: later nodes get their vectors, earlier ones keep theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.gnn.inputs import InputSpace
from coldframe.gnn.profiles import item_profile
from coldframe.kg.errors import IntegrityError
from coldframe.kg.graph import Category, EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def graph(n_items: int = 8, colours: tuple[str, ...] = ("blue", "red")) -> Graph:
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 2, 8)
    codes = np.array([colours.index(("blue", "red")[c]) if c >= 0 else -1 for c in codes], np.int32)
    price = rng.random(8).astype(np.float32)
    price[2] = np.nan
    tags = np.unique(rng.integers(0, (8, 5), (20, 2)), axis=0).T
    extra = n_items - 8
    codes = np.concatenate([codes, np.zeros(extra, np.int32)]).astype(np.int32)
    price = np.concatenate([price, np.full(extra, 1e9, np.float32)])
    tags = np.concatenate([tags, [[8] * extra, [5] * extra]], 1) if extra else tags
    nodes = {
        "user": NodeSet(Vocabulary(["u"])),
        "item": NodeSet(
            Vocabulary(f"i{k}" for k in range(n_items)),
            {"price": price, "empty": np.full(n_items, np.nan, np.float32)},
            {"colour": Category(codes, colours)},
        ),
        "tag": NodeSet(Vocabulary(f"t{k}" for k in range(5 + extra))),
    }
    return Graph(nodes, {("item", "has", "tag"): EdgeSet(tags)}, Interactions.empty())


def test_blocks_are_the_item_profile() -> None:
    one = graph()
    blocks = InputSpace.fit(one, {}, 3, 0).profiles["item"].blocks(one)
    together = sp.hstack(list(blocks.values())).toarray()
    np.testing.assert_allclose(together, item_profile(one).toarray(), atol=1e-6)


def test_all_directions_keep_all_similarities() -> None:
    one = graph()
    space = InputSpace.fit(one, {}, 99, 0)
    rows = space.transform(one, {}).features["item"]["profile"]
    profile = item_profile(one)
    np.testing.assert_allclose(rows @ rows.T, (profile @ profile.T).toarray(), atol=1e-5)


def test_attributes_that_no_item_has_take_no_room_and_change_nothing() -> None:
    one = graph()
    wide = replace(one, nodes={**one.nodes, "tag": NodeSet(Vocabulary(f"t{k}" for k in range(9)))})
    narrow, space = (InputSpace.fit(some, {}, 4, 0).profiles["item"] for some in (one, wide))
    assert len(space.idf["item", "has", "tag", "out"]) == 9
    assert len(space.filled) == len(space.components) == len(narrow.components)
    np.testing.assert_allclose(
        space.project(space.blocks(wide)), narrow.project(narrow.blocks(one)), atol=1e-6
    )


def test_numbers_are_scaled_clipped_and_marked_missing() -> None:
    rows = InputSpace.fit(graph(), {}, 3, 0).transform(graph(9), {}).features["item"]["numbers"]
    assert rows.shape == (9, 2), "a feature without any value is no column"
    known = rows[[0, 1, 3, 4, 5, 6, 7], 0]
    np.testing.assert_allclose([known.mean(), known.std()], [0, 1], atol=1e-5)
    assert tuple(rows[2]) == (0, 0)
    assert tuple(rows[8]) == (5, 1), "an absurd price is clipped"


def test_a_later_node_changes_nobody_elses_inputs() -> None:
    space = InputSpace.fit(graph(), {}, 4, 0)
    before, after = space.transform(graph(), {}), space.transform(graph(9), {})
    for name, rows in before.features["item"].items():
        np.testing.assert_array_equal(after.features["item"][name][:8], rows, err_msg=name)
    block = ("item", "has", "tag", "out")
    old = before.blocks["item"][block].toarray()
    np.testing.assert_array_equal(after.blocks["item"][block].toarray()[:8, :5], old)
    assert after.blocks["item"][block][8, 5] > 0


def test_categories_are_matched_by_value_not_by_code() -> None:
    space = InputSpace.fit(graph(), {}, 4, 0)
    recoded = graph(colours=("azure", "blue", "red"))
    for name, rows in space.transform(graph(), {}).features["item"].items():
        np.testing.assert_array_equal(
            space.transform(recoded, {}).features["item"][name], rows, err_msg=name
        )


def test_a_node_type_may_be_called_category() -> None:
    whole = graph()
    nodes = {**whole.nodes, "category": NodeSet(Vocabulary(["shoes", "boots"]))}
    broader = {("category", "broader", "category"): EdgeSet(np.array([[1], [0]]))}
    named = replace(whole, nodes=nodes, edges={**whole.edges, **broader})
    inputs = InputSpace.fit(named, {}, 4, 0).transform(named, {})
    assert len(inputs.blocks["category"]) == 2


def test_other_text_vectors_are_refused() -> None:
    one = graph()
    space = InputSpace.fit(one, {"item": np.ones((8, 3), np.float32)}, 4, 0)
    with pytest.raises(IntegrityError, match="width 2"):
        space.transform(one, {"item": np.ones((8, 2), np.float32)})


def test_a_type_whose_only_relation_leads_to_no_node() -> None:
    whole = graph()
    bare = replace(
        whole,
        nodes={**whole.nodes, "tag": NodeSet(Vocabulary([])), "kin": NodeSet(Vocabulary(["k"]))},
        edges={
            ("item", "has", "tag"): EdgeSet(np.zeros((2, 0), np.int64)),
            ("kin", "has", "tag"): EdgeSet(np.zeros((2, 0), np.int64)),
        },
    )
    inputs = InputSpace.fit(bare, {}, 4, seed=0).transform(bare, {})
    assert inputs.features["kin"]["profile"].shape == (1, 0)


def test_a_graph_with_nothing_but_nodes() -> None:
    bare = replace(
        graph(), nodes={k: NodeSet(n.vocabulary) for k, n in graph().nodes.items()}, edges={}
    )
    inputs = InputSpace.fit(bare, {}, 4, 0).transform(bare, {})
    assert {rows.shape for rows in inputs.features["item"].values()} == {(8, 0)}
