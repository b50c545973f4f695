"""Collaborative scorers that are linear in the user's history: ItemKNN, RP3beta and EASE.

All three score a user by history @ W, with W an item-item matrix; they differ in W alone. Items
without training interactions and users without history are unknown to them: NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from ..kg.errors import IntegrityError, UsageError
from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .metrics import Float64
from .scorer_base import BoolArray, check_users, fitted, hide_unknown, require
from .topk import Product


class ItemModel(ABC):
    """History times an item-item matrix; the history is who liked what, unless a model says otherwise.

    Attributes (after `fit`):
        items: (n,), the items between which there are weights, sorted; None = all.
        weights: (n, n), sparse or dense float32; weights[j, i] = what a positive on items[j] adds to the
            score of items[i].
    """

    name = "item-model"
    serves_cold_items = False
    serves_cold_users = False

    def __init__(self) -> None:
        self.items: IntArray | None = None
        self.weights: sp.csr_matrix | FloatArray | None = None
        self._history: sp.csr_matrix | None = None
        self._users: BoolArray | None = None
        self._known_items: BoolArray | None = None

    @abstractmethod
    def _weights(self, data: TrainingData) -> sp.csr_matrix | FloatArray:
        """The item-item matrix by which histories foretell likes."""

    def _history_of(self, data: TrainingData) -> sp.csr_matrix:
        return data.positives

    def _items_of(self, history: sp.csr_matrix) -> IntArray | None:  # noqa: ARG002 - others look at it
        return None

    def fit(self, data: TrainingData) -> Self:
        """Derive the item-item matrix from the training pairs."""
        return self.restore(self._weights(data), data)

    def restore(self, weights: sp.csr_matrix | FloatArray, data: TrainingData) -> Self:
        """Take an item-item matrix fitted on `data`; IntegrityError where it is of other items."""
        history = self._history_of(data)
        self.items = self._items_of(history)
        n = data.n_items if self.items is None else len(self.items)
        if weights.shape != (n, n):
            raise IntegrityError(
                f"{self.name}: weights of shape {weights.shape}, expected {(n, n)}"
            )
        self._history = history if self.items is None else sp.csr_matrix(history[:, self.items])
        self._users, self._known_items = data.user_degree > 0, data.item_degree > 0
        self.weights = weights
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items); 0 = known to both, but nothing connects them."""
        history = fitted(self._history, self.name)
        chosen = check_users(users, history.shape[0])
        scores = history[chosen] @ fitted(self.weights, self.name)
        dense = scores.toarray() if sp.issparse(scores) else np.asarray(scores)
        known_items = fitted(self._known_items, self.name)
        if self.items is None:
            found = dense.astype(np.float32, copy=False)
        else:
            found = np.zeros((len(chosen), len(known_items)), np.float32)
            found[:, self.items] = dense
        return hide_unknown(found, fitted(self._users, self.name)[chosen], known_items)


@dataclass(frozen=True)
class ItemKNNConfig:
    """Settings of `ItemKNN`.

    Attributes:
        k: neighbours kept per item.
        shrink: added to the denominator of the cosine; damps similarities of rare items.
        power: similarities are raised to it.
    """

    k: int = 100
    shrink: float = 10.0
    power: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.k >= 1, f"got {self.k}, expected 1 or more", "k")
        require(self.shrink >= 0, f"got {self.shrink}, expected 0 or more", "shrink")
        require(self.power > 0, f"got {self.power}, expected above 0", "power")


class ItemKNN(ItemModel):
    """Item-based nearest neighbours by shrunk cosine.

    s(i, j) = (|U_i and U_j| / (sqrt(|U_i| |U_j|) + shrink)) ** power, the k largest per target item.
    Source: Deshpande and Karypis, "Item-based top-N recommendation algorithms", TOIS 2004, section 4.
    """

    name = "itemknn"

    def __init__(self, config: ItemKNNConfig | None = None) -> None:
        super().__init__()
        self.config = config or ItemKNNConfig()

    @classmethod
    def trials(cls, data: TrainingData) -> Callable[[ItemKNNConfig], ItemKNN]:
        """`fit` on `data` as a function of the configuration; users in common are counted once."""
        common = _common(data, keep=True)

        def fit(config: ItemKNNConfig) -> ItemKNN:
            model = cls(config)
            return model.restore(model._nearest(common, data), data)

        return fit

    def _weights(self, data: TrainingData) -> sp.csr_matrix:
        return self._nearest(_common(data), data)

    def _nearest(self, common: Product, data: TrainingData) -> sp.csr_matrix:
        norm = np.sqrt(data.item_degree).astype(np.float32)

        def cosine(rows: IntArray, columns: IntArray, values: FloatArray) -> FloatArray:
            out = values / (norm[rows] * norm[columns] + np.float32(self.config.shrink))
            return np.asarray(out ** np.float32(self.config.power))

        return sp.csr_matrix(common.top(self.config.k, cosine).T)


