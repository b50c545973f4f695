"""Why an item fits a user: what it shares with what she liked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import UnknownIdError
from .graph import Graph, Interactions
from .vocabulary import IntArray, Vocabulary

MAX_FAN_OUT = 10_000  # an entity that more items share is passed over: it says next to nothing


@dataclass(frozen=True)
class Path:
    """One reason: user - liked item - relation - shared entity - relation - the item.

    Attributes:
        liked, entity, item: IRIs.
        relation: name of the relation that both items have to the entity.
        score: idf of the entity among the items, times the share of the user's liked items that have
            it; higher = says more.
        support: how many of the user's liked items share the entity.
        text: the reason as a sentence.
    """

    liked: str
    relation: str
    entity: str
    item: str
    score: float
    support: int
    text: str


def explain_paths(
    graph: Graph, user: str | int, item: str | int, interactions: Interactions, k: int = 5
) -> list[Path]:
    """The k best two-hop paths from what a user liked to an item, best first, one per relation and entity.

    score = ln(n_items / items that have the entity) * support / liked items, so that what everything
    has explains nothing. One pass over the edges of items.

    Args:
        user, item: IRI (or original id), or index.
        interactions: what may be used as a reason: the training rows, never held-out ones.

    Returns:
        at most k paths; none where nothing is shared. An edge from the item to a liked item is a path
        whose entity is that item.

    Raises:
        UnknownIdError: no such user or item.
    """
    who = _index(graph.users.vocabulary, user, "user")
    what = _index(graph.items.vocabulary, item, "item")
    mine = (interactions.user == who) & (interactions.label == 1) & (interactions.item != what)
    liked = np.unique(interactions.item[mine])
    if not len(liked):
        return []
    found: list[Path] = []
    reasons = _Reasons(graph, liked, what)
    for (source, relation, target), edges in graph.edges.items():
        if source == graph.item_type:
            found += reasons.through(edges.index, relation, target)
        if target == graph.item_type:
            found += reasons.through(edges.index[::-1], relation, source)
    found.sort(key=lambda path: (-path.score, path.relation, path.entity))
    best: dict[tuple[str, str], Path] = {}
    for path in found:  # a relation between items is gone through in both directions
        best.setdefault((path.relation, path.entity), path)
    return list(best.values())[:k]


def _index(vocabulary: Vocabulary, name: str | int, kind: str) -> int:
    if isinstance(name, str):
        return int(vocabulary.indices([name], kind=kind)[0])
    if not 0 <= name < len(vocabulary):
        raise UnknownIdError(f"no {kind} of index {name}; there are {len(vocabulary)}")
    return int(name)


@dataclass(frozen=True)
class _Reasons:
    """What an item shares with the liked items (sorted indices)."""

    graph: Graph
    liked: IntArray
    item: int

    def through(self, index: IntArray, relation: str, entity_type: str) -> list[Path]:
        """Paths through one relation; `index` has items in row 0 and entities in row 1."""
        entities = np.unique(index[1][index[0] == self.item])
        out = []
        if entity_type == self.graph.item_type:
            out = [self._direct(relation, int(i)) for i in np.intersect1d(entities, self.liked)]
        pairs = index[:, np.isin(index[1], entities)]
        fan_out = np.bincount(pairs[1], minlength=1)
        mine = pairs[:, np.isin(pairs[0], self.liked)]
        for entity, first, support in zip(
            *np.unique(mine[1], return_index=True, return_counts=True), strict=True
        ):
            weight = float(np.log(self.graph.n_items / fan_out[entity]))
            if fan_out[entity] <= MAX_FAN_OUT and weight > 0:
                score = weight * float(support) / len(self.liked)
                liked = int(mine[0, first])
                out.append(
                    self._shared(relation, entity_type, int(entity), liked, int(support), score)
                )
        return out

    def _direct(self, relation: str, liked: int) -> Path:
        items = self.graph.items
        text = f"{items.titles[self.item]} is linked by {relation} to {items.titles[liked]}, liked before."
        name, score = items.vocabulary[liked], float(np.log(self.graph.n_items)) / len(self.liked)
        return Path(name, relation, name, items.vocabulary[self.item], score, 1, text)

    def _shared(
        self, relation: str, entity_type: str, entity: int, liked: int, support: int, score: float
    ) -> Path:
        items, nodes = self.graph.items, self.graph.nodes[entity_type]
        more = f" and {support - 1} more" if support > 1 else ""
        return Path(
            liked=items.vocabulary[liked],
            relation=relation,
            entity=nodes.vocabulary[entity],
            item=items.vocabulary[self.item],
            score=score,
            support=support,
            text=(
                f"{items.titles[self.item]} shares the {relation} {nodes.titles[entity]} with "
                f"{items.titles[liked]}{more}, liked before."
            ),
        )
