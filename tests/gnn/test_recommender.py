"""The Recommender: ids at every border, cold items, answers at once, explanations, save and load."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from coldframe.gnn.explanation import explain
from coldframe.gnn.gate import KINDS
from coldframe.gnn.ranking import RECOMMENDATIONS
from coldframe.gnn.recommender import Recommender
from coldframe.kg.errors import DataError, UnknownIdError, UsageError
from coldframe.kg.graph import Graph, Interactions
from coldframe.kg.split import Split
from coldframe.kg.vocabulary import local_name


def user_ids(graph: Graph) -> list[str]:
    return list(graph.users.vocabulary)


def item_ids(graph: Graph) -> list[str]:
    return list(graph.items.vocabulary)


def answers(user: str, item: str, label: int | None) -> pa.Table:
    return pa.table({"user": [user], "item": [item], "label": pa.array([label], pa.int8())})


# Recommending ------------------------------------------------------------------------------------


def test_recommends_by_iri_and_by_original_id(planted_model: Recommender) -> None:
    users = user_ids(planted_model.graph)[3:6]
    by_iri = planted_model.recommend(users, k=7)
    by_name = planted_model.recommend([local_name(iri) for iri in users], k=7)
    assert by_iri.equals(by_name)
    assert by_iri.schema.equals(RECOMMENDATIONS)
    assert by_iri["user"].to_pylist() == [iri for iri in users for _ in range(7)]
    assert by_iri["rank"].to_pylist() == [1, 2, 3, 4, 5, 6, 7] * 3
    assert set(by_iri["item"].to_pylist()) <= set(item_ids(planted_model.graph))
    assert np.isfinite(by_iri["std"].to_numpy()).all()


def test_the_table_is_the_best_of_the_scores(planted_model: Recommender) -> None:
    graph = planted_model.graph
    table = planted_model.recommend([user_ids(graph)[9]], k=12)
    scores = planted_model.scorer.score(np.array([9]))[0]
    scores[planted_model.known[9].indices] = -np.inf
    best = np.argsort(-scores, kind="stable")[:12]
    assert table["item"].to_pylist() == [graph.items.vocabulary[int(i)] for i in best]
    np.testing.assert_array_equal(table["score"].to_numpy(), scores[best])
    pairs = list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))
    np.testing.assert_array_equal(table["std"].to_numpy(), planted_model.uncertainty(pairs))
    np.testing.assert_allclose(
        table["probability"].to_numpy(), planted_model.probability(pairs), rtol=1e-5
    )
    np.testing.assert_allclose(
        table["score"].to_numpy(), planted_model.scores(pairs), rtol=1e-5, atol=1e-6
    )


def test_known_pairs_are_left_out_unless_asked_for(
    planted_model: Recommender, planted_split: Split
) -> None:
    graph = planted_model.graph
    everything = planted_model.recommend(k=graph.n_items)
    users = graph.users.vocabulary.indices(everything["user"].to_pylist())
    items = graph.items.vocabulary.indices(everything["item"].to_pylist())
    shown = np.zeros((graph.n_users, graph.n_items), bool)
    shown[users, items] = True
    for rows in (planted_split.train, planted_split.valid):
        assert len(rows)
        assert not shown[rows.user, rows.item].any()
    assert shown[planted_split.test.user, planted_split.test.item].all()
    whole = planted_model.recommend(user_ids(graph)[:2], k=graph.n_items, exclude_known=False)
    assert len(whole) == 2 * graph.n_items


def test_cold_items_are_ranked_alone_or_among_all(
    planted_model: Recommender, planted_split: Split
) -> None:
    graph = planted_model.graph
    cold = [graph.items.vocabulary[int(i)] for i in planted_split.cold_items]
    among = planted_model.recommend(user_ids(graph)[:4], k=5, items=cold)
    assert len(among) == 20
    assert set(among["item"].to_pylist()) <= set(cold)
    everything = planted_model.recommend(user_ids(graph)[:4], k=graph.n_items)
    assert set(cold) <= set(everything["item"].to_pylist())


def test_blocks_of_users_are_one_table(
    planted_model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = planted_model.recommend(k=4)
    monkeypatch.setattr("coldframe.gnn.recommender.BLOCK_ENTRIES", 7 * 160)
    parts = planted_model.recommend(k=4)
    assert parts["item"].equals(whole["item"])
    np.testing.assert_allclose(
        parts["score"].to_numpy(), whole["score"].to_numpy(), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(planted_model: Recommender, k: int) -> None:
    user = user_ids(planted_model.graph)[0]
    item = item_ids(planted_model.graph)[0]
    with pytest.raises(UsageError, match="at least 1"):
        planted_model.recommend([user], k=k)
    with pytest.raises(UsageError, match="at least 1"):
        planted_model.similar(item, k)


def test_unknown_ids_are_named(planted_model: Recommender) -> None:
    user, item = user_ids(planted_model.graph)[0], item_ids(planted_model.graph)[0]
    for ask in (
        lambda: planted_model.recommend(["nobody-here"]),
        lambda: planted_model.recommend([user], items=["nobody-here"]),
        lambda: planted_model.similar("nobody-here"),
        lambda: planted_model.explain(user, "nobody-here"),
        lambda: planted_model.uncertainty([("nobody-here", item)]),
        lambda: planted_model.scores([(user, "nobody-here")]),
        lambda: planted_model.tell(answers(user, "nobody-here", 1)),
    ):
        with pytest.raises(UnknownIdError, match="nobody-here"):
            ask()


def test_no_users_and_no_candidates_are_empty_tables(planted_model: Recommender) -> None:
    assert planted_model.recommend([], k=3).schema.equals(RECOMMENDATIONS)
    empty = planted_model.recommend([user_ids(planted_model.graph)[0]], items=[])
    assert len(empty) == 0
    assert empty.schema.equals(RECOMMENDATIONS)


def test_a_user_without_history_gets_recommendations(planted_model: Recommender) -> None:
    """Fitted on the same catalog, but for what the first user did."""
    data = planted_model.data
    rows = data.train.select(data.train.user != 0)
    config = replace(
        planted_model.config,
        hybrid=replace(planted_model.config.hybrid, parts=("popularity", "ease", "kg-prior")),
    )
    none = np.zeros(0, np.int64)
    split = Split(rows, Interactions.empty(), Interactions.empty(), none, np.array([0]), "mine")
    model = Recommender(config, device="cpu").fit(data.graph, split)
    table = model.recommend([user_ids(data.graph)[0]], k=10)
    assert len(table) == 10
    items = data.graph.items.vocabulary.indices(table["item"].to_pylist())
    assert data.item_degree[items].mean() > data.item_degree[data.item_degree > 0].mean()


# Answers and retraining --------------------------------------------------------------------------


def test_answers_count_at_once(loaded: Callable[[], Recommender]) -> None:
    model = loaded()
    graph, rare = model.graph, int(np.flatnonzero(model.data.item_degree == 3)[0])
    user = int(np.flatnonzero((model.data.user_degree > 0) & (model.known[:, [rare]].toarray()[:, 0] == 0))[0])  # fmt: skip
    name, other = graph.items.vocabulary[rare], graph.items.vocabulary[rare - 1]
    asker = graph.users.vocabulary[user]
    before = model.uncertainty([(asker, name), (asker, other)])
    pair = np.array([user]), np.array([rare])
    logit = model.posterior.logits(*pair)[0, 0]
    model.tell(answers(asker, name, 1))
    after = model.uncertainty([(asker, name), (asker, other)])
    assert after[0] < 0.99 * before[0]
    assert after[1] == before[1]
    assert model.posterior.logits(*pair)[0, 0] > logit
    assert name not in model.recommend([asker], k=graph.n_items)["item"].to_pylist()
    down = loaded().tell(answers(asker, name, 0))
    assert down.posterior.logits(*pair)[0, 0] < logit


def test_answers_about_a_cold_item_make_it_surer_than_its_like(
    loaded: Callable[[], Recommender], planted_split: Split
) -> None:
    """Beside the cold items nobody was asked about: a surprise may widen the beliefs about all."""
    model = loaded()
    users, cold = np.arange(40), planted_split.cold_items
    before = model.posterior.variance(users, cold)
    name = model.graph.items.vocabulary[int(cold[0])]
    for number, user in enumerate(user_ids(model.graph)[:20]):
        model.tell(answers(user, name, number % 2))
    share = model.posterior.variance(users, cold) / before
    assert share[:, 0].mean() < 0.8 * share[:, 1:].mean()
    assert share[:20, 0].mean() < share[20:, 0].mean()


def test_a_told_answer_moves_the_score_before_any_retraining(
    loaded: Callable[[], Recommender], planted_split: Split
) -> None:
    model = loaded()
    vocabulary = model.graph.items.vocabulary
    item = vocabulary[int(planted_split.cold_items[0])]
    users = user_ids(model.graph)
    before = model.scores([(user, item) for user in users[40:]])
    for user in users[:40]:
        model.tell(answers(user, item, 1))
    assert model.scores([(user, item) for user in users[40:]]).mean() > before.mean()


@pytest.mark.parametrize("retrained", [False, True])
def test_answers_lift_a_liked_cold_item_among_trained_ones(
    loaded: Callable[[], Recommender], planted_split: Split, retrained: bool
) -> None:
    model = loaded()
    cold = planted_split.cold_items
    users = np.arange(20, 100)
    item = int(cold[0])

    def place() -> float:
        """Mean rank of the item among all; what is known counts for no user of these."""
        scores = model.scorer.score(users)
        return float((scores > scores[:, [item]]).sum(axis=1).mean())

    before = place()
    told = np.arange(15)
    model.tell(Interactions.build(told, np.full(15, item), round=1))
    if retrained:
        model.retrain()
    assert place() < 0.5 * before


def test_a_like_lowers_neither_score_nor_chance(loaded: Callable[[], Recommender]) -> None:
    """Whatever bias cold items were given: here they are lifted far above what their answers merit."""
    model = loaded()
    gate = model.scorer.gate
    bias = gate.bias.copy()
    bias[0, KINDS.index("cold")], bias[:, KINDS.index("told")] = 4.0, -4.0
    model.scorer.gate = replace(gate, bias=bias)
    cold = np.flatnonzero(model.data.item_degree == 0)[:12]
    pairs = [(user_ids(model.graph)[k], item_ids(model.graph)[int(i)]) for k, i in enumerate(cold)]
    users, items = map(list, zip(*pairs, strict=True))
    before = model.scores(pairs), model.probability(pairs)
    model.tell(pa.table({"user": users, "item": items, "label": [1] * len(cold)}))
    after = model.scores(pairs), model.probability(pairs)
    for then, now in zip(before, after, strict=True):
        assert (now >= then - 1e-6).all()
    assert (after[0] > before[0] + 0.01).mean() > 0.9
    shares = model.explain(*pairs[0]).parts
    assert sum(shares.values()) == pytest.approx(float(after[0][0]), abs=1e-5)


def test_null_labels_teach_nothing(loaded: Callable[[], Recommender]) -> None:
    model = loaded()
    user, item = user_ids(model.graph)[0], item_ids(model.graph)[0]
    rows = len(model.data.train)
    before = model.uncertainty([(user, item)])
    model.tell(answers(user, item, None))
    assert len(model.data.train) == rows
    np.testing.assert_array_equal(model.uncertainty([(user, item)]), before)


@pytest.mark.parametrize(
    ("table", "match"),
    [
        (lambda u, i: pa.table({"user": [u], "item": [i], "label": [2]}), "got 2"),
        (lambda u, i: pa.table({"user": [u], "item": [i], "label": ["like"]}), "got 'like'"),
        (lambda u, i: [{"user": u, "item": i, "label": 1, "round": 0}], "round: got 0"),
        (
            lambda u, i: {"user": [u], "item": [i], "label": [1], "rating": ["a"]},
            "expected numbers",
        ),
        (lambda u, i: pa.table({"user": [u], "item": [i], "label": [float("nan")]}), "got nan"),
        (lambda u, i: pa.table({"user": [u], "item": [i]}), "'label' is missing"),
    ],
)
def test_wrong_answers_are_refused_and_change_nothing(
    loaded: Callable[[], Recommender], table: Callable[[str, str], pa.Table], match: str
) -> None:
    model = loaded()
    user, item = user_ids(model.graph)[0], item_ids(model.graph)[0]
    data, beliefs = model.data, model.posterior
    with pytest.raises(DataError, match=match):
        model.tell(table(user, item))
    assert model.data is data
    assert model.posterior is beliefs


def test_rows_that_do_not_fit_leave_the_recommender_as_it_was(
    loaded: Callable[[], Recommender],
) -> None:
    model = loaded()
    data, beliefs = model.data, model.posterior
    with pytest.raises(DataError, match="outside"):
        model.tell(Interactions.build([0], [model.graph.n_items], round=1))
    assert model.data is data
    assert model.posterior is beliefs


def test_retraining_learns_what_was_told(
    loaded: Callable[[], Recommender], planted_split: Split
) -> None:
    """A quarter of the users say what they think of a cold item; the others are ranked by it."""
    model = loaded()
    item = int(planted_split.cold_items[1])
    name = model.graph.items.vocabulary[item]
    for user in user_ids(model.graph)[:40]:
        model.tell(answers(user, name, 1))
    assert model.data.item_degree[item] == 40
    before = model.scorer.score(np.arange(model.graph.n_users))
    assert np.isnan(model.scorer.parts["ease"].score(np.array([0]))[0, item])
    model.retrain()
    after = model.scorer.score(np.arange(model.graph.n_users))
    assert not np.isnan(model.scorer.parts["ease"].score(np.array([0]))[0, item])
    rank = [(scores[40:] > scores[40:, [item]]).sum(1).mean() for scores in (before, after)]
    assert rank[1] < rank[0]
    assert name in model.recommend(user_ids(model.graph)[40:], k=20)["item"].to_pylist()


# Similar and explain -----------------------------------------------------------------------------


def test_similar_items_are_sorted_and_never_the_item(planted_model: Recommender) -> None:
    item = item_ids(planted_model.graph)[11]
    table = planted_model.similar(item, k=500)
    assert len(table) == planted_model.graph.n_items - 1
    assert item not in table["item"].to_pylist()
    values = table["similarity"].to_numpy()
    assert (np.diff(values) <= 0).all()
    assert values.max() <= 1 + 1e-5
    assert planted_model.similar(local_name(item), k=500).equals(table)


def test_a_liked_item_is_explained_by_as_many_other_texts(planted_model: Recommender) -> None:
    data = planted_model.data
    user = int(np.argmax(data.user_degree))
    for item in data.positives[user].indices[:5]:
        found = explain(planted_model.scorer, data, user, int(item), 2).texts
        assert len(found) == 2
        assert data.graph.items.vocabulary[int(item)] not in [text.item for text in found]


def test_explains_a_score_by_parts_paths_and_texts(planted_model: Recommender) -> None:
    table = planted_model.recommend([user_ids(planted_model.graph)[7]], k=1)
    user, item = table["user"][0].as_py(), table["item"][0].as_py()
    found = planted_model.explain(user, item, k=3)
    assert found.score == pytest.approx(table["score"][0].as_py(), abs=1e-4)
    assert sum(found.parts.values()) == pytest.approx(found.score, abs=1e-3)
    assert 1 <= len(found.paths) <= 3
    assert 1 <= len(found.texts) <= 3
    liked = planted_model.data.positives[7].indices
    names = {planted_model.graph.items.vocabulary[int(i)] for i in liked}
    assert {text.item for text in found.texts} <= names
    assert json.loads(json.dumps(found.as_dict()))["item"] == item


def test_a_model_that_nobody_holds_is_gone_at_once(loaded: Callable[[], Recommender]) -> None:
    """In a cycle it would wait for the collector, which counts objects and not their gigabytes."""
    model = loaded().retrain()
    gone = weakref.ref(model.scorer)
    gc.disable()
    try:
        del model
        assert gone() is None
    finally:
        gc.enable()
