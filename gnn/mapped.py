"""A graph that stays on disk: its features and its edges, mapped, and read only where they are asked.

In memory is what grows with the interactions alone, and the encoder's own vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..kg.files import naming
from ..kg.graph import FloatArray
from .csc import CSC, mapped
from .data import TrainingData
from .inputs import InputSpace
from .propagation import Propagation
from .view import GraphView, relations_of

_ROWS = 65_536  # of a feature are written at a time


@dataclass(frozen=True)
class MappedGraph:
    """What parts of a graph are taken from.

    Attributes:
        outline: node types, mapped features, the whole interactions; attribute relations without edges.
        relations: node type that receives -> key of the relation -> its edges.
    """

    outline: GraphView
    relations: Mapping[str, Mapping[str, CSC]]

    @classmethod
    def build(cls, data: TrainingData, space: InputSpace, folder: Path | None) -> MappedGraph:
        """As `GraphView.build`, with at most one node type's features in memory at a time.

        Args:
            folder: where the files go, which must outlive the graph; None = all stays in memory.
        """
        graph = data.graph
        scored = (graph.user_type, graph.item_type)
        features, relations, edges = {}, {}, {}
        for number, kind in enumerate(k for k in graph.nodes if k in space.profiles):
            rows, blocks = space.of_type(graph, data.text, kind)
            place = None if folder is None else folder / str(number)
            features[kind] = {name: _kept(value, place, name) for name, value in rows.items()}
            found = relations_of(blocks, kind in scored)
            edges[kind] = {
                one.key: _edges(one.matrix, place, f"relation-{count}")
                for count, one in enumerate(found)
            }
            relations[kind] = tuple(
                replace(one, matrix=Propagation.empty(one.matrix.shape)) for one in found
            )
        outline = GraphView(
            graph.user_type,
            graph.item_type,
            {kind: len(graph.nodes[kind]) for kind in features},
            features,
            relations,
            Propagation.from_scipy(data.positives),
            Propagation.from_scipy(data.unliked),
        )
        return cls(outline, edges)

    def to(self, device: torch.device | str) -> MappedGraph:
        """With the interactions on another device; the rest stays where it is."""
        moved = replace(
            self.outline,
            liked=self.outline.liked.to(device),
            unliked=self.outline.unliked.to(device),
        )
        return replace(self, outline=moved)

    @cached_property
    def liked(self) -> CSC:
        """Items by the user who likes them."""
        return CSC.of(self.outline.liked.forward.cpu())

    @cached_property
    def likers(self) -> CSC:
        """Users by the item that they like."""
        return CSC.of(self.outline.liked.backward.cpu())

    @cached_property
    def unliked(self) -> CSC:
        """Items by the user who knows them without liking them."""
        return CSC.of(self.outline.unliked.forward.cpu())


def _kept(rows: FloatArray, folder: Path | None, name: str) -> Tensor:
    """The rows, in memory or mapped from a file of their own."""
    if folder is None or not rows.size:
        return torch.from_numpy(np.array(rows))
    path = folder / f"{name}.f32"
    with naming(path, "write"):
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            for start in range(0, len(rows), _ROWS):
                out.write(np.ascontiguousarray(rows[start : start + _ROWS], np.float32).tobytes())
    return torch.from_numpy(mapped(path, np.dtype(np.float32), rows.shape[1]))


def _edges(matrix: Propagation, folder: Path | None, name: str) -> CSC:
    edges = CSC.of(matrix.forward)
    if folder is None:
        return edges
    edges.save(folder / name)
    return CSC.open(folder / name)
