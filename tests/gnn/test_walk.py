"""The collaborative scorers against their formulas, written out in dense matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.gnn.data import TrainingData
from coldframe.gnn.topk import Product, keep_top, product_blocks
from coldframe.gnn.walk import (
    EASE,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    RatedEASE,
    RatedEASEConfig,
    RP3Beta,
    RP3BetaConfig,
)
from coldframe.kg.errors import UsageError
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def catalog(n_users: int, n_items: int, density: float, seed: int = 0) -> TrainingData:
    """Random positives, at least one per user and item (n_users >= n_items); no attributes."""
    liked = np.random.default_rng(seed).random((n_users, n_items)) < density
    liked[np.arange(n_users), np.arange(n_users) % n_items] = True
    user, item = np.nonzero(liked)
    nodes = {
        name: NodeSet(Vocabulary(f"https://example.org/{name}/{i}" for i in range(count)))
        for name, count in (("user", n_users), ("item", n_items))
    }
    train = Interactions.build(user, item)
    return TrainingData(Graph(nodes, {}, train), train)


def dense(data: TrainingData) -> np.ndarray:
    return np.asarray(data.positives.todense(), np.float64)


def test_itemknn_is_shrunk_cosine() -> None:
    data = catalog(30, 12, 0.3)
    x = dense(data)
    norm = np.sqrt(x.sum(0))
    cosine = (x.T @ x / (np.outer(norm, norm) + 3.0)) ** 1.5
    np.fill_diagonal(cosine, 0.0)
    got = ItemKNN(ItemKNNConfig(k=12, shrink=3.0, power=1.5)).fit(data).score(np.arange(30))
    np.testing.assert_allclose(got, x @ cosine, rtol=1e-5)


def test_rp3beta_is_three_steps_of_a_walk() -> None:
    data = catalog(30, 12, 0.3)
    x = dense(data)
    to_user = (x.T / x.sum(0)[:, None]) ** 0.7
    to_item = (x / np.maximum(x.sum(1), 1)[:, None]) ** 0.7
    walk = to_user @ to_item / x.sum(0) ** 0.4
    np.fill_diagonal(walk, 0.0)
    got = RP3Beta(RP3BetaConfig(alpha=0.7, beta=0.4, k=12)).fit(data).score(np.arange(30))
    np.testing.assert_allclose(got, x @ walk, rtol=1e-5)


def with_dislikes(data: TrainingData, density: float, seed: int = 1) -> TrainingData:
    """Random pairs that nobody liked, rated low."""
    low = np.random.default_rng(seed).random((data.n_users, data.n_items)) < density
    user, item = np.nonzero(low & (dense(data) == 0))
    return data.with_train(data.train.concat(Interactions.build(user, item, label=0 * user)))


def test_rated_ease_regresses_likes_on_everything_rated() -> None:
    """Column by column: ridge regression of an item's likes on the history without that item."""
    data = with_dislikes(catalog(40, 10, 0.3), 0.3)
    liked = dense(data)
    x = liked + 0.4 * np.asarray(data.negatives.todense(), np.float64)
    weights = np.zeros((10, 10))
    for item in range(10):
        others = np.delete(np.arange(10), item)
        system = x[:, others].T @ x[:, others] + 4.0 * np.eye(9)
        weights[others, item] = np.linalg.solve(system, x[:, others].T @ liked[:, item])
    scorer = RatedEASE(RatedEASEConfig(penalty=4.0, unliked=0.4)).fit(data)
    np.testing.assert_allclose(scorer.weights, weights, atol=1e-6)
    np.testing.assert_allclose(scorer.score(np.arange(40)), x @ weights, atol=1e-5)


def test_rated_ease_without_dislikes_is_ease() -> None:
    data = catalog(40, 10, 0.3)
    one = EASE(EASEConfig(penalty=4.0)).fit(data)
    other = RatedEASE(RatedEASEConfig(penalty=4.0)).fit(data)
    np.testing.assert_allclose(other.weights, one.weights, atol=1e-6)


def test_rated_ease_does_not_know_items_that_nobody_liked() -> None:
    data = with_dislikes(catalog(40, 10, 0.3), 0.3)
    hated = data.train.select((data.train.item != 3) | (data.train.label == 0))
    scores = RatedEASE().fit(data.with_train(hated)).score(np.arange(40))
    assert np.isnan(scores[:, 3]).all()
    assert np.isfinite(np.delete(scores, 3, axis=1)).all()