@dataclass(frozen=True)
class RP3BetaConfig:
    """Settings of `RP3Beta`.

    Attributes:
        alpha: exponent of the transition probabilities.
        beta: exponent of the popularity of the target, by which its score is divided.
        k: targets kept per source item.
    """

    alpha: float = 0.6
    beta: float = 0.4
    k: int = 200

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.alpha > 0, f"got {self.alpha}, expected above 0", "alpha")
        require(self.beta >= 0, f"got {self.beta}, expected 0 or more", "beta")
        require(self.k >= 1, f"got {self.k}, expected 1 or more", "k")


class RP3Beta(ItemModel):
    """Random walk of three steps, user - item - user - item, with popularity damped.

    W[j, i] = sum over users v of (1/|U_j|)**alpha (1/|I_v|)**alpha / |U_i|**beta, k largest per row.
    Source: Paudel et al., "Updatable, accurate, diverse, and scalable recommendations", TiiS 2017,
    section 3; the truncation is that of Dacrema et al., RecSys 2019.
    """

    name = "rp3beta"

    def __init__(self, config: RP3BetaConfig | None = None) -> None:
        super().__init__()
        self.config = config or RP3BetaConfig()

    @classmethod
    def trials(cls, data: TrainingData) -> Callable[[RP3BetaConfig], RP3Beta]:
        """`fit` on `data` as a function of the configuration; walks are counted once per alpha."""
        walks = lru_cache(maxsize=1)(lambda alpha: _common(data, alpha, keep=True))

        def fit(config: RP3BetaConfig) -> RP3Beta:
            model = cls(config)
            return model.restore(model._likeliest(walks(config.alpha), data), data)

        return fit

    def _weights(self, data: TrainingData) -> sp.csr_matrix:
        return self._likeliest(_common(data, self.config.alpha), data)

    def _likeliest(self, walks: Product, data: TrainingData) -> sp.csr_matrix:
        degree = np.maximum(data.item_degree, 1).astype(np.float32)
        leaving, damping = degree**-self.config.alpha, degree**-self.config.beta

        def transition(rows: IntArray, columns: IntArray, values: FloatArray) -> FloatArray:
            return np.asarray(values * leaving[rows] * damping[columns])

        return walks.top(self.config.k, transition)


def _common(data: TrainingData, alpha: float = 0.0, *, keep: bool = False) -> Product:
    """Sum of |I_v| ** -alpha over the users v that two items have in common, (n_items, n_items)."""
    history = data.positives
    activity = np.maximum(data.user_degree, 1).astype(np.float32)
    weighed = sp.csr_matrix(sp.diags(activity**-alpha) @ history, dtype=np.float32)
    return Product(sp.csr_matrix(history.T), weighed, keep=keep)


@dataclass(frozen=True)
class EASEConfig:
    """Settings of `EASE`.

    Attributes:
        penalty: lambda, the L2 penalty, in interactions.
        most_items: of more items with interactions, only those with most take part; the scores of the
            others are 0.
    """

    penalty: float = 200.0
    most_items: int = 10_000

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.penalty > 0, f"got {self.penalty}, expected above 0", "penalty")
        require(self.most_items >= 1, f"got {self.most_items}, expected 1 or more", "most_items")


class _Regression(ItemModel):
    """A model with dense weights, between the items that stand in most histories."""

    config: EASEConfig | RatedEASEConfig

    def _items_of(self, history: sp.csr_matrix) -> IntArray:
        """As many as may take part, sorted; ties by position."""
        degree = np.bincount(history.indices, minlength=history.shape[1])
        most = min(self.config.most_items, np.count_nonzero(degree))
        return np.sort(np.argsort(-degree, kind="stable")[:most])


