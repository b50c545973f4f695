"""The graph encoder: what a node is, what its neighbours are, and what users liked, as one vector.

    x = graph + gate * text             inputs, fused per node type
    z = sum over layers of a_l z_l      attribute propagation from z_0 = x + id
    h_u = W mean of liked z + ...       a user is what they liked, did not like, and their own features
    score(u, i) = <h_u, z_i W> + b_i

An id vector stands only for nodes that were trained. In training the ids and interactions of a random
part of the items are hidden, so that the encoder learns to place an item by its content alone: a cold
item is then nothing unusual (DropoutNet, Volkovs et al. 2017, applied to a graph).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..kg.errors import UsageError, nearest
from ..kg.typed_fields import check_fields
from .convolutions import CONVOLUTIONS, make_layer
from .propagation import Propagation
from .view import GraphView, slot, widths


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the encoder.

    Attributes:
        dimensions: d of every vector.
        depth: layers of propagation over attribute relations.
        hops: 1 = users from items; 2 = items from users as well, then users again.
        convolution: "sparse" (a weight per relation and dimension), PyG's "sage", "rgcn", "hgt", or what
            you have put into `convolutions.CONVOLUTIONS`.
        profile_dimensions: singular directions kept of the KG profiles.
        text, kg, ids: whether inputs of that kind are used at all (for ablations).
        user_ids: whether users too have free vectors. They overfit where histories are short.
        dropout: of the inputs' projections.
    """

    dimensions: int = field(default=128, metadata={"search": (64, 128, 256)})
    depth: int = field(default=1, metadata={"search": (1, 2)})
    hops: int = field(default=1, metadata={"search": (1, 2)})
    convolution: str = "sparse"
    profile_dimensions: int = 256
    text: bool = True
    kg: bool = True
    ids: bool = True
    user_ids: bool = False
    dropout: float = field(default=0.0, metadata={"search": (0.0, 0.3)})

    def __post_init__(self) -> None:
        check_fields(self)
        if self.convolution not in CONVOLUTIONS:
            raise UsageError(
                f"unknown convolution {self.convolution!r}",
                where="convolution",
                hint=nearest(self.convolution, CONVOLUTIONS),
            )
        bounds = {"dimensions": (1, 4096), "depth": (0, 8), "hops": (1, 2)}
        bounds |= {"profile_dimensions": (0, 1 << 16)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"must be {low} to {high}, got {getattr(self, name)}", where=name)
        if not 0 <= self.dropout < 1:
            raise UsageError(f"must be in 0 <= x < 1, got {self.dropout}", where="dropout")


@dataclass(frozen=True)
class Hidden:
    """What one training step leaves out; None = nothing.

    Attributes:
        items: bool (n_items,), items whose id and interactions are hidden: simulated cold items.
        liked, unliked: float32 (nnz,), 1 = this pair passes messages.
        relations: node type -> relation key -> float32 (nnz,), attribute edges that pass messages.
    """

    items: Tensor | None = None
    liked: Tensor | None = None
    unliked: Tensor | None = None
    relations: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)


@dataclass(frozen=True)
class Encoded:
    """Outputs; score(u, i) = users[u] @ items[i] + bias[i].

    Attributes:
        users: (n_users, d). items: (n_items, d). bias: (n_items,).
        nodes: node type -> (n, d), after propagation over attributes.
        graph, text: the two parts of the items' inputs, (n_items, d).
    """

    users: Tensor
    items: Tensor
    bias: Tensor
    nodes: Mapping[str, Tensor]
    graph: Tensor
    text: Tensor


@dataclass(frozen=True)
class Described:
    """Nodes before any message along interactions.

    Attributes:
        nodes: node type -> (n, d).
        content: of users and items, the same less what their own ids added.
        graph, text: as in `Encoded`.
    """

    nodes: Mapping[str, Tensor]
    content: Mapping[str, Tensor]
    graph: Tensor
    text: Tensor


