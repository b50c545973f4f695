"""Evaluation against a slow plain ranking, its segments, and the paired statistics on top."""

from __future__ import annotations

import json
from typing import Self

import numpy as np
import pytest
from scipy.stats import ttest_rel

from coldframe.gnn.data import TrainingData
from coldframe.gnn.evaluate import Evaluation, evaluate
from coldframe.gnn.metrics import measure
from coldframe.gnn.popularity import Popularity
from coldframe.gnn.segments import category_groups
from coldframe.gnn.statistics import compare, holm, paired_bootstrap, paired_t
from coldframe.gnn.tune import tune, tune_all, tune_blend
from coldframe.gnn.walk import ItemKNN, ItemKNNConfig, RP3Beta
from coldframe.kg.errors import DataError, UnknownIdError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.split import Split
from coldframe.kg.vocabulary import IntArray, Vocabulary

N_USERS, N_ITEMS = 40, 30
COLD = np.arange(24, 30)
WARM = 23  # in validation, but not in training


class Fixed:
    """Scores given as a matrix."""

    name = "fixed"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(self, scores: np.ndarray) -> None:
        self.scores = scores.astype(np.float32)

    def fit(self, data: TrainingData) -> Self:  # noqa: ARG002 - nothing to learn
        return self

    def score(self, users: IntArray) -> np.ndarray:
        return self.scores[users]


@pytest.fixture
def task() -> tuple[TrainingData, Split]:
    """Random positives: items 24-29 cold, item 23 in validation and test only, user 39 cold."""
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((N_USERS, N_ITEMS)) < 0.4)
    part = rng.choice(3, len(user), p=[0.5, 0.2, 0.3])
    part[np.isin(item, COLD) | (user == 39)] = 2
    part[(item == WARM) & (part == 0)] = 1
    dislikes = Interactions.build([0, 1], [5, 6], label=[0, 0])
    clash = np.isin(user * N_ITEMS + item, [5, N_ITEMS + 6])
    rows = [
        Interactions.build(user[(part == p) & ~clash], item[(part == p) & ~clash]) for p in range(3)
    ]
    tags = EdgeSet(np.stack([np.arange(N_ITEMS), np.arange(N_ITEMS) % 4]))
    nodes = {
        name: NodeSet(Vocabulary(f"https://example.org/{name}/{i}" for i in range(count)))
        for name, count in (("user", N_USERS), ("item", N_ITEMS), ("tag", 4))
    }
    graph = Graph(nodes, {("item", "tag", "tag"): tags}, Interactions.empty())
    train = rows[0].concat(dislikes)
    split = Split(train, rows[1], rows[2], COLD, np.array([39]), "item-cold").check(graph)
    return TrainingData(graph, train), split


def scores_with_unknowns(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(N_USERS, N_ITEMS))
    scores[rng.random(scores.shape) < 0.2] = np.nan
    return scores


def slow_recall(
    scores: np.ndarray, split: Split, pairs: set[tuple[int, int]], candidates: np.ndarray, k: int
) -> float:
    """Mean over users of recall@k, by sorting each user's candidates."""
    known = {
        (u, i)
        for rows in (split.train, split.valid)
        for u, i in zip(rows.user, rows.item, strict=True)
    }
    values = []
    for user in sorted({u for u, _ in pairs}):
        wanted = {i for u, i in pairs if u == user}
        open_items = [
            i for i in candidates if (user, i) not in known and not np.isnan(scores[user, i])
        ]
        top = sorted(open_items, key=lambda i: -scores[user, i])[:k]
        values.append(len(wanted & set(top)) / len(wanted))
    return float(np.mean(values))


