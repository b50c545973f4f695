"""A Bayesian last layer: fixed user vectors, one Gaussian coefficient vector per item.

logit p(u likes i) = x_u' q_i with q_i ~ N(mean_i, covariance_i). It serves ranking under uncertainty,
asking, and instant feedback: answers move the posterior of their items at once, without training.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kg.errors import DataError
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .laplace import (
    OFFSET_VARIANCE,
    CohortFit,
    fit_cohort,
    fit_pairs,
    inverse,
    packed_form,
    packed_outer,
)

Array = npt.NDArray[np.float64]
_SCALES = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4)  # of a cohort's prior covariance
_PAIRS = 16_384  # or items, whose covariances are looked up at a time: 63 MB at 22 dimensions
_USUAL_SCALE, _SCALE_SPREAD = 0.7, 0.4  # mean and deviation of its logarithm


def probit_shrinkage(variance: npt.ArrayLike) -> npt.NDArray[Any]:
    """1 / sqrt(1 + pi variance / 8): what a middling logit of that variance is worth (MacKay 1992)."""
    return np.asarray(1.0 / np.sqrt(1.0 + np.pi / 8.0 * np.asarray(variance)))


def moderated(logit: npt.ArrayLike, variance: npt.ArrayLike) -> npt.NDArray[Any]:
    """Logit of the expected chance E[sigmoid(z)] under z ~ N(logit, variance), broadcast.

    Within .17 of it up to a variance of 2, within .35 up to 4. MacKay's logit * `probit_shrinkage` alone
    takes a rare like for one two or three times as likely, so that what is little known comes
    first: sigmoid(z) < exp(z), so the expected chance is below exp(logit + variance / 2), the mean of a
    log-normal, and close to it where likes are rare; where they are common, the same from the other side.
    """
    size = np.abs(logit)
    bounded = np.maximum(size * probit_shrinkage(variance), size - np.asarray(variance) / 2)
    return np.asarray(np.copysign(bounded, logit))


@dataclass(frozen=True)
class Answers:
    """Answered pairs: user (n,), item (n,) indices, label (n,) in [0, 1]."""

    user: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    item: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    label: Array = field(default_factory=lambda: np.zeros(0))

    def __len__(self) -> int:
        return len(self.user)

    def add(self, users: npt.ArrayLike, items: npt.ArrayLike, labels: npt.ArrayLike) -> Answers:
        """These answers, then the new ones."""
        return Answers(
            np.concatenate([self.user, np.asarray(users, np.int64)]),
            np.concatenate([self.item, np.asarray(items, np.int64)]),
            np.concatenate([self.label, np.asarray(labels, np.float64)]),
        )


@dataclass(frozen=True)
class Posterior:
    """Gaussian beliefs about the items' coefficient vectors.

    Attributes:
        user_vectors: x, float32 (U, D); keep their norm about constant, or few users with long
            vectors dominate what is asked.
        prior_mean, prior_covariance: before `answers`, float64 (I, D) and (I, D, D).
        mean, covariance: after them, the same shapes.
        answers: the pairs the posterior has taken in.
        cohort: mask (I,) of the items without interactions, or None. New items differ from old ones
            as a group: they share an unknown offset of the first coefficient, and their prior
            covariance an unknown scale; answers about any of them teach both. Needs a first user
            feature that is 1.
        offset, scale: what the answers say of the cohort so far.
    """

    user_vectors: FloatArray
    prior_mean: Array
    prior_covariance: Array
    mean: Array
    covariance: Array
    answers: Answers = field(default_factory=Answers)
    cohort: npt.NDArray[np.bool_] | None = None
    offset: float = 0.0
    scale: float = 1.0

    @classmethod
    def from_prior(
        cls,
        user_vectors: npt.ArrayLike,
        mean: npt.ArrayLike,
        covariance: npt.ArrayLike,
        cohort: npt.ArrayLike | None = None,
    ) -> Posterior:
        """Beliefs without answers; `covariance` (D, D) is shared, (I, D, D) is one per item.

        Raises DataError where shapes do not fit or a cohort is given without a constant feature.
        """
        x = np.asarray(user_vectors, np.float32)
        m = np.asarray(mean, np.float64)
        c = np.asarray(covariance, np.float64)
        if c.ndim == 2:
            c = np.broadcast_to(c, (len(m), *c.shape))
        if x.ndim != 2 or m.ndim != 2 or c.shape != (len(m), x.shape[1], x.shape[1]):
            raise DataError(
                f"shapes do not fit: user vectors {x.shape}, mean {m.shape}, covariance {c.shape}; "
                "expected (U, D), (I, D), (I, D, D)"
            )
        if cohort is None:
            return cls(x, m, c, m, c)
        mask = np.asarray(cohort, bool)
        if mask.shape != (len(m),) or not (x[:, 0] == 1).all():
            raise DataError("a cohort is a mask over the items and needs a first user feature of 1")
        scaled = np.where(mask[:, None, None], _USUAL_SCALE * c, c)
        return cls(x, m, c, m, scaled, cohort=mask, scale=_USUAL_SCALE)

    @property
    def n_users(self) -> int:
        return len(self.user_vectors)

    @property
    def n_items(self) -> int:
        return len(self.mean)

    @property
    def dimension(self) -> int:
        return int(self.user_vectors.shape[1])

    def logits(self, users: IntArray, items: IntArray) -> FloatArray:
        """x_u' mean_i for every user and every item, float32 (len(users), len(items))."""
        return np.asarray(
            self.user_vectors[users] @ self.mean[items].T.astype(np.float32), np.float32
        )

    def variance(self, users: IntArray, items: IntArray) -> FloatArray:
        """x_u' covariance_i x_u for every user and item, float32 (len(users), len(items))."""
        return np.asarray(packed_outer(self.user_vectors[users]) @ self._quadratic[items].T)

    @cached_property
    def _quadratic(self) -> FloatArray:
        """Coefficients of x' covariance_i x in the products x_j x_k, j <= k: float32 (I, D (D + 1) / 2)."""
        out = np.empty((self.n_items, self.dimension * (self.dimension + 1) // 2), np.float32)
        for start in range(0, self.n_items, _PAIRS):  # a copy of the whole in float64 is large
            part = slice(start, start + _PAIRS)
            out[part] = packed_form(self.covariance[part])
        return out

    def scores(self, users: IntArray, items: IntArray) -> FloatArray:
        """Logit of the expected chance, see `moderated`, float32 (len(users), len(items)).

        Ranks by E[p], so that a little-known item is not held down by its mode.
        """
        logits = self.logits(users, items)
        return np.asarray(moderated(logits, self.variance(users, items)), np.float32)

    def pair_logits(self, users: IntArray, items: IntArray) -> FloatArray:
        """x_u' mean_i pair by pair, float32 (n,)."""
        mean = self.mean[items].astype(np.float32)
        return np.asarray(np.einsum("nd,nd->n", self.user_vectors[users], mean), np.float32)

    def pair_variance(self, users: IntArray, items: IntArray) -> FloatArray:
        """x_u' covariance_i x_u pair by pair, float32 (n,)."""
        out = np.empty(len(users), np.float32)
        for start in range(0, len(users), _PAIRS):
            part = slice(start, start + _PAIRS)
            x = self.user_vectors[users[part]].astype(np.float64)
            out[part] = np.einsum("ni,nij,nj->n", x, self.covariance[items[part]], x)
        return out

    def deviation(self, users: IntArray, items: IntArray) -> FloatArray:
        """Standard deviation of the logit pair by pair, float32 (n,).

        That of a cohort's offset is part of it, also before any answer has told of the cohort. What
        ranks and asks leaves it out until then: all of the cohort share it.
        """
        variance = self.pair_variance(users, items)
        if self.cohort is not None and not self.cohort[self.answers.item].any():
            variance += np.float32(OFFSET_VARIANCE) * self.cohort[items]
        return np.sqrt(variance)

    def update(
        self, users: npt.ArrayLike, items: npt.ArrayLike, labels: npt.ArrayLike
    ) -> Posterior:
        """Beliefs after more answers; the same in any order, since all count anew against the prior.

        Only the items that were answered about are recomputed, and the cohort with any of them. Raises
        DataError where a label is outside [0, 1] or an index outside its range.
        """
        answers = self.answers.add(users, items, labels)
        new = answers.item[len(self.answers) :]
        self._check(answers)
        if not len(new):
            return self
        mean, covariance = self.mean.copy(), np.array(self.covariance)
        offset, scale = self.offset, self.scale
        together = np.zeros(self.n_items, bool) if self.cohort is None else self.cohort
        alone = np.unique(new[~together[new]])
        if len(alone):
            rows = np.isin(answers.item, alone)
            fitted = fit_pairs(
                self.user_vectors,
                answers.user[rows],
                np.searchsorted(alone, answers.item[rows]),
                answers.label[rows],
                self.prior_mean[alone],
                inverse(np.ascontiguousarray(self.prior_covariance[alone])),
                start=self.mean[alone],
            )
            mean[alone], covariance[alone] = fitted.mean, fitted.covariance
        if together[new].any():
            offset, scale = self._update_cohort(answers, mean, covariance)
        return replace(
            self, mean=mean, covariance=covariance, answers=answers, offset=offset, scale=scale
        )

    def without(self, users: npt.ArrayLike, items: npt.ArrayLike) -> Posterior:
        """Beliefs as if nothing had been answered about these pairs."""
        width = self.n_items
        gone = np.isin(
            self.answers.user * width + self.answers.item,
            np.asarray(users, np.int64) * width + np.asarray(items, np.int64),
        )
        start = Posterior.from_prior(
            self.user_vectors, self.prior_mean, self.prior_covariance, self.cohort
        )
        kept = self.answers
        return start.update(kept.user[~gone], kept.item[~gone], kept.label[~gone])

    def _update_cohort(
        self, answers: Answers, mean: Array, covariance: Array
    ) -> tuple[float, float]:
        """Refit the cohort in place; returns its offset and its scale, the likeliest of a grid."""
        assert self.cohort is not None
        rows = self.cohort[answers.item]
        asked = np.unique(answers.item[rows])
        precision = inverse(np.ascontiguousarray(self.prior_covariance[asked]))

        def fit(scale: float) -> CohortFit:
            return fit_cohort(
                self.user_vectors,
                answers.user[rows],
                np.searchsorted(asked, answers.item[rows]),
                answers.label[rows],
                self.prior_mean[asked],
                precision / scale,
                start=self.offset,
            )

        def likelihood(scale: float) -> float:
            away = np.log(scale / _USUAL_SCALE) / _SCALE_SPREAD
            return fits[scale].evidence - 0.5 * float(away**2)

        fits = {scale: fit(scale) for scale in _SCALES}
        best = max(_SCALES, key=likelihood)
        fitted = fits[best]
        shift = np.zeros(self.dimension)
        shift[0] = fitted.offset
        mean[self.cohort] = self.prior_mean[self.cohort] + shift
        covariance[self.cohort] = best * self.prior_covariance[self.cohort]
        covariance[self.cohort, 0, 0] += fitted.offset_variance
        mean[asked] += fitted.deviation
        covariance[asked] = fitted.covariance + fitted.offset_variance * (
            fitted.pulled[:, :, None] * fitted.pulled[:, None, :]
        )
        return fitted.offset, best

    def _check(self, answers: Answers) -> None:
        for kind, index, size in (
            ("user", answers.user, self.n_users),
            ("item", answers.item, self.n_items),
        ):
            if len(index) and (index.min() < 0 or index.max() >= size):
                raise DataError(f"{kind} index outside 0 ... {size - 1} among the answers")
        if not ((answers.label >= 0) & (answers.label <= 1)).all():
            raise DataError("a label is outside [0, 1]; leave out answers that cannot tell")
