"""Batched Bayesian logistic regression: many items share one design matrix of user vectors.

Item i has a coefficient vector q_i ~ N(m_i, P_i^-1) and answers y_ui ~ Bernoulli(sigmoid(x_u' q_i)).
Newton's method finds each posterior mode, the inverse Hessian there is its covariance (Laplace;
Bishop, Pattern Recognition and Machine Learning, 4.5). Two forms: `fit_dense`, where every user
answers for every item and only the ones are stored, and `fit_pairs`, where few pairs are answered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.special import expit
from torch import Tensor

Array = npt.NDArray[np.float64]
_LARGEST_STEP = 4.0  # largest change of a logit in one Newton step; keeps far starts from jumping


@dataclass(frozen=True)
class Laplace:
    """Posterior modes and covariances of n items.

    Attributes:
        mean: float64 (n, D). covariance: float64 (n, D, D).
    """

    mean: Array
    covariance: Array


def packed_outer(vectors: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Upper triangle of x x' for each row x, shape (n, D (D + 1) / 2), dtype kept."""
    rows, columns = np.triu_indices(vectors.shape[1])
    return vectors[:, rows] * vectors[:, columns]


def packed_form(matrices: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
    """Coefficients of x' M x in `packed_outer(x)`, for symmetric M: float32 (n, D (D + 1) / 2)."""
    rows, columns = np.triu_indices(matrices.shape[1])
    out = matrices[:, rows, columns].astype(np.float32)
    out[:, rows != columns] *= 2
    return out


def unpack(packed: npt.NDArray[np.floating], dimension: int) -> Array:
    """Symmetric matrices, float64 (n, D, D), from their packed upper triangles."""
    rows, columns = np.triu_indices(dimension)
    full = np.empty((len(packed), dimension, dimension))
    full[:, rows, columns] = packed
    full[:, columns, rows] = packed
    return full


def inverse(matrices: Array) -> Array:
    """Inverses of symmetric positive definite matrices (n, D, D), exactly symmetric."""
    result = np.linalg.inv(matrices)
    return np.asarray(0.5 * (result + np.swapaxes(result, -1, -2)))


def fit_dense(
    vectors: npt.NDArray[np.floating],
    ones: sp.csc_matrix,
    mean: Array,
    precision: Array,
    *,
    start: Array | None = None,
    weight: float = 1.0,
    sample: npt.NDArray[np.int64] | None = None,
    iterations: int = 12,
    tolerance: float = 1e-3,
    block: int = 512,
) -> Laplace:
    """Posterior of every item where each user's silence counts as a zero.

    The ones enter exactly through X'y; the sum over users of log(1 + exp(eta)) runs over `sample`
    only, times `weight` (all users and 1 by default). Cost per step O(n_sample n D^2).

    Args:
        vectors: X, (U, D). ones: (U, n) sparse, 1 where the answer is yes.
        mean, precision: prior, (n, D) and (n, D, D).
        start: where Newton starts, (n, D); the prior mean by default.
        block: items per block; memory is about 4 * n_sample * (block + D (D + 1) / 2) bytes.
    """
    chosen = np.asarray(vectors if sample is None else vectors[sample], np.float32)
    used, outer = torch.from_numpy(chosen), torch.from_numpy(packed_outer(chosen))
    linear = np.asarray(ones.T @ vectors, np.float64)
    modes = np.array(mean if start is None else start, np.float64)
    covariance = np.empty_like(precision)
    for low in range(0, len(modes), block):
        part = slice(low, low + block)
        modes[part], covariance[part] = _newton_dense(
            used,
            outer,
            linear[part],
            modes[part],
            mean[part],
            precision[part],
            weight,
            iterations,
            tolerance,
        )
    return Laplace(modes, covariance)


def _newton_dense(
    used: Tensor,
    outer: Tensor,
    linear: Array,
    modes: Array,
    mean: Array,
    precision: Array,
    weight: float,
    iterations: int,
    tolerance: float,
) -> tuple[Array, Array]:
    # One array of all pairs, rewritten in place: fresh memory takes longer than the sigmoid itself.
    pairs = torch.empty((len(used), len(modes)))
    longest = float(used.norm(dim=1).max())
    for _ in range(iterations):
        chance = torch.mm(used, _float32(modes).T, out=pairs).sigmoid_()
        gradient = linear - weight * (chance.T @ used).numpy()
        gradient -= np.einsum("nij,nj->ni", precision, modes - mean)
        curvature = chance.addcmul_(chance, chance, value=-1.0)
        hessian = precision + weight * unpack((curvature.T @ outer).numpy(), used.shape[1])
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        # No logit changes by more (Cauchy-Schwarz); by how much is looked at only where it may be far.
        largest = longest * np.linalg.norm(step, axis=1)
        far = largest > _LARGEST_STEP
        if far.any():
            largest[far] = (used @ _float32(step[far]).T).abs().amax(dim=0).numpy()
        modes = modes + step * np.minimum(1.0, _LARGEST_STEP / np.maximum(largest, 1e-12))[:, None]
        if largest.max(initial=0.0) < tolerance:
            break
    return modes, inverse(hessian)


def _float32(values: Array) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def fit_pairs(
    vectors: npt.NDArray[np.floating],
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    labels: npt.NDArray[np.floating],
    mean: Array,
    precision: Array,
    *,
    start: Array | None = None,
    iterations: int = 25,
    tolerance: float = 1e-6,
) -> Laplace:
    """Posterior of n items from answered pairs only; O(pairs D^2) per step.

    Args:
        users: rows of `vectors`, (p,). items: 0 ... n - 1, (p,). labels: in [0, 1], (p,).
    """
    n, dimension = mean.shape
    design = np.asarray(vectors[users], np.float64)
    outer = packed_outer(design)
    to_item = sp.csr_matrix((np.ones(len(users)), (items, np.arange(len(users)))), (n, len(users)))
    modes = np.array(mean if start is None else start, np.float64)
    hessian = np.array(precision)
    for _ in range(iterations):
        chance = expit(np.einsum("pd,pd->p", design, modes[items]))
        gradient = to_item @ ((labels - chance)[:, None] * design)
        gradient -= np.einsum("nij,nj->ni", precision, modes - mean)
        curvature = (chance * (1.0 - chance))[:, None]
        hessian = precision + unpack(to_item @ (curvature * outer), dimension)
        step = np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0]
        change = np.abs(np.einsum("pd,pd->p", design, step[items]))
        largest = np.zeros(n)
        np.maximum.at(largest, items, change)
        modes += step * np.minimum(1.0, _LARGEST_STEP / np.maximum(largest, 1e-12))[:, None]
        if change.max(initial=0.0) < tolerance:
            break
    return Laplace(modes, inverse(hessian))


