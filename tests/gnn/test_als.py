"""Alternating least squares: the exact solution of its objective, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest

from coldframe.gnn.als import ALS, ALSConfig
from coldframe.gnn.data import TrainingData
from coldframe.kg.errors import StateError, UsageError
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

CONFIG = ALSConfig(factors=5, penalty=0.03, unobserved_ratio=0.3, iterations=6, seed=3)


def random_data(n_users: int = 14, n_items: int = 11, seed: int = 0) -> TrainingData:
    """Random likes; user 2 and item 4 have none; item 5 has a dislike only."""
    rng = np.random.default_rng(seed)
    liked = rng.random((n_users, n_items)) < 0.35
    liked[2] = liked[:, 4] = liked[:, 5] = False
    user, item = np.nonzero(liked)
    label = np.ones(len(user) + 1)
    label[-1] = 0
    rows = Interactions.build(np.append(user, 0), np.append(item, 5), label=label)
    nodes = {
        "user": NodeSet(Vocabulary(f"u{k}" for k in range(n_users))),
        "item": NodeSet(Vocabulary(f"i{k}" for k in range(n_items))),
    }
    return TrainingData(Graph(nodes, {}, Interactions.empty()), rows)


def pair_weight(liked: np.ndarray, config: ALSConfig) -> float:
    """What one pair counts as an unobserved one."""
    return config.unobserved_ratio * float(liked.mean())


def normal_equations(observed: np.ndarray, other: np.ndarray, config: ALSConfig) -> np.ndarray:
    """Each row's best vector, written out: observed (n, m) booleans, other side's vectors (m, d)."""
    other, weight = other.astype(np.float64), pair_weight(observed, config)
    out = np.zeros((len(observed), config.factors))
    for row, seen in enumerate(observed):
        if not seen.any():
            continue
        system = np.zeros((config.factors, config.factors))
        for column, vector in enumerate(other):
            system += (seen[column] + weight) * np.outer(vector, vector)
        ridge = config.penalty * (seen.sum() + weight * len(other))
        system += ridge * np.eye(config.factors)
        out[row] = np.linalg.solve(system, other[seen].sum(0))
    return out


def objective(liked: np.ndarray, als: ALS) -> float:
    """The loss of the source's equation 2, regularised by frequency."""
    config, weight = als.config, pair_weight(liked, als.config)
    p, q = als.user_vectors.astype(np.float64), als.item_vectors.astype(np.float64)
    score = p @ q.T
    loss = ((score[liked] - 1) ** 2).sum() + weight * (score**2).sum()
    for vectors, seen in ((p, liked), (q, liked.T)):
        ridge = config.penalty * (seen.sum(1) + weight * seen.shape[1])
        loss += (ridge * (vectors**2).sum(1)).sum()
    return float(loss)


def test_item_vectors_solve_the_normal_equations() -> None:
    data = random_data()
    als = ALS(CONFIG).fit(data)
    liked = data.positives.toarray() > 0
    expected = normal_equations(liked.T, als.user_vectors, CONFIG)
    np.testing.assert_allclose(als.item_vectors, expected, atol=2e-5)


def test_user_vectors_solve_them_for_the_items_of_the_pass_before() -> None:
    data = random_data()
    before = ALS(ALSConfig(5, 0.03, 0.3, iterations=5, seed=3)).fit(data)
    after = ALS(CONFIG).fit(data)
    liked = data.positives.toarray() > 0
    expected = normal_equations(liked, before.item_vectors, CONFIG)
    np.testing.assert_allclose(after.user_vectors, expected, atol=2e-5)


def test_the_smaller_system_has_the_same_solution() -> None:
    """With more factors than any row has likes, the system of a row is solved over its likes."""
    data, config = random_data(), ALSConfig(16, 0.03, 0.3, iterations=4, seed=3)
    als = ALS(config).fit(data)
    liked = data.positives.toarray() > 0
    assert 0 < liked.sum(0).max() < config.factors
    expected = normal_equations(liked.T, als.user_vectors, config)
    np.testing.assert_allclose(als.item_vectors, expected, atol=2e-5)


def test_many_blocks_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    data = random_data()
    whole = ALS(CONFIG).fit(data)
    monkeypatch.setattr("coldframe.gnn.als._BLOCK_ENTRIES", 3 * 25)
    parts = ALS(CONFIG).fit(data)
    np.testing.assert_allclose(parts.user_vectors, whole.user_vectors, atol=1e-5)
    np.testing.assert_allclose(parts.item_vectors, whole.item_vectors, atol=1e-5)


def test_every_pass_lowers_the_objective() -> None:
    data = random_data()
    liked = data.positives.toarray() > 0
    losses = [
        objective(liked, ALS(ALSConfig(5, 0.03, 0.3, iterations=n, seed=3)).fit(data))
        for n in range(1, 8)
    ]
    assert np.all(np.diff(losses) < 1e-6)
    assert losses[-1] < 0.99 * losses[0]


def test_the_unknown_is_nan_and_the_known_is_a_product() -> None:
    data = random_data()
    als = ALS(CONFIG).fit(data)
    scores = als.score(np.arange(data.n_users))
    assert np.isnan(scores[2]).all()
    assert np.isnan(scores[:, [4, 5]]).all()
    assert not np.isnan(scores[np.ix_(data.user_degree > 0, data.item_degree > 0)]).any()
    assert scores[1, 7] == pytest.approx(float(als.user_vectors[1] @ als.item_vectors[7]))


def test_learns_planted_groups() -> None:
    """Pairs that were hidden from a block of likes score above pairs of other blocks."""
    rng = np.random.default_rng(1)
    group = (np.arange(60)[:, None] % 3) == (np.arange(45) % 3)
    shown = group & (rng.random(group.shape) < 0.6)
    user, item = np.nonzero(shown)
    nodes = {
        "user": NodeSet(Vocabulary(f"u{k}" for k in range(60))),
        "item": NodeSet(Vocabulary(f"i{k}" for k in range(45))),
    }
    graph = Graph(nodes, {}, Interactions.empty())
    data = TrainingData(graph, Interactions.build(user, item))
    scores = ALS(ALSConfig(factors=8)).fit(data).score(np.arange(60))
    assert np.mean(scores[group & ~shown][:, None] > scores[~group][None]) > 0.99


@pytest.mark.parametrize(
    "wrong", [{"factors": 0}, {"iterations": 0}, {"penalty": 0.0}, {"unobserved_ratio": 0.0}]
)
def test_wrong_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        ALSConfig(**wrong)


def test_a_penalty_that_leaves_nothing_to_solve_is_named() -> None:
    everything = Interactions.build(*np.nonzero(np.ones((14, 11))))  # all users are alike
    config = ALSConfig(factors=8, penalty=1e-30, unobserved_ratio=1e-30)
    with pytest.raises(UsageError, match="penalty: too small"):
        ALS(config).fit(random_data().with_train(everything))


def test_unfitted_says_so() -> None:
    with pytest.raises(StateError, match="not fitted"):
        ALS().score(np.array([0]))