class GraphEncoder(nn.Module):
    """Encoder of all nodes of a graph, or of a part of it.

    Args:
        config: its shape.
        view: the graph it is built for; later views may have more nodes, never fewer, or be parts.

    Shapes: `forward(view)` gives `Encoded`; it is `join` of what `describe` says of each node.
    Cost per call: O(edges d + nodes width d).
    """

    trained_items: Tensor
    trained_users: Tensor

    def __init__(self, config: EncoderConfig, view: GraphView) -> None:
        super().__init__()
        d = config.dimensions
        self.config = config
        self.kinds = tuple(view.counts) if config.kg else (view.user_type, view.item_type)
        self.inputs = nn.ModuleDict(
            {slot(kind): Fusion(widths(view)[kind], d, config) for kind in self.kinds}
        )
        for name, weight in self.inputs[slot(view.user_type)].named_parameters():
            if not name.startswith("gate."):
                nn.init.zeros_(weight)  # a user's features add to the history, once they help
        free = {view.user_type: config.ids and config.user_ids, view.item_type: config.ids}
        self.ids = nn.ParameterDict(
            {
                slot(kind): torch.zeros(view.counts[kind], d)
                for kind in self.kinds
                if free.get(kind, True)  # an attribute's vector is part of the graph, not an id
            }
        )
        # Without profiles only vectors of their own tell attributes apart from the start.
        others = () if config.profile_dimensions else (k for k in self.kinds if k not in free)
        for kind in (*free, *others):
            if slot(kind) in self.ids:
                nn.init.normal_(self.ids[slot(kind)], std=0.1)
        depth = config.depth if config.kg and any(view.relations.values()) else 0
        self.layers = nn.ModuleList(
            [make_layer(config.convolution, view, d, last=k + 1 == depth) for k in range(depth)]
        )
        self.layer_weights = nn.ParameterDict(
            {slot(kind): torch.ones(depth + 1) for kind in (view.user_type, view.item_type)}
        )
        self.to_users = nn.ModuleList([Aggregate(d) for _ in range(config.hops)])
        self.from_unliked = Aggregate(d, start=0.0)
        self.to_items = nn.ModuleList([Aggregate(d) for _ in range(config.hops - 1)])
        self.out = _linear(d, d)
        self.bias = nn.Parameter(torch.zeros(view.counts[view.item_type]))
        self.content_bias = nn.Linear(d, 1)
        for side, sums in (("items", view.liked.column_sums()), ("users", view.liked.row_sums())):
            self.register_buffer(f"trained_{side}", sums > 0)

    def read(self, kind: str) -> tuple[str, ...]:
        """The features of a node type that reach its vector."""
        fusion = cast(Fusion, self.inputs[slot(kind)])
        return (*fusion.graph, *(() if fusion.text is None else ("text",)))

    def slow_parameters(self) -> set[str]:
        """Names of what scales many vectors at once: gates, weights of layers and of relations.

        At the full rate these overfit before the vectors have settled.
        """
        starts = ("layer_weights.", "layers.")
        return {
            name
            for name, _ in self.named_parameters()
            if name.startswith(starts) or ".gate." in name or name.endswith(".scale")
        }

    def forward(self, view: GraphView, hidden: Hidden | None = None) -> Encoded:
        """Vectors of every user and item of `view`, with what `hidden` names left out."""
        hidden = hidden or Hidden()
        return self.join(view, self.describe(view, hidden), hidden)

    def describe(self, view: GraphView, hidden: Hidden) -> Described:
        """Every node by its inputs, its id and its attributes: inputs, then layers over attribute
        relations, combined by learned weights.
        """
        parts = {kind: self.inputs[slot(kind)](view.features[kind]) for kind in self.kinds}
        masks = {
            view.item_type: self._shown(view, hidden)
            & view.of_nodes(view.item_type, self.trained_items),
            view.user_type: view.of_nodes(view.user_type, self.trained_users),
        }
        own = {
            kind: view.of_nodes(kind, self.ids[slot(kind)])
            for kind in self.kinds
            if slot(kind) in self.ids
        }
        for kind, mask in masks.items():
            if kind in own:
                own[kind] = mask.unsqueeze(1) * own[kind]
        state = {kind: graph + text for kind, (graph, text) in parts.items()}
        for kind, vectors in own.items():
            state[kind] = state[kind] + vectors
        weights = {kind: self.layer_weights[slot(kind)] for kind in masks}
        total = {kind: weight[0] * state[kind] for kind, weight in weights.items()}
        for step, layer in enumerate(self.layers):
            state = layer(state, view, hidden.relations)
            for kind in total.keys() & state.keys():
                total[kind] = total[kind] + weights[kind][step + 1] * state[kind]
        content = {
            kind: value - weights[kind][0] * own[kind] if kind in own else value
            for kind, value in total.items()
        }
        return Described({**state, **total}, content, *parts[view.item_type])

    def join(self, view: GraphView, described: Described, hidden: Hidden) -> Encoded:
        """Messages along the interactions of `view` between nodes described already."""
        shown = self._shown(view, hidden)
        liked = _masked(view.liked, hidden.liked)
        nodes = dict(described.nodes)
        # A user's features are what stands in for a history: they fade as it grows.
        shown_likes = liked @ shown.unsqueeze(1).float()
        faded = shown_likes / (shown_likes + _PRIOR_LIKES) * described.content[view.user_type]
        nodes[view.user_type] = nodes[view.user_type] - faded
        users, items = self._interact(view, nodes, shown, liked, hidden)
        known = (shown & view.of_nodes(view.item_type, self.trained_items)).float()
        own_bias = known * view.of_nodes(view.item_type, self.bias)
        bias = own_bias + self.content_bias(described.content[view.item_type]).squeeze(1)
        return Encoded(users, self.out(items), bias, nodes, described.graph, described.text)

    def _shown(self, view: GraphView, hidden: Hidden) -> Tensor:
        """bool (n_items,): items whose id and interactions count."""
        if hidden.items is not None:
            return ~hidden.items
        return torch.ones_like(view.of_nodes(view.item_type, self.trained_items))

    def _interact(
        self,
        view: GraphView,
        nodes: Mapping[str, Tensor],
        shown: Tensor,
        liked: Propagation,
        hidden: Hidden,
    ) -> tuple[Tensor, Tensor]:
        """Messages along the training interactions: items to users and, with two hops, back."""
        mask = shown.unsqueeze(1)
        items = mask * nodes[view.item_type]
        base = nodes[view.user_type]
        if view.unliked.order.numel():
            base = base + self.from_unliked(_masked(view.unliked, hidden.unliked), items)
        users = base + self.to_users[0](liked, items)
        if not len(self.to_items):
            return users, nodes[view.item_type]
        informed = nodes[view.item_type] + mask * self.to_items[0](liked.transposed, users)
        return base + self.to_users[1](liked, mask * informed), informed


