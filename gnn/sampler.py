"""Neighbour sampling: the part of a graph that a step of training needs, and steps that read no more.

A step's cost then goes with its users and candidates and not with the graph. With all neighbours
(fanout -1) a part says of its seeds what the whole graph would.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from .batches import Sampler, Step
from .csc import CSC
from .encoder import EncoderConfig, Hidden
from .mapped import MappedGraph
from .propagation import Propagation
from .view import GraphView

Nodes = Mapping[str, Tensor]
Edges = tuple[Tensor, Tensor, Tensor]  # receiving node, neighbour, weight
_NONE = torch.zeros(0, dtype=torch.int64)


@dataclass(frozen=True)
class NeighbourSampler:
    """Cuts parts out of a graph.

    Attributes:
        graph: the whole.
        depth: layers of attribute relations that the encoder passes. hops: as its configuration has it.
        fanout: neighbours of a node and relation, at most; -1 = all.
    """

    graph: MappedGraph
    depth: int
    hops: int
    fanout: int

    @classmethod
    def of(cls, graph: MappedGraph, config: EncoderConfig, fanout: int) -> NeighbourSampler:
        """With what an encoder of that shape reads."""
        return cls(graph, config.depth if config.kg else 0, config.hops, fanout)

    def around(
        self,
        users: Tensor,
        items: Tensor,
        generator: torch.Generator,
        without: Tensor = _NONE,
    ) -> GraphView:
        """The users with their histories, the items, and all that describes them.

        Args:
            users, items: int64, distinct.
            without: int64, user * n_items + item of the pairs that pass no message.
        """
        graph = self.graph
        users = users.sort().values
        liked = [self._edges(graph.liked, users, generator)]
        unliked = [self._edges(graph.unliked, users, generator)]
        items = torch.unique(torch.cat([items, *(one[1] for one in (*liked, *unliked))]))
        if self.hops > 1:
            item, user, weight = self._edges(graph.likers, items, generator)
            more = _beyond(torch.unique(user), users)
            liked += [(user, item, weight), self._edges(graph.liked, more, generator)]
            unliked.append(self._edges(graph.unliked, more, generator))
            users = torch.cat([users, more]).sort().values
            items = torch.unique(torch.cat([items, *(one[1] for one in (*liked, *unliked))]))
        outline = graph.outline
        part = self.describing({outline.user_type: users, outline.item_type: items}, generator)
        return replace(
            part,
            liked=self._between(part, liked, without),
            unliked=self._between(part, unliked, without),
        )

    def describing(self, seeds: Nodes, generator: torch.Generator) -> GraphView:
        """The seeds and what is reached from them over attribute relations; no interactions.

        Args:
            seeds: node type -> int64, ascending.
        """
        outline = self.graph.outline
        rows, edges = self._reached(seeds, generator)
        sizes = {kind: len(some) for kind, some in rows.items()}
        nothing = Propagation.empty((sizes[outline.user_type], sizes[outline.item_type]))
        return GraphView(
            outline.user_type,
            outline.item_type,
            sizes,
            {
                kind: {name: _taken(values, rows[kind]) for name, values in blocks.items()}
                for kind, blocks in outline.features.items()
            },
            {
                kind: tuple(
                    replace(one, matrix=_joined(edges[kind, one.key], rows[kind], rows[one.source]))
                    for one in relations
                )
                for kind, relations in outline.relations.items()
            },
            nothing,
            nothing,
            rows,
        )

    def _reached(
        self, seeds: Nodes, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Mapping[tuple[str, str], list[Edges]]]:
        """Layer by layer: the nodes of every type, ascending, and (type, relation) -> sampled edges."""
        outline = self.graph.outline
        rows = {kind: seeds.get(kind, _NONE) for kind in outline.counts}
        edges: dict[tuple[str, str], list[Edges]] = defaultdict(list)
        frontier = seeds
        for _ in range(self.depth):
            found: dict[str, list[Tensor]] = defaultdict(list)
            for kind, nodes in frontier.items():
                for relation in outline.relations.get(kind, ()):
                    stored = self.graph.relations[kind][relation.key]
                    source, owner, weight = stored.sample(nodes, self.fanout, generator)
                    edges[kind, relation.key].append((nodes[owner], source, weight))
                    found[relation.source].append(source)
            frontier = {
                kind: _beyond(torch.unique(torch.cat(some)), rows[kind])
                for kind, some in found.items()
            }
            rows |= {
                kind: torch.cat([rows[kind], new]).sort().values for kind, new in frontier.items()
            }
        return rows, edges

    def _between(self, part: GraphView, edges: list[Edges], without: Tensor) -> Propagation:
        """Edges of user and item as a matrix of the part; some left out.

        A pair drawn from both its ends has the smaller of its weights.
        """
        width = self.graph.outline.counts[part.item_type]
        user, item, weight = (torch.cat(some) for some in zip(*edges, strict=True))
        codes, place = torch.unique(user * width + item, return_inverse=True)
        smallest = torch.zeros(len(codes)).scatter_reduce(
            0, place, weight, "amin", include_self=False
        )
        kept = ~torch.isin(codes, without)
        codes, smallest = codes[kept], smallest[kept]
        users, items = part.rows[part.user_type], part.rows[part.item_type]
        return _propagation(
            _place(codes // width, users),
            _place(codes % width, items),
            smallest,
            (len(users), len(items)),
        )

    def _edges(self, stored: CSC, nodes: Tensor, generator: torch.Generator) -> Edges:
        """Sampled edges, each with how many it stands for: a user's likes add up to all of them."""
        neighbour, owner, weight = stored.sample(nodes, self.fanout, generator)
        return nodes[owner], neighbour, weight

    def history_of(self, users: Tensor) -> Tensor:
        """int64 (e,): user * n_items + item of all pairs that these users like or rated low."""
        width = self.graph.outline.counts[self.graph.outline.item_type]
        found = []
        for stored in (self.graph.liked, self.graph.unliked):
            item, owner, _ = stored.sample(users, -1, torch.Generator())
            found.append(users[owner] * width + item)
        return torch.cat(found)


