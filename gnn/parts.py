"""The parts a hybrid score is made of, by name: how each is made, tuned, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from .als import ALS, ALSConfig
from .data import TrainingData
from .kg_kernel import KGKernel, KGKernelConfig
from .kg_prior import KGPrior, KGPriorConfig
from .knn import KGKNN, ProfileConfig, TextKNN
from .popularity import Popularity
from .scorer_base import Scorer
from .trainer import EncoderScorer
from .walk import (
    EASE,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    RatedEASE,
    RatedEASEConfig,
    RP3Beta,
    RP3BetaConfig,
)

Target = Literal["all", "cold"]


def _always(data: TrainingData) -> bool:  # noqa: ARG001 - the other conditions look at it
    return True


def _has_profile(data: TrainingData) -> bool:
    return bool(data.profile.nnz > 0)


def _has_unliked(data: TrainingData) -> bool:
    return bool(data.unliked.nnz > 0)


def _has_texts(data: TrainingData) -> bool:
    return bool(np.any(data.item_text))


def _has_content(data: TrainingData) -> bool:
    return _has_profile(data) or _has_texts(data)


@dataclass(frozen=True)
class Part:
    """How to make a part.

    Attributes:
        make: constructor that takes its configuration or None.
        config: the configuration's class; None = it has none, or, as the encoder, one that is given apart.
        tuned: whether validation data choose its configuration from its grid in `tune.KINDS`, looking at
            `target`.
        feasible: whether the data hold what it needs.
    """

    make: Callable[..., Scorer]
    config: type[Any] | None = None
    tuned: bool = False
    target: Target = "all"
    feasible: Callable[[TrainingData], bool] = _always


PARTS: dict[str, Part] = {
    "popularity": Part(Popularity),
    "ease": Part(EASE, EASEConfig, tuned=True),
    "rated-ease": Part(RatedEASE, RatedEASEConfig, tuned=True, feasible=_has_unliked),
    "rp3beta": Part(RP3Beta, RP3BetaConfig, tuned=True),
    "itemknn": Part(ItemKNN, ItemKNNConfig, tuned=True),
    "als": Part(ALS, ALSConfig, tuned=True),
    "kg-knn": Part(KGKNN, ProfileConfig, tuned=True, target="cold", feasible=_has_profile),
    "text-knn": Part(TextKNN, ProfileConfig, tuned=True, target="cold", feasible=_has_texts),
    "kg-prior": Part(KGPrior, KGPriorConfig),
    "kg-kernel": Part(KGKernel, KGKernelConfig, feasible=_has_content),
    "encoder": Part(EncoderScorer),
}


def make_part(name: str, settings: Mapping[str, Any]) -> Scorer:
    """The part with the configuration in `settings`; responses of the kernel follow EASE and ALS."""
    if name == "kg-kernel":
        return KGKernel(settings.get(name), ease=settings.get("ease"), als=settings.get("als"))
    config = settings.get(name)
    return PARTS[name].make() if config is None else PARTS[name].make(config)


def fit_part(name: str, settings: Mapping[str, Any], data: TrainingData) -> Scorer:
    """`make_part`, fitted on the data."""
    part = make_part(name, settings)
    part.fit(data)
    return part