def test_equals_a_plain_ranking_in_every_segment(task) -> None:
    data, split = task
    scores = scores_with_unknowns(1)
    found = evaluate({"x": Fixed(scores)}, data, split, ks=(5,))
    degree = data.item_degree
    tests = {(int(u), int(i)) for u, i in zip(split.test.user, split.test.item, strict=True)}
    inside = {
        "all": lambda i: True,  # noqa: ARG005
        "hot": lambda i: degree[i] > 0,
        "warm": lambda i: i == WARM,
        "cold": lambda i: i in COLD,
        "degree:0": lambda i: degree[i] == 0,
        "degree:5-19": lambda i: 5 <= degree[i] < 20,
    }
    assert {"all", "hot", "warm", "cold", "cold-only", "cold-users"} <= set(found.segment_names)
    for name, rule in inside.items():
        pairs = {(u, i) for u, i in tests if rule(i)}
        expected = slow_recall(scores, split, pairs, np.arange(N_ITEMS), 5)
        assert found.value("x", name, "recall@5") == pytest.approx(expected), name
    pairs = {(u, i) for u, i in tests if i in COLD}
    expected = slow_recall(scores, split, pairs, COLD, 5)
    assert found.value("x", "cold-only", "recall@5") == pytest.approx(expected)


def test_known_pairs_are_never_recommended(task) -> None:
    data, split = task
    found = evaluate({"x": Fixed(np.ones((N_USERS, N_ITEMS)))}, data, split, ks=(N_ITEMS,))
    lists = found.models["x"].lists
    known = split.train.concat(split.valid)  # dislikes included
    for user, items in zip(found.users, lists, strict=True):
        mine = set(known.item[known.user == user])
        shown = [i for i in items if i >= 0]
        assert set(shown) == set(range(N_ITEMS)) - mine
        assert len(shown) == len(set(shown))


def test_blocks_and_order_of_models_do_not_matter(task) -> None:
    data, split = task
    models = {"x": Fixed(scores_with_unknowns(1)), "y": Fixed(np.zeros((N_USERS, N_ITEMS)))}
    whole = evaluate(models, data, split).rows()
    for block in (1, 7, 1000):
        assert evaluate(models, data, split, block=block).rows() == whole
    back = evaluate(dict(reversed(models.items())), data, split).rows()
    assert sorted(map(str, back)) == sorted(map(str, whole))


def test_validation_part_keeps_validation_pairs_open(task) -> None:
    data, split = task
    perfect = np.zeros((N_USERS, N_ITEMS))
    perfect[split.valid.user, split.valid.item] = 1
    found = evaluate({"x": Fixed(perfect)}, data, split, part="valid")
    assert found.value("x", "all", "ndcg@10") == 1.0
    assert evaluate({"x": Fixed(perfect)}, data, split).value("x", "all", "mrr") < 1


def test_a_scorer_that_knows_nothing_gets_nothing(task) -> None:
    data, split = task
    found = evaluate({"x": Fixed(np.full((N_USERS, N_ITEMS), np.nan))}, data, split)
    for row in found.rows():
        assert row["recall@10"] == row["ndcg@20"] == row["mrr@10"] == 0.0
        assert row["auc"] == 0.5
    assert found.rows()[0]["gini@10"] is None
    assert found.rows()[0]["coverage@10"] == 0.0


def test_rows_are_json_and_agree_with_per_user_values(task) -> None:
    data, split = task
    found = evaluate({"x": Fixed(scores_with_unknowns(1))}, data, split, ks=(10, 20))
    rows = json.loads(json.dumps(found.rows(), allow_nan=False))
    assert {row["segment"] for row in rows} == set(found.segment_names)
    for row in rows:
        values = found.per_user("x", row["segment"], "ndcg@10")
        assert values.shape == found.users.shape
        assert row["users"] == (~np.isnan(values)).sum()
        assert row["ndcg@10"] == pytest.approx(np.nanmean(values), abs=1e-6)
    assert {"coverage@10", "gini@10", "novelty@10", "diversity@10", "cold_share@10"} <= set(rows[0])


def test_hot_warm_and_cold_share_out_all_pairs(task) -> None:
    data, split = task
    segments = evaluate({"x": Fixed(scores_with_unknowns(1))}, data, split).segments
    for names in (("hot", "warm", "cold"), tuple(n for n in segments if n.startswith("degree:"))):
        assert (np.sum([segments[name] for name in names], axis=0) == 1).all()


def test_some_users_and_groups(task, tiny_graph: Graph) -> None:
    data, split = task
    model = {"x": Fixed(scores_with_unknowns(1))}
    groups = {"even": np.arange(0, N_USERS, 2), "odd": np.arange(1, N_USERS, 2)}
    found = evaluate(model, data, split, groups=groups)
    few = evaluate(model, data, split, users=np.arange(0, N_USERS, 2))
    assert found.value("x", "even", "ndcg@10") == few.value("x", "all", "ndcg@10")
    assert {k: v.tolist() for k, v in category_groups(tiny_graph).items()} == {
        "city=A": [0, 1, 5],
        "city=B": [2, 3],
    }