class EASE(_Regression):
    """Embarrassingly shallow autoencoder: ridge regression of each item on all others.

    P = (X'X + lambda I)^-1, W = -P / diag(P) by columns, zero diagonal. Of n items n^3 multiplications, and
    12 n^2 bytes: 20 seconds of a core and 1.2 GB for 10,000.
    Source: Steck, "Embarrassingly shallow autoencoders for sparse data", WWW 2019, section 3.
    """

    name = "ease"

    def __init__(self, config: EASEConfig | None = None) -> None:
        super().__init__()
        self.config = config or EASEConfig()

    def _weights(self, data: TrainingData) -> FloatArray:
        liked = data.positives[:, self._items_of(data.positives)]
        inverse = _ridge_inverse(liked, self.config.penalty)
        inverse /= -np.diag(inverse)[None, :].copy()
        return _without_own(inverse)


@dataclass(frozen=True)
class RatedEASEConfig:
    """Settings of `RatedEASE`.

    Attributes:
        penalty: lambda, the L2 penalty, in interactions.
        unliked: what a pair rated low, or auxiliary, counts in a user's history, where a liked one counts 1;
            below 0 where it tells of distaste rather than of interest.
        most_items: of more items that were rated, only those rated most often take part; the scores of the
            others are 0.
    """

    penalty: float = 400.0
    unliked: float = 0.5
    most_items: int = 8000

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.penalty > 0, f"got {self.penalty}, expected above 0", "penalty")
        require(self.most_items >= 1, f"got {self.most_items}, expected 1 or more", "most_items")


class RatedEASE(_Regression):
    """EASE whose history holds all that is known of a user: to have seen a film says much, liked or not.

    With X = liked + unliked * (rated low or auxiliary) and Y = liked, P = (X'X + lambda I)^-1 and B = P X'Y, the
    ridge regression of each item's likes on everybody's history without the item itself is
    W = B - P diag(B) / diag(P) by columns; with unliked = 0 that is EASE. Twice EASE's memory, and
    four times its multiplications.
    Source: as `EASE`, section 3.1, with another target than the input.
    """

    name = "rated-ease"
    config: RatedEASEConfig

    def __init__(self, config: RatedEASEConfig | None = None) -> None:
        super().__init__()
        self.config = config or RatedEASEConfig()

    def _history_of(self, data: TrainingData) -> sp.csr_matrix:
        weight = np.float32(self.config.unliked)
        return sp.csr_matrix(data.positives + weight * data.unliked)

    def _weights(self, data: TrainingData) -> FloatArray:
        history = self._history_of(data)
        items = self._items_of(history)
        rated = history[:, items]
        inverse = _ridge_inverse(rated, self.config.penalty)
        found = inverse @ _product(rated, data.positives[:, items])
        own = np.diag(found) / np.diag(inverse)
        found -= inverse * own[None, :]
        return _without_own(found)


def _ridge_inverse(history: sp.csr_matrix, penalty: float) -> Float64:
    """(X'X + penalty I)^-1 of a history X."""
    gram = _product(history, history)
    gram[np.diag_indices_from(gram)] += penalty
    return _invert(gram)


def _without_own(weights: Float64) -> FloatArray:
    """Weights of which none is of an item on itself."""
    np.fill_diagonal(weights, 0.0)
    return np.ascontiguousarray(weights, np.float32)


def _product(left: sp.csr_matrix, right: sp.csr_matrix) -> Float64:
    """Dense left'right in Fortran order, built by blocks of columns."""
    n = right.shape[1]
    out = np.empty((left.shape[1], n), np.float64, order="F")
    by_item = sp.csr_matrix(right.T)
    step = max(1, 16_000_000 // max(n, 1))
    for start in range(0, n, step):
        # Rows of right'left are written as columns of left'right, which Fortran order keeps together.
        out[:, start : start + step] = (by_item[start : start + step] @ left).toarray().T
    return out


def _invert(matrix: Float64) -> Float64:
    """Inverse of a symmetric positive definite matrix by Cholesky, in place."""
    if len(matrix) == 0:
        return matrix
    factorise, finish = scipy.linalg.get_lapack_funcs(("potrf", "potri"), (matrix,))
    factor, failed = factorise(matrix, lower=True, overwrite_a=True, clean=False)
    if not failed:
        inverse, failed = finish(factor, lower=True, overwrite_c=True)
    if failed:
        raise UsageError("too small for these interactions", where="penalty", hint="raise it")
    for column in range(len(inverse)):
        inverse[column, column:] = inverse[column:, column]
    return np.asarray(inverse)