class Fusion(nn.Module):
    """Projects a node's inputs and adds the text part under a learned gate.

    gate = sigmoid(W [graph, text] + b) per dimension, so a node type, or a node, for which text says
    nothing new can leave it out (gated multimodal unit, Arevalo et al. 2017, section 3).

    Shapes: features (n, width each) -> graph part (n, d), gated text part (n, d).
    """

    def __init__(self, width: Mapping[str, int], d: int, config: EncoderConfig) -> None:
        super().__init__()
        graph = ("profile", "numbers") if config.kg else ("numbers",)
        self.d = d
        self.graph = nn.ModuleDict({k: _linear(width[k], d) for k in graph if width[k]})
        self.text = _linear(width["text"], d) if config.text and width["text"] else None
        self.gate = nn.Linear(2 * d, d) if self.text is not None else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The graph part and the gated text part."""
        n = next(iter(features.values())).shape[0]
        zero = next(iter(features.values())).new_zeros(n, self.d)
        graph = zero
        for name, layer in self.graph.items():
            graph = graph + self.dropout(layer(_SCALE[name] * features[name]))
        if self.text is None or self.gate is None:
            return graph, zero
        text = self.dropout(self.text(_SCALE["text"] * features["text"]))
        if len(self.graph):
            gate = self.gate(torch.cat([graph, text], 1))
        else:  # half of the gate would be multiplied by zeros, for every attribute
            gate = functional.linear(text, self.gate.weight[:, self.d :], self.gate.bias)
        return graph, torch.sigmoid(gate) * text


class Aggregate(nn.Module):
    """Linear map of the mean over neighbours, brought to fixed length first.

    A long history thus does not outshout a short one; a node with no shown neighbour gets zero.

    Shapes: matrix (n, m), x (m, d) -> (n, d).
    """

    def __init__(self, d: int, start: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(d, d, bias=False)
        nn.init.normal_(self.linear.weight, std=start / d**0.5)
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, matrix: Propagation, x: Tensor) -> Tensor:
        """Messages along `matrix`; the mean's divisor cancels in the normalisation."""
        return cast(
            Tensor, self.linear(self.scale * functional.normalize(matrix @ x, dim=1, eps=1e-6))
        )


def _masked(matrix: Propagation, keep: Tensor | None) -> Propagation:
    return matrix if keep is None else matrix.with_values(keep)


_PRIOR_LIKES = 5.0  # likes that weigh as much as a user's own features

# Brings unit rows to about the scale at which the products start near one.
_SCALE = {"text": 4.0, "profile": 8.0, "numbers": 0.5}


def _linear(width: int, d: int) -> nn.Linear:
    layer = nn.Linear(width, d, bias=False)
    nn.init.normal_(layer.weight, std=width**-0.5)
    return layer
