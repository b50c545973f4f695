"""A Gaussian process over the knowledge graph that predicts items' coefficient vectors.

Cov(q_i, q_j) = (s K_ij + (1 - s) [i = j]) S0, where K compares KG profiles and texts, K_ii = 1, and the
signal share s says how much of the items' differences they explain: an item of which nothing is known
has all of its variance before it. Because the covariance is a Kronecker product, means and variances of
all coefficients follow from one n x n decomposition, and leave-one-out predictions are closed form
(Rasmussen and Williams, Gaussian Processes for Machine Learning, 5.4.2); s is the share under which they
are most likely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp

from ..kg.vocabulary import IntArray
from .data import TrainingData

Array = npt.NDArray[np.float64]
_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_BLOCK = 2048
_ALIKE = 1e-9  # coefficients that differ by less do not differ: there is nothing to explain


@dataclass(frozen=True)
class ItemKernel:
    """Similarity of items in [0, 1]: a weighted sum of cosine kernels.

    Attributes:
        profile: (I, features) sparse, unit or zero rows. text: (I, d) sparse or dense, the same.
        text_weight: weight of the text part; the profile has the rest.
    """

    profile: sp.csr_matrix
    text: sp.csr_matrix
    text_weight: float

    @classmethod
    def of(cls, data: TrainingData, text_weight: float) -> Self:
        """The catalog's kernel; where there is only one source it has all the weight."""
        profile, text = data.profile, text_features(data)
        has_profile, has_text = profile.nnz > 0, text.nnz > 0
        weight = text_weight if has_profile and has_text else float(has_text)
        return cls(profile, text, weight)

    @property
    def empty(self) -> bool:
        """True where neither graph nor text says anything of any item."""
        return bool(self.profile.nnz == 0 and self.text.nnz == 0)

    def between(self, first: IntArray, second: IntArray) -> Array:
        """Similarities of different items, float64 (len(first), len(second))."""
        parts = ((self.profile, 1.0 - self.text_weight), (self.text, self.text_weight))
        out = np.zeros((len(first), len(second)))
        for features, weight in parts:
            if weight > 0 and features.nnz:
                out += weight * (features[first] @ features[second].T).toarray()
        return out


def text_features(data: TrainingData) -> sp.csr_matrix:
    """TF-IDF of the items' documents, unit rows; empty columns where no item has text."""
    documents = data.graph.items.documents
    if not any(documents):
        return sp.csr_matrix((data.n_items, 0))
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2, max_df=0.3, stop_words="english")
    try:
        return sp.csr_matrix(vectorizer.fit_transform(documents))
    except ValueError:  # no word is left: too few or too similar documents
        return sp.csr_matrix((data.n_items, 0))


@dataclass(frozen=True)
class ItemProcess:
    """What graph and text say of every item.

    Attributes:
        mean: (I, D) predicted coefficient vectors; for anchors without their own estimate.
        kappa: (I,) share of the items' variance that stays open, in (0, 1].
        signal: share of the variance that the kernel explains at most.
    """

    mean: Array
    kappa: Array
    signal: float


def fit_process(
    kernel: ItemKernel, anchors: IntArray, values: Array, n_items: int, weights: Array
) -> ItemProcess:
    """Condition the process on the anchors' coefficient vectors.

    Args:
        anchors: sorted item indices, (n,). values: their estimates, (n, D).
        weights: (D, D) whitening matrix under which the D outputs count alike.
    """
    centre = values.mean(axis=0)
    alike = len(values) and np.ptp(values, axis=0).max() < _ALIKE
    if kernel.empty or len(anchors) < 3 or alike:
        return ItemProcess(np.tile(centre, (n_items, 1)), np.ones(n_items), 0.0)
    gram = kernel.between(anchors, anchors)
    np.fill_diagonal(gram, 1.0 + 1e-6)  # also of items of which a source says nothing
    spectrum, basis = np.linalg.eigh(gram)
    spectrum = np.maximum(spectrum, 0.0)
    residual = values - centre
    signal = _best_share(spectrum, basis, residual @ weights)
    gram *= signal
    gram[np.diag_indices_from(gram)] += 1.0 - signal
    factor, _ = scipy.linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    solved = scipy.linalg.cho_solve((factor, True), residual)
    alone = 1.0 / (basis**2 @ (1.0 / (signal * spectrum + 1.0 - signal)))
    # The variances take time in items x anchors^2, and half of it in single precision.
    single = factor.astype(np.float32)
    mean = np.empty((n_items, values.shape[1]))
    kappa = np.empty(n_items)
    everyone = np.arange(n_items)
    for low in range(0, n_items, _BLOCK):
        part = everyone[low : low + _BLOCK]
        cross = signal * kernel.between(part, anchors)
        mean[part] = centre + cross @ solved
        halves = scipy.linalg.solve_triangular(
            single, cross.T.astype(np.float32), lower=True, overwrite_b=True, check_finite=False
        )
        kappa[part] = 1.0 - (halves**2).sum(axis=0)
    mean[anchors] = values - solved * alone[:, None]
    kappa[anchors] = alone
    return ItemProcess(mean, np.clip(kappa, 1e-3, None), float(signal))


def _best_share(spectrum: Array, basis: Array, residual: Array) -> float:
    """The share with the most likely leave-one-out predictions, the outputs' scale profiled out."""
    rotated, squared = basis.T @ residual, basis**2
    best, best_loss = 0.0, np.inf
    for share in _SHARES:
        scale = 1.0 / (share * spectrum + 1.0 - share)
        alone = squared @ scale
        error = (basis @ (scale[:, None] * rotated)) / alone[:, None]
        spread = (error**2 * alone[:, None]).mean()
        loss = np.log(spread) - np.log(alone).mean()
        if loss < best_loss:
            best, best_loss = share, loss
    return best
