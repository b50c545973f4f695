"""The graph kernel: dense Gaussian-process regression written out, twins, and planted cold items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from coldframe.gnn.als import ALS, ALSConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.item_kernel import ItemFeatures
from coldframe.gnn.kg_kernel import KGKernel, KGKernelConfig
from coldframe.gnn.popularity import KGPopularity, Popularity, RandomScorer
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.walk import EASE, EASEConfig
from coldframe.kg.errors import UsageError
from coldframe.kg.graph import EdgeSet, Graph, NodeSet
from coldframe.kg.split import Split

EASE_CONFIG = EASEConfig(penalty=3.0)


def with_text(graph: Graph, seed: int = 0) -> TrainingData:
    rng = np.random.default_rng(seed)
    text = rng.normal(size=(graph.n_items, 5)).astype(np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    return TrainingData(graph, graph.interactions, {"item": text})


def unit(rows: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norm, out=np.zeros_like(rows), where=norm > 0)


def dense_kernel(data: TrainingData) -> np.ndarray:
    """The mean of all kernels of the tiny graph, (n_items, n_items), one after the other."""
    graph, n = data.graph, data.n_items
    one_hot = {}
    for (source, relation, target), edges in graph.edges.items():
        if source == "item":
            one_hot[relation] = np.zeros((n, len(graph.nodes[target])))
            one_hot[relation][edges.index[0], edges.index[1]] = 1.0
    one_hot["profile"] = np.concatenate(list(one_hot.values()), axis=1)
    kernels = []
    for features in one_hot.values():
        idf = np.log((1 + n) / (1 + features.sum(0)))
        weighted = unit(features * idf)
        kernels.append(weighted @ weighted.T)
    words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(graph.items.documents)
    kernels.append((words @ words.T).toarray())
    cosine = data.item_text.astype(float) @ data.item_text.T.astype(float)
    kernels += [cosine, cosine**2]
    # Every item has one genre and one maker, so the numbers of links are all alike.
    kernels.append(np.ones((n, n)))
    price = graph.items.numbers["price"].astype(float)
    price = (price - np.nanmean(price)) / np.nanstd(price)
    price[np.isnan(price)] = 0.0
    kernels.append(np.exp(-((price[:, None] - price[None]) ** 2)))
    kernels.append(np.ones((n, n)))
    return np.mean(kernels, axis=0)


def regression(data: TrainingData, response: np.ndarray, config: KGKernelConfig) -> np.ndarray:
    """Predicted item vectors (n_items, k) from the responses of the trained items."""
    kernel, degree = dense_kernel(data), data.item_degree
    trained = np.flatnonzero(degree > 0)
    noise = config.noise * (1 + config.rarity / degree[trained])
    system = kernel[np.ix_(trained, trained)] + np.diag(noise)
    return kernel[:, trained] @ np.linalg.inv(system) @ response[trained]


def test_the_kernel_is_the_mean_of_those_written_out(tiny_graph: Graph) -> None:
    data = with_text(tiny_graph)
    features = ItemFeatures.of(data)
    assert len(features.names) == 9
    every = np.arange(data.n_items)
    np.testing.assert_allclose(features.kernel(every, every).numpy(), dense_kernel(data), atol=1e-5)
    part = features.kernel(np.array([6, 0]), np.array([3]))
    np.testing.assert_allclose(part.numpy(), dense_kernel(data)[[6, 0]][:, [3]], atol=1e-5)


def ease_response(data: TrainingData) -> np.ndarray:
    """(n_items, n_items): by the items that a user liked."""
    ease = EASE(EASE_CONFIG).fit(data)
    response = np.zeros((data.n_items, data.n_items))
    response[np.ix_(ease.items, ease.items)] = ease.weights.T
    return response


def test_equals_dense_regression_of_ease(tiny_graph: Graph) -> None:
    data, config = with_text(tiny_graph), KGKernelConfig(noise=0.4, rarity=2.0)
    response = ease_response(data)
    expected = data.positives.toarray() @ regression(data, response, config).T
    got = KGKernel(config, ease=EASE_CONFIG).fit(data).score(np.arange(data.n_users))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_equals_dense_regression_of_als_where_there_are_many_items(tiny_graph: Graph) -> None:
    data, config = with_text(tiny_graph), KGKernelConfig(dense_items=3)
    als = ALS(ALSConfig(factors=4)).fit(data)
    expected = als.user_vectors @ regression(data, als.item_vectors.astype(float), config).T
    got = KGKernel(config, als=ALSConfig(factors=4)).fit(data).score(np.arange(data.n_users))
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_few_anchors_are_the_most_popular_ones(tiny_graph: Graph) -> None:
    """With anchors fewer than the trained items, the rest has no say at all."""
    data = with_text(tiny_graph)
    config = KGKernelConfig(anchors=3)
    busiest = np.sort(np.argsort(-data.item_degree, kind="stable")[:3])
    kernel = dense_kernel(data)
    noise = config.noise * (1 + config.rarity / data.item_degree[busiest])
    response = ease_response(data)
    system = kernel[np.ix_(busiest, busiest)] + np.diag(noise)
    vectors = kernel[:, busiest] @ np.linalg.solve(system, response[busiest])
    got = KGKernel(config, ease=EASE_CONFIG).fit(data).score(np.arange(6))
    np.testing.assert_allclose(got, data.positives.toarray() @ vectors.T, atol=1e-5)


def test_a_cold_twin_scores_like_its_warm_one(tiny_graph: Graph) -> None:
    """Item 6 gets all that is known of item 0; the graph then says the same of both."""
    edges = {}
    for kind, found in tiny_graph.edges.items():
        index = found.index.copy()
        if kind[0] == "item":
            index[1, index[0] == 6] = index[1, index[0] == 0]
        edges[kind] = EdgeSet(index)
    items = tiny_graph.items
    price = items.numbers["price"].copy()
    price[6] = price[0]
    texts = {name: (*rows[:6], rows[0], rows[7]) for name, rows in items.texts.items()}
    twin = NodeSet(items.vocabulary, numbers={"price": price}, texts=texts)
    data = with_text(replace(tiny_graph, nodes={**tiny_graph.nodes, "item": twin}, edges=edges))
    data.text["item"][6] = data.text["item"][0]
    assert data.item_degree[6] == 0
    scores = KGKernel().fit(data).score(np.arange(6))
    np.testing.assert_allclose(scores[:, 6], scores[:, 0], rtol=1e-5)
    assert (scores[:3, 6] > scores[:3, 7]).all()
    assert (scores[3:, 6] < scores[3:, 7]).all()


def test_ranks_planted_cold_items_better_than_popularity(
    planted_split: Split, planted_model: Recommender
) -> None:
    data = planted_model.data
    scorers = {
        one.name: one.fit(data)
        for one in (KGKernel(), Popularity(), KGPopularity(), RandomScorer())
    }
    found = evaluate(scorers, data, planted_split)
    value = {name: found.value(name, "cold-only", "ndcg@10") for name in scorers}
    assert value["popularity"] == 0.0
    assert value["kg-kernel"] > value["kg-popularity"] + 0.05
    assert value["kg-kernel"] > value["random"] + 0.15


def test_words_that_never_repeat_are_no_words(tiny_graph: Graph) -> None:
    items = replace(tiny_graph.items, texts={"title": tuple("abcdefgh")})
    data = with_text(replace(tiny_graph, nodes={**tiny_graph.nodes, "item": items}))
    assert np.isfinite(KGKernel().fit(data).score(np.arange(6))).all()


def test_numbers_that_are_all_missing_or_all_alike_say_nothing(tiny_graph: Graph) -> None:
    def scores(numbers: dict[str, np.ndarray]) -> np.ndarray:
        items = replace(tiny_graph.items, numbers=numbers)
        graph = replace(tiny_graph, nodes={**tiny_graph.nodes, "item": items})
        return KGKernel().fit(with_text(graph)).score(np.arange(6))

    missing = scores({"price": np.full(8, np.nan, np.float32)})
    np.testing.assert_array_equal(missing, scores({"price": np.full(8, 9.5, np.float32)}))
    assert np.isfinite(missing).all()


@pytest.mark.parametrize("wrong", [{"noise": 0.0}, {"rarity": -1.0}, {"anchors": 0}])
def test_wrong_settings_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        KGKernelConfig(**wrong)


def test_noise_that_leaves_nothing_to_solve_is_named(tiny_graph: Graph) -> None:
    alike = replace(
        tiny_graph,
        nodes={**tiny_graph.nodes, "item": NodeSet(tiny_graph.items.vocabulary)},
        edges={},
    )
    with pytest.raises(UsageError, match="noise: too small"):
        KGKernel(KGKernelConfig(noise=1e-30)).fit(TrainingData(alike, alike.interactions))
