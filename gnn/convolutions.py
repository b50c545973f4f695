"""One layer of propagation over attribute relations: our sparse one, PyG's, or your own (`hetero_layer`).

A layer takes the vectors of every node type and gives those of the types that receive messages.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .view import GraphView, Relation, slot

State = dict[str, Tensor]
Masks = Mapping[str, Mapping[str, Tensor]]
EdgeType = tuple[str, str, str]


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

    def edge_types(self, view: GraphView) -> list[EdgeType]:
        """PyG's names of all relations that send messages."""
        return [_edge_type(one, kind) for kind in self.kinds for one in view.relations[kind]]

    def edges(self, view: GraphView, state: State, masks: Masks) -> dict[EdgeType, Tensor]:
        """`edge_index` by PyG's names, int64 (2, edges that pass): source, receiver."""
        return {
            _edge_type(one, kind): _edge_index(one, mask)
            for kind, one, mask in self.relations(view, state, masks)
        }

    def received(self, out: Mapping[str, Tensor | None]) -> State:
        """The vectors of the types that received messages, by our names."""
        return {kind: rows for kind in self.kinds if (rows := out.get(slot(kind))) is not None}


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


def hetero_layer(make: Callable[[int], nn.Module]) -> Callable[..., Layer]:
    """A layer of PyG's HeteroConv, to be put into `CONVOLUTIONS` under a name of its own.

        CONVOLUTIONS["gat"] = hetero_layer(lambda d: GATConv((d, d), d, add_self_loops=False))

    Args:
        make: gives the convolution of one relation for vectors of width d, called with
            ((sources (n, d), receivers (m, d)), edge_index) for (m, d). Messages of several relations
            are summed. A saved model is loaded where the same name stands for the same convolution.
    """

    class HeteroLayer(Layer):
        def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
            from torch_geometric.nn import HeteroConv

            super().__init__(view, d, last=last)
            made = {kind: make(d) for kind in self.edge_types(view)}
            with warnings.catch_warnings():  # of types that nothing points to, which we leave out
                warnings.filterwarnings("ignore", "There exist node types", UserWarning)
                self.convolution = HeteroConv(made, aggr="sum")

        def forward(self, state: State, view: GraphView, masks: Masks) -> State:
            """Messages of one layer; shapes (n, d) per node type."""
            return self.received(self.convolution(_slots(state), self.edges(view, state, masks)))

    return HeteroLayer


def _sage(d: int) -> Any:
    """Mean aggregation (Hamilton et al. 2017)."""
    from torch_geometric.nn import SAGEConv

    return SAGEConv((d, d), d)


class HGTLayer(Layer):
    """PyG HGTConv, heterogeneous graph transformer (Hu et al. 2020)."""

    def __init__(self, view: GraphView, d: int, *, last: bool) -> None:
        from torch_geometric.nn import HGTConv

        super().__init__(view, d, last=last)
        heads = next(heads for heads in (4, 2, 1) if d % heads == 0)
        nodes = [slot(kind) for kind in view.counts]
        self.convolution = HGTConv(d, d, (nodes, self.edge_types(view)), heads)

    def forward(self, state: State, view: GraphView, masks: Masks) -> State:
        """Messages of one layer; shapes (n, d) per node type."""
        return self.received(self.convolution(_slots(state), self.edges(view, state, masks)))


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
    "sage": hetero_layer(_sage),
    "sparse": SparseLayer,
}


def make_layer(name: str, view: GraphView, d: int, *, last: bool) -> Layer:
    """A layer by its name in `CONVOLUTIONS`."""
    return CONVOLUTIONS[name](view, d, last=last)


def _edge_type(relation: Relation, kind: str) -> EdgeType:
    return slot(relation.source), relation.key, slot(kind)


def _slots(state: State) -> State:
    return {slot(kind): rows for kind, rows in state.items()}


def _edge_index(relation: Relation, mask: Tensor | None) -> Tensor:
    """int64 (2, edges that pass): source, receiver."""
    return relation.edge_index if mask is None else relation.edge_index[:, mask > 0]