OFFSET_VARIANCE = 4.0  # of the prior of a cohort's offset


@dataclass(frozen=True)
class CohortFit:
    """Items that share an unknown offset of their first coefficient.

    Attributes:
        deviation: mode of q_i - m_i - offset e_0 of the answered items, (n, D).
        covariance: of q_i given the offset, (n, D, D). pulled: d q_i / d offset, (n, D).
        offset, offset_variance: of the shared offset.
        evidence: Laplace approximation of the log-likelihood of all answers.
    """

    deviation: Array
    covariance: Array
    pulled: Array
    offset: float
    offset_variance: float
    evidence: float


def fit_cohort(
    vectors: npt.NDArray[np.floating],
    users: npt.NDArray[np.int64],
    items: npt.NDArray[np.int64],
    labels: npt.NDArray[np.floating],
    mean: Array,
    precision: Array,
    *,
    offset_variance: float = OFFSET_VARIANCE,
    start: float = 0.0,
    iterations: int = 25,
    tolerance: float = 1e-5,
) -> CohortFit:
    """Joint mode of n items' coefficients and of the offset b that all share: q_i = m_i + b e_0 + d_i.

    The Hessian is an arrow: given b the items are independent, so a step costs what `fit_pairs` does.
    The first column of `vectors` must be 1. Arguments as in `fit_pairs`; every item is answered.

    Args:
        offset_variance: of the prior N(0, .) of b. start: where b begins.
    """
    n, dimension = mean.shape
    design = np.asarray(vectors[users], np.float64)
    outer = packed_outer(design)
    to_item = sp.csr_matrix((np.ones(len(users)), (items, np.arange(len(users)))), (n, len(users)))
    deviation, offset = np.zeros((n, dimension)), float(start)
    for _ in range(iterations):
        logit = np.einsum("pd,pd->p", design, (mean + deviation)[items]) + offset
        chance = expit(logit)
        slope = to_item @ ((labels - chance)[:, None] * design)
        weight = unpack(to_item @ ((chance * (1 - chance))[:, None] * outer), dimension)
        hessian = weight + precision
        gradient = slope - np.einsum("nij,nj->ni", precision, deviation)
        both = np.linalg.solve(hessian, np.stack([gradient, weight[:, :, 0]], axis=2))
        curvature = (
            1 / offset_variance + (weight[:, 0, 0] - (weight[:, 0] * both[:, :, 1]).sum(1)).sum()
        )
        ahead = slope[:, 0].sum() - offset / offset_variance - (weight[:, 0] * both[:, :, 0]).sum()
        move = ahead / curvature
        step = both[:, :, 0] - move * both[:, :, 1]
        change = np.abs(np.einsum("pd,pd->p", design, step[items]) + move).max(initial=0.0)
        shorter = min(1.0, _LARGEST_STEP / max(float(change), 1e-12))
        deviation, offset = deviation + shorter * step, offset + shorter * float(move)
        if change < tolerance:
            break
    logit = np.einsum("pd,pd->p", design, (mean + deviation)[items]) + offset
    evidence = float((labels * logit - np.logaddexp(0, logit)).sum())
    evidence -= 0.5 * float(np.einsum("ni,nij,nj->", deviation, precision, deviation))
    evidence += 0.5 * float((np.linalg.slogdet(precision)[1] - np.linalg.slogdet(hessian)[1]).sum())
    evidence -= 0.5 * (offset**2 / offset_variance + float(np.log(curvature * offset_variance)))
    pulled = -both[:, :, 1]
    pulled[:, 0] += 1.0
    return CohortFit(deviation, inverse(hessian), pulled, offset, float(1 / curvature), evidence)
