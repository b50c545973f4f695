"""Why a score is what it is: the parts' shares, paths through the graph, and the nearest texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..kg.graph import Graph
from ..kg.paths import Path, explain_paths
from .data import TrainingData
from .hybrid import Hybrid
from .neighbours import similar_items
from .trainer import EncoderScorer


@dataclass(frozen=True)
class NearText:
    """An item that resembles another one: its IRI and title, and the similarity (of texts: cosine)."""

    item: str
    title: str
    similarity: float


@dataclass(frozen=True)
class Explanation:
    """What stands behind the score of one pair.

    Attributes:
        user, item: IRIs. title: of the item.
        score: the scorer's; NaN where nothing is known.
        parts: part -> what it adds to the score.
        paths: best first, from liked items over shared entities. texts: nearest liked items.
        attributes, similar: where nothing was learned from interactions yet, what the graph says of
            the item, as (relation, title), and the items nearest to it; else empty.
    """

    user: str
    item: str
    title: str
    score: float
    parts: dict[str, float]
    paths: tuple[Path, ...]
    texts: tuple[NearText, ...]
    attributes: tuple[tuple[str, str], ...] = ()
    similar: tuple[NearText, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def explain(
    scorer: Hybrid,
    data: TrainingData,
    user: int,
    item: int,
    k: int,
    encoder: EncoderScorer | None = None,
) -> Explanation:
    """Explain the score of a pair of indices by at most k paths and k texts.

    Args:
        encoder: says what is near the item where there is no score yet; see `similar_items`.
    """
    graph, known = data.graph, bool(scorer.parts)
    return Explanation(
        user=graph.users.vocabulary[user],
        item=graph.items.vocabulary[item],
        title=graph.items.titles[item],
        score=float(scorer.score(np.array([user]))[0, item]) if known else float("nan"),
        parts=scorer.contributions(user, item) if known else {},
        paths=tuple(explain_paths(graph, user, item, data.train, k)),
        texts=_near_texts(data, user, item, k),
        attributes=() if known else _attributes(graph, item, k),
        similar=() if known else _near_items(data, encoder, item, k),
    )


def _attributes(graph: Graph, item: int, k: int) -> tuple[tuple[str, str], ...]:
    """Up to k (relation or category, title) of an item, in the schema's order."""
    found: list[tuple[str, str]] = []
    for (source, relation, target), edges in graph.edges.items():
        if source == graph.item_type:
            ends = edges.index[1][edges.index[0] == item]
            found += [(relation, graph.nodes[target].titles[int(end)]) for end in ends]
    for name, category in graph.items.categories.items():
        if (code := int(category.codes[item])) >= 0:
            found.append((name, category.names[code]))
    return tuple(found[:k])


def _near_items(
    data: TrainingData, encoder: EncoderScorer | None, item: int, k: int
) -> tuple[NearText, ...]:
    rows = similar_items(data, encoder, item, k).to_pylist()
    return tuple(NearText(row["item"], row["title"], row["similarity"]) for row in rows)


def _near_texts(data: TrainingData, user: int, item: int, k: int) -> tuple[NearText, ...]:
    liked, vectors = data.positives[user].indices, data.item_text
    liked = liked[liked != item]
    if vectors.shape[1] == 0 or not len(liked) or not vectors[item].any():
        return ()
    similarity = vectors[liked] @ vectors[item]
    items = data.graph.items
    return tuple(
        NearText(items.vocabulary[int(liked[i])], items.titles[int(liked[i])], float(similarity[i]))
        for i in np.argsort(-similarity, kind="stable")[:k]
        if similarity[i] > 0
    )
