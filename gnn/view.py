"""A graph as the tensors an encoder reads: inputs, attribute relations and training interactions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from .data import TrainingData
from .inputs import InputSpace
from .profiles import BlockName, is_relation
from .propagation import Propagation


@dataclass(frozen=True)
class Relation:
    """One attribute relation in one direction.

    Attributes:
        name: of its profile block: source, relation and target types, and "out" or "in".
        source: node type the messages come from.
        matrix: tf-idf weights, shape (nodes that receive, nodes of `source`).
    """

    name: BlockName
    source: str
    matrix: Propagation

    @property
    def key(self) -> str:
        """A name that may stand in a parameter's name: no dots."""
        return "/".join(self.name).replace(".", "%2E")

    @cached_property
    def edge_index(self) -> Tensor:
        """int64 (2, edges): source and receiver, in the order of the matrix; what PyG reads."""
        counts = self.matrix.forward.crow_indices().diff()
        receivers = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        return torch.stack([self.matrix.forward.col_indices().long(), receivers])


@dataclass(frozen=True)
class GraphView:
    """Everything the encoder reads of one graph, on one device.

    Attributes:
        user_type, item_type: which node types are scored.
        counts: node type -> number of nodes.
        features: node type -> "text" | "profile" | "numbers" -> float32 (n, width).
        relations: node type that receives -> its attribute relations.
        liked, unliked: binary (n_users, n_items) training interactions, positive and other ones.
        rows: where this is a part of a larger graph, node type -> int64 (n,), the numbers that its nodes
            have there, ascending; empty = the whole graph.
    """

    user_type: str
    item_type: str
    counts: Mapping[str, int]
    features: Mapping[str, Mapping[str, Tensor]]
    relations: Mapping[str, tuple[Relation, ...]]
    liked: Propagation
    unliked: Propagation
    rows: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def outline(self) -> GraphView:
        """Itself; of a graph that is read in parts, its node types, features and interactions."""
        return self

    @classmethod
    def build(cls, data: TrainingData, space: InputSpace) -> GraphView:
        """Tensors of a graph that `space` was fitted on, or of that graph grown since."""
        graph = data.graph
        inputs = space.transform(graph, data.text)
        scored = (graph.user_type, graph.item_type)
        return cls(
            graph.user_type,
            graph.item_type,
            {kind: len(graph.nodes[kind]) for kind in inputs.features},
            {
                kind: {name: torch.from_numpy(np.array(rows)) for name, rows in blocks.items()}
                for kind, blocks in inputs.features.items()
            },
            {kind: relations_of(blocks, kind in scored) for kind, blocks in inputs.blocks.items()},
            Propagation.from_scipy(data.positives),
            Propagation.from_scipy(data.unliked),
        )

    def to(self, device: torch.device | str) -> GraphView:
        """On another device."""
        return replace(
            self,
            features={
                kind: {name: rows.to(device) for name, rows in blocks.items()}
                for kind, blocks in self.features.items()
            },
            relations={
                kind: tuple(replace(one, matrix=one.matrix.to(device)) for one in relations)
                for kind, relations in self.relations.items()
            },
            liked=self.liked.to(device),
            unliked=self.unliked.to(device),
            rows={kind: rows.to(device) for kind, rows in self.rows.items()},
        )

    def of_users(self, users: Tensor) -> tuple[GraphView, Tensor, Tensor]:
        """All but the other users, for an encoder in which nothing hears a user.

        Returns:
            The part, in which user k is users[k], and the places of its entries in `liked` and `unliked`.
        """
        kind = self.user_type
        liked, liked_places = self.liked.of_rows(users)
        unliked, unliked_places = self.unliked.of_rows(users)
        own = (
            replace(one, matrix=one.matrix.of_rows(users)[0])
            for one in self.relations.get(kind, ())
        )
        part = replace(
            self,
            counts={**self.counts, kind: len(users)},
            features={
                **self.features,
                kind: {name: rows[users] for name, rows in self.features[kind].items()},
            },
            relations={**self.relations, kind: tuple(own)},
            liked=liked,
            unliked=unliked,
            rows={kind: users},
        )
        return part, liked_places, unliked_places

    def of_nodes(self, kind: str, values: Tensor) -> Tensor:
        """Those of `values`, one per node of the whole graph, that belong to this part's nodes."""
        rows = self.rows.get(kind)
        return values if rows is None else values.index_select(0, rows)


def slot(kind: str) -> str:
    """A node type as a key of torch's containers, which take no dots and no names of their own."""
    return "of:" + kind.replace(".", "%2E")


def widths(view: GraphView) -> dict[str, dict[str, int]]:
    """node type -> feature block -> columns."""
    return {
        kind: {name: int(rows.shape[1]) for name, rows in blocks.items()}
        for kind, blocks in view.features.items()
    }


def relations_of(blocks: Mapping[BlockName, sp.csr_matrix], scored: bool) -> tuple[Relation, ...]:
    """The relations by which a node type receives, of its blocks; `scored`: of users or items."""
    return tuple(
        Relation(name, _source(name), _weights(block, scored))
        for name, block in blocks.items()
        if is_relation(name)
    )


def _source(name: BlockName) -> str:
    return name[2] if name[3] == "out" else name[0]


def _weights(block: sp.csr_matrix, scored: bool) -> Propagation:
    """tf-idf weights; the mean for attributes, whose degrees range from one to all items."""
    matrix = Propagation.from_scipy(block)
    return matrix if scored else matrix.averaged()
