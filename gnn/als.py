"""Implicit matrix factorisation by alternating least squares, solved exactly per user and item."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from ..kg.errors import UsageError
from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .scorer_base import BoolArray, check_users, fitted, hide_unknown, require

# Entries of the vectors and systems of the rows solved at a time: 16 M float32 = 64 MB.
_BLOCK_ENTRIES = 16_000_000


@dataclass(frozen=True)
class ALSConfig:
    """Settings of `ALS`.

    Attributes:
        factors: length of the vectors.
        penalty: regularisation, multiplied per row by the weight of its pairs, observed or not.
        unobserved_ratio: weight of all pairs of the matrix together as ones that were not observed, against
            that of the observed ones; so that it means the same whatever the size of the catalog.
        iterations: passes over users and items.
        seed: of the items' first vectors.
    """

    factors: int = 64
    penalty: float = 0.02
    unobserved_ratio: float = 2.0
    iterations: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("factors", "iterations"):
            value = getattr(self, name)
            require(value >= 1, f"must be at least 1, got {value}", name)
        require(self.penalty > 0, f"must be above 0, got {self.penalty}", "penalty")
        require(
            self.unobserved_ratio > 0,
            f"must be above 0, got {self.unobserved_ratio}",
            "unobserved_ratio",
        )


class ALS:
    """score(u, i) = <p_u, q_i>, minimising the squared error to 1 on observed pairs and to 0 elsewhere.

    Source: Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM
    2008; regularised by frequency as in Rendle et al., "Revisiting the Performance of iALS on Item
    Recommendation Benchmarks", RecSys 2022, section 3. Cost per pass: O(pairs * factors^2 +
    (users + items) * factors^3).

    Attributes (after `fit`):
        user_vectors, item_vectors: (n_users, factors), (n_items, factors); zero rows are unknown.
    """

    name = "als"
    serves_cold_items = False
    serves_cold_users = False

    def __init__(self, config: ALSConfig | None = None) -> None:
        self.config = config or ALSConfig()
        self.user_vectors: FloatArray | None = None
        self.item_vectors: FloatArray | None = None
        self._users: BoolArray | None = None
        self._items: BoolArray | None = None

    def fit(self, data: TrainingData) -> Self:
        """Factorise the positive training pairs; UsageError where the penalty is too small for that."""
        history = data.positives
        columns = sp.csr_matrix(history.T)
        rng = np.random.default_rng(self.config.seed)
        shape = (data.n_items, self.config.factors)
        items = torch.from_numpy(rng.normal(0.0, 0.1, shape).astype(np.float32))
        users = torch.zeros((data.n_users, self.config.factors))
        weight = (
            self.config.unobserved_ratio * history.nnz / max(history.shape[0] * history.shape[1], 1)
        )
        for _ in range(self.config.iterations):
            users = self._solve(history, items, weight)
            items = self._solve(columns, users, weight)
        return self.restore(users.numpy(), items.numpy(), data)

    def restore(self, users: FloatArray, items: FloatArray, data: TrainingData) -> Self:
        """Take fitted vectors; `data` says which users and items are known."""
        self.user_vectors, self.item_vectors = users, items
        self._users, self._items = data.user_degree > 0, data.item_degree > 0
        return self

    def _solve(self, observed: sp.csr_matrix, other: Tensor, weight: float) -> Tensor:
        """The best vectors of the rows of `observed` (n, m), given the other side's (m, factors).

        `weight` is that of one pair as an unobserved one.
        """
        n, d = observed.shape[0], self.config.factors
        count = np.diff(observed.indptr)
        ridge = self.config.penalty * (count + weight * observed.shape[1])
        # In the axes of the unobserved pairs' part of the system that part is diagonal.
        found, axes = torch.linalg.eigh(weight * other.T @ other)
        spread: Tensor = found.clamp_min(0.0)
        # Rows of about the same length are solved together; what is missing in one is a zero vector.
        padded = torch.cat([other @ axes, other.new_zeros(1, d)])
        out = torch.zeros((n, d))
        for rows in _blocks(count, d):
            place = np.arange(count[rows[-1]])
            inside = place < count[rows, None]
            index = np.full(inside.shape, len(other), np.int64)
            index[inside] = observed.indices[(observed.indptr[rows, None] + place)[inside]]
            diagonal = spread + torch.from_numpy(ridge[rows].astype(np.float32))[:, None]
            out[torch.from_numpy(rows)] = _ridge(padded[torch.from_numpy(index)], diagonal)
        vectors: Tensor = out @ axes.T
        return vectors

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items); NaN for users and items without training interactions."""
        left = fitted(self.user_vectors, self.name)
        chosen = check_users(users, len(left))
        scores = left[chosen] @ fitted(self.item_vectors, self.name).T
        return hide_unknown(
            scores, fitted(self._users, self.name)[chosen], fitted(self._items, self.name)
        )


def _ridge(vectors: Tensor, diagonal: Tensor) -> Tensor:
    """x of (diag(diagonal) + V'V) x = V'1 for each V of `vectors` (b, c, d), diagonals (b, d)."""
    longest, d = vectors.shape[1:]
    if longest < d:  # x = D^-1 V' (1 + V D^-1 V')^-1 1 has the smaller system
        scaled = vectors / diagonal[:, None, :]
        system = scaled @ vectors.transpose(1, 2)
        system.diagonal(dim1=1, dim2=2).add_(1.0)
        ones = vectors.new_ones((*vectors.shape[:2], 1))
        return (scaled.transpose(1, 2) @ _solve_definite(system, ones))[:, :, 0]
    system = vectors.transpose(1, 2) @ vectors
    system.diagonal(dim1=1, dim2=2).add_(diagonal)
    return _solve_definite(system, vectors.sum(1)[:, :, None])[:, :, 0]


def _solve_definite(system: Tensor, right: Tensor) -> Tensor:
    factor, failed = torch.linalg.cholesky_ex(system)
    if failed.any():
        raise UsageError("too small for these interactions", where="penalty", hint="raise it")
    solved: Tensor = torch.cholesky_solve(right, factor)
    return solved


def _blocks(count: IntArray, d: int) -> Iterator[IntArray]:
    """Rows with entries, the shortest first, in blocks of at most `_BLOCK_ENTRIES` floats."""
    order = np.argsort(count, kind="stable")
    order = order[count[order] > 0]
    start = 0
    while start < len(order):
        # A row takes its vectors, padded to the block's longest, and its system.
        end = start + max(1, _BLOCK_ENTRIES // (d * (d + int(count[order[start]]))))
        last = order[min(end, len(order)) - 1]
        end = start + max(1, _BLOCK_ENTRIES // (d * (d + int(count[last]))))
        yield order[start:end]
        start = end
