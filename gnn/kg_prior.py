"""The closed-form KG-prior model: a Gaussian process over the knowledge graph as prior of each item.

Every item has a coefficient vector q_i over fixed user vectors x_u = [1, activity, SVD dimensions].
Items that have interactions give estimates of q; a Gaussian process whose kernel compares KG profiles
and texts carries them to the items that have none, with honest variance. Seconds on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .gaussian_process import ItemKernel, ItemProcess, fit_process
from .laplace import Laplace, fit_dense
from .posterior import Answers, Posterior
from .scorer_base import check_users, fitted, require

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class KGPriorConfig:
    """Configuration of `KGPrior`.

    Attributes:
        dimension: SVD dimensions of a user vector.
        text_weight: share of the text kernel where there are texts.
        em_rounds: rounds of expectation maximisation for the items' common covariance.
        largest_sample: users over whom the likelihood of silence is summed; above, a sample.
        anchors: most items the Gaussian process conditions on (those with most interactions).
        seed: of the SVD and the sample.
    """

    dimension: int = 20
    text_weight: float = 0.3
    em_rounds: int = 4
    largest_sample: int = 8192
    anchors: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("dimension", "em_rounds", "largest_sample", "anchors"):
            require(
                getattr(self, name) >= 1, f"must be at least 1, got {getattr(self, name)}", name
            )
        require(
            0 <= self.text_weight <= 1, f"must be in 0..1, got {self.text_weight}", "text_weight"
        )


class KGPrior:
    """Scorer with a posterior per item; serves items and users without interactions.

    After `fit`: `posterior` (all items, answers of rounds taken in), `signal` (share of the items'
    variance that KG and text explain), `prior_mean` (I, D) and `kappa` (I,): what KG and text alone
    say of each item, and the share of variance they leave.
    """

    name = "kg-prior"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(self, config: KGPriorConfig | None = None) -> None:
        self.config = config or KGPriorConfig()
        self._posterior: Posterior | None = None

    @property
    def posterior(self) -> Posterior:
        """Beliefs about all items; StateError before `fit`."""
        return fitted(self._posterior, self.name)

    def fit(self, data: TrainingData) -> Self:
        """Fit user vectors, the KG prior and every item's posterior."""
        catalog, asked = _split_rounds(data)
        self.user_vectors = user_vectors(catalog, self.config)
        warm = np.flatnonzero(np.bincount(catalog.indices, minlength=data.n_items))
        kernel = ItemKernel.of(data, self.config.text_weight)
        estimate, process, common = self._fit_prior(catalog, warm, kernel)
        self.signal, self.kappa = process.signal, process.kappa
        self.prior_mean = process.mean
        covariance = self.kappa[:, None, None] * common
        start = Posterior.from_prior(self.user_vectors, process.mean, covariance)
        mean, full = start.mean.copy(), np.array(start.covariance)
        mean[warm], full[warm] = estimate.mean, estimate.covariance
        new = np.ones(data.n_items, bool)
        new[warm] = False
        base = Posterior.from_prior(self.user_vectors, mean, full, cohort=new)
        self._posterior = base.update(asked.user, asked.item, asked.label)
        return self

    def _fit_prior(
        self, catalog: sp.csr_matrix, warm: IntArray, kernel: ItemKernel
    ) -> tuple[Laplace, ItemProcess, Array]:
        """Estimates of the warm items, the process over all items, and the common covariance S0."""
        config, x = self.config, self.user_vectors
        degree = np.bincount(catalog.indices, minlength=catalog.shape[1])[warm]
        rate = np.clip(degree / max(len(x), 1), 1e-4, 0.99)
        start = np.zeros((len(warm), x.shape[1]))
        start[:, 0] = np.log(rate / (1 - rate))
        common = np.diag([1.0, 0.1, *[0.1] * (x.shape[1] - 2)])
        if not len(warm):
            return (
                Laplace(start, np.zeros((0, *common.shape))),
                _unknown(catalog.shape[1], x),
                common,
            )
        ones = sp.csc_matrix(catalog[:, warm])
        rng = np.random.default_rng(config.seed)
        sample, weight = _sample_users(len(x), config.largest_sample, rng)

        def estimate(mean: Array, kappa: Array, start: Array, steps: int) -> Laplace:
            precision = np.linalg.inv(common)[None] / kappa[:, None, None]
            return fit_dense(
                x,
                ones,
                mean,
                precision,
                start=start,
                weight=weight,
                sample=sample,
                iterations=steps,
            )

        for turn in range(config.em_rounds):
            centre = np.tile(start.mean(axis=0), (len(warm), 1))
            found = estimate(centre, np.ones(len(warm)), start, 2 if turn else 6)
            start = found.mean
            common = _common_covariance(found, centre, np.ones(len(warm)))
        anchors = np.sort(np.argsort(-degree, kind="stable")[: config.anchors])
        whitening = np.asarray(np.linalg.cholesky(np.linalg.inv(common)), np.float64)
        process = fit_process(kernel, warm[anchors], start[anchors], catalog.shape[1], whitening)
        mean, kappa = process.mean[warm], process.kappa[warm]
        for steps in (2, 4):
            found = estimate(mean, kappa, found.mean, steps)
            common = _common_covariance(found, mean, kappa)
        return found, process, common

    def restore(self, posterior: Posterior) -> Self:
        """Take fitted beliefs."""
        self._posterior = posterior
        return self

    def score(self, users: IntArray) -> FloatArray:
        """Logit of each item's expected chance, float32 (len(users), n_items).

        A user without interactions is scored as the average user of no activity. Raises StateError
        before `fit`.
        """
        rows = check_users(users, self.posterior.n_users)
        return self.posterior.scores(rows, np.arange(self.posterior.n_items))


