"""How far beliefs can be trusted: what they say of answers that were held back from them.

Every answer is predicted by beliefs that have taken in all others. Questions are chosen, not drawn evenly,
but by the pair and by earlier answers alone, so that the chance of an answer given the beliefs is what
it would be in an even draw, and its likelihood may be used.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, logsumexp

from ..gnn.posterior import probit_shrinkage
from .state import AskState

Array = npt.NDArray[np.float64]
_SHIFTS = np.linspace(-3, 3, 61)  # of all logits together: whether beliefs are too high or too low
_SHIFT_SPREAD = 1.0


def held_back_logits(state: AskState) -> tuple[Array, Array]:
    """(logits of the expected chance, labels) of all answers, each without its own part in the beliefs.

    One Newton step from the beliefs that know it, in closed form: with v the variance of its logit and
    w = p (1 - p), the others alone say logit - v (label - p) / (1 - w v), with variance
    v / (1 - w v) (Rad and Maleki 2020, approximate leave-one-out, section 2). O(answers D^2).
    """
    posterior, answers = state.posterior, state.posterior.answers
    mean = posterior.pair_logits(answers.user, answers.item).astype(np.float64)
    variance = posterior.pair_variance(answers.user, answers.item).astype(np.float64)
    chance = expit(mean)
    variance = variance / np.maximum(1 - chance * (1 - chance) * variance, 1e-3)
    alone = mean - variance * (answers.label - chance)
    return alone * probit_shrinkage(variance), answers.label


def evidence(eta: Array, labels: Array, slopes: Array) -> Array:
    """Log-likelihood of the labels if beliefs are right up to a slope, one per slope.

    p = sigmoid(m + shift + slope (eta - m)), m the logit of the mean chance; the shift is integrated
    out under N(0, 1). Slope 1: the beliefs tell pairs apart as well as they claim; slope 0: they do
    not tell them apart at all (Cox 1958, the calibration slope).
    """
    if not len(eta):
        return np.zeros(len(slopes))
    centre = logit(np.clip(expit(eta).mean(), 1e-6, 1 - 1e-6))
    signed = np.where(labels > 0.5, 1.0, -1.0)

    def likelihood(slope: float, shift: float) -> float:
        tilted = centre + slope * (eta - centre) + shift
        return -float(np.logaddexp(0, -signed * tilted).sum())

    fit = np.array([[likelihood(slope, shift) for shift in _SHIFTS] for slope in slopes])
    prior = -0.5 * (_SHIFTS / _SHIFT_SPREAD) ** 2
    return np.asarray(logsumexp(fit + prior, axis=1) - logsumexp(prior))
