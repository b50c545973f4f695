"""Metrics against ranx, scikit-learn and a plain reading of their definitions, to 1e-9."""

from __future__ import annotations

import math
import os
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    mean_absolute_error,
    mean_squared_error,
    ndcg_score,
    roc_auc_score,
)

from coldframe.gnn import metrics
from coldframe.gnn.metrics import Ranking
from coldframe.gnn.ranks import Collector
from coldframe.gnn.ties import items_of, mix, order_bits, rank_keys, salts, unmix
from coldframe.kg.errors import DataError, UsageError

CASES, WIDTH = 1000, 30
KS = (1, 3, 10, 50)


def random_cases(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores (CASES, WIDTH) with ties and unknowns, and relevance; some rows of each are empty."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(1, 12, size=(CASES, 1))
    scores = np.floor(rng.random((CASES, WIDTH)) * levels).astype(np.float32) - 3
    scores[rng.random((CASES, WIDTH)) < 0.2] = np.nan
    scores[:20] = np.nan
    relevant = rng.random((CASES, WIDTH)) < rng.random((CASES, 1)) * 0.5
    relevant[10:40] = False
    relevant[40:45] = True
    return scores, relevant


def ranked(scores: np.ndarray, relevant: np.ndarray, k: int = 10) -> tuple[Ranking, np.ndarray]:
    """The ranking and the lists that an evaluation makes of these scores."""
    owner, column = np.nonzero(relevant)
    collector = Collector(k)
    items = np.arange(scores.shape[1])
    salt = salts(np.arange(len(scores)), 0)
    known = np.zeros(len(scores), np.int64)
    collector.add(scores, items, known, owner, column, salt)
    found = collector.result(len(scores))
    return found.ranking, found.lists


@pytest.fixture(scope="module")
def cases() -> tuple[np.ndarray, np.ndarray, Ranking, list[list[int]]]:
    scores, relevant = random_cases(0)
    ranking, lists = ranked(scores, relevant, WIDTH)
    return scores, relevant, ranking, [[int(i) for i in row if i >= 0] for row in lists]


def by_definition(name: str, order: list[int], relevant: set[int], k: int) -> float:
    """One query, read off the textbook; `order` is the ranked list."""
    if not relevant:
        return math.nan
    top = order[:k]
    found = [item in relevant for item in top]
    if name == "recall":
        return sum(found) / len(relevant)
    if name == "capped_recall":
        return sum(found) / min(k, len(relevant))
    if name == "precision":
        return sum(found) / k
    if name == "hit":
        return float(any(found))
    if name == "mrr":
        return next((1 / (place + 1) for place, yes in enumerate(found) if yes), 0.0)
    if name == "ndcg":
        gain = sum(1 / math.log2(place + 2) for place, yes in enumerate(found) if yes)
        return gain / sum(1 / math.log2(place + 2) for place in range(min(k, len(relevant))))
    assert name == "map"
    return sum(sum(found[: p + 1]) / (p + 1) for p, yes in enumerate(found) if yes) / len(relevant)


@pytest.mark.R(15)
@pytest.mark.parametrize("k", KS)
@pytest.mark.parametrize("name", [name for name in metrics.METRICS if name != "auc"])
def test_equals_its_definition(cases, name: str, k: int) -> None:
    _, relevant, ranking, orders = cases
    expected = [
        by_definition(name, order, set(np.flatnonzero(row)), k)
        for order, row in zip(orders, relevant, strict=True)
    ]
    np.testing.assert_allclose(metrics.measure(ranking, f"{name}@{k}"), expected, atol=1e-9)


@pytest.mark.R(15)
def test_equals_ranx(cases) -> None:
    if "numba" not in sys.modules:
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiling would take minutes
    from ranx import Qrels, Run
    from ranx import evaluate as ranx_evaluate

    _, relevant, ranking, orders = cases
    asked = np.flatnonzero(relevant.any(1))
    qrels = Qrels({f"{q:04d}": {f"{i}": 1 for i in np.flatnonzero(relevant[q])} for q in asked})
    # ranx knows no empty list: an item that no query asks for stands in its place.
    run = Run(
        {
            f"{q:04d}": {f"{i}": 1.0 / (1 + p) for p, i in enumerate(orders[q])} or {"none": 1.0}
            for q in asked
        }
    )
    names = {"hit": "hit_rate"}
    wanted = [
        f"{name}@{k}" for name in ("recall", "precision", "hit", "mrr", "ndcg", "map") for k in KS
    ]
    theirs = {
        name: f"{names.get(name.split('@')[0], name.split('@')[0])}@{name.split('@')[1]}"
        for name in wanted
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ranx_evaluate(qrels, run, list(theirs.values()), return_mean=False)
    for name, other in theirs.items():
        np.testing.assert_allclose(
            metrics.measure(ranking, name)[asked], found[other], atol=1e-9, err_msg=name
        )


@pytest.mark.R(15)
def test_auc_equals_scikit_learn_with_ties(cases) -> None:
    scores, relevant, ranking, _ = cases
    got = metrics.auc(ranking)
    filled = np.where(np.isnan(scores), -1e6, scores)
    for row in range(CASES):
        if relevant[row].all() or not relevant[row].any():
            assert np.isnan(got[row])
        else:
            assert abs(got[row] - roc_auc_score(relevant[row], filled[row])) < 1e-9


@pytest.mark.R(15)
def test_ndcg_and_map_equal_scikit_learn_without_ties() -> None:
    rng = np.random.default_rng(5)
    scores = rng.permuted(np.tile(np.arange(WIDTH, dtype=np.float32), (200, 1)), axis=1)
    relevant = rng.random((200, WIDTH)) < 0.2
    relevant[:, 0] = True
    ranking, _ = ranked(scores, relevant)
    for row in range(200):
        truth, given = relevant[row].astype(int), scores[row]
        for k in KS:
            expected = ndcg_score(truth[None], given[None], k=k)
            assert abs(metrics.ndcg(ranking, k)[row] - expected) < 1e-9
        expected = average_precision_score(truth, given)
        assert abs(metrics.average_precision(ranking, 0)[row] - expected) < 1e-9


def test_by_hand() -> None:
    """Three relevant items, at ranks 1 and 4 and not ranked; then a query with none."""
    ranking = Ranking(
        np.array([0, 0, 0]), np.array([4, 0, 1]), np.array([4.0, 9.5, 1.0]), np.array([10, 10])
    )
    expected = {
        "recall@2": 1 / 3,
        "capped_recall@2": 0.5,
        "precision@5": 0.4,
        "hit@1": 1.0,
        "mrr": 1.0,
        "ndcg@4": (1 + 1 / math.log2(5)) / (1 + 1 / math.log2(3) + 0.5),
        "map": (1 + 2 / 4) / 3,
        "auc": 1 - (14.5 - 6) / 21,
    }
    for name, value in expected.items():
        first, second = metrics.measure(ranking, name)
        assert abs(first - value) < 1e-12, name
        assert np.isnan(second), name


def test_no_query_at_all() -> None:
    none = np.zeros(0, np.int64)
    ranking = Ranking(none, none, none.astype(float), none)
    for name in metrics.METRICS:
        assert metrics.measure(ranking, f"{name}@3").shape == (0,)
    assert np.isnan(metrics.mean(np.zeros(0)))


@pytest.mark.parametrize(
    "name, hint",
    [("ndgc@10", "ndcg"), ("ndcg@0", "cut-off"), ("ndcg@x", "cut-off"), ("precision", "cut-off")],
)
def test_wrong_names_are_explained(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        metrics.parse_metric(name)


# --- ties


def test_mix_is_a_bijection() -> None:
    words = np.random.default_rng(0).integers(2**32, size=10_000, dtype=np.uint32)
    np.testing.assert_array_equal(unmix(mix(words)), words)


def test_order_bits_order_floats() -> None:
    rng = np.random.default_rng(0)
    floats = np.concatenate(
        [rng.normal(size=1000) * 10.0 ** rng.integers(-40, 38, 1000), [0.0, np.inf, -np.inf]]
    )
    floats = floats.astype(np.float32)
    order = np.argsort(order_bits(floats))
    assert (np.diff(floats[order]) <= 0).all()
    assert order_bits(np.float32([-0.0])) == order_bits(np.float32([0.0]))
    assert order_bits(np.float32([np.nan])) > order_bits(np.float32([-np.inf]))


def test_ties_do_not_follow_the_position_of_items() -> None:
    """With all scores equal every item is as often first as any other, and the order repeats."""
    users, items = np.arange(20_000), np.arange(10)
    salt = salts(users, 7)
    keys = np.sort(rank_keys(np.zeros((len(users), 10), np.float32), items, salt), axis=1)
    order = items_of(keys, salt)
    np.testing.assert_array_equal(np.sort(order, axis=1), np.tile(items, (len(users), 1)))
    share = np.bincount(order[:, 0], minlength=10) / len(users)
    assert np.abs(share - 0.1).max() < 0.01
    again = items_of(np.sort(rank_keys(np.zeros((20_000, 10), np.float32), items, salt), 1), salt)
    np.testing.assert_array_equal(order, again)
    assert (order != items_of(keys, salts(users, 8))).any()


# --- lists


def test_coverage_and_gini() -> None:
    catalog = np.arange(4)
    even, one = np.array([[0, 1], [2, 3]]), np.array([[0, -1], [0, -1]])
    assert metrics.coverage(even, catalog, 4) == 1.0
    assert metrics.coverage(one, catalog, 4) == 0.25
    assert metrics.gini(even, catalog, 4) == 0.0
    assert metrics.gini(one, catalog, 4) == 0.75
    assert np.isnan(metrics.gini(np.full((2, 2), -1), catalog, 4))


def test_novelty_is_self_information() -> None:
    got = metrics.novelty(np.array([[0, 1], [1, -1], [-1, -1]]), np.array([7, 0]), 7)
    np.testing.assert_allclose(got, [(0 + 3) / 2, 3.0, np.nan])


def test_diversity_is_one_minus_mean_cosine() -> None:
    rng = np.random.default_rng(0)
    profile = rng.random((12, 5)) * (rng.random((12, 5)) < 0.5)
    profile[3] = 0.0
    length = np.linalg.norm(profile, axis=1, keepdims=True)
    profile = np.divide(profile, length, out=np.zeros_like(profile), where=length > 0)
    lists = np.array([rng.permutation(12)[:4] for _ in range(30)])
    lists[0, 2:] = -1
    lists[1, 1:] = -1
    expected = []
    for row in lists:
        chosen = profile[row[row >= 0]]
        upper = np.triu_indices(len(chosen), 1)
        expected.append(1 - (chosen @ chosen.T)[upper].mean() if len(upper[0]) else np.nan)
    np.testing.assert_allclose(
        metrics.diversity(lists, sp.csr_matrix(profile)), expected, atol=1e-12
    )


# --- ratings and probabilities


def test_rating_errors_equal_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    truth, got = rng.random(100), rng.random(100)
    assert abs(metrics.rmse(truth, got) - math.sqrt(mean_squared_error(truth, got))) < 1e-12
    assert abs(metrics.mae(truth, got) - mean_absolute_error(truth, got)) < 1e-12


@pytest.mark.parametrize("wrong", [([1.0], [1.0, 2.0]), ([], []), ([1.0], [math.nan])])
def test_rating_errors_refuse_what_they_cannot_compare(wrong) -> None:
    with pytest.raises(DataError):
        metrics.rmse(*wrong)


def test_calibration_by_hand() -> None:
    label, probability = [1, 0, 1, 1], [0.1, 0.1, 0.9, 1.0]
    found = metrics.reliability(label, probability, bins=2)
    np.testing.assert_allclose(found.predicted, [0.1, 0.95])
    np.testing.assert_allclose(found.observed, [0.5, 1.0])
    assert abs(found.ece - (0.4 * 2 + 0.05 * 2) / 4) < 1e-12
    with pytest.raises(DataError, match=r"0\.\.1"):
        metrics.reliability([1], [1.2])


@pytest.mark.parametrize("equal_mass", [False, True])
def test_calibrated_probabilities_have_little_error(equal_mass: bool) -> None:
    rng = np.random.default_rng(0)
    probability = rng.random(50_000)
    label = rng.random(50_000) < probability
    assert metrics.reliability(label, probability, equal_mass=equal_mass).ece < 0.01
    assert metrics.reliability(label, probability**3, equal_mass=equal_mass).ece > 0.1


def test_weighted_pairs_count_as_often_as_they_weigh() -> None:
    rng = np.random.default_rng(1)
    probability, weight = rng.random(300), rng.integers(1, 5, 300)
    label = rng.random(300) < probability
    got = metrics.reliability(label, probability, weight=weight)
    expected = metrics.reliability(np.repeat(label, weight), np.repeat(probability, weight))
    np.testing.assert_allclose(got.predicted, expected.predicted)
    np.testing.assert_allclose(got.observed, expected.observed)
    np.testing.assert_allclose(got.count, expected.count)
    theirs = brier_score_loss(label, probability, sample_weight=weight)
    assert abs(metrics.brier(label, probability, weight.astype(float)) - theirs) < 1e-12
