"""A later state of the catalog: what is new in it scores at once, and what was trained on stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.extension import extended
from coldframe.gnn.kg_prior import KGPrior
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig, embed_nodes, space_of
from coldframe.kg.errors import DataError, IntegrityError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

BASE = "https://example.org/"
TAGS = 4
Like = tuple[int, int]


def graph_of(items: Sequence[int], users: Sequence[int], likes: Sequence[Like]) -> Graph:
    """Item k has the tag k % 4 and a text that says so; users and items are named by their numbers."""
    nodes = {
        "user": NodeSet(Vocabulary(f"{BASE}u{k}" for k in users)),
        "item": NodeSet(
            Vocabulary(f"{BASE}i{k}" for k in items),
            texts={"title": tuple(f"plant of kind {'abcd'[k % TAGS]}" for k in items)},
        ),
        "tag": NodeSet(Vocabulary(f"{BASE}t{k}" for k in range(TAGS))),
    }
    tags = np.array([[row, k % TAGS] for row, k in enumerate(items)]).T
    places = [(users.index(u), items.index(i)) for u, i in likes]
    events = Interactions.build(*np.array(places).T) if places else Interactions.empty()
    return Graph(nodes, {("item", "tag", "tag"): EdgeSet(tags)}, events)


LIKES = [(u, i) for u in range(30) for i in range(32) if (u - i) % TAGS == 0 and (u * i) % 3]
FIRST = graph_of(range(40), range(30), LIKES)
# In another order, as a catalog that was ingested anew may be, with two more items and a user.
LATER = graph_of([*range(41, -1, -1)], [30, *range(30)], [(30, 1), (30, 5), *LIKES])


@pytest.fixture(scope="module")
def fitted(quick_config: RecommenderConfig) -> Recommender:
    return Recommender(quick_config, device="cpu").fit(FIRST)


@pytest.fixture
def model(fitted: Recommender, tmp_path: Path) -> Recommender:
    return Recommender.load(fitted.save(tmp_path / "first"), FIRST, device="cpu")


def column(model: Recommender, item: str, users: range = range(30)) -> np.ndarray:
    return model.scores([(f"u{u}", item) for u in users])


@pytest.mark.R(18)
def test_a_new_item_scores_as_the_cold_one_that_is_described_alike(model: Recommender) -> None:
    model.extend(LATER)
    names = model.graph.items.vocabulary
    assert [names[k] for k in (0, 39, 40, 41)] == [f"{BASE}i{k}" for k in (0, 39, 41, 40)]
    for new, twin in (("i40", "i32"), ("i41", "i33")):
        np.testing.assert_allclose(column(model, new), column(model, twin), atol=1e-4)
    likes = np.arange(30) % TAGS == 0
    assert column(model, "i40")[likes].mean() > column(model, "i40")[~likes].mean() + 0.3
    assert np.isfinite(model.probability([("u0", "i40")])).all()
    assert np.isfinite(model.uncertainty([("u0", "i40")])).all()


@pytest.mark.R(18)
def test_a_new_user_is_served_by_her_first_likes(model: Recommender) -> None:
    found = model.extend(LATER).recommend(["u30"], 8)["item"].to_pylist()
    kinds = [int(item.rpartition("/i")[2]) % TAGS for item in found]
    assert kinds.count(1) >= 6
    assert not {f"{BASE}i1", f"{BASE}i5"} & set(found)


def test_what_was_trained_stays(model: Recommender) -> None:
    before = np.stack([column(model, f"i{k}") for k in range(40)])
    after = np.stack([column(model.extend(LATER), f"i{k}") for k in range(40)])
    likes = [(u, i) for u, i in LIKES if u == 0]
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.98
    assert model.known[0].nnz == len(likes)
    bare = replace(LATER, edges={}, interactions=Interactions.empty())
    again = model.extend(bare)
    np.testing.assert_allclose(column(again, "i3"), after[3], atol=1e-5)


def test_what_a_user_does_later_takes_the_place_of_what_she_said(model: Recommender) -> None:
    said = pa.table({"user": ["u0", "u0"], "item": ["i2", "i3"], "label": [0, 1]})
    later = graph_of([*range(40)], [*range(30)], [(0, 2), (0, 3), *LIKES])
    data = model.tell(said).extend(later).data
    assert data.positives[0, [2, 3]].toarray().tolist() == [[1, 1]]
    assert not data.negatives.nnz
    assert not (data.train.round > 0).any()


def test_held_out_pairs_stay_held_out(quick_config: RecommenderConfig) -> None:
    split = make_split(FIRST, "warm", 0)
    model = Recommender(quick_config, device="cpu").fit(FIRST, split)
    before = len(model.data.train)
    model.extend(LATER)
    assert len(model.data.train) == before + 2
    shown = model.data.pairs(model.data.train)
    assert not shown[split.test.user, split.test.item].any()


def test_saved_and_loaded_it_is_the_same(model: Recommender, tmp_path: Path) -> None:
    model.extend(LATER)
    folder = model.save(tmp_path / "later")
    again = Recommender.load(folder, model.graph, device="cpu")
    np.testing.assert_array_equal(column(again, "i40"), column(model, "i40"))
    with pytest.raises(IntegrityError):
        Recommender.load(folder, FIRST, device="cpu")


def test_without_interactions_new_items_have_their_like(quick_config: RecommenderConfig) -> None:
    bare = [replace(one, interactions=Interactions.empty()) for one in (FIRST, LATER)]
    model = Recommender(quick_config, device="cpu").fit(bare[0]).extend(bare[1])
    nearest = [item.rpartition("/i")[2] for item in model.similar("i40", 5)["item"].to_pylist()]
    assert {int(number) % TAGS for number in nearest} == {0}


def test_other_types_are_refused(model: Recommender) -> None:
    with pytest.raises(DataError, match="different node types"):
        model.extend(replace(LATER, item_type="tag"))


def test_texts_of_another_model_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def embed(texts: Sequence[str], *_: object, **__: object) -> np.ndarray:
        return np.zeros((len(texts), 5), np.float32)

    monkeypatch.setattr("coldframe.gnn.extension.embed_texts", embed)
    data = TrainingData(
        _described(10), Interactions.empty(), {"item": np.zeros((10, 3), np.float32)}
    )
    for model, got in (("minilm", "have 5 dimensions"), ("tfidf", "TF-IDF alone")):
        with pytest.raises(IntegrityError, match=f"{got}, where the model's .* in 3"):
            extended(data, _described(12), TextConfig(model), "cpu")


def test_what_the_model_was_trained_without_is_left_out(model: Recommender) -> None:
    before = model.extend(LATER).encoder.item_vectors
    brands = NodeSet(Vocabulary(f"{BASE}b{k}" for k in range(2)))
    tags = replace(LATER.nodes["tag"], texts={"label": ("red", "green", "blue", "black")})
    more = replace(
        LATER,
        nodes={**LATER.nodes, "tag": tags, "brand": brands},
        edges={**LATER.edges, ("item", "brand", "brand"): EdgeSet(np.array([[0, 1], [0, 1]]))},
    )
    np.testing.assert_allclose(model.extend(more).encoder.item_vectors, before, atol=1e-5)


def _described(n: int) -> Graph:
    """n items of twelve words each."""
    rng = np.random.default_rng(0)
    words = [" ".join(f"w{k}" for k in rng.integers(300, size=12)) for _ in range(n)]
    items = NodeSet(Vocabulary(f"{BASE}i{k}" for k in range(n)), texts={"title": tuple(words)})
    users = NodeSet(Vocabulary([f"{BASE}u"]))
    return Graph({"user": users, "item": items}, {}, Interactions.empty())


def test_texts_stay_in_the_space_of_the_training() -> None:
    config = TextConfig("tfidf", dimensions=16)
    first = _described(200)
    space = space_of(first, config)
    text = embed_nodes(first, config, cache=None, device="cpu", space=space)
    data = TrainingData(first, Interactions.empty(), text, space)
    once = extended(data, _described(400), config, "cpu")
    stepwise = extended(
        extended(data, _described(300), config, "cpu"), _described(400), config, "cpu"
    )
    np.testing.assert_array_equal(stepwise.text["item"], once.text["item"])
    alone = extended(data, _described(201), config, "cpu")
    np.testing.assert_allclose(alone.text["item"][200], once.text["item"][200], atol=1e-6)


@pytest.mark.R(18)
def test_texts_of_a_loaded_model_stay_in_their_space(
    quick_config: RecommenderConfig, tmp_path: Path
) -> None:
    """Names stand in one text each, so that their singular values are equal, and types of nodes are
    saved in another order than the graph's."""
    graph = _named(40)
    config = replace(quick_config, text=TextConfig("tfidf"))
    model = Recommender(config, device="cpu").fit(graph)
    loaded = Recommender.load(model.save(tmp_path), graph, device="cpu").extend(_named(42))
    np.testing.assert_array_equal(loaded.data.text["item"][:40], model.data.text["item"])
    again = loaded.data.space.embed(_named(42).items.documents)
    np.testing.assert_allclose(loaded.data.text["item"], again, atol=1e-6)
    kept = Recommender.load(loaded.save(tmp_path / "later"), loaded.graph, device="cpu")
    assert kept.data.space.words == model.data.space.words


