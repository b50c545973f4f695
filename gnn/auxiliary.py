"""Auxiliary losses of the encoder, each with its weight; a weight of zero costs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .distributed import processes
from .encoder import Encoded, GraphEncoder, Hidden
from .losses import completion_loss, contrastive_loss
from .view import GraphView, slot

_SAMPLE = 1024  # nodes or edges per step: enough negatives, and no n x n matrix
_HELD_OUT = 0.1


@dataclass(frozen=True)
class Auxiliary:
    """Weighted sum of the auxiliary losses.

    Attributes:
        completion: guess attribute edges that passed no message. A relation weighs the dimensions as
            in the first sparse layer; all alike with PyG's convolutions, which have no such weights.
        views: two encodings with different attribute edges left out agree on every item.
        text: the text part and the graph part of an item's input agree.
    """

    completion: float
    views: float
    text: float

    def __call__(
        self,
        model: GraphEncoder,
        view: GraphView,
        encoded: Encoded,
        hidden: Hidden,
        generator: torch.Generator,
    ) -> Tensor | float:
        """The loss of one step; each process of many counts its part."""
        total: Tensor | float = 0.0
        device = encoded.items.device
        rows = torch.randperm(len(encoded.items), generator=generator, device=device)[:_SAMPLE]
        if self.text:
            total = total + self.text * contrastive_loss(encoded.text[rows], encoded.graph[rows])
        if self.completion or self.views:
            masks = _drop_edges(view, generator)
            other = model(view, replace(hidden, relations=masks))
            if self.views:
                total = total + self.views * contrastive_loss(
                    encoded.items[rows], other.items[rows]
                )
            if self.completion:
                loss = _completion(model, view, other, masks, generator)
                total = total + self.completion * loss
        return total / processes()


def _drop_edges(view: GraphView, generator: torch.Generator) -> dict[str, dict[str, Tensor]]:
    """Masks of the items' attribute edges, a tenth of them 0."""
    return {
        view.item_type: {
            one.key: (
                torch.rand(len(one.matrix.order), generator=generator, device=generator.device)
                >= _HELD_OUT
            ).float()
            for one in view.relations.get(view.item_type, ())
        }
    }


def _completion(
    model: GraphEncoder,
    view: GraphView,
    encoded: Encoded,
    masks: Mapping[str, Mapping[str, Tensor]],
    generator: torch.Generator,
) -> Tensor:
    """Mean over relations of the loss on up to 1,024 of their held-out edges."""
    losses = []
    for one in view.relations.get(view.item_type, ()):
        table = dict(model.ids).get(slot(one.source))
        weights: Tensor | None = dict(model.named_parameters()).get(f"layers.0.weights.{one.key}")
        out = torch.nonzero(masks[view.item_type][one.key] == 0).squeeze(1)
        if table is None or len(out) < 2:
            continue
        table = view.of_nodes(one.source, table)
        if weights is None:
            weights = torch.ones_like(table[0])
        order = torch.randperm(len(out), generator=generator, device=out.device)
        out = out[order[:_SAMPLE]]
        matrix = one.matrix.forward
        tails, own = torch.unique(matrix.col_indices()[out].long(), return_inverse=True)
        heads = torch.searchsorted(matrix.crow_indices().long(), out, right=True) - 1
        nodes = encoded.nodes[view.item_type][heads]
        losses.append(completion_loss(nodes, weights, table[tails], own))
    return torch.stack(losses).mean() if losses else encoded.items.sum() * 0.0
