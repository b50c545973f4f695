"""Content scorers: what the user liked, compared with each item's KG profile or text.

They need nothing of an item but its content, so an item without interactions is scored like any
other. An item without content, or a user none of whose items has any, is unknown: NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Self, TypeAlias

import numpy as np
import scipy.sparse as sp

from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .scorer_base import BoolArray, check_users, fitted, hide_unknown, require
from .topk import BLOCK_ENTRIES, keep_top

Content: TypeAlias = "sp.csr_matrix | FloatArray"

# Up to 8,000 items all cosines of sparse content are kept: 256 MB.
_DENSE_ENTRIES = 64_000_000

# Neighbours found for all settings that are tried together.
_NEAREST = 300


@dataclass(frozen=True)
class ProfileConfig:
    """Settings of `KGKNN` and `TextKNN`.

    Attributes:
        k: 0 = the user's whole profile; otherwise only the k items with interactions that are
            nearest to the item scored count.
        discount: exponent of an item's popularity by which its weight in the user's profile is
            divided; 0 = every liked item weighs the same.
        centre: subtract the mean of all items from dense content first.
    """

    k: int = 0
    discount: float = 0.0
    centre: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.k >= 0, f"got {self.k}, expected 0 or more", "k")
        require(self.discount >= 0, f"got {self.discount}, expected 0 or more", "discount")


class ProfileModel(ABC):
    """The mean cosine of an item's content with the contents of the user's items.

    score(u, i) = sum over u's items j of w_j cos(i, j) / sum of w_j, over all j or, with k > 0, with
    cos = 0 for those not among the k nearest trained items of i. Sparse content of few items is
    compared once, in `fit` (at most 256 MB); otherwise through each user's summed profile.
    """

    name = "profile"
    serves_cold_items = True
    serves_cold_users = False

    def __init__(self, config: ProfileConfig | None = None) -> None:
        self.config = config or ProfileConfig()
        self._history: sp.csr_matrix | None = None
        self._content: Content | None = None
        self._cosines: Content | None = None
        self._known: BoolArray | None = None

    @abstractmethod
    def _describe(self, data: TrainingData) -> Content:
        """Content of the items, (n_items, d), rows of unit length or zero."""

    @classmethod
    def trials(cls, data: TrainingData) -> Callable[[ProfileConfig], ProfileModel]:
        """`fit` on `data` as a function of the configuration; neighbours are looked for once."""

        @lru_cache(maxsize=1)
        def described(centre: bool) -> Content:
            return cls(ProfileConfig(centre=centre))._describe(data)

        @lru_cache(maxsize=1)
        def near(centre: bool, k: int) -> sp.csr_matrix:
            return nearest_items(described(centre), data.item_degree > 0, k)

        def fit(config: ProfileConfig) -> ProfileModel:
            wide = near(config.centre, max(config.k, _NEAREST)) if config.k else None
            cosines = None if wide is None else keep_top(sp.csr_matrix(wide.T), config.k).T
            return cls(config)._take(described(config.centre), cosines, data)

        return fit

    def fit(self, data: TrainingData) -> Self:
        """Take the items' content and, with k > 0, find each item's nearest trained items."""
        content, k = self._describe(data), self.config.k
        near = nearest_items(content, data.item_degree > 0, k) if k else None
        return self._take(content, near, data)

    def _take(self, content: Any, near: sp.csr_matrix | None, data: TrainingData) -> Self:
        self._known = _present(content)
        weight = np.maximum(data.item_degree, 1.0) ** -self.config.discount * self._known
        self._history = sp.csr_matrix(data.positives @ sp.diags(weight), dtype=np.float32)
        self._history.eliminate_zeros()
        self._content, self._cosines = content, None
        if near is not None:
            self._cosines = sp.csr_matrix(near)
        elif sp.issparse(content) and content.shape[0] ** 2 <= _DENSE_ENTRIES:
            self._cosines = (content @ content.T).toarray()
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items)."""
        history = fitted(self._history, self.name)
        rows = history[check_users(users, history.shape[0])]
        content: Any = fitted(self._content, self.name)
        scores: Any = rows @ (content if self._cosines is None else self._cosines)
        if self._cosines is None:
            scores = scores @ content.T
        dense: FloatArray = scores.toarray() if sp.issparse(scores) else np.asarray(scores)
        weight = np.asarray(rows.sum(1)).reshape(-1)
        dense = dense.astype(np.float32, copy=False) / np.maximum(weight, 1e-12)[:, None]
        return hide_unknown(dense, weight > 0, fitted(self._known, self.name))


class KGKNN(ProfileModel):
    """By KG profile: tf-idf over one-hop (relation, neighbour) features (see `profiles`)."""

    name = "kg-knn"

    def _describe(self, data: TrainingData) -> Content:
        return data.profile


class TextKNN(ProfileModel):
    """By text embedding."""

    name = "text-knn"

    def _describe(self, data: TrainingData) -> Content:
        text = data.item_text.astype(np.float32)
        present = np.abs(text).max(axis=1, initial=0.0) > 0
        if self.config.centre and present.any():
            # A language model gives all texts of a catalog a large common part; it tells nothing.
            text = np.where(present[:, None], text - text[present].mean(0), 0.0)
        length = np.linalg.norm(text, axis=1, keepdims=True)
        unit: FloatArray = np.divide(text, length, out=np.zeros_like(text), where=length > 1e-6)
        return unit


def _present(content: Any) -> BoolArray:
    """(n_items,) which rows are not zero."""
    squares = content.multiply(content) if sp.issparse(content) else np.square(content)
    return np.asarray(np.asarray(squares.sum(1)).reshape(-1) > 0)


def nearest_items(content: Content, candidates: BoolArray, k: int) -> sp.csr_matrix:
    """Cosines of each item with its k nearest candidates, itself left out, (n_items, n_items).

    Row = candidate, column = the item whose neighbours they are; memory bounded by blocks.
    """
    n = content.shape[0]
    targets = np.flatnonzero(candidates)
    others = content[targets].T
    others = sp.csr_matrix(others) if sp.issparse(content) else others
    step = max(1, BLOCK_ENTRIES // max(len(targets), 1))
    blocks = []
    for start in range(0, n, step):
        product = content[start : start + step] @ others
        if not sp.issparse(product) and len(targets) > k + 1:
            edge = np.partition(product, -k - 1, axis=1)[:, -k - 1, None]
            product = np.where(product < edge, np.float32(0.0), product)
        product = sp.csr_matrix(product, dtype=np.float32)
        shape = (product.shape[0], n)
        block = sp.csr_matrix((product.data, targets[product.indices], product.indptr), shape)
        # With one more than wanted there are k left, whether the item itself is among them or not.
        block = keep_top(block, k + 1)
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)) + start
        block.data[block.indices == rows] = 0.0
        blocks.append(keep_top(block, k))
    if not blocks:
        return sp.csr_matrix((n, n), dtype=np.float32)
    return sp.csr_matrix(sp.vstack(blocks).T, dtype=np.float32)