def _named(n: int) -> Graph:
    """`graph_of` n items, each with a word of its own, as its brand has."""
    graph = graph_of(range(n), range(30), LIKES)
    items = replace(graph.items, texts={"title": tuple(f"plant {k}" for k in range(n))})
    brand = NodeSet(Vocabulary([f"{BASE}b"]), texts={"label": ("brand",)})
    return replace(graph, nodes={**graph.nodes, "item": items, "brand": brand})


def test_a_language_model_embeds_new_texts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def embed(texts: Sequence[str], *_: object, **__: object) -> np.ndarray:
        seen.extend(texts)
        return np.ones((len(texts), 3), np.float32)

    monkeypatch.setattr("coldframe.gnn.extension.embed_texts", embed)
    data = TrainingData(
        _described(10), Interactions.empty(), {"item": np.zeros((10, 3), np.float32)}
    )
    later = extended(data, _described(12), TextConfig("minilm"), "cpu")
    assert tuple(seen) == _described(12).items.documents[10:]
    assert later.text["item"].sum(1).tolist() == [0] * 10 + [3] * 2


def test_a_state_with_nothing_new_is_taken_in(model: Recommender) -> None:
    assert model.extend(FIRST).graph.n_items == 40


def test_a_part_that_fails_leaves_the_model_as_it_was(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = np.stack([column(model, f"i{k}") for k in range(40)])
    parts, data = dict(model.scorer.parts), model.data
    with monkeypatch.context() as patch:
        patch.setattr(KGPrior, "fit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model.extend(LATER)
    assert model.data is data
    assert model.scorer.parts == parts
    assert len(model.encoder.item_vectors) == 40
    np.testing.assert_array_equal(np.stack([column(model, f"i{k}") for k in range(40)]), before)
    assert np.isfinite(column(model.extend(LATER), "i40")).all()


def test_a_part_that_fails_leaves_the_ensemble_as_it_was(
    quick_config: RecommenderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Recommender(
        replace(quick_config, hybrid=replace(quick_config.hybrid, ensemble=1)), device="cpu"
    ).fit(FIRST)
    monkeypatch.setattr(KGPrior, "fit", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        model.extend(LATER)
    assert [len(member.item_vectors) for member in model.scorer.members] == [40]
