"""What happens without a source of knowledge: the same catalog with it taken out or shuffled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..kg.errors import UsageError, nearest
from ..kg.graph import EdgeSet, Graph, NodeSet
from ..kg.split import rng_for
from ..kg.typed_fields import check_fields
from .hybrid import HybridConfig

REMOVABLE = ("kg", "text", "walk", "ids")
WALKS = ("popularity", "ease", "rated-ease", "rp3beta", "itemknn", "als")


@dataclass(frozen=True)
class AblationConfig:
    """What a model does without.

    Attributes:
        without: of "kg" (attribute edges, categories and numbers), "text", "walk" (the collaborative
            parts of the score) and "ids" (the encoder's free vectors).
        randomise_kg: keep each relation's source nodes and degrees, but shuffle its targets; and deal
            categories and numbers to other nodes of the type.
    """

    without: tuple[str, ...] = ()
    randomise_kg: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        for name in self.without:
            if name not in REMOVABLE:
                raise UsageError(
                    f"cannot do without {name!r}", where="without", hint=nearest(name, REMOVABLE)
                )


def ablated(graph: Graph, config: AblationConfig, seed: int) -> Graph:
    """The graph without its KG or text, or with a shuffled KG; nodes and interactions stay."""
    nodes, edges = dict(graph.nodes), dict(graph.edges)
    if "text" in config.without:
        nodes = {kind: replace(node, texts_are_input=False) for kind, node in nodes.items()}
    if "kg" in config.without:
        edges = {}
        nodes = {kind: replace(node, categories={}, numbers={}) for kind, node in nodes.items()}
    if config.randomise_kg:
        rng = rng_for(seed, "randomised graph")
        edges = {kind: _shuffled(edge, rng) for kind, edge in sorted(edges.items())}
        nodes = {kind: _shuffled_features(node, rng) for kind, node in nodes.items()}
    return replace(graph, nodes=nodes, edges=edges)


def ablated_hybrid(hybrid: HybridConfig, config: AblationConfig) -> HybridConfig:
    """The scorer without its walks, or with an encoder without free vectors."""
    if "walk" in config.without:
        hybrid = replace(hybrid, parts=tuple(p for p in hybrid.parts if p not in WALKS))
    if "ids" in config.without:
        hybrid = replace(hybrid, encoder=replace(hybrid.encoder, ids=False))
    return hybrid


def _shuffled(edges: EdgeSet, rng: np.random.Generator) -> EdgeSet:
    """The same sources with their targets permuted; repeats that arise are dropped."""
    source, target = edges.index[0], rng.permutation(edges.index[1])
    width = int(target.max(initial=0)) + 1
    return EdgeSet(np.stack(np.divmod(np.unique(source * width + target), width)))


def _shuffled_features(node: NodeSet, rng: np.random.Generator) -> NodeSet:
    order = rng.permutation(len(node))
    numbers = {name: values[order] for name, values in node.numbers.items()}
    categories = {name: replace(c, codes=c.codes[order]) for name, c in node.categories.items()}
    return replace(node, numbers=numbers, categories=categories)
