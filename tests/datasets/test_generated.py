"""The generated catalog: as promised in counts, the truth kept apart, the planted signal there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import TfidfVectorizer

from coldframe.datasets.generated import SIZES, GeneratedCatalog, generate_catalog
from coldframe.datasets.planted import PlantedConfig
from coldframe.datasets.splits import make_split
from coldframe.gnn.profiles import item_profile
from coldframe.kg.errors import StateError, UsageError
from coldframe.kg.graph import Graph
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import Schema

Make = Callable[..., tuple[GeneratedCatalog, Graph]]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Make:
    seen: dict[str, tuple[GeneratedCatalog, Graph]] = {}

    def build(size: str, seed: int = 0, **options: Any) -> tuple[GeneratedCatalog, Graph]:
        key = f"{size} {seed} {options}"
        if key not in seen:
            made = generate_catalog(tmp_path_factory.mktemp("c") / "x", size, seed, **options)
            quads = read_quads(list(made.inputs))
            graph, report = graph_from_quads(quads, Schema.load(made.schema))
            assert not report.problems, report.problems[:3]
            seen[key] = (made, graph)
        return seen[key]

    return build


@pytest.mark.parametrize("size", ["tiny", "small"])
def test_counts(make: Make, size: str) -> None:
    made, graph = make(size)
    events = graph.interactions
    assert (graph.n_users, graph.n_items) == (SIZES[size].users, SIZES[size].items)
    assert len(events) == made.counts["events"]
    assert int(events.label.sum()) == made.counts["positives"]
    for part in ("train", "valid", "test"):
        assert int(events.in_split(part).sum()) == made.counts[part]
    assert abs(made.counts["events"] / SIZES[size].events - 1) < 0.15
    assert 0.4 < made.counts["positives"] / made.counts["events"] < 0.7


def test_every_part_of_the_schema_is_used(make: Make) -> None:
    _, graph = make("small")
    assert {name for _, name, _ in graph.edges} == {
        "genus", "family", "broader", "colour", "use", "zone", "breeder", "gardens_in"
    }  # fmt: skip
    assert len(graph.edges["plant", "genus", "taxon"]) == graph.n_items
    assert len(graph.edges["plant", "family", "taxon"]) == graph.n_items
    breeders = len(graph.edges["plant", "breeder", "breeder"])  # told from either side
    assert 0.92 < breeders / graph.n_items < 0.98
    plants = graph.items
    assert set(plants.numbers) == {"height", "price", "introduced"}
    assert 0.05 < np.isnan(plants.numbers["price"]).mean() < 0.15
    assert set(plants.categories["habit"].names) == {"annual", "biennial", "perennial"}
    assert set(graph.nodes["colour"].titles) >= {"white", "yellow"}  # English first
    assert np.isfinite(graph.interactions.time).all()


def test_the_truth_is_kept_apart(make: Make) -> None:
    made, graph = make("small")
    split = make_split(graph)
    assert split.name == "fixed"
    items, users = graph.items.vocabulary, graph.users.vocabulary
    cold = items.indices(made.cold_items.read_text().split())
    panel = users.indices(made.panel.read_text().split())
    assert len(cold) == made.counts["cold_items"] == round(0.3 * graph.n_items)
    assert set(split.test.item) & set(cold) <= set(split.cold_items)
    assert not np.isin(split.train.item, cold).any()
    events = graph.interactions
    on_cold = np.isin(events.item, cold)
    assert events.in_split("test")[on_cold].all()
    assert not np.isin(events.user[on_cold], panel).any()
    truth = pq.read_table(made.truth)
    assert len(truth) == len(cold) * len(panel)
    assert set(truth["user"].to_pylist()) == {users[u] for u in panel}
    assert set(truth["item"].to_pylist()) == {items[i] for i in cold}
    liked = np.mean(np.array(truth["answer"].to_pylist()) == "like")
    assert 0.01 < liked < 0.1
    assert set(truth["answer"].to_pylist()) == {"like", "dislike"}


def test_popularity_is_skewed(make: Make) -> None:
    _, graph = make("small")
    degree = np.sort(np.bincount(graph.interactions.item))[::-1]
    assert degree[: len(degree) // 10].sum() > 0.3 * degree.sum()


def ndcg(scores: np.ndarray, truth: np.ndarray, k: int = 10) -> float:
    """Mean NDCG@k over the rows that have anything true."""
    rows = truth.any(axis=1)
    top = np.argsort(-scores[rows], axis=1, kind="stable")[:, :k]
    gain = 1 / np.log2(np.arange(2, k + 2))
    found = (np.take_along_axis(truth[rows], top, 1) * gain).sum(1)
    ideal = np.cumsum(gain)[np.minimum(truth[rows].sum(1), k) - 1]
    return float((found / ideal).mean())


def cold_scores(graph: Graph) -> dict[str, float]:
    """NDCG@10 among the cold items, of a profile of attributes, one of text, and chance."""
    split = make_split(graph)
    cold = split.cold_items
    liked = split.train.matrix(graph.n_users, graph.n_items)
    truth = split.test.matrix(graph.n_users, graph.n_items).toarray()[:, cold].astype(int)
    text = TfidfVectorizer(stop_words="english", sublinear_tf=True).fit_transform(
        graph.items.documents
    )
    out = {"chance": ndcg(np.random.default_rng(0).random(truth.shape), truth)}
    for name, profile in (("graph", item_profile(graph)), ("text", sp.csr_matrix(text))):
        out[name] = ndcg((liked @ profile @ profile[cold].T).toarray(), truth)
    return out


def test_attributes_and_text_tell_of_cold_items(make: Make) -> None:
    _, graph = make("small")
    scores = cold_scores(graph)
    assert scores["graph"] > 2.0 * scores["chance"]
    assert scores["text"] > 1.5 * scores["chance"]


def test_a_random_kg_tells_nothing(make: Make) -> None:
    _, graph = make("small", random_kg=True)
    scores = cold_scores(graph)
    assert scores["graph"] < 1.5 * scores["chance"]
    assert scores["text"] < 1.5 * scores["chance"]


def test_only_attributes_and_text_differ_in_a_random_kg(make: Make) -> None:
    _, one = make("small")
    _, other = make("small", random_kg=True)
    assert np.array_equal(one.interactions.item, other.interactions.item)
    assert one.items.documents != other.items.documents


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second, third = (
        generate_catalog(tmp_path / name, "tiny", seed)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == [
        "catalogue.ttl", "cold_items.txt", "gardeners.ttl", "panel.txt", "ratings.nt", "schema.toml",
        "truth.parquet",
    ]  # fmt: skip
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes(), name
    assert (first.folder / "ratings.nt").read_bytes() != (third.folder / "ratings.nt").read_bytes()


def test_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'small'"):
        generate_catalog(tmp_path / "x", "smal")
    generate_catalog(tmp_path / "x", "tiny")
    with pytest.raises(StateError):
        generate_catalog(tmp_path / "x", "tiny")
    again = generate_catalog(tmp_path / "x", "tiny", 1, replace_existing=True)
    assert again.truth.is_file()


def test_a_config_of_ones_own(tmp_path: Path) -> None:
    config = replace(PlantedConfig(), users=30, items=50, events=300, breeders=3, cold_share=0.5)
    made = generate_catalog(tmp_path / "x", config=config)
    assert made.counts["cold_items"] == 25
