"""Neighbour sampling for graphs beyond memory: CSC on disk, mapped, and read only where it is asked.

Follows the conventions of PyG's loaders (seeds first among the sampled nodes, edges pointing from
neighbour to seed, hop by hop) without pyg-lib. Uniform sampling as in GraphSAGE (Hamilton et al. 2017,
section 3.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..kg.errors import IntegrityError, UsageError
from ..kg.files import atomic_folder, atomic_write, read_json, write_json
from ..kg.vocabulary import IntArray

_POINTERS, _NEIGHBOURS, _SHAPE = "pointers.i64", "neighbours.i32", "shape.json"


@dataclass(frozen=True)
class CSC:
    """Neighbours by receiving node.

    Attributes:
        pointers: int64 (n + 1,). neighbours: int32 (edges,), those of node v at
            pointers[v] .. pointers[v + 1] - 1, sorted. Both may be memory maps.
        sources: number of nodes messages come from.
    """

    pointers: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int32]
    sources: int

    @classmethod
    def from_edges(cls, index: IntArray, shape: tuple[int, int]) -> CSC:
        """From int64 (2, edges) sources and targets and (sources, targets). O(edges log edges)."""
        order = np.lexsort((index[0], index[1]))
        pointers = np.zeros(shape[1] + 1, np.int64)
        np.cumsum(np.bincount(index[1], minlength=shape[1]), out=pointers[1:])
        return cls(pointers, index[0][order].astype(np.int32), shape[0])

    def save(self, folder: Path) -> None:
        """Write the folder, all or nothing."""
        with atomic_folder(folder, replace=True) as temporary:
            for name, values in ((_POINTERS, self.pointers), (_NEIGHBOURS, self.neighbours)):
                atomic_write(temporary / name, np.ascontiguousarray(values).tobytes())
            write_json(temporary / _SHAPE, {"nodes": len(self), "sources": self.sources})

    @classmethod
    def open(cls, folder: Path) -> CSC:
        """Map a saved folder; nothing is read before it is asked for.

        Raises:
            IntegrityError: the sizes of the files do not fit each other.
        """
        shape = read_json(folder / _SHAPE)
        try:
            nodes, sources = int(shape["nodes"]), int(shape["sources"])
        except (KeyError, TypeError, ValueError) as error:
            raise IntegrityError(f"no shape: {error!r}", where=str(folder / _SHAPE)) from None
        pointers = _mapped(folder / _POINTERS, np.dtype(np.int64))
        neighbours = _mapped(folder / _NEIGHBOURS, np.dtype(np.int32))
        if len(pointers) != nodes + 1 or int(pointers[-1]) != len(neighbours):
            raise IntegrityError("its files do not fit each other", where=str(folder))
        return cls(pointers, neighbours, sources)

    def __len__(self) -> int:
        return len(self.pointers) - 1

    def sample(
        self, nodes: Tensor, fanout: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Up to `fanout` neighbours of each node, without repetition.

        Args:
            nodes: int64 (k,).
            fanout: -1 = all neighbours.

        Returns:
            neighbour of each sampled edge, and the position in `nodes` of its receiver: int64 (e,).
        """
        rows = nodes.numpy()
        start = torch.from_numpy(np.asarray(self.pointers[rows]))
        degree = torch.from_numpy(np.asarray(self.pointers[rows + 1])) - start
        if fanout >= 0:
            few = degree <= fanout
            picked_few, owner_few = _all_of(start, torch.where(few, degree, 0))
            picked, owner = _some_of(start, torch.where(few, 0, degree), fanout, generator)
            place, owner = torch.cat([picked_few, picked]), torch.cat([owner_few, owner])
        else:
            place, owner = _all_of(start, degree)
        found = np.asarray(self.neighbours[place.numpy()], np.int64)
        return torch.from_numpy(found), owner


