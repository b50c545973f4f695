"""Neighbour sampling: true neighbours only, no repeats, uniform, the same from memory and disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from coldframe.gnn.sampler import CSC, NeighbourSampler
from coldframe.kg.errors import IntegrityError, UsageError


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random_graph(n: int = 50, edges: int = 400, seed: int = 0) -> tuple[CSC, set[tuple[int, int]]]:
    pairs = np.unique(np.random.default_rng(seed).integers(0, n, (edges, 2)), axis=0)
    return CSC.from_edges(pairs.T, (n, n)), set(map(tuple, pairs.tolist()))


@pytest.mark.parametrize("fanout", [0, 1, 3, 100, -1])
def test_samples_are_true_distinct_neighbours_in_the_right_number(fanout: int) -> None:
    graph, pairs = random_graph()
    nodes = torch.randperm(50, generator=generator())[:30]
    found, owner = graph.sample(nodes, fanout, generator())
    got = list(zip(found.tolist(), nodes[owner].tolist(), strict=True))
    assert set(got) <= pairs
    assert len(set(got)) == len(got)
    degree = np.diff(graph.pointers)[nodes.numpy()]
    expected = degree if fanout < 0 else np.minimum(degree, fanout)
    np.testing.assert_array_equal(np.bincount(owner.numpy(), minlength=30), expected)


def test_every_neighbour_is_equally_likely() -> None:
    index = np.stack([np.arange(10), np.zeros(10, np.int64)])
    graph = CSC.from_edges(index, (10, 10))
    rng, counts = generator(), np.zeros(10)
    for _ in range(3000):
        counts[graph.sample(torch.tensor([0]), 3, rng)[0].numpy()] += 1
    assert np.abs(counts / 900 - 1).max() < 0.12  # four standard deviations


def test_full_fanout_equals_the_neighbourhood_by_search() -> None:
    graph, pairs = random_graph(edges=120)
    seeds = torch.tensor([4, 7, 11])
    sampled = NeighbourSampler(graph, [-1, -1]).sample(seeds, generator())
    hop = {s for s, t in pairs if t in (4, 7, 11)}
    reached = {4, 7, 11} | hop
    expected = {(s, t) for s, t in pairs if t in reached}
    assert sampled.nodes[:3].tolist() == [4, 7, 11]
    assert sampled.batch_size == 3
    nodes = sampled.nodes.tolist()
    assert len(set(nodes)) == len(nodes)
    assert set(nodes) == reached | {s for s, _ in expected}
    edges = [(nodes[s], nodes[t]) for s, t in sampled.edge_index.T.tolist()]
    assert set(edges) == expected
    assert len(edges) == len(expected)


def test_batches_cover_every_seed_once_and_repeat_with_the_seed() -> None:
    sampler = NeighbourSampler(random_graph()[0], [5, 2], batch_size=7)
    one = list(sampler.batches(torch.arange(20), generator()))
    two = list(sampler.batches(torch.arange(20), generator()))
    assert sorted(torch.cat([b.nodes[: b.batch_size] for b in one]).tolist()) == list(range(20))
    assert all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(one, two, strict=True))


def test_mapped_from_disk_it_samples_the_same(tmp_path: Path) -> None:
    graph, _ = random_graph()
    graph.save(tmp_path / "csc")
    mapped = CSC.open(tmp_path / "csc")
    assert isinstance(mapped.neighbours, np.memmap)
    seeds = torch.tensor([1, 2, 3])
    one, two = (NeighbourSampler(g, [4, 4]).sample(seeds, generator()) for g in (graph, mapped))
    assert torch.equal(one.nodes, two.nodes)
    assert torch.equal(one.edge_index, two.edge_index)


def test_damaged_files_and_wrong_settings_are_named(tmp_path: Path) -> None:
    graph, _ = random_graph()
    graph.save(tmp_path / "csc")
    part = tmp_path / "csc" / "neighbours.i32"
    part.write_bytes(part.read_bytes()[:-4])
    with pytest.raises(IntegrityError, match="fit"):
        CSC.open(tmp_path / "csc")
    with pytest.raises(UsageError, match="sources"):
        NeighbourSampler(CSC.from_edges(np.zeros((2, 0), np.int64), (3, 4)), [1])
    with pytest.raises(UsageError, match="fanouts"):
        NeighbourSampler(graph, [-2])


def test_a_graph_without_edges() -> None:
    graph = CSC.from_edges(np.zeros((2, 0), np.int64), (3, 3))
    sampled = NeighbourSampler(graph, [3, -1]).sample(torch.tensor([2]), generator())
    assert sampled.nodes.tolist() == [2]
    assert sampled.edge_index.shape == (2, 0)