@dataclass(frozen=True)
class NeighbourSteps:
    """Draws an epoch's steps as `Sampler` does, each with the part of the graph that it reads.

    Attributes:
        drawn: which users, how many candidates, what is held out.
        neighbours: cuts the parts.
    """

    drawn: Sampler
    neighbours: NeighbourSampler

    def steps(self, generator: torch.Generator) -> Iterator[Step]:
        """Every user with pairs once, in a random order; ten steps where there are none."""
        for users in self.drawn.batches(generator):
            yield self._step(users, generator)

    def _step(self, users: Tensor, generator: torch.Generator) -> Step:
        drawn, pairs = self.drawn, self.drawn.pairs
        n_items = len(drawn.degree)
        users = users.sort().values
        rows, owner = pairs.of_users(users)
        candidates, log_q = drawn.candidates(generator)
        hidden_users = torch.rand(len(users), generator=generator) < drawn.user_dropout
        held_out = torch.rand(len(rows), generator=generator) < drawn.history_dropout
        held_out |= hidden_users[owner]
        codes = pairs.user[rows] * n_items + pairs.item[rows]
        seeds = torch.unique(torch.cat([candidates, pairs.item[rows]]))
        if not len(users):  # the auxiliary losses are all there is, and ask of any items
            seeds = torch.randperm(n_items, generator=generator)[: drawn.negatives]
        # Not only what may be a target: where ratings are learned, likes without one are a history too.
        unshown = torch.cat([codes[held_out], self.neighbours.history_of(users[hidden_users])])
        view = self.neighbours.around(users, seeds, generator, unshown)
        part_users, part_items = view.rows[view.user_type], view.rows[view.item_type]
        hidden = torch.rand(len(part_items), generator=generator) < drawn.item_dropout
        target = _place(pairs.item[rows], part_items)
        local = _place(candidates, part_items)
        return drawn.step(
            Hidden(hidden),
            _place(users, part_users),
            (rows, owner, target),
            held_out | hidden[target],
            (local, log_q),
            view,
        )


def _beyond(values: Tensor, known: Tensor) -> Tensor:
    return values[~torch.isin(values, known)]


def _place(values: Tensor, rows: Tensor) -> Tensor:
    """Position of each value among the ascending `rows`, all of which hold it."""
    return torch.searchsorted(rows, values)


def _taken(values: Tensor, rows: Tensor) -> Tensor:
    """The rows of a feature; the feature itself where they are all of it."""
    return values if len(rows) == len(values) else values[rows]


def _joined(edges: list[Edges], receivers: Tensor, sources: Tensor) -> Propagation:
    shape = len(receivers), len(sources)
    if not edges:
        return Propagation.empty(shape)
    to, source, weight = (torch.cat(some) for some in zip(*edges, strict=True))
    return _propagation(_place(to, receivers), _place(source, sources), weight, shape)


def _propagation(
    rows: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, int]
) -> Propagation:
    entries = np.asarray(values), (np.asarray(rows), np.asarray(columns))
    return Propagation.from_scipy(sp.csr_matrix(entries, shape))