@dataclass(frozen=True)
class Sampled:
    """A sampled neighbourhood of one node type with itself, PyG's conventions.

    Attributes:
        nodes: int64 (n,), global indices, the seeds first, without repetition.
        edge_index: int64 (2, e), positions in `nodes`: from neighbour to receiver.
        batch_size: number of seeds.
    """

    nodes: Tensor
    edge_index: Tensor
    batch_size: int


class NeighbourSampler:
    """Batches of seeds with their sampled neighbourhoods.

    Args:
        graph: square CSC.
        fanouts: neighbours per node in each hop, -1 = all.
        batch_size: seeds per batch.
    """

    def __init__(self, graph: CSC, fanouts: Sequence[int], batch_size: int = 1024) -> None:
        if graph.sources != len(graph):
            raise UsageError(f"the graph has {graph.sources} sources and {len(graph)} targets")
        if batch_size < 1 or any(fanout < -1 for fanout in fanouts):
            raise UsageError("batch_size must be positive, fanouts at least -1", where="sampler")
        self.graph, self.fanouts, self.batch_size = graph, tuple(fanouts), batch_size

    def sample(self, seeds: Tensor, generator: torch.Generator) -> Sampled:
        """The neighbourhood of distinct seeds. Cost: O(nodes and edges sampled), not graph size."""
        nodes, frontier, offset = seeds, seeds, 0
        edges: list[Tensor] = []
        for fanout in self.fanouts:
            neighbour, owner = self.graph.sample(frontier, fanout, generator)
            new = _not_in(torch.unique(neighbour), nodes)
            nodes = torch.cat([nodes, new])
            edges.append(torch.stack([_place(neighbour, nodes), owner + offset]))
            offset, frontier = len(nodes) - len(new), new
        index = torch.cat(edges, 1) if edges else torch.zeros(2, 0, dtype=torch.int64)
        return Sampled(nodes, index, len(seeds))

    def batches(self, seeds: Tensor, generator: torch.Generator) -> Iterator[Sampled]:
        """All seeds once, in a random order."""
        order = torch.randperm(len(seeds), generator=generator)
        for rows in torch.split(order, self.batch_size):
            yield self.sample(seeds[rows], generator)


def _all_of(start: Tensor, degree: Tensor) -> tuple[Tensor, Tensor]:
    owner = torch.arange(len(start)).repeat_interleave(degree)
    first = (degree.cumsum(0) - degree).repeat_interleave(degree)
    return start[owner] + torch.arange(len(owner)) - first, owner


def _some_of(
    start: Tensor, degree: Tensor, fanout: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """`fanout` distinct places per row with degree > fanout: Floyd's algorithm, all rows at once.

    Round j draws from the first degree - fanout + j + 1 places; a repeat takes the newest place, which
    cannot have been taken. O(rows fanout^2), whatever the degree.
    """
    rows = torch.nonzero(degree > 0).squeeze(1)
    taken = torch.full((len(rows), fanout), -1)
    for j in range(fanout):
        newest = degree[rows] - fanout + j
        draw = (
            torch.rand(len(rows), generator=generator, dtype=torch.float64) * (newest + 1)
        ).long()
        draw = draw.minimum(newest)
        repeat = (taken[:, :j] == draw.unsqueeze(1)).any(1)
        taken[:, j] = torch.where(repeat, newest, draw)
    place = start[rows].unsqueeze(1) + taken.sort(1).values
    return place.flatten(), rows.repeat_interleave(fanout)


def _not_in(values: Tensor, known: Tensor) -> Tensor:
    return values[~torch.isin(values, known)]


def _place(values: Tensor, nodes: Tensor) -> Tensor:
    """Position of each value in `nodes`, which hold each once."""
    ordered, order = nodes.sort()
    return order[torch.searchsorted(ordered, values)]


def _mapped(path: Path, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    if not path.is_file() or path.stat().st_size % kind.itemsize:
        raise IntegrityError("missing or cut short", where=str(path))
    if not path.stat().st_size:
        return np.zeros(0, kind)
    return np.memmap(path, kind, "r")
