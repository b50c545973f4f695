"""Probes: a small random share of the questions, whose answers say how far the beliefs can be trusted.

One pair in 64 is set aside (`Pool.set_aside`): no other question may be such a pair, probes are drawn
evenly among them. So the answers about them are an unbiased sample of the pool, and
they are recognised among all answers without any memory. Where the panel or the items change between
rounds, places change too and earlier probes count as ordinary answers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, logsumexp

from ..gnn.posterior import Posterior
from .picking import Basket, take_in_proportion
from .pool import BoolArray
from .state import AskState

Array = npt.NDArray[np.float64]
LARGEST = 250_000
_SHIFTS = np.linspace(-3, 3, 61)  # of all logits together: whether beliefs are too high or too low
_SHIFT_SPREAD = 1.0


def draw_probes(state: AskState, budget: float, rng: np.random.Generator) -> Basket:
    """Pairs drawn evenly from those set aside; fewer where there are not so many."""
    basket = Basket(state.pool, budget)
    found = state.pool.candidates(LARGEST, rng)
    if found.users.size:
        kept = found.open & state.pool.set_aside(found.users, found.items[:, None])
        even = kept.astype(np.float32)
        take_in_proportion(basket, replace(found, open=kept), even, rng, state.pool.size)
    return basket


def probe_answers(state: AskState) -> BoolArray:
    """Which of the posterior's answers are about pairs set aside, (n,)."""
    answers, pool = state.posterior.answers, state.pool
    mask = np.isin(answers.user, pool.users) & np.isin(answers.item, pool.items)
    mask[mask] = pool.set_aside(answers.user[mask], answers.item[mask])
    return mask


def held_back_logits(state: AskState) -> tuple[Array, Array]:
    """(logits, labels) of the probes by beliefs that have taken in all other answers, (n,) each."""
    posterior, answers = state.posterior, state.posterior.answers
    held = probe_answers(state)
    asked, rows = np.unique(answers.item, return_inverse=True)
    cohort = None if posterior.cohort is None else posterior.cohort[asked]
    prior = Posterior.from_prior(
        posterior.user_vectors,
        posterior.prior_mean[asked],
        posterior.prior_covariance[asked],
        cohort,
    )
    taught = prior.update(answers.user[~held], rows[~held], answers.label[~held])
    users, items = answers.user[held], rows[held]
    shrink = np.sqrt(1 + np.pi / 8 * np.maximum(taught.pair_variance(users, items), 0))
    eta = (taught.pair_logits(users, items) / shrink).astype(np.float64)
    return eta, answers.label[held]


def evidence(eta: Array, labels: Array, slopes: Array) -> Array:
    """Log-likelihood of the labels if beliefs are right up to a slope, one per slope.

    p = sigmoid(m + shift + slope (eta - m)), m the logit of the mean chance; the shift is integrated
    out under N(0, 1). Slope 1: the beliefs tell pairs apart as well as they claim; slope 0: they do
    not tell them apart at all (Cox 1958, the calibration slope).
    """
    if not len(eta):
        return np.zeros(len(slopes))
    centre = logit(np.clip(expit(eta).mean(), 1e-6, 1 - 1e-6))
    tilted = centre + slopes[:, None, None] * (eta - centre) + _SHIFTS[None, :, None]
    signed = np.where(labels > 0.5, 1.0, -1.0)
    fit = -np.logaddexp(0, -signed * tilted).sum(axis=2)
    prior = -0.5 * (_SHIFTS / _SHIFT_SPREAD) ** 2
    return np.asarray(logsumexp(fit + prior, axis=1) - logsumexp(prior))
