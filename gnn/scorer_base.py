"""The one interface of everything that scores user-item pairs, and what its implementations share."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..kg.errors import StateError, UnknownIdError, UsageError
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .data import TrainingData

BoolArray = npt.NDArray[np.bool_]
T = TypeVar("T")


@runtime_checkable
class Scorer(Protocol):
    """Scores every item for some users.

    Attributes:
        name: how tables call it, e.g. "rp3beta".
        serves_cold_items: it scores items without training interactions (given a profile or text).
        serves_cold_users: it scores for users without training interactions.
    """

    name: str
    serves_cold_items: bool
    serves_cold_users: bool

    def fit(self, data: TrainingData) -> Self:
        """Learn from `data.train` and `data.graph`; deterministic; returns itself."""
        ...

    def score(self, users: IntArray) -> FloatArray:
        """Scores of shape (len(users), n_items), float32; NaN where it cannot tell, never a silent 0.

        Higher is better; scales of different scorers differ. Raises StateError before `fit`.
        """
        ...


def fitted(value: T | None, name: str) -> T:
    """The value, or a StateError saying that the scorer was not fitted."""
    if value is None:
        raise StateError(f"{name} was not fitted", hint="call fit(data) before score(users)")
    return value


def check_users(users: IntArray, n_users: int) -> IntArray:
    """The users as int64 indices; UnknownIdError names the first one out of range."""
    indices = np.asarray(users, np.int64).reshape(-1)
    outside = (indices < 0) | (indices >= n_users)
    if outside.any():
        got = int(indices[outside][0])
        raise UnknownIdError(f"user index {got} is outside 0..{n_users - 1}")
    return indices


def hide_unknown(scores: FloatArray, users: BoolArray, items: BoolArray) -> FloatArray:
    """Set to NaN, in place, the rows of users and the columns of items that are not known.

    Shapes: scores (b, n_items), users (b,), items (n_items,).
    """
    scores[~users] = np.nan
    scores[:, ~items] = np.nan
    return scores


def standardise(scores: FloatArray) -> FloatArray:
    """Each row to mean 0 and variance 1 over its known entries; constant rows become 0.

    Shape (b, n_items); NaN stays NaN and takes no part.
    """
    known = ~np.isnan(scores)
    count = np.maximum(known.sum(1, keepdims=True), 1)
    filled = np.where(known, scores, 0.0).astype(np.float32)
    mean = filled.sum(1, keepdims=True, dtype=np.float64) / count
    centred = np.where(known, scores - mean.astype(np.float32), 0.0).astype(np.float32)
    variance = np.einsum("ij,ij->i", centred, centred, dtype=np.float64)[:, None] / count
    spread = np.sqrt(variance)
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-12)
    return np.where(known, centred * scale.astype(np.float32), np.nan).astype(np.float32)


def require(condition: bool, message: str, where: str) -> None:
    """Raise UsageError naming the configuration key unless the condition holds."""
    if not condition:
        raise UsageError(message, where=where)
