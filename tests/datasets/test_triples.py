"""The catalogue for benchmarks: as many triples as asked for, the same graph from each format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyoxigraph as ox
import pytest

from coldframe.datasets.triples import FORMATS, generate_triples, triples_schema
from coldframe.kg.errors import UsageError
from coldframe.kg.graph import Graph
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.reader import read_quads
from coldframe.kg.tables import graph_from_tables


def graph_of(path: Path) -> Graph:
    schema = triples_schema()
    if path.suffix == ".parquet":
        return graph_from_tables({"items": path}, schema)[0]
    return graph_from_quads(read_quads(path), schema)[0]


@pytest.mark.parametrize("format", ["nt", "ttl"])
def test_so_many_distinct_triples(tmp_path: Path, format: str) -> None:
    made = generate_triples(tmp_path / f"x.{format}", 5_009)
    assert made.triples == 5_000
    assert len(set(ox.parse(path=str(made.path)))) == 5_000


def test_the_same_graph_from_each_format(tmp_path: Path) -> None:
    graphs = [graph_of(generate_triples(tmp_path / f"x.{kind}", 4_000).path) for kind in FORMATS]
    for other in graphs[1:]:
        assert set(other.edges) == set(graphs[0].edges)
        assert {k: len(v) for k, v in other.nodes.items()} == {
            k: len(v) for k, v in graphs[0].nodes.items()
        }
        assert other.items.vocabulary == graphs[0].items.vocabulary
        assert other.items.documents == graphs[0].items.documents
        for key, edges in other.edges.items():
            assert np.array_equal(edges.index, graphs[0].edges[key].index), key
        for name, numbers in other.items.numbers.items():
            np.testing.assert_array_equal(numbers, graphs[0].items.numbers[name])


def test_same_seed_same_bytes_and_chunks_join(tmp_path: Path) -> None:
    a = generate_triples(tmp_path / "a.nt", 600_000, 1).path.read_bytes()
    b = generate_triples(tmp_path / "b.nt", 600_000, 1).path.read_bytes()
    c = generate_triples(tmp_path / "c.nt", 600_000, 2).path.read_bytes()
    assert a == b != c
    assert a.count(b"\n") == 600_000


@pytest.mark.parametrize(("name", "n"), [("x.csv", 100), ("x.nt", 9)])
def test_wrong_use(tmp_path: Path, name: str, n: int) -> None:
    with pytest.raises(UsageError):
        generate_triples(tmp_path / name, n)
    assert not list(tmp_path.iterdir())
