"""Why a score is what it is: the parts' shares, paths through the graph, and the nearest texts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..kg.paths import Path, explain_paths
from .data import TrainingData
from .hybrid import Hybrid


@dataclass(frozen=True)
class NearText:
    """A liked item whose text resembles the item's: its IRI and title, and the cosine."""

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
    """

    user: str
    item: str
    title: str
    score: float
    parts: dict[str, float]
    paths: tuple[Path, ...]
    texts: tuple[NearText, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def explain(scorer: Hybrid, data: TrainingData, user: int, item: int, k: int) -> Explanation:
    """Explain the score of a pair of indices by at most k paths and k texts."""
    graph = data.graph
    shares = scorer.contributions(user, item) if scorer.parts else {}
    score = float(scorer.score(np.array([user]))[0, item]) if scorer.parts else float("nan")
    return Explanation(
        user=graph.users.vocabulary[user],
        item=graph.items.vocabulary[item],
        title=graph.items.titles[item],
        score=score,
        parts=shares,
        paths=tuple(explain_paths(graph, user, item, data.train, k)),
        texts=_near_texts(data, user, item, k),
    )


def _near_texts(data: TrainingData, user: int, item: int, k: int) -> tuple[NearText, ...]:
    liked = data.positives[user].indices
    vectors = data.item_text
    if vectors.shape[1] == 0 or not len(liked) or not vectors[item].any():
        return ()
    similarity = vectors[liked] @ vectors[item]
    items = data.graph.items
    return tuple(
        NearText(items.vocabulary[int(liked[i])], items.titles[int(liked[i])], float(similarity[i]))
        for i in np.argsort(-similarity, kind="stable")[:k]
        if liked[i] != item and similarity[i] > 0
    )