def test_what_cannot_be_evaluated_is_explained(task) -> None:
    data, split = task
    model = {"x": Fixed(scores_with_unknowns(1))}
    with pytest.raises(UsageError, match="cut-offs"):
        evaluate(model, data, split, ks=())
    with pytest.raises(DataError, match="no positive pair"):
        evaluate(model, data, split, users=np.zeros(0, np.int64))
    with pytest.raises(DataError, match="shape"):
        evaluate({"x": Fixed(np.zeros((N_USERS, 3)))}, data, split)
    for nobody in (-1, N_USERS):
        with pytest.raises(UnknownIdError, match="outside"):
            evaluate(model, data, split, users=np.array([nobody]))
    found = evaluate(model, data, split)
    for wrong in (("z", "all", "mrr"), ("x", "cool", "mrr"), ("x", "all", "mmr")):
        with pytest.raises(UsageError, match=r"did you mean|valid"):
            found.per_user(*wrong)


def test_without_cold_items_there_is_no_cold_column() -> None:
    nodes = {
        name: NodeSet(Vocabulary(f"https://example.org/{name}/{i}" for i in range(3)))
        for name in ("user", "item")
    }
    train = Interactions.build([0, 1, 2], [0, 1, 2])
    test = Interactions.build([0, 1], [1, 2])
    none = np.zeros(0, np.int64)
    data = TrainingData(Graph(nodes, {}, train), train)
    split = Split(train, Interactions.empty(), test, none, none, "warm")
    found: Evaluation = evaluate({"x": Fixed(np.eye(3))}, data, split)
    assert set(found.segment_names) == {"all", "hot", "degree:1-4"}
    assert found.rows()[0]["diversity@10"] == 1.0


# --- tuning


def test_tuning_picks_the_best_of_what_it_lists(task) -> None:
    data, split = task
    found = tune(
        "itemknn", data, split.valid, "ndcg@10", grid={"k": (1, 5, 20), "shrink": (0.0, 10.0)}
    )
    values = [row["ndcg@10"] for row in found.tried]
    assert values == sorted(values, reverse=True)
    best = {key: found.tried[0][key] for key in ("k", "shrink", "power")}
    assert found.scorer.config == ItemKNNConfig(**best)
    inner = Split(split.train, split.valid, Interactions.empty(), COLD, np.array([39]), "tuning")
    again = evaluate({"it": found.scorer}, data, inner, part="valid")
    assert again.value("it", "all", "ndcg@10") == pytest.approx(values[0])


def test_tuning_for_cold_items_needs_no_validation_pairs(task) -> None:
    data, _ = task
    found = tune("kg-knn", data, Interactions.empty(), target="cold", grid={"k": (0, 3)})
    assert len(found.tried) == 2
    assert found.tried[0]["ndcg@10"] > 0


def test_blend_is_no_worse_on_validation_than_its_parts(task) -> None:
    data, split = task
    parts = {"itemknn": ItemKNN().fit(data), "rp3beta": RP3Beta().fit(data)}
    found = tune_blend(parts, data, split.valid, weights=(0.0, 0.5, 1.0))
    tried = {tuple(row["weights"]): row["ndcg@10"] for row in found.tried}
    assert len(tried) >= 4
    assert tried[found.scorer.config.weights] >= max(tried[1.0, 0.0], tried[0.0, 1.0])


def test_tune_all_leaves_out_what_the_catalog_cannot_serve(task) -> None:
    data, split = task
    names = set(tune_all(data, split.valid))
    assert {"popularity", "itemknn", "rp3beta", "ease", "kg-knn", "rp3beta+kg-knn"} <= names
    assert "text-knn" not in names


def test_tuning_errors(task) -> None:
    data, split = task
    with pytest.raises(UsageError, match="did you mean 'itemknn'"):
        tune("itemnn", data, split.valid)
    with pytest.raises(DataError, match="no positive pair to tune"):
        tune("itemknn", data, Interactions.empty())


