"""A weighted sum of scorers, each standardised per user so that their scales can be added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..kg.errors import UsageError
from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .scorer_base import Scorer, require, standardise


@dataclass(frozen=True)
class BlendConfig:
    """Settings of `Blend`.

    Attributes:
        weights: one weight per part, in the order of the parts.
    """

    weights: tuple[float, ...] = (1.0, 0.3)

    def __post_init__(self) -> None:
        check_fields(self)
        require(len(self.weights) > 0, "at least one weight is needed", "weights")
        require(max(self.weights) > 0, "at least one weight must be above 0", "weights")


class Blend:
    """score = sum over parts of weight x the part's score, standardised over the user's known items.

    A part that does not know an item counts as the user's mean of that part (0); where no part
    knows it the score is NaN.
    """

    def __init__(
        self, parts: Mapping[str, Scorer], config: BlendConfig | None = None, *, name: str = ""
    ) -> None:
        self.parts = dict(parts)
        self.config = config or BlendConfig()
        if len(self.config.weights) != len(self.parts):
            raise UsageError(
                f"got {len(self.config.weights)} weights for {len(self.parts)} parts",
                where="weights",
            )
        self.name = name or "+".join(self.parts)
        self.serves_cold_items = any(part.serves_cold_items for part in self.parts.values())
        self.serves_cold_users = any(part.serves_cold_users for part in self.parts.values())

    def fit(self, data: TrainingData) -> Self:
        """Fit every part."""
        for part in self.parts.values():
            part.fit(data)
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items)."""
        scores = [standardise(part.score(users)) for part in self.parts.values()]
        return combine(scores, self.config.weights)


def combine(scores: list[FloatArray], weights: tuple[float, ...]) -> FloatArray:
    """Weighted sum of standardised scores, each (b, n_items); see `Blend` for NaN."""
    total = np.zeros_like(scores[0])
    known = np.zeros(total.shape, bool)
    for part, weight in zip(scores, weights, strict=True):
        present = ~np.isnan(part)
        total += np.float32(weight) * np.where(present, part, np.float32(0.0))
        known |= present
    return np.where(known, total, np.float32(np.nan))
