"""The Recommender on catalogs of one item, of none, without interactions; and its configuration."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.hybrid import Hybrid, HybridConfig
from coldframe.gnn.labels import labelled_rows
from coldframe.gnn.ranking import Reserve, best_items
from coldframe.gnn.recommender import Recommender
from coldframe.kg.errors import DataError, StateError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.split import Split
from coldframe.kg.vocabulary import Vocabulary, local_name


def answers(user: str, item: str, label: int | None) -> pa.Table:
    return pa.table({"user": [user], "item": [item], "label": pa.array([label], pa.int8())})


def small_graph(n_users: int, n_items: int, likes: list[tuple[int, int]]) -> Graph:
    nodes = {
        "user": NodeSet(Vocabulary(f"https://example.org/u{k}" for k in range(n_users))),
        "item": NodeSet(
            Vocabulary(f"https://example.org/i{k}" for k in range(n_items)),
            texts={"title": tuple(f"{'red' if k % 2 else 'blue'} flower" for k in range(n_items))},
        ),
        "tag": NodeSet(Vocabulary(["https://example.org/t0", "https://example.org/t1"])),
    }
    tags = np.stack([np.arange(n_items), np.arange(n_items) % 2])
    events = Interactions.build(*(zip(*likes, strict=True) if likes else ((), ())))
    return Graph(nodes, {("item", "tag", "tag"): EdgeSet(tags)}, events)


def test_equal_scores_are_ordered_by_item_and_the_first_ones_are_kept() -> None:
    graph = small_graph(2, 9, [])
    scores = np.array([[1, 3, 1, 1, 3, 1, np.nan, 1, 1], [np.nan] * 9], np.float32)
    table = best_items(
        graph,
        np.array([1, 0]),
        scores[[1, 0]],
        None,
        None,
        4,
        Hybrid(),
    )
    names = [local_name(item) for item in table["item"].to_pylist()]
    assert names == ["i1", "i4", "i0", "i2"]


@given(st.data())
def test_a_reserve_takes_the_least_places_it_must(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    scores = data.draw(st.lists(st.sampled_from([np.nan, 0, 1, 2, 3]), min_size=n, max_size=n))
    new = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    k = data.draw(st.integers(1, n))
    places = data.draw(st.integers(1, k))
    graph, reserve = small_graph(1, n, []), Reserve(new, places)
    block = np.array([scores], np.float32)
    table = best_items(graph, np.array([0]), block, None, None, k, Hybrid(), "laplace", reserve)
    got = [int(local_name(item)[1:]) for item in table["item"].to_pylist()]
    order = sorted((i for i in range(n) if scores[i] == scores[i]), key=lambda i: (-scores[i], i))
    kept = [i for i in order if new[i]][:places]
    rest = [i for i in order if i not in kept][: k - len(kept)]
    assert got == [i for i in order if i in (*kept, *rest)]


def test_new_items_have_their_places(quick_config: RecommenderConfig) -> None:
    graph = small_graph(4, 8, [(u, i) for u in range(4) for i in range(5) if (u + i) % 4])
    model = Recommender(quick_config, device="cpu").fit(graph)
    for new in (0, 1, 3):
        found = model.recommend(["u0"], 3, new=new)["item"].to_pylist()
        assert sum(local_name(item) in ("i5", "i6", "i7") for item in found) >= new
    with pytest.raises(UsageError, match="between 0 and k, which is 3, got 4"):
        model.recommend(k=3, new=4)


def test_answers_alone_make_no_item_an_old_one(
    quick_config: RecommenderConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many likes were told: `catalog_degree` counts them from twenty of an item on."""
    graph = small_graph(25, 8, [(u, i) for u in range(25) for i in range(7) if (u + i) % 4])
    model = Recommender(quick_config, device="cpu").fit(graph)
    told = {"user": [f"u{u}" for u in range(24)], "item": ["i7"] * 24, "label": [1] * 24}
    model.tell(pa.table(told))
    worst_last = np.arange(8, 0, -1, dtype=np.float32)
    monkeypatch.setattr(model.scorer, "score", lambda users: np.tile(worst_last, (len(users), 1)))
    found = model.recommend(["u24"], 1, new=1)["item"].to_pylist()
    assert [local_name(item) for item in found] == ["i7"]


def test_one_item_catalog(quick_config: RecommenderConfig) -> None:
    graph = small_graph(3, 1, [(0, 0), (1, 0)])
    model = Recommender(quick_config, device="cpu").fit(graph)
    table = model.recommend(k=5)
    assert table["user"].to_pylist() == ["https://example.org/u2"]
    assert len(model.similar("i0", 3)) == 0
    assert model.similar("i0", 3).schema.field("item").type == pa.string()


def test_no_items_is_a_data_error(quick_config: RecommenderConfig) -> None:
    with pytest.raises(DataError, match="no items"):
        Recommender(quick_config, device="cpu").fit(small_graph(3, 0, []))


def test_without_interactions_there_is_similarity_and_nothing_else(
    quick_config: RecommenderConfig, tmp_path: Path
) -> None:
    graph = small_graph(3, 6, [])
    model = Recommender(quick_config, device="cpu").fit(graph)
    near = model.similar("i0", 2)
    assert [local_name(item) for item in near["item"].to_pylist()] == ["i2", "i4"]
    assert near["title"].to_pylist() == ["blue flower"] * 2
    for ask in (lambda: model.recommend(["u0"]), lambda: model.scores([("u0", "i0")])):
        with pytest.raises(StateError, match="no likes") as caught:
            ask()
        assert caught.value.hint
    assert np.isnan(model.explain("u0", "i0").score)
    model.save(tmp_path)
    again = Recommender.load(tmp_path, graph, device="cpu")
    assert again.similar("i0", 2).equals(near)


