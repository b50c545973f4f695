"""Scorers that do not look at who asks: random, popular, and popular as predicted from the KG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .scorer_base import check_users, fitted, require
from .ties import mix, salts


@dataclass(frozen=True)
class RandomConfig:
    """Settings of `RandomScorer`: the seed of its order."""

    seed: int = 0


class RandomScorer:
    """A uniformly random order for each user: the floor of every table. Scores lie in [0, 1)."""

    name = "random"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(self, config: RandomConfig | None = None) -> None:
        self.config = config or RandomConfig()
        self._shape: tuple[int, int] | None = None

    def fit(self, data: TrainingData) -> Self:
        """Remember how many users and items there are."""
        self._shape = (data.n_users, data.n_items)
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items); the score of a pair depends on the seed and the pair alone."""
        n_users, n_items = fitted(self._shape, self.name)
        salt = salts(check_users(users, n_users), self.config.seed + 1)
        words = mix(np.arange(n_items, dtype=np.uint32)[None, :] ^ salt[:, None])
        return (words >> np.uint32(8)).astype(np.float32) / np.float32(2**24)


class Popularity:
    """log(1 + positive training interactions of the item), the same for every user.

    Items without any score NaN: how popular they would be is unknown.
    """

    name = "popularity"
    serves_cold_items = False
    serves_cold_users = True

    def __init__(self) -> None:
        self._scores: FloatArray | None = None
        self._n_users = 0

    def fit(self, data: TrainingData) -> Self:
        """Count the positive pairs of each item."""
        degree = data.item_degree
        self._scores = np.where(degree > 0, np.log1p(degree), np.nan).astype(np.float32)
        self._n_users = data.n_users
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items), all rows equal."""
        scores = fitted(self._scores, self.name)
        return np.tile(scores, (len(check_users(users, self._n_users)), 1))


@dataclass(frozen=True)
class KGPopularityConfig:
    """Settings of `KGPopularity`.

    Attributes:
        penalties: ridge penalties tried; the one with the least cross-validated error is taken.
        folds: folds of that cross-validation over the items with interactions.
        seed: of the folds.
    """

    penalties: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0)
    folds: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        require(len(self.penalties) > 0, "at least one penalty is needed", "penalties")
        require(min(self.penalties) > 0, "penalties must be above 0", "penalties")
        require(self.folds >= 2, f"got {self.folds}, expected 2 or more", "folds")


class KGPopularity:
    """Popularity, predicted from the KG profile by ridge regression where none was observed.

    Target: log(1 + positive interactions) of the items that have any. Those keep what was observed,
    all others get the prediction: the intercept, if they have no profile. `predicted` is the
    prediction for every item, (n_items,).
    """

    name = "kg-popularity"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(self, config: KGPopularityConfig | None = None) -> None:
        self.config = config or KGPopularityConfig()
        self.predicted: FloatArray | None = None
        self._scores: FloatArray | None = None
        self._n_users = 0

    def fit(self, data: TrainingData) -> Self:
        """Fit the regression; a few seconds for a million features."""
        degree = data.item_degree
        trained = np.flatnonzero(degree > 0)
        target = np.log1p(degree[trained].astype(np.float64))
        features = data.profile[trained].astype(np.float64)
        penalty = self._choose(features, target)
        self.predicted = _ridge(features, target, data.profile, penalty).astype(np.float32)
        self._scores = self.predicted.copy()
        self._scores[trained] = target
        self._n_users = data.n_users
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items), all rows equal, never NaN."""
        scores = fitted(self._scores, self.name)
        return np.tile(scores, (len(check_users(users, self._n_users)), 1))

    def _choose(self, features: sp.csr_matrix, target: FloatArray) -> float:
        """The penalty with the least squared error over the folds."""
        penalties, folds = self.config.penalties, self.config.folds
        if len(penalties) == 1 or len(target) < 2 * folds:
            return penalties[-1]
        fold = np.random.default_rng(self.config.seed).permutation(len(target)) % folds
        errors = np.zeros(len(penalties))
        for number in range(folds):
            inside = fold != number
            for position, penalty in enumerate(penalties):
                guess = _ridge(features[inside], target[inside], features[~inside], penalty)
                errors[position] += np.square(guess - target[~inside]).sum()
        return penalties[int(np.argmin(errors))]


def _ridge(
    features: sp.csr_matrix, target: FloatArray, asked: sp.csr_matrix, penalty: float
) -> FloatArray:
    """Ridge predictions for the rows of `asked`, with an unpenalised intercept."""
    if len(target) == 0 or features.shape[1] == 0:
        return np.full(asked.shape[0], target.mean() if len(target) else 0.0)
    from scipy.sparse.linalg import lsmr

    mean = target.mean()
    # Damped least squares on centred targets; unit rows make centring the features needless.
    weights = lsmr(features, target - mean, damp=float(np.sqrt(penalty)), atol=1e-8, btol=1e-8)[0]
    return np.asarray(asked @ weights + mean)
