"""Neighbours by receiving node, in memory or mapped from disk: what neighbour sampling reads.

Uniform sampling as in GraphSAGE (Hamilton et al. 2017, section 3.1), in pure torch: PyG's own samplers
need pyg-lib, which is not on the package index.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..kg.errors import IntegrityError
from ..kg.files import atomic_folder, atomic_write, read_json, write_json

_FILES = {"pointers": np.int64, "neighbours": np.int32, "weights": np.float32}
_SHAPE = "shape.json"


@dataclass(frozen=True)
class CSC:
    """A sparse matrix by receiving node: compressed columns of (sources, receivers).

    Attributes:
        pointers: int64 (n + 1,). neighbours: int32 (edges,), those of node v at
            pointers[v] .. pointers[v + 1] - 1, sorted. weights: float32 (edges,). All may be memory maps.
        sources: number of nodes messages come from.
    """

    pointers: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    sources: int

    @classmethod
    def of(cls, matrix: Tensor) -> CSC:
        """Of a sparse CSR tensor of shape (receivers, sources); nothing is copied that fits."""
        return cls(
            matrix.crow_indices().numpy().astype(np.int64),
            matrix.col_indices().numpy().astype(np.int32, copy=False),
            matrix.values().numpy(),
            int(matrix.shape[1]),
        )

    def save(self, folder: Path) -> None:
        """Write the folder, all or nothing."""
        with atomic_folder(folder, replace=True) as temporary:
            for name in _FILES:
                atomic_write(temporary / name, np.ascontiguousarray(getattr(self, name)).tobytes())
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
        pointers, neighbours, weights = (
            mapped(folder / name, np.dtype(kind)) for name, kind in _FILES.items()
        )
        edges = {int(pointers[-1]) if len(pointers) else 0, len(neighbours), len(weights)}
        if len(pointers) != nodes + 1 or len(edges) != 1:
            raise IntegrityError("its files do not fit each other", where=str(folder))
        return cls(pointers, neighbours, weights, sources)

    def __len__(self) -> int:
        return len(self.pointers) - 1

    def sample(
        self, nodes: Tensor, fanout: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Up to `fanout` neighbours of each node, without repetition.

        A neighbour drawn of a node's `degree` weighs degree / fanout times as much, so that the
        expected sum of the messages is that over all neighbours.

        Args:
            nodes: int64 (k,).
            fanout: -1 = all neighbours.

        Returns:
            Of each sampled edge: neighbour and the position in `nodes` of its receiver, int64 (e,), and
            its weight, float32 (e,).
        """
        rows = nodes.numpy()
        start = torch.from_numpy(np.asarray(self.pointers[rows]))
        degree = torch.from_numpy(np.asarray(self.pointers[rows + 1])) - start
        if fanout >= 0:
            few = degree <= fanout
            picked_few, owner_few = entries_of(start, torch.where(few, degree, 0))
            picked, owner = _some_of(start, torch.where(few, 0, degree), fanout, generator)
            place, owner = torch.cat([picked_few, picked]), torch.cat([owner_few, owner])
        else:
            place, owner = entries_of(start, degree)
        found = torch.from_numpy(self.neighbours[place.numpy()].astype(np.int64))
        weight = torch.from_numpy(np.asarray(self.weights[place.numpy()]))
        if fanout > 0:
            weight = weight * (degree[owner] / fanout).clamp(min=1.0)
        return found, owner, weight


def mapped(path: Path, kind: np.dtype[Any], width: int | None = None) -> npt.NDArray[Any]:
    """A file of numbers as a memory map, (n,) or (n, width); written to, it changes no file.

    Raises:
        IntegrityError: it is missing, or not of whole rows.
    """
    row = kind.itemsize * (width or 1)
    if not path.is_file() or path.stat().st_size % row:
        raise IntegrityError("missing or cut short", where=str(path))
    shape = (path.stat().st_size // row,) if width is None else (path.stat().st_size // row, width)
    if not path.stat().st_size:
        return np.zeros(shape, kind)
    return np.memmap(path, kind, "c", shape=shape)


def entries_of(start: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The entries of compressed rows: each one's place, start[k] .. start[k] + count[k] - 1, and its k."""
    owner = torch.arange(len(start), device=start.device).repeat_interleave(count)
    first = (count.cumsum(0) - count).repeat_interleave(count)
    return start[owner] + torch.arange(len(owner), device=start.device) - first, owner


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
