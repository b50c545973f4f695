"""The KG-prior model: it learns from the graph where the graph informs, and not where it does not."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from coldframe.gnn.data import TrainingData
from coldframe.gnn.gaussian_process import ItemKernel, fit_process
from coldframe.gnn.kg_prior import KGPrior, KGPriorConfig, user_vectors
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

CONFIG = KGPriorConfig(dimension=6)


def planted(seed: int, *, shuffle_graph: bool = False, users: int = 150, items: int = 120):
    """Users like items of their group's genres; a fifth of the items is cold."""
    rng = np.random.default_rng(seed)
    genre = rng.integers(6, size=items)
    taste = rng.integers(6, size=users)
    like = rng.random((users, items)) < np.where(taste[:, None] == genre[None], 0.5, 0.05)
    shown = rng.permutation(genre) if shuffle_graph else genre
    edges = np.stack([np.arange(items), shown]).astype(np.int64)
    nodes = {
        kind: NodeSet(Vocabulary(f"https://e.org/{kind}/{k}" for k in range(n)))
        for kind, n in (("user", users), ("item", items), ("genre", 6))
    }
    graph = Graph(nodes, {("item", "genre", "genre"): EdgeSet(edges)}, Interactions.empty())
    cold = np.arange(items - items // 5, items)
    u, i = np.nonzero(like)
    keep = ~np.isin(i, cold)
    return TrainingData(graph, Interactions.build(u[keep], i[keep])), like, cold


def auc(scores: np.ndarray, truth: np.ndarray) -> float:
    order = scores.ravel().argsort()
    rank = np.empty(order.size)
    rank[order] = np.arange(order.size)
    yes = truth.ravel()
    return float((rank[yes].mean() - (yes.sum() - 1) / 2) / (~yes).sum())


def test_cold_items_are_ranked_by_what_the_graph_says():
    data, like, cold = planted(0)
    scores = KGPrior(CONFIG).fit(data).score(np.arange(data.n_users))
    assert auc(scores[:, cold], like[:, cold]) > 0.75
    assert np.isfinite(scores).all()


def test_the_process_predicts_as_the_textbook_says():
    """Rasmussen and Williams, equations 2.25 and 2.26; an anchor is predicted from the others.

    An item of which nothing is known, 8 among the anchors and 9 not, has the whole variance before it.
    """
    rng = np.random.default_rng(3)
    profile = normalize(sp.random(60, 15, 0.3, "csr", random_state=3))
    profile = sp.csr_matrix(sp.diags(~np.isin(np.arange(60), (8, 9)) * 1.0) @ profile)
    kernel = ItemKernel(profile, sp.csr_matrix((60, 0)), 0.0)
    anchors = np.arange(0, 60, 2)
    values = profile[anchors] @ rng.normal(size=(15, 4)) + rng.normal(size=(30, 4)) * 0.1
    got = fit_process(kernel, anchors, values, 60, np.eye(4))
    assert 0 < got.signal < 1
    similar = got.signal * (profile @ profile.T).toarray()
    prior = similar.copy()
    np.fill_diagonal(prior, 1.0)
    for item in range(60):
        rows = np.flatnonzero(anchors != item)
        known = anchors[rows]
        weights = np.linalg.solve(prior[np.ix_(known, known)], similar[known, item])
        mean = values.mean(0) + weights @ (values[rows] - values.mean(0))
        np.testing.assert_allclose(got.mean[item], mean, atol=1e-4)
        variance = prior[item, item] - weights @ similar[known, item]
        np.testing.assert_allclose(got.kappa[item], variance, atol=1e-5)
    np.testing.assert_allclose(got.kappa[[8, 9]], 1.0, atol=1e-5)


def test_where_all_anchors_are_alike_the_graph_explains_nothing():
    """As with a single user: every item has the same likes."""
    profile = normalize(sp.random(30, 8, 0.4, "csr", random_state=4))
    kernel = ItemKernel(profile, sp.csr_matrix((30, 0)), 0.0)
    got = fit_process(kernel, np.arange(10), np.full((10, 3), 0.1), 30, np.eye(3))
    assert got.signal == 0
    np.testing.assert_allclose(got.mean, 0.1)
    np.testing.assert_array_equal(got.kappa, 1.0)


def test_a_shuffled_graph_is_given_little_trust():
    true = KGPrior(CONFIG).fit(planted(1)[0])
    data, _, cold = planted(1, shuffle_graph=True)
    shuffled = KGPrior(CONFIG).fit(data)
    assert shuffled.kappa[cold].mean() > true.kappa[cold].mean() + 0.2
    assert shuffled.signal < true.signal


def test_answers_of_rounds_count_as_pairs_and_help():
    data, like, cold = planted(2)
    rng = np.random.default_rng(0)
    users, items = rng.integers(data.n_users, size=300), rng.choice(cold, 300)
    asked = Interactions.build(users, items, label=like[users, items], round=1)
    before = KGPrior(CONFIG).fit(data)
    after = KGPrior(CONFIG).fit(data.with_train(data.train.concat(asked)))
    assert len(after.posterior.answers) == 300
    everyone = np.arange(data.n_users)
    assert auc(after.score(everyone)[:, cold], like[:, cold]) > auc(
        before.score(everyone)[:, cold], like[:, cold]
    )


def test_user_vectors_have_constant_norm_and_are_zero_without_history():
    data, _, _ = planted(3)
    positives = data.positives.tolil()
    positives[4] = 0
    x = user_vectors(positives.tocsr(), CONFIG)
    norms = np.linalg.norm(x[:, 2:], axis=1)
    assert norms[4] == 0
    assert np.delete(norms, 4) == pytest.approx(np.sqrt(6), rel=1e-5)


def test_the_same_data_give_the_same_numbers():
    data = planted(4)[0]
    first, second = KGPrior(CONFIG).fit(data), KGPrior(CONFIG).fit(data)
    assert np.array_equal(first.posterior.mean, second.posterior.mean)


def test_a_catalog_without_attributes_still_serves_cold_items():
    data, _, cold = planted(5)
    bare = Graph(data.graph.nodes, {}, Interactions.empty())
    model = KGPrior(CONFIG).fit(TrainingData(bare, data.train))
    assert model.signal == 0
    assert np.isfinite(model.score(np.arange(3))[:, cold]).all()


def test_no_interactions_at_all_is_served():
    data, _, _ = planted(6)
    model = KGPrior(CONFIG).fit(data.with_train(Interactions.empty()))
    assert np.isfinite(model.score(np.arange(3))).all()
