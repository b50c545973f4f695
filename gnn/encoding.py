"""Encoding a whole graph without gradients: at once, or, where it stays on disk, node block by block."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from .csc import CSC
from .encoder import Described, Encoded, GraphEncoder, Hidden
from .mapped import MappedGraph
from .sampler import NeighbourSampler
from .scorer_base import BoolArray
from .view import GraphView

_BLOCK = 8192  # nodes described at a time


@torch.no_grad()
def encode(model: GraphEncoder, graph: GraphView | MappedGraph) -> Encoded:
    """Every user and item of the graph, the same either way; blocks keep no vectors of attributes."""
    if isinstance(graph, GraphView):
        whole: Encoded = model(graph, Hidden())
        return whole
    sampler = NeighbourSampler.of(graph, model.config, fanout=-1)
    outline = graph.outline
    found = {
        kind: [
            _described(model, sampler, kind, nodes)
            for nodes in torch.split(torch.arange(outline.counts[kind]), _BLOCK)
        ]
        for kind in (outline.user_type, outline.item_type)
    }
    items = found[outline.item_type]
    described = Described(
        {kind: torch.cat([one.nodes[kind] for one in some]) for kind, some in found.items()},
        {kind: torch.cat([one.content[kind] for one in some]) for kind, some in found.items()},
        torch.cat([one.graph for one in items]),
        torch.cat([one.text for one in items]),
    )
    return model.join(outline, described, Hidden())


def known_items(model: GraphEncoder, graph: GraphView | MappedGraph) -> BoolArray:
    """Items that have an id, or a feature or an attribute that the encoder reads: bool (n_items,)."""
    view = graph.outline
    known = model.trained_items.cpu()
    for name in model.read(view.item_type):
        rows = torch.split(view.features[view.item_type][name], _BLOCK)
        known = known | torch.cat([(some != 0).any(1).cpu() for some in rows])
    if not len(model.layers):
        return known.numpy()
    if isinstance(graph, GraphView):
        sums = [one.matrix.row_sums().cpu() for one in view.relations.get(view.item_type, ())]
    else:
        sums = [_sums(one) for one in graph.relations.get(view.item_type, {}).values()]
    for some in sums:
        known = known | (some > 0)
    return known.numpy()


def _described(
    model: GraphEncoder, sampler: NeighbourSampler, kind: str, nodes: Tensor
) -> Described:
    """The block's nodes alone; of attributes nothing."""
    device = next(model.parameters()).device
    part = sampler.describing({kind: nodes}, torch.Generator()).to(device)
    found = model.describe(part, Hidden())
    own = torch.searchsorted(part.rows[kind], nodes.to(device))
    of_items = own if kind == part.item_type else own[:0]
    return Described(
        {kind: found.nodes[kind][own]},
        {kind: found.content[kind][own]},
        found.graph[of_items],
        found.text[of_items],
    )


def _sums(edges: CSC) -> Tensor:
    matrix = sp.csr_matrix(
        (edges.weights, edges.neighbours, edges.pointers), (len(edges), edges.sources)
    )
    return torch.from_numpy(np.asarray(matrix.sum(1)).ravel())