# --- statistics


def test_bootstrap_agrees_with_the_t_interval() -> None:
    rng = np.random.default_rng(0)
    first = rng.normal(0.3, 1, 400)
    second = rng.normal(0, 1, 400)
    boot, student = paired_bootstrap(first, second, rng), paired_t(first, second)
    assert boot.mean == student.mean == pytest.approx((first - second).mean())
    assert abs(boot.low - student.low) < 0.02
    assert abs(boot.high - student.high) < 0.02
    assert student.p == pytest.approx(ttest_rel(first, second).pvalue)
    assert boot.p < 0.01


def test_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        found = paired_bootstrap(rng.normal(0.1, 1, 60), np.zeros(60), rng, resamples=400)
        inside += found.low <= 0.1 <= found.high
    assert 0.90 <= inside / 300 <= 0.98


def test_pairs_without_a_value_are_left_out() -> None:
    rng = np.random.default_rng(0)
    found = paired_bootstrap([1.0, np.nan, 3.0], [0.0, 5.0, np.nan], rng)
    assert (found.mean, found.n) == (1.0, 1)
    assert np.isnan(found.p)
    with pytest.raises(DataError, match="no pair"):
        paired_bootstrap([np.nan], [1.0], rng)
    with pytest.raises(DataError, match="shape"):
        paired_t([1.0], [1.0, 2.0])
    assert paired_t([2.0], [1.0]).high == np.inf


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, np.nan]), [0.03, 0.06, 0.06, np.nan])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])


def test_a_clear_difference_stays_sure_among_many_models(task) -> None:
    data, split = task
    good = np.random.default_rng(0).normal(size=(N_USERS, N_ITEMS))
    good[split.test.user, split.test.item] += 9
    others = {f"bad {k}": Fixed(-good - k) for k in range(30)}
    found = evaluate({"good": Fixed(good), **others}, data, split)
    metrics = dict.fromkeys(("all", "hot"), ("ndcg@10", "mrr@10"))
    rows = compare(found, "good", metrics, np.random.default_rng(0))
    assert len(rows) == 120
    assert all(row["p_holm"] < 0.05 for row in rows)
    own, theirs = (found.per_user(name, "all", "ndcg@10") for name in ("good", "bad 3"))
    alone = paired_bootstrap(own, theirs, np.random.default_rng(1), resamples=10_000)
    (row,) = [
        r
        for r in rows
        if r["against"] == "bad 3" and (r["segment"], r["metric"]) == ("all", "ndcg@10")
    ]
    assert row["n"] == alone.n
    assert row["mean"] == pytest.approx(alone.mean)
    assert [row["low"], row["high"]] == pytest.approx([alone.low, alone.high], abs=0.01)


def test_compare_finds_the_better_model(task) -> None:
    data, split = task
    good = np.random.default_rng(0).normal(size=(N_USERS, N_ITEMS))
    good[split.test.user, split.test.item] += 2
    found = evaluate({"good": Fixed(good), "bad": Fixed(-good)}, data, split)
    rows = compare(
        found,
        "good",
        {"all": ("ndcg@10",), "cold-only": ("mrr@10",), "degree:100+": ("map",)},
        np.random.default_rng(0),
    )
    assert [(row["against"], row["segment"]) for row in rows] == [
        ("bad", "all"),
        ("bad", "cold-only"),
    ]
    assert all(row["low"] > 0 and row["p"] <= row["p_holm"] < 0.05 for row in rows)
    expected = measure(found.ranking("good"), "ndcg@10") - measure(found.ranking("bad"), "ndcg@10")
    assert rows[0]["mean"] == pytest.approx(np.nanmean(expected))


def test_a_metric_without_any_value_is_left_out_of_a_comparison(task) -> None:
    """As the AUC of a single cold item among themselves."""
    data, split = task
    found = evaluate(
        {"x": Fixed(np.eye(N_USERS, N_ITEMS)), "y": Popularity().fit(data)}, data, split
    )
    metrics = (lambda ranking: np.full(len(ranking), np.nan), "ndcg@10")
    rows = compare(found, "x", {"all": metrics}, 0)
    assert [row["metric"] for row in rows] == ["ndcg@10"]
