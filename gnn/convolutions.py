"""One layer of propagation over attribute relations: our sparse one, and PyG's under the same call.

A layer takes the vectors of every node type and gives those of the types that receive messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from .view import GraphView, Relation, slot

State = dict[str, Tensor]
Masks = Mapping[str, Mapping[str, Tensor]]


class Layer(nn.Module):
    """Base: which relations count.

    Args:
        view: names the node types and their relations.
        d: width of all vectors.
        last: only users and items are wanted afterwards, so nothing else is computed.
    """

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        super().__init__()
        self.d = d
        scored = (view.user_type, view.item_type)
        self.kinds = tuple(
            kind for kind, some in view.relations.items() if some and (kind in scored or not last)
        )

    def relations(
        self, view: GraphView, state: State, masks: Masks
    ) -> list[tuple[str, Relation, Tensor | None]]:
        """(receiving type, relation, mask of its edges or None) for every message to send."""
        return [
            (kind, relation, masks.get(kind, {}).get(relation.key))
            for kind in self.kinds
            for relation in view.relations[kind]
            if relation.source in state
        ]


class SparseLayer(Layer):
    """h_t = sum over relations r into t of w_r * (A_r h_source), w_r a learned vector of width d.

    A diagonal DistMult-like weight (Vashishth et al. 2020, CompGCN, section 4.1, with multiplication)
    on fixed tf-idf edge weights. O(edges d).
    """

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        super().__init__(view, d, last=last)
        keys = [one.key for kind in self.kinds for one in view.relations[kind]]
        self.weights = nn.ParameterDict({key: torch.full((d,), 2.0) for key in keys})

    def forward(self, state: State, view: GraphView, masks: Masks) -> State:
        """Messages of one layer; shapes (n, d) per node type."""
        out: State = {}
        for kind, relation, mask in self.relations(view, state, masks):
            matrix = relation.matrix
            if mask is not None:
                matrix = matrix.with_values(matrix.forward.values() * mask)
            message = (matrix @ state[relation.source]) * self.weights[relation.key]
            out[kind] = out[kind] + message if kind in out else message
        return out


class SageLayer(Layer):
    """PyG HeteroConv of SAGEConv with mean aggregation (Hamilton et al. 2017)."""

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        from torch_geometric.nn import HeteroConv, SAGEConv

        super().__init__(view, d, last=last)
        types = [_edge_type(one, kind) for kind in self.kinds for one in view.relations[kind]]
        self.convolution = HeteroConv({kind: SAGEConv((d, d), d) for kind in types}, aggr="sum")

    def forward(self, state: State, view: GraphView, masks: Masks) -> State:
        """Messages of one layer; shapes (n, d) per node type."""
        edges = {
            _edge_type(one, kind): _edge_index(one, mask)
            for kind, one, mask in self.relations(view, state, masks)
        }
        out = self.convolution(_slots(state), edges)
        return {kind: out[slot(kind)] for kind in self.kinds if slot(kind) in out}


class HGTLayer(Layer):
    """PyG HGTConv, heterogeneous graph transformer (Hu et al. 2020)."""

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        from torch_geometric.nn import HGTConv

        super().__init__(view, d, last=last)
        types = [_edge_type(one, kind) for kind in self.kinds for one in view.relations[kind]]
        heads = next(heads for heads in (4, 2, 1) if d % heads == 0)
        self.convolution = HGTConv(d, d, ([slot(kind) for kind in view.counts], types), heads)

    def forward(self, state: State, view: GraphView, masks: Masks) -> State:
        """Messages of one layer; shapes (n, d) per node type."""
        edges = {
            _edge_type(one, kind): _edge_index(one, mask)
            for kind, one, mask in self.relations(view, state, masks)
        }
        out = self.convolution(_slots(state), edges)
        return {kind: out[slot(kind)] for kind in self.kinds if out.get(slot(kind)) is not None}


class RGCNLayer(Layer):
    """PyG RGCNConv with four bases over all nodes in one numbering (Schlichtkrull et al. 2018)."""

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        from torch_geometric.nn import RGCNConv

        super().__init__(view, d, last=last)
        keys = [one.key for kind in self.kinds for one in view.relations[kind]]
        self.numbers = {key: number for number, key in enumerate(keys)}
        self.convolution = RGCNConv(d, d, max(len(keys), 1), num_bases=min(4, max(len(keys), 1)))

    def forward(self, state: State, view: GraphView, masks: Masks) -> State:
        """Messages of one layer; shapes (n, d) per node type."""
        starts, end = {}, 0
        for kind, rows in state.items():
            starts[kind], end = end, end + len(rows)
        indices, types = [], []
        for kind, one, mask in self.relations(view, state, masks):
            index = _edge_index(one, mask)
            shift = torch.tensor([[starts[one.source]], [starts[kind]]], device=index.device)
            indices.append(index + shift)
            types.append(torch.full_like(index[0], self.numbers[one.key]))
        if not indices:
            return {}
        whole = self.convolution(
            torch.cat(list(state.values())), torch.cat(indices, 1), torch.cat(types)
        )
        return {
            kind: whole[starts[kind] : starts[kind] + len(state[kind])]
            for kind in self.kinds
            if kind in state
        }


CONVOLUTIONS: dict[str, Callable[..., Layer]] = {
    "hgt": HGTLayer,
    "rgcn": RGCNLayer,
    "sage": SageLayer,
    "sparse": SparseLayer,
}


def make_layer(name: str, view: GraphView, d: int, *, last: bool) -> Layer:
    """A layer by its name in `CONVOLUTIONS`."""
    return CONVOLUTIONS[name](view, d, last=last)


def _edge_type(relation: Relation, kind: str) -> tuple[str, str, str]:
    return slot(relation.source), relation.key, slot(kind)


def _slots(state: State) -> State:
    return {slot(kind): rows for kind, rows in state.items()}


def _edge_index(relation: Relation, mask: Tensor | None) -> Tensor:
    """int64 (2, edges that pass): source, receiver."""
    return relation.edge_index if mask is None else relation.edge_index[:, mask > 0]
