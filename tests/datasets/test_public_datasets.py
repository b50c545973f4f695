"""Each loader on the real folder: the counts of its README, and the traps it is known for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from coldframe.datasets.registry import DATASETS, load_dataset
from coldframe.datasets.splits import default_protocol, make_split
from coldframe.kg.graph import Graph
from coldframe.kg.tables import graph_from_tables

FOLDERS = {
    "movielens-100k": "ml-100k-kg",
    "movielens-1m": "ml-1m",
    "lastfm-lightkg": "lastfm-lightkg",
    "lastfm-hetrec": "lastfm-hetrec-kg",
    "kgat": "kgat-last-fm-partial",
    "atomic": "ml-100k-kg",
    "retail": "retail-catalog",
}
Load = Callable[..., Graph]


@pytest.fixture(scope="module")
def load(data_folder: Path) -> Load:
    """load(name, folder=..., **options) -> graph; each is read once."""
    seen: dict[str, Graph] = {}

    def read(name: str, folder: str = "", **options: object) -> Graph:
        key = f"{name} {folder} {options}"
        if key not in seen:
            path = data_folder / (folder or FOLDERS[name])
            if not path.is_dir():
                pytest.skip(f"{path} is absent")
            tables, schema = load_dataset(name, path, **options)
            seen[key], report = graph_from_tables(tables, schema)
            assert not report.problems, report.problems[:3]
        return seen[key]

    return read


def edges_of(graph: Graph, *relations: str) -> int:
    return sum(
        len(e) for (_, name, _), e in graph.edges.items() if not relations or name in relations
    )


def test_every_data_set_has_a_folder_here() -> None:
    assert set(FOLDERS) == set(DATASETS)


@pytest.mark.parametrize(
    ("name", "users", "items", "events"),
    [
        ("movielens-100k", 943, 1_682, 100_000),
        ("movielens-1m", 6_040, 3_883, 1_000_196),
        ("lastfm-lightkg", 1_872, 3_846, 21_173),
        ("lastfm-hetrec", 1_872, 3_846, 21_173),
        ("kgat", 23_566, 48_123, 616_336),
        ("atomic", 943, 1_682, 100_000),
        ("retail", 0, 2_465, 0),
    ],
)
def test_counts_are_those_of_the_readme(
    load: Load, name: str, users: int, items: int, events: int
) -> None:
    graph = load(name)
    assert (graph.n_users, graph.n_items, len(graph.interactions)) == (users, items, events)


class TestMovieLens100K:
    def test_kg_is_told_once(self, load: Load) -> None:
        graph = load("movielens-100k")
        freebase = [name for _, name, _ in graph.edges if name.startswith("film.")]
        assert len(set(freebase)) == 14  # of 24: ten are the inverse of another
        assert "film.director.film" not in freebase
        assert edges_of(graph, *freebase) == 72_535  # of 91,631
        movies = graph.items.vocabulary
        linked = {
            movies[i]
            for (source, name, _), edges in graph.edges.items()
            if source == "movie" and name in freebase
            for i in np.unique(edges.index[0])
        }
        assert len(linked) >= 1_590  # 1,598 linked; some only by the end of another's edge
        assert len(graph.nodes["entity"]) == 34_628 - 1_598

    def test_the_public_average_rating_is_no_feature(self, load: Load) -> None:
        movies = load("movielens-100k").items
        assert set(movies.numbers) == {"year"}
        assert set(movies.categories) == {"decade"}

    def test_texts(self, load: Load) -> None:
        movies = load("movielens-100k").items
        assert sum(bool(plot) for plot in movies.texts["plot"]) == 1_674
        placeholder = movies.vocabulary.find("267")
        assert movies.texts["title"][placeholder] == ""
        assert movies.texts["title"][movies.vocabulary.find("1")] == "Toy Story"

    def test_ratings_and_times(self, load: Load) -> None:
        events = load("movielens-100k").interactions
        assert np.isfinite(events.time).all()
        assert set(np.unique(events.rating)) == {1, 2, 3, 4, 5}
        assert (events.label == (events.rating >= 4)).all()


class TestMovieLens1M:
    def test_columns_of_the_split(self, load: Load) -> None:
        events = load("movielens-1m").interactions
        counts = dict(zip(events.split_names, np.bincount(events.split).tolist(), strict=True))
        assert counts == {
            "warm_train": 585_358,
            "warm_test": 65_039,
            "user_cold": 153_740,
            "item_cold": 153_696,
            "user_item_cold": 42_363,
        }

    def test_dbpedia_edges_are_all_there(self, load: Load) -> None:
        graph = load("movielens-1m")
        # 34,941 edges; eight belong to a resource that two movies share, so they stand twice; two
        # pairs of lines name one movie by... the same movie, and count once.
        edges = sum(len(e) for (_, name, _), e in graph.edges.items() if name.startswith("dbo_"))
        assert edges == 34_951
        assert edges_of(graph, "dct_subject") == 39_716  # 39,705 of mapped movies, 11 of them twice
        director = graph.nodes["resource"].vocabulary
        assert "http://dbpedia.org/resource/Mel_Brooks" in director

    def test_encodings_and_names(self, load: Load) -> None:
        graph = load("movielens-1m")
        titles = graph.items.texts["title"]
        assert "La Cité des enfants perdus" in " ".join(titles) or "é" in " ".join(titles)
        assert "�" not in " ".join(graph.items.documents)
        people = set(graph.nodes["person"].titles)
        assert {"Doris Dörrie", "Joss Whedon"} <= people
        assert not any("(" in name or name == "N/A" for name in people)
        assert sum(len(plot) > 20 for plot in graph.items.texts["plot"]) == 3_845

    def test_users_are_described_in_words(self, load: Load) -> None:
        users = load("movielens-1m").users
        assert set(users.categories["gender"].names) == {"F", "M"}
        assert "56+" in users.categories["age"].names
        assert "K-12 student" in users.categories["occupation"].names

    def test_the_column_split_is_proved(self, load: Load) -> None:
        graph = load("movielens-1m")
        split = make_split(graph, "cold-split-column")
        assert len(split.cold_users) == 1_208
        assert len(split.cold_items) > 600
        assert not np.isin(split.train.item, split.cold_items).any()

    def test_freebase_is_an_option(self, load: Load) -> None:
        graph = load("movielens-1m", freebase=True)
        edges = sum(len(e) for (_, name, _), e in graph.edges.items() if "freebase_" in name)
        assert edges == 20_195  # of 20,782: 587 are about films that no movie is linked to


class TestLastFM:
    def test_the_fixed_split_is_as_published(self, load: Load) -> None:
        graph = load("lastfm-lightkg")
        assert default_protocol(graph) == "fixed"
        split = make_split(graph)
        assert (len(split.train), len(split.valid), len(split.test)) == (17_350, 1_907, 1_916)
        assert int((~np.isin(split.test.item, split.train.item)).sum()) == 206

    def test_kg(self, load: Load) -> None:
        graph = load("lastfm-lightkg")
        assert len(graph.nodes["entity"]) == 9_366 - 3_846
        assert edges_of(graph) == 15_495  # of 15,518: 23 were told in both directions

    def test_names_can_be_borrowed(self, load: Load, data_folder: Path) -> None:
        graph = load("lastfm-lightkg", names=str(data_folder / FOLDERS["lastfm-hetrec"]))
        assert sum(bool(name) for name in graph.items.texts["name"]) == 3_182

    def test_hetrec_names_and_all_artists(self, load: Load) -> None:
        linked, everything = load("lastfm-hetrec"), load("lastfm-hetrec", artists="all")
        assert sum(bool(name) for name in linked.items.texts["name"]) == 3_182
        counts = (everything.n_users, everything.n_items, len(everything.interactions))
        assert counts == (1_892, 17_632, 92_834)

    def test_both_sources_agree(self, load: Load) -> None:
        fixed, raw = load("lastfm-lightkg"), load("lastfm-hetrec")
        assert set(fixed.items.vocabulary) == set(raw.items.vocabulary)
        pairs = [
            {
                (graph.users.vocabulary[u], graph.items.vocabulary[i])
                for u, i in zip(graph.interactions.user, graph.interactions.item, strict=True)
            }
            for graph in (fixed, raw)
        ]
        assert pairs[0] == pairs[1]


class TestGeneralFormats:
    def test_kgat(self, load: Load) -> None:
        graph = load("kgat")
        assert len(graph.nodes["entity"]) + graph.n_items == 106_389
        assert edges_of(graph) == 461_184  # of 464,567: single.versions is told both ways
        assert len({name for _, name, _ in graph.edges}) == 9 - 1
        assert "http://rdf.freebase.com/ns/m.0zq1hb" in graph.nodes["entity"].vocabulary
        assert graph.items.vocabulary.find("152949") >= 0

    def test_atomic_equals_the_named_loader(self, load: Load) -> None:
        general, named = load("atomic"), load("movielens-100k")
        assert (general.interactions.label == 1).sum() == (named.interactions.label == 1).sum()
        films = [name for _, name, _ in general.edges if name.startswith("film.")]
        assert edges_of(general, *films) == 72_535

    def test_atomic_reads_benchmark_files(self, load: Load) -> None:
        graph = load("atomic", folder="lastfm-lightkg")
        split = make_split(graph)
        assert (split.name, len(split.train), len(split.test)) == ("fixed", 17_350, 1_916)
        assert edges_of(graph) == 15_495


def test_retail(load: Load) -> None:
    graph = load("retail")
    assert len(graph.nodes["style"]) == 84
    assert len(graph.nodes["category"]) == 20
    assert all(graph.items.texts["description"])
    assert np.isfinite(graph.items.numbers["price"]).all()
    assert int((graph.items.categories["gender_affinity"].codes >= 0).sum()) == 749
