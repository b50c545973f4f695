"""Models that somebody else wrote, or whose scores were made elsewhere, as ours are taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import scipy.sparse as sp

from ..kg.errors import DataError, UsageError
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .data import TrainingData


@runtime_checkable
class Scores(Protocol):
    """What an evaluation needs of a model; a whole `Scorer` is one."""

    def score(self, users: IntArray) -> FloatArray:
        """Scores (len(users), n_items); NaN where it cannot tell."""
        ...


class Given:
    """Scores of all users and items, (n_users, n_items): dense, sparse (no entry = 0), or a tensor.

    Raises:
        UsageError: it is no matrix of that shape. DataError: it holds no numbers.
    """

    def __init__(self, name: str, scores: Any, data: TrainingData) -> None:
        shape = getattr(scores, "shape", None)
        if shape is None or tuple(shape) != (data.n_users, data.n_items):
            got = type(scores).__name__ if shape is None else f"shape {tuple(shape)}"
            raise UsageError(
                f"got {got}, expected a model with a method score(users), or scores of shape "
                f"({data.n_users}, {data.n_items})",
                where=f"scorers: {name}",
                hint="of a recommender give model.scorer",
            )
        self.scores: Any = sp.csr_matrix(scores) if sp.issparse(scores) else _dense(scores, name)

    def score(self, users: IntArray) -> FloatArray:
        """The rows of the users."""
        rows = self.scores[users]
        return np.asarray(rows.toarray() if sp.issparse(rows) else rows)


def scores_of(scorer: Scores, users: IntArray, n_items: int, name: str) -> FloatArray:
    """What a scorer says of all items, float32 (len(users), n_items), as a copy.

    Raises:
        DataError: it returned no numbers, or another shape.
    """
    scores = _dense(scorer.score(users), name)
    expected = (len(users), n_items)
    if scores.shape != expected:
        raise DataError(
            f"scorer {name!r} returned shape {scores.shape}, expected {expected}",
            hint="one row per user asked for, one column per item of the graph",
        )
    return scores


def part_scores(parts: Mapping[str, Scores], users: IntArray, n_items: int) -> Iterator[FloatArray]:
    """`scores_of` each part; what is infinite is unknown, as it has no place in a mean."""
    for name, part in parts.items():
        scores = scores_of(part, users, n_items, name)
        scores[np.isinf(scores)] = np.nan
        yield scores


def _dense(scores: Any, name: str) -> FloatArray:
    """A copy of some scores as a float32 array; DataError where they are no numbers."""
    if sp.issparse(scores):
        scores = scores.toarray()
    elif hasattr(scores, "detach"):  # a tensor, of any device
        scores = scores.detach().float().cpu().numpy()
    try:
        return np.array(scores, np.float32)
    except (TypeError, ValueError):
        raise DataError(
            f"scorer {name!r} returned {type(scores).__name__}, expected an array of numbers"
        ) from None
