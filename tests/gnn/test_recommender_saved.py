"""A saved Recommender: the same when loaded, and refused when it is damaged or of another catalog."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from coldframe.gnn.checkpoint import load_checkpoint, save_checkpoint
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.recommender import Recommender
from coldframe.kg.cache import part_hashes
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import IntegrityError, StateError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def another_graph() -> Graph:
    nodes = {name: NodeSet(Vocabulary([f"{name}0", f"{name}1"])) for name in ("user", "item")}
    return Graph(nodes, {}, Interactions.empty())


def test_loading_gives_the_same_scores_and_doubts(
    loaded: Callable[[], Recommender], planted_model: Recommender
) -> None:
    model, users = loaded(), np.arange(planted_model.graph.n_users)
    np.testing.assert_array_equal(model.scorer.score(users), planted_model.scorer.score(users))
    assert model.recommend(k=5).equals(planted_model.recommend(k=5))
    assert model.config == planted_model.config
    for name, part in planted_model.scorer.parts.items():
        np.testing.assert_array_equal(model.scorer.parts[name].score(users), part.score(users))


def test_torch_draws_the_same_after_a_model_was_loaded_and_extended(
    loaded: Callable[[], Recommender], planted_catalog: Catalog
) -> None:
    before = torch.get_rng_state()
    loaded().extend(planted_catalog)
    assert torch.equal(torch.get_rng_state(), before)


def test_another_catalog_is_refused(planted_checkpoint: Path) -> None:
    with pytest.raises(IntegrityError, match="identifiers"):
        Recommender.load(planted_checkpoint, another_graph())


def test_a_catalog_in_another_order_is_refused(
    planted_checkpoint: Path, planted_model: Recommender
) -> None:
    graph = planted_model.graph
    items = replace(graph.items, vocabulary=Vocabulary(reversed(list(graph.items.vocabulary))))
    other = replace(graph, nodes={**graph.nodes, graph.item_type: items})
    with pytest.raises(IntegrityError, match=graph.item_type):
        Recommender.load(planted_checkpoint, other)


def spoiled(graph: Graph) -> dict[str, Graph]:
    """Graphs of the same identifiers that differ in one thing."""
    key, edges = next(iter(graph.edges.items()))
    turned = EdgeSet(np.stack([edges.index[0], np.roll(edges.index[1], 1)]))
    items, rows = graph.items, graph.interactions
    without = {kind: one for kind, one in graph.edges.items() if kind != key}
    return {
        "no such graph": graph,
        f"edges {' - '.join(key)}": replace(graph, edges={**graph.edges, key: turned}),
        f"edges {key[0]}": replace(graph, edges=without),
        f"node type {graph.item_type}": replace(
            graph, nodes={**graph.nodes, graph.item_type: replace(items, texts={})}
        ),
        "interactions": replace(graph, interactions=replace(rows, label=1 - rows.label)),
    }


def test_a_graph_that_differs_in_edges_features_or_interactions_is_refused(
    planted_checkpoint: Path, planted_model: Recommender
) -> None:
    same, *others = spoiled(planted_model.graph).items()
    Recommender.load(planted_checkpoint, same[1])
    for part, graph in others:
        with pytest.raises(IntegrityError, match="not the graph of the training") as caught:
            Recommender.load(planted_checkpoint, graph)
        assert part in caught.value.message
        assert "retrain" in caught.value.hint


def test_the_order_of_types_does_not_matter(planted_model: Recommender) -> None:
    graph = planted_model.graph
    turned = replace(graph, edges=dict(reversed(graph.edges.items())))
    assert part_hashes(turned) == part_hashes(graph)


@pytest.mark.parametrize(
    "file",
    [
        "gate",
        "part-ease",
        "part-als",
        "part-kg-kernel",
        "part-kg-prior",
        "encoder",
        "text",
        "inputs",
    ],
)
def test_a_flipped_bit_in_any_file_is_found(
    planted_checkpoint: Path, planted_model: Recommender, tmp_path: Path,
    file: str,
) -> None:  # fmt: skip
    copy = tmp_path / planted_checkpoint.name
    shutil.copytree(planted_checkpoint, copy)
    target = copy / f"{file}.safetensors"
    content = bytearray(target.read_bytes())
    content[-3] ^= 4
    target.write_bytes(content)
    with pytest.raises(IntegrityError, match="changed"):
        Recommender.load(copy, planted_model.graph)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("config", "hybrid", "gate", "cold_costs"), 1.0),
        (("config", "hybrid", "training", "epochs"), "many"),
        (("settings", "ease"), {"penalti": 3.0}),
        (("settings", "eese"), {}),
        (("seed",), "x"),
        (("config",), None),
    ],
)
def test_a_foreign_manifest_is_an_integrity_error(
    planted_checkpoint: Path, planted_model: Recommender, tmp_path: Path,
    path: tuple[str, ...], value: object,
) -> None:  # fmt: skip
    stored = load_checkpoint(planted_checkpoint)
    meta = json.loads(json.dumps(stored.meta))
    place = meta["recommender"]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    save_checkpoint(tmp_path, 0, stored.groups, meta)
    with pytest.raises(IntegrityError, match="not the checkpoint of a recommender") as caught:
        Recommender.load(tmp_path, planted_model.graph)
    if path[-1] == "cold_costs":
        assert "hybrid.gate.cold_costs: unknown setting" in str(caught.value)


def test_a_missing_tensor_is_an_integrity_error(
    planted_checkpoint: Path, planted_model: Recommender, tmp_path: Path
) -> None:
    stored = load_checkpoint(planted_checkpoint)
    for group, tensor, match in [
        ("part-als", "items", "als"),
        ("part-rp3beta", "indices", "rp3beta"),
        ("part-kg-prior", "offset", "kg-prior"),
        ("gate", "bias", "gate"),
    ]:
        groups = {name: dict(tensors) for name, tensors in stored.groups.items()}
        del groups[group][tensor]
        save_checkpoint(tmp_path / group, 0, groups, stored.meta)
        with pytest.raises(IntegrityError, match=match):
            Recommender.load(tmp_path / group, planted_model.graph)


def test_tensors_of_another_size_are_an_integrity_error(
    planted_checkpoint: Path, planted_model: Recommender, tmp_path: Path
) -> None:
    stored = load_checkpoint(planted_checkpoint)
    for number, (group, tensor) in enumerate(
        [("part-als", "items"), ("part-ease", "dense"), ("part-kg-prior", "mean")]
    ):
        size = len(stored.groups[group][tensor])
        groups = {name: dict(tensors) for name, tensors in stored.groups.items()}
        groups[group][tensor] = groups[group][tensor][:-1]
        save_checkpoint(tmp_path / str(number), 0, groups, stored.meta)
        with pytest.raises(IntegrityError, match=rf"{size - 1}.*, expected .*{size}"):
            Recommender.load(tmp_path / str(number), planted_model.graph)


def test_an_empty_folder_has_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no checkpoint"):
        Recommender.load(tmp_path, another_graph())


@pytest.mark.R(13)
def test_retraining_after_a_save_is_retraining(
    loaded: Callable[[], Recommender], planted_catalog: Catalog, tmp_path: Path
) -> None:
    graph = planted_catalog.graph
    one = loaded()
    item = int(np.flatnonzero(one.known[4].toarray()[0] == 0)[0])
    told = {"user": [graph.users.vocabulary[4]], "item": [graph.items.vocabulary[item]]}
    one.tell(pa.table({**told, "label": [1]}))
    one.save(tmp_path)
    two = Recommender.load(tmp_path, device="cpu")
    assert len(two.data.train) == len(one.data.train)
    users = np.arange(one.graph.n_users)
    np.testing.assert_array_equal(one.scorer.score(users), two.scorer.score(users))
    np.testing.assert_array_equal(
        one.retrain().scorer.score(users), two.retrain().scorer.score(users)
    )


def test_saved_between_answers_it_is_the_same(
    loaded: Callable[[], Recommender], tmp_path: Path
) -> None:
    """Told, retrained, told the opposite of some and more: the parts know other rows than the data."""
    model = loaded()
    cold = np.flatnonzero(model.data.item_degree == 0)
    users, items = model.graph.users.vocabulary, model.graph.items.vocabulary

    def told(label: int, count: int) -> pa.Table:
        pairs = [(users[k], items[int(item)]) for k, item in enumerate(cold[:count])]
        return pa.table(
            {"user": [u for u, _ in pairs], "item": [i for _, i in pairs], "label": [label] * count}
        )

    model.tell(told(1, 6)).retrain().tell(told(0, 9))
    again = Recommender.load(model.save(tmp_path), model.graph, device="cpu")
    everybody = np.arange(model.graph.n_users)
    np.testing.assert_array_equal(again.scorer.score(everybody), model.scorer.score(everybody))
    assert (again.known != model.known).nnz == 0
    assert len(again.scorer.trained) != len(again.data.train)


def test_a_path_is_enough_where_the_catalog_is_a_folder(
    planted_checkpoint: Path, planted_model: Recommender, tmp_path: Path
) -> None:
    alone, users = Recommender.load(planted_checkpoint, device="cpu"), np.arange(150)
    np.testing.assert_array_equal(alone.scorer.score(users), planted_model.scorer.score(users))
    assert (alone.known != planted_model.known).nnz == 0
    for column in ("user", "item", "label", "rating", "time", "round"):
        for got, expected in (
            (alone.data.train, planted_model.data.train),
            (alone._valid, planted_model._valid),
        ):
            np.testing.assert_array_equal(getattr(got, column), getattr(expected, column))
    again = Recommender.load(alone.save(tmp_path), device="cpu")
    np.testing.assert_array_equal(again.scorer.score(users), alone.scorer.score(users))


def test_a_catalog_in_memory_has_to_be_given(
    quick_config: RecommenderConfig, tmp_path: Path
) -> None:
    graph = another_graph()
    Recommender(quick_config, device="cpu").fit(graph).save(tmp_path)
    with pytest.raises(StateError, match="in memory") as caught:
        Recommender.load(tmp_path)
    assert caught.value.hint
    assert Recommender.load(tmp_path, graph).graph.n_items == 2


def test_ratings_and_times_survive_where_they_are_missing_too(
    quick_config: RecommenderConfig, tmp_path: Path
) -> None:
    rows = Interactions.build(
        [0, 1, 1], [0, 0, 1], label=[1, 1, 0], rating=[5.0, np.nan, 0.0], time=[np.nan, 0.0, 1e9],
        round=[0, 2, 1],
    )  # fmt: skip
    graph = replace(another_graph(), interactions=rows)
    model = Recommender(quick_config, device="cpu").fit(graph)
    got = Recommender.load(model.save(tmp_path), graph).data.train
    for column in ("user", "item", "label", "rating", "time", "round"):
        np.testing.assert_array_equal(getattr(got, column), getattr(rows, column))
