"""Without any interactions the encoder learns which items are alike, from graph and texts alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.neighbours import by_cosine, by_kernel
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.self_supervised import HiddenEdges
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.errors import StateError, UsageError
from coldframe.kg.graph import Category, EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

ITEMS, GROUPS, PER_GROUP = 160, 8, 4
CONFIG = RecommenderConfig(
    hybrid=HybridConfig(
        encoder=EncoderConfig(dimensions=32), training=TrainingConfig(epochs=8, evaluate_every=2)
    ),
    text=TextConfig(model="none"),
)


def nodes(kind: str, n: int) -> NodeSet:
    return NodeSet(Vocabulary(f"https://example.org/{kind}{k}" for k in range(n)))


def planted(seed: int = 0) -> Graph:
    """Items of eight groups; a group has one genus, four makers, four soils; nothing else is known.

    The genus taken from an item can only be learned by way of which makers and soils go with it.
    """
    rng = np.random.default_rng(seed)
    items = np.arange(ITEMS)
    group = items % GROUPS
    edges = {("item", "genus", "genus"): EdgeSet(np.stack([items, group]))}
    for relation in ("maker", "soil"):
        target = group * PER_GROUP + rng.integers(0, PER_GROUP, ITEMS)
        edges["item", relation, relation] = EdgeSet(np.stack([items, target]))
    kinds = {
        "user": nodes("u", 2),
        "item": nodes("i", ITEMS),
        "genus": nodes("g", GROUPS),
        "maker": nodes("m", GROUPS * PER_GROUP),
        "soil": nodes("s", GROUPS * PER_GROUP),
    }
    return Graph(kinds, edges, Interactions.empty())


@pytest.fixture(scope="module")
def hidden() -> HiddenEdges:
    return HiddenEdges.draw(planted(), 0.2, np.random.default_rng(1))


@pytest.fixture(scope="module")
def model(hidden: HiddenEdges) -> Recommender:
    return Recommender(CONFIG, device="cpu").fit(hidden.graph)


def of_genus(hidden: HiddenEdges) -> np.ndarray:
    return hidden.attribute < GROUPS


def test_nearest_items_share_what_was_hidden(model: Recommender, hidden: HiddenEdges) -> None:
    """Chance is one in eight; the kernel, which cannot learn what goes with what, finds 0.59."""
    found = hidden.shared(by_cosine(model.encoder.item_vectors))[of_genus(hidden)]
    chance = hidden.shared(lambda items: np.random.default_rng(2).random((len(items), ITEMS)))
    assert chance[of_genus(hidden)].mean() < 0.25
    assert found.mean() > 0.8
    kernel = hidden.shared(by_kernel(model.data))[of_genus(hidden)]
    assert found.mean() > kernel.mean() + 0.2


def test_training_is_what_finds_it(model: Recommender) -> None:
    state = model.encoder.state
    looks = [row["valid"] for row in model.encoder.history]
    assert state.config.profile_dimensions == 0
    assert max(looks) > looks[0]


def test_saved_and_loaded_it_is_the_same(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = Recommender.load(tmp_path, model.graph, device="cpu")
    assert again.scorer.parts == {}
    with pytest.raises(StateError, match="interactions"):
        again.posterior  # noqa: B018 - looking at it is what must not work
    np.testing.assert_array_equal(again.encoder.item_vectors, model.encoder.item_vectors)
    assert again.similar("i3", 5).equals(model.similar("i3", 5))


def test_the_same_seed_gives_the_same_vectors(model: Recommender, hidden: HiddenEdges) -> None:
    again = Recommender(CONFIG, device="cpu").fit(hidden.graph)
    np.testing.assert_array_equal(again.encoder.item_vectors, model.encoder.item_vectors)
    other = Recommender(CONFIG, seed=1, device="cpu").fit(hidden.graph)
    assert not np.array_equal(other.encoder.item_vectors, model.encoder.item_vectors)


def test_training_goes_on_where_it_was_interrupted(
    model: Recommender, hidden: HiddenEdges, tmp_path: Path
) -> None:
    def stop(what: str, done: int, _: int) -> None:
        if what == "train encoder" and done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Recommender(CONFIG, device="cpu", progress=stop).fit(hidden.graph, work=tmp_path)
    seen: list[int] = []
    again = Recommender(CONFIG, device="cpu", progress=lambda _, done, __: seen.append(done))
    again.fit(hidden.graph, work=tmp_path)
    assert min(seen) > 1
    np.testing.assert_array_equal(again.encoder.item_vectors, model.encoder.item_vectors)


def test_without_the_encoder_the_kernel_compares(hidden: HiddenEdges) -> None:
    config = RecommenderConfig(hybrid=HybridConfig(parts=("popularity",)), text=CONFIG.text)
    alone = Recommender(config, device="cpu").fit(hidden.graph)
    assert alone.encoder is None
    assert len(alone.similar("i0", 4)) == 4
    with pytest.raises(UsageError, match="at least 1"):
        alone.similar("i0", 0)


def test_where_the_kernel_finds_more_it_compares(hidden: HiddenEdges, tmp_path: Path) -> None:
    hasty = replace(CONFIG.hybrid.training, epochs=1, learning_rate=1e-6)
    config = replace(CONFIG, hybrid=replace(CONFIG.hybrid, training=hasty))
    model = Recommender(config, device="cpu").fit(hidden.graph)
    assert model.encoder is None
    model.save(tmp_path)
    again = Recommender.load(tmp_path, hidden.graph, device="cpu")
    assert again.similar("i3", 5).equals(model.similar("i3", 5))
    nearest = np.argsort(-by_kernel(model.data)(np.array([3]))[0], kind="stable")
    assert model.similar("i3", 1)["item"][0].as_py().endswith(f"/i{nearest[nearest != 3][0]}")


def test_hidden_edges_are_gone_and_only_what_others_share_is_asked() -> None:
    graph = planted()
    hidden = HiddenEdges.draw(graph, 0.3, np.random.default_rng(0))
    for kind, edges in graph.edges.items():
        kept = set(zip(*hidden.graph.edges[kind].index.tolist(), strict=True))
        everything = set(zip(*edges.index.tolist(), strict=True))
        assert kept < everything
    starts = {"genus": 0, "maker": GROUPS, "soil": GROUPS + GROUPS * PER_GROUP}
    shown = {
        (int(item), starts[kind[1]] + int(target))
        for kind, edges in hidden.graph.edges.items()
        for item, target in edges.index.T
    }
    assert len(hidden) > 50
    for item, attribute in zip(hidden.item, hidden.attribute, strict=True):
        assert (int(item), int(attribute)) not in shown
        assert hidden.has[item, attribute] == 1
        assert hidden.has[:, attribute].sum() > 1


def test_shared_counts_the_nearest_other_items() -> None:
    graph = planted()
    hidden = HiddenEdges.draw(graph, 0.2, np.random.default_rng(0))
    has = hidden.has.toarray()
    truth = has[:, :GROUPS] @ has[:, :GROUPS].T
    assert (hidden.shared(lambda items: truth[items])[of_genus(hidden)] == 1).all()
    assert (hidden.shared(lambda items: -truth[items])[of_genus(hidden)] == 0).all()
    for few in (1, 500):
        found = hidden.shared(lambda items: truth[items] + 0, few)
        assert ((found >= 0) & (found <= 1)).all()


def test_categories_count_like_relations(hidden: HiddenEdges, tmp_path: Path) -> None:
    """Makers as a category of the items, without soils: what else could tell of a genus?"""
    graph = hidden.graph
    kept = graph.edges["item", "maker", "maker"].index
    codes = np.full(ITEMS, -1, np.int32)
    codes[kept[0]] = kept[1]
    names = tuple(f"maker {k:02}" for k in range(GROUPS * PER_GROUP))
    items = replace(graph.items, categories={"maker": Category(codes, names)})
    edges = {kind: some for kind, some in graph.edges.items() if kind[1] == "genus"}
    told = replace(graph, nodes={**graph.nodes, "item": items}, edges=edges)
    found = {}
    for name, one in (("told", told), ("untold", replace(graph, edges=edges))):
        model = Recommender(CONFIG, device="cpu").fit(one)
        model.save(tmp_path / name)
        again = Recommender.load(tmp_path / name, one, device="cpu")
        np.testing.assert_array_equal(again.encoder.item_vectors, model.encoder.item_vectors)
        shared = hidden.shared(by_cosine(model.encoder.item_vectors))
        found[name] = shared[of_genus(hidden)].mean()
    assert found["told"] > 0.6
    assert found["untold"] < 0.3


def test_no_users_who_would_have_features_are_no_error() -> None:
    graph = planted()
    nobody = NodeSet(
        Vocabulary([]), categories={"zone": Category(np.zeros(0, np.int32), ("warm",))}
    )
    model = Recommender(CONFIG, device="cpu")
    model.fit(replace(graph, nodes={**graph.nodes, "user": nobody}))
    assert len(model.similar("i0", 3)) == 3


def test_a_graph_of_nothing_but_items_is_no_error() -> None:
    bare = Graph({"user": nodes("u", 0), "item": nodes("i", 3)}, {}, Interactions.empty())
    model = Recommender(CONFIG, device="cpu").fit(bare)
    assert np.isfinite(model.encoder.item_vectors).all()
    assert model.similar("i0", 5)["similarity"].to_pylist() == [0.0, 0.0]