def user_vectors(positives: sp.csr_matrix, config: KGPriorConfig) -> FloatArray:
    """[1, activity, SVD], float32 (U, 2 + dimension).

    Activity is the standardised log of the user's degree. The SVD part of the matrix normalised by
    the roots of both degrees has the constant norm sqrt(dimension); it is zero where a user has no
    interactions.
    """
    n_users, n_items = positives.shape
    degree = np.diff(positives.indptr).astype(np.float64)
    popularity = np.bincount(positives.indices, minlength=n_items)
    activity = np.log1p(degree)
    activity = (activity - activity.mean()) / max(float(activity.std()), 1e-9)
    out = np.zeros((n_users, 2 + config.dimension), np.float32)
    out[:, 0], out[:, 1] = 1.0, activity
    rank = min(config.dimension, min(positives.shape) - 1)
    if positives.nnz and rank > 0:
        from sklearn.utils.extmath import randomized_svd

        left = sp.diags(1.0 / np.sqrt(np.maximum(degree, 1.0)))
        right = sp.diags(1.0 / np.sqrt(np.maximum(popularity, 1.0)))
        u, s, _ = randomized_svd(
            sp.csr_matrix(left @ positives @ right), rank, n_iter=6, random_state=config.seed
        )
        vectors = u * s
        norm = np.linalg.norm(vectors, axis=1, keepdims=True)
        known = (norm[:, 0] > 1e-9) & (degree > 0)
        out[known, 2 : 2 + rank] = vectors[known] / norm[known] * np.sqrt(config.dimension)
    return out


def _unknown(n_items: int, x: FloatArray) -> ItemProcess:
    """Without any interaction every item starts at even odds and full variance."""
    return ItemProcess(np.zeros((n_items, x.shape[1])), np.ones(n_items), 0.0)


def _common_covariance(fitted: Laplace, mean: Array, kappa: Array) -> Array:
    """M step: average of (difference difference' + covariance) / kappa over the items."""
    difference = (fitted.mean - mean) / np.sqrt(kappa)[:, None]
    spread = (fitted.covariance / kappa[:, None, None]).mean(axis=0)
    common = difference.T @ difference / len(mean) + spread
    return np.asarray(common + 1e-6 * np.eye(len(common)))


def _sample_users(
    n_users: int, largest: int, rng: np.random.Generator
) -> tuple[IntArray | None, float]:
    if n_users <= largest:
        return None, 1.0
    return np.sort(rng.choice(n_users, largest, replace=False)), n_users / largest


def _split_rounds(data: TrainingData) -> tuple[sp.csr_matrix, Answers]:
    """Positives of the catalog (round 0), and the asked pairs of later rounds.

    In the catalog a missing pair counts as a zero; an item that was only asked about has nothing but
    its answers.
    """
    train = data.train
    asked = train.select(train.round > 0)
    catalog = train.select(train.round == 0).matrix(data.n_users, data.n_items)
    answers = Answers().add(asked.user, asked.item, asked.label.astype(np.float64))
    return catalog, answers
