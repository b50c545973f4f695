"""`learned`: a policy that picks each round's strategy from what the pool looks like.

A softmax over a few strategies whose logits are linear in a few features of the state; the weights
come from simulated rounds (`policy_training`, `coldframe train-policy`) and lie beside this file as
JSON that says how they were made.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from ..kg.errors import DataError
from ..kg.files import StrPath, read_json
from .state import AskState
from .strategies import STRATEGIES, Picks
from .trust import evidence

Array = npt.NDArray[np.float64]
SHIPPED = Path(__file__).with_name("policy.json")
FORMAT = "coldframe-policy/1"
ARMS = (
    "random",
    "score-proportional",
    "gain-proportional",
    "gain-coverage",
    "sharp-gain",
    "sharp-coverage",
    "greedy",
)
FEATURES = (
    "one", "cold-share", "rate", "labels-per-item", "confidence", "graph-agrees", "graph-density",
    "items", "batch-per-item",
)  # fmt: skip
_SLOPES = np.array([0.0, 1.0])


@dataclass(frozen=True)
class Policy:
    """Weights of the policy, and where they come from.

    Attributes:
        weights: (ARMS, FEATURES). provenance: command, seed, catalogs, figures.
    """

    weights: Array
    provenance: dict[str, Any]

    def chances(self, state: AskState, budget: float) -> Array:
        """Chance of each arm, (ARMS,)."""
        return np.asarray(softmax(self.weights @ features(state, budget)))

    def __call__(self, state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        """The likeliest arm asks the whole round."""
        arm = ARMS[int(self.chances(state, budget).argmax())]
        return STRATEGIES[arm](state, budget, rng)

    def as_dict(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "format": FORMAT,
            "arms": ARMS,
            "features": FEATURES,
            "weights": self.weights,
            "provenance": self.provenance,
        }

    @classmethod
    def load(cls, path: StrPath) -> Policy:
        """Read a policy; DataError where the file is not one, or is one of other arms or features."""
        found = read_json(path)
        wanted = {"format": FORMAT, "arms": list(ARMS), "features": list(FEATURES)}
        for key, expected in wanted.items():
            got = found.get(key) if isinstance(found, dict) else None
            if got != expected:
                raise DataError(
                    f"{key} is {got!r}, expected {expected!r}",
                    where=str(path),
                    hint="make it again with `coldframe train-policy`",
                )
        try:
            weights = np.array(found.get("weights"), np.float64)
        except (TypeError, ValueError):
            weights = np.zeros(0)
        if weights.shape != (len(ARMS), len(FEATURES)) or not np.isfinite(weights).all():
            raise DataError(
                f"weights are not {len(ARMS)} x {len(FEATURES)} finite numbers", where=str(path)
            )
        provenance = found.get("provenance")
        return cls(weights, provenance if isinstance(provenance, dict) else {})


@cache
def shipped() -> Policy:
    """The policy that comes with the package."""
    return Policy.load(SHIPPED)


def learned(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
    """The shipped policy."""
    return shipped()(state, budget, rng)


def features(state: AskState, budget: float) -> Array:
    """What the policy sees of the state, (FEATURES,), each of the order of 1.

    cold-share: of the catalog's items, those without interactions. rate: log10 of the mean chance of
    a "like". confidence: share of the items' variance, for an average target, that is known.
    graph-agrees: log-likelihood per answer that the graph's prior gains over a constant.
    """
    posterior, pool = state.posterior, state.pool
    n = max(len(pool.items), 1)
    if posterior.cohort is not None:
        cold = float(posterior.cohort.mean())
    else:
        cold = 0.0 if state.popularity is None else float((state.popularity == 0).mean())
    rate = float(state.demand.mean()) if len(pool.items) else 0.5
    density = 0.0 if state.profile is None else state.profile.nnz / max(state.profile.shape[0], 1)
    return np.array(
        [
            1.0,
            cold,
            np.log10(max(rate, 1e-4)) + 1.5,
            np.log1p(state.label_counts.sum() / n) - 1,
            _confidence(state),
            _agreement(state),
            np.log10(1 + density) - 1,
            np.log10(n) - 2,
            np.log10(max(budget, 1.0) / n),
        ]
    )


def _confidence(state: AskState) -> float:
    """var(x'mean) / (var(x'mean) + average x'S x) over the pool's items, x the average target."""
    items = state.pool.items
    if not len(items) or not len(state.targets):
        return 0.0
    x = state.target_vectors.mean(axis=0).astype(np.float64)
    known = float((state.posterior.mean[items] @ x).var())
    step = 8192
    unknown = np.concatenate(
        [
            (state.posterior.covariance[items[low : low + step]] @ x) @ x
            for low in range(0, len(items), step)
        ]
    )
    return known / max(known + float(unknown.mean()), 1e-12)


def _agreement(state: AskState) -> float:
    """Gain of the prior over a constant in nats per answer, shrunk by 20 answers, times 10, in [-1, 1]."""
    posterior, answers = state.posterior, state.posterior.answers
    x = posterior.user_vectors[answers.user].astype(np.float64)
    eta = (x * posterior.prior_mean[answers.item]).sum(axis=1) + posterior.offset
    flat, told = evidence(eta, answers.label, _SLOPES)
    return float(np.clip(10 * (told - flat) / (len(answers) + 20), -1, 1))
