"""Beliefs about a user nobody knows yet: the mirror image of the items' posterior.

Items' coefficient vectors are held fixed and the user's vector x is what is learned:
logit p(likes i) = x' q_i with x ~ N(m, C), m and C being those of the users the model knows. A few
answers move x by Newton's method, with its inverse Hessian as covariance (Laplace).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit, ndtr

from ..gnn.laplace import fit_dense, fit_pairs, inverse
from ..gnn.posterior import Posterior, moderated, probit_shrinkage
from ..kg.errors import StateError
from ..kg.vocabulary import IntArray
from .state import CUTOFF

Array = npt.NDArray[np.float64]
_SLACK = 0.05  # added to the variance of a logit: no rank is ever certain
_PSEUDO = 10.0  # users' worth of unit variance in the covariance: few users tell little
_FIXED = 1e-4  # variance of the constant feature


@dataclass(frozen=True)
class Population:
    """What the known users say about the next one.

    Attributes:
        factors: q, (I, D); an uncertain item's are shortened, so that x'q is the logit of the chance
            with the item's own variance integrated out (MacKay 1992).
        mean, covariance: of x over the known users, (D,) and (D, D).
        familiarity: users who have an interaction with the item over those of the best-known item,
            in (0, 1], (I,).
        seen: mask of the items that anybody has interactions with, (I,).
    """

    factors: Array
    mean: Array
    covariance: Array
    familiarity: Array
    seen: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, posterior: Posterior, known: sp.csr_matrix) -> Population:
        """The users with an interaction in `known` (U, I), any nonzero.

        Raises StateError where nobody has any.
        """
        table = sp.csr_matrix(known)
        people = posterior.user_vectors[np.diff(table.indptr) > 0].astype(np.float64)
        if not len(people):
            raise StateError("nobody has interactions, so nothing is known of users' tastes")
        mean = people.mean(axis=0)
        around = people - mean
        free = np.ones(len(mean))
        free[0] = 0.0
        covariance = around.T @ around + np.diag(_PSEUDO * free)
        covariance = covariance / (len(people) + _PSEUDO) + _FIXED * np.eye(len(mean))
        second = covariance + np.outer(mean, mean)
        spread = np.einsum("nij,ij->n", posterior.covariance, second)
        factors = posterior.mean * probit_shrinkage(np.maximum(spread, 0.0))[:, None]
        degree = np.bincount(table.indices, minlength=table.shape[1]).astype(np.float64)
        return cls(factors, mean, covariance, (degree + 1.0) / (degree.max() + 1.0), degree > 0)

    def newcomer(self, history: IntArray | None = None) -> Newcomer:
        """Beliefs before any question.

        Args:
            history: items that the user is known to like. Silence about the other items that have
                interactions counts as a no, as it does in training.
        """
        mean, covariance = self.mean, self.covariance
        if history is not None and len(history):
            likes = np.zeros(len(self.factors))
            likes[history] = 1.0
            seen = np.flatnonzero(self.seen)
            mean, covariance = (each[0] for each in self.told_all(seen, likes[seen][None]))
        return Newcomer(self, mean, covariance, mean, covariance)

    def told_all(self, items: IntArray, labels: npt.ArrayLike) -> tuple[Array, Array]:
        """Modes (n, D) and covariances (n, D, D) of n users who answer about all of `items`.

        Args:
            labels: 1 or 0, (n, len(items)).
        """
        answers = sp.csc_matrix(np.asarray(labels, np.float64).T)
        start = np.tile(self.mean, (answers.shape[1], 1))
        precision = np.tile(inverse(self.covariance[None]), (len(start), 1, 1))
        fitted = fit_dense(self.factors[items], answers, start, precision)
        return fitted.mean, fitted.covariance


@dataclass(frozen=True)
class Newcomer:
    """Beliefs about one user's vector.

    Attributes:
        population: whose items and whose users. prior_mean, prior_covariance: before the answers.
        mean, covariance: after them, (D,) and (D, D).
    """

    population: Population
    prior_mean: Array
    prior_covariance: Array
    mean: Array
    covariance: Array

    def given(self, answers: Mapping[int, float]) -> Newcomer:
        """Beliefs after these answers (item index -> label in [0, 1]), and no others."""
        if not answers:
            return replace(self, mean=self.prior_mean, covariance=self.prior_covariance)
        fitted = fit_pairs(
            self.population.factors,
            np.fromiter(answers, np.int64, len(answers)),
            np.zeros(len(answers), np.int64),
            np.fromiter(answers.values(), np.float64, len(answers)),
            self.prior_mean[None],
            inverse(self.prior_covariance[None]),
            start=self.mean[None],
        )
        return replace(self, mean=fitted.mean[0], covariance=fitted.covariance[0])

    def variance(self, items: IntArray) -> Array:
        """Variance of the user's logits, (n,)."""
        return _spread(self.population.factors[items], self.covariance)

    def scores(self, items: IntArray) -> Array:
        """Logit of the expected chance that the user likes each item, (n,)."""
        logit = self.population.factors[items] @ self.mean
        return moderated(logit, self.variance(items))

    def gain(self, items: IntArray, ranked: IntArray) -> Array:
        """Expected drop of variance where it can change the user's best ten, by one answer, (n,).

        lam q'S M S q / (1 + lam v) with M = sum over `ranked` of pi_j^2 q_j q_j', where pi_j is the
        chance that j is among the ten best (the items' `gain` of `criteria`, with the roles of users
        and items exchanged) and lam = p (1 - p) for p moderated by the user's own variance.
        """
        targets = self.population.factors[ranked]
        logit, spread = targets @ self.mean, _spread(targets, self.covariance)
        place = max(len(ranked) - CUTOFF, 0)
        ahead = logit - np.partition(logit, place)[place]
        weight = ndtr(ahead / np.sqrt(spread + _SLACK)) ** 2
        matter = self.covariance @ (targets.T @ (weight[:, None] * targets)) @ self.covariance
        chance = expit(self.scores(items))
        curvature = chance * (1.0 - chance)
        drop = _spread(self.population.factors[items], matter)
        return np.asarray(curvature * drop / (1.0 + curvature * self.variance(items)))


def _spread(vectors: Array, matrix: Array) -> Array:
    """x'Ax of each row x, at least 0."""
    return np.asarray(np.maximum(((vectors @ matrix) * vectors).sum(axis=1), 0.0))
