"""The simulated oracle: who answers in simulations. Files and people answer through a journal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kg.errors import UsageError
from ..kg.graph import Interactions
from ..kg.vocabulary import IntArray

FloatArray64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedOracle:
    """Answers from hidden events: 1 for a positive one, 0 for a negative one or none.

    Attributes:
        events: what the users really did; a pair with any positive row is liked.
        n_items: items of the catalog.
        flip: share of answers that are turned round, in [0, 1]; the same pair always alike.
        silence: share of pairs that "cannot tell" (NaN), drawn likewise.
        seed: of both.
    """

    events: Interactions
    n_items: int
    flip: float = 0.0
    silence: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("flip", "silence"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected a share in [0, 1]")

    def answer(self, users: IntArray, items: IntArray) -> FloatArray64:
        """(n,) labels; depends on the pair alone, not on when or with what it is asked."""
        codes = np.asarray(users, np.int64) * self.n_items + items
        liked = self.events.label == 1
        known = self.events.user[liked] * self.n_items + self.events.item[liked]
        labels = np.isin(codes, known).astype(np.float64)
        labels = np.where(_uniform(codes, self.seed, 1) < self.flip, 1 - labels, labels)
        return np.where(_uniform(codes, self.seed, 2) < self.silence, np.nan, labels)


def _uniform(codes: IntArray, seed: int, stream: int) -> FloatArray64:
    """One number in [0, 1) per pair (splitmix64 of Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        z = codes.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(
            1 + seed * 4 + stream
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2.0**53