def test_the_first_answers_start_what_could_not_be_fitted(quick_config: RecommenderConfig) -> None:
    model = Recommender(quick_config, device="cpu").fit(small_graph(3, 6, []))
    for user, item, label in [
        ("u0", "i0", 1),
        ("u0", "i1", 0),
        ("u1", "i2", 1),
        ("u2", "i3", None),
    ]:
        model.tell(answers(user, item, label))
    model.retrain()
    table = model.recommend(k=6)
    assert len(table) == 18 - 3
    assert np.isfinite(table["score"].to_numpy()).all()
    assert set(model.scorer.parts) == set(quick_config.hybrid.parts)


def test_the_first_answers_are_all_learned_and_a_reopened_model_is_the_same(
    quick_config: RecommenderConfig, tmp_path: Path
) -> None:
    graph = small_graph(12, 10, [])
    model = Recommender(quick_config, device="cpu").fit(graph)
    pairs = [(f"u{u}", f"i{i}", int((u + i) % 3 > 0)) for u in range(12) for i in range(10)]
    users, items, labels = zip(*pairs[:70], strict=True)
    model.tell(pa.table({"user": users, "item": items, "label": [0] * 70})).retrain()
    assert len(model.data.train) == 70  # dislikes alone are no start, and none is lost
    model.tell(pa.table({"user": users, "item": items, "label": labels})).retrain()
    assert len(model.scorer.trained) == len(model.data.train) == 70
    again = Recommender.load(model.save(tmp_path), graph, device="cpu")
    everybody = np.arange(12)
    np.testing.assert_array_equal(again.scorer.score(everybody), model.scorer.score(everybody))


def test_repeated_rows_of_a_catalog_count_once(quick_config: RecommenderConfig) -> None:
    likes = [(u, i) for u in range(6) for i in range(6) if (u + i) % 3]
    once, often = small_graph(6, 8, likes), small_graph(6, 8, likes * 5)
    models = [Recommender(quick_config, device="cpu").fit(graph) for graph in (once, often)]
    assert [len(model.data.train) for model in models] == [len(likes)] * 2
    np.testing.assert_array_equal(*(model.scorer.score(np.arange(6)) for model in models))
    raw = TrainingData(often, often.interactions, {})
    np.testing.assert_array_equal(raw.own_degree, raw.item_degree)


def test_only_dislikes_are_not_enough_to_start(quick_config: RecommenderConfig) -> None:
    model = Recommender(quick_config, device="cpu").fit(small_graph(3, 6, []))
    model.tell(answers("u0", "i0", 0)).retrain()
    with pytest.raises(StateError, match="no likes"):
        model.recommend(["u0"])


@pytest.mark.parametrize("catalog", ["catalog", None, 3])
def test_what_is_no_catalog_is_refused(catalog: object) -> None:
    with pytest.raises(UsageError, match=f"got {type(catalog).__name__}, expected a catalog"):
        Recommender(device="cpu").fit(catalog)


def test_unfitted_says_so() -> None:
    for ask in (lambda m: m.recommend(), lambda m: m.similar("x"), lambda m: m.save("nowhere")):
        with pytest.raises(StateError, match="not fitted"):
            ask(Recommender(device="cpu"))


def test_refit_trains_on_validation_pairs_as_well(
    planted_model: Recommender, planted_split: Split
) -> None:
    hybrid = HybridConfig(parts=("popularity", "ease"), tune=False)
    config = RecommenderConfig(hybrid=hybrid, text=planted_model.config.text, refit=True)
    model = Recommender(config, device="cpu").fit(planted_model.graph, planted_split)
    assert len(model.data.train) == len(planted_split.train) + len(planted_split.valid)
    assert (model.known != planted_model.known).nnz == 0
    expected = model.data.item_degree.astype(float)
    score = model.scorer.parts["popularity"].score(np.array([0]))[0]
    np.testing.assert_allclose(np.expm1(score[expected > 0]), expected[expected > 0], rtol=1e-5)


def test_without_the_posterior_there_are_no_doubts(
    planted_model: Recommender, planted_split: Split
) -> None:
    hybrid = HybridConfig(parts=("popularity", "ease"), tune=False)
    config = RecommenderConfig(hybrid=hybrid, text=planted_model.config.text)
    model = Recommender(config, device="cpu").fit(planted_model.graph, planted_split)
    user, item = model.graph.users.vocabulary[0], model.graph.items.vocabulary[0]
    assert np.isnan(model.recommend([user], k=2)["std"].to_numpy(zero_copy_only=False)).all()
    with pytest.raises(StateError, match="kg-prior"):
        model.uncertainty([(user, item)])
    model.tell(answers(user, item, 1))
    assert len(model.data.train) == len(planted_split.train) + 1


def test_a_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert Recommender().device == "cpu"
    with pytest.raises(UsageError, match="CUDA"):
        Recommender(device="cuda")


def test_answers_that_do_not_say_everything_are_of_round_one_and_have_no_rating() -> None:
    table = pa.concat_tables([answers("u0", "i0", 1), answers("u0", "i1", 0)])
    told = table.append_column("round", pa.array([None, 3])).append_column(
        "rating", pa.array([4, None])
    )
    rows = labelled_rows(told, small_graph(1, 2, []))
    assert rows.round.tolist() == [1, 3]
    np.testing.assert_array_equal(rows.rating, [4, np.nan])


@pytest.mark.parametrize(
    "name, value", [("round", 0), ("round", 1.5), ("round", "x"), ("rating", "good")]
)
def test_rounds_and_ratings_that_are_none_are_refused(name: str, value: object) -> None:
    told = answers("u0", "i0", 1).append_column(name, pa.array([value]))
    with pytest.raises(DataError, match=name):
        labelled_rows(told, small_graph(1, 1, []))