def test_ease_solves_its_regression() -> None:
    data = catalog(40, 10, 0.3)
    x = dense(data)
    inverse = np.linalg.inv(x.T @ x + 4.0 * np.eye(10))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    scorer = EASE(EASEConfig(penalty=4.0)).fit(data)
    np.testing.assert_allclose(scorer.weights, weights, atol=1e-6)
    np.testing.assert_allclose(scorer.score(np.arange(40)), x @ weights, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "config"), [(EASE, EASEConfig), (RatedEASE, RatedEASEConfig)], ids=["ease", "rated"]
)
def test_of_many_items_those_with_most_interactions_take_part(model: Any, config: Any) -> None:
    """As if the others had no interactions, but that they are known, and their scores 0."""
    data = with_dislikes(catalog(60, 20, 0.2), 0.2)
    weighed = dense(data) + (0 if model is EASE else 1) * np.asarray(data.negatives.todense())
    busiest = np.sort(np.argsort(-np.count_nonzero(weighed, axis=0), kind="stable")[:8])
    alone = data.with_train(data.train.select(np.isin(data.train.item, busiest)))
    users = np.flatnonzero(alone.user_degree)
    got = model(config(penalty=4.0, most_items=8)).fit(data)
    expected = model(config(penalty=4.0)).fit(alone)
    np.testing.assert_array_equal(got.items, busiest)
    np.testing.assert_array_equal(got.weights, expected.weights)
    np.testing.assert_array_equal(got.score(users)[:, busiest], expected.score(users)[:, busiest])
    assert not np.delete(got.score(users), busiest, axis=1).any()


def test_weights_keep_k_neighbours() -> None:
    data = catalog(60, 25, 0.3)
    assert np.diff(RP3Beta(RP3BetaConfig(k=4)).fit(data).weights.indptr).max() == 4
    by_target = ItemKNN(ItemKNNConfig(k=4)).fit(data).weights.tocsc()
    assert np.diff(by_target.indptr).max() == 4


@pytest.mark.parametrize("entries", [1, 50, 10_000])
def test_blocks_do_not_change_the_product(entries: int) -> None:
    x = catalog(40, 30, 0.2).positives
    left, right = sp.csr_matrix(x.T), x
    blocks = list(product_blocks(left, right, entries))
    np.testing.assert_allclose(
        sp.vstack([b for _, b in blocks]).todense(), (left @ right).todense()
    )
    assert all(b.nnz <= max(entries, 30) for _, b in blocks)
    whole, parts = Product(left, right), Product(left, right, entries, keep=True)
    for k in (5, 3):  # whether or not it is kept after the first time
        np.testing.assert_array_equal(whole.top(k).todense(), parts.top(k).todense())


def test_keep_top_takes_the_largest_positive_entries() -> None:
    matrix = sp.random(50, 40, 0.4, format="csr", random_state=4, dtype=np.float32)
    matrix.data -= np.float32(0.2)
    matrix = sp.csr_matrix(sp.vstack([matrix, sp.csr_matrix((2, 40), dtype=np.float32)]))
    kept = keep_top(matrix, 6)
    for row in range(matrix.shape[0]):
        expected = np.sort(matrix[row].data[matrix[row].data > 0])[-6:]
        np.testing.assert_array_equal(np.sort(kept[row].data), expected)


def test_keep_top_breaks_ties_the_same_way_wherever_the_columns_stand() -> None:
    ones = sp.csr_matrix(np.ones((1, 40), np.float32))
    kept = keep_top(ones, 7)
    assert kept.nnz == 7
    assert kept.indices.tolist() != list(range(7))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ItemKNNConfig(k=0),
        lambda: ItemKNNConfig(shrink=-1),
        lambda: RP3BetaConfig(alpha=0),
        lambda: RP3BetaConfig(beta=-0.1),
        lambda: EASEConfig(penalty=0),
        lambda: RatedEASEConfig(penalty=0),
    ],
)
def test_impossible_settings_are_refused(wrong) -> None:
    with pytest.raises(UsageError, match="expected"):
        wrong()


def test_a_catalog_of_many_items_stays_sparse() -> None:
    """20,000 items: a dense item-item matrix would take 1.6 GB; the walk keeps k per item."""
    data = catalog_of_degree(3000, 20_000, 15)
    scorer = RP3Beta(RP3BetaConfig(k=50)).fit(data)
    assert scorer.weights.nnz <= 50 * 20_000
    assert not np.isnan(scorer.score(np.array([0]))[:, data.item_degree > 0]).any()


def catalog_of_degree(n_users: int, n_items: int, each: int) -> TrainingData:
    """Every user has `each` random positives."""
    rng = np.random.default_rng(0)
    nodes = {
        name: NodeSet(Vocabulary(f"https://example.org/{name}/{i}" for i in range(count)))
        for name, count in (("user", n_users), ("item", n_items))
    }
    user = np.repeat(np.arange(n_users), each)
    train = Interactions.build(user, rng.integers(n_items, size=len(user)))
    return TrainingData(Graph(nodes, {}, train), train)
