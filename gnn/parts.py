"""The parts a hybrid score is made of, by name: how each is made, tuned, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..kg.errors import ResourceError
from .als import ALS, ALSConfig
from .data import TrainingData
from .kg_kernel import KGKernel, KGKernelConfig
from .kg_prior import KGPrior, KGPriorConfig
from .knn import KGKNN, ProfileConfig
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


def _has_low_ratings(data: TrainingData) -> bool:
    return bool(data.negatives.nnz > 0)


def _has_content(data: TrainingData) -> bool:
    return data.profile.nnz > 0 or bool(np.any(data.item_text))


@dataclass(frozen=True)
class Part:
    """How to make a part.

    Attributes:
        make: constructor that takes its configuration or None.
        config: the configuration's class; None = it has none, or, as the encoder, one that is given apart.
        tuned: whether validation data choose its configuration, looking at `target`.
        feeds: whether the data hold what it needs.
        most_items: of more, trained on or not, it cannot be fitted in reasonable memory; None = there is no
            such number.
    """

    make: Callable[..., Scorer]
    config: type[Any] | None = None
    tuned: bool = False
    target: Target = "all"
    feeds: Callable[[TrainingData], bool] = _always
    most_items: int | None = None

    def feasible(self, data: TrainingData) -> bool:
        """Whether it can be fitted on the data."""
        return self.feeds(data) and self.holds(data.n_items)

    def holds(self, n_items: int) -> bool:
        """Whether it can be fitted on so many items."""
        return self.most_items is None or n_items <= self.most_items


# EASE's matrix is dense over all items, trained or not: 20,000 take 3 GB and minutes.
_EASE_ITEMS = 20_000

# RatedEASE's matrices are dense over all items, and their product takes minutes from here on.
_RATED_EASE_ITEMS = 8000

PARTS: dict[str, Part] = {
    "popularity": Part(Popularity),
    "ease": Part(EASE, EASEConfig, tuned=True, most_items=_EASE_ITEMS),
    "rated-ease": Part(
        RatedEASE, RatedEASEConfig, tuned=True, feeds=_has_low_ratings, most_items=_RATED_EASE_ITEMS
    ),
    "rp3beta": Part(RP3Beta, RP3BetaConfig, tuned=True),
    "itemknn": Part(ItemKNN, ItemKNNConfig, tuned=True),
    "als": Part(ALS, ALSConfig, tuned=True),
    "kg-knn": Part(KGKNN, ProfileConfig, tuned=True, target="cold", feeds=_has_profile),
    "kg-prior": Part(KGPrior, KGPriorConfig),
    "kg-kernel": Part(KGKernel, KGKernelConfig, feeds=_has_content),
    "encoder": Part(EncoderScorer),
}


def make_part(name: str, settings: Mapping[str, Any]) -> Scorer:
    """The part with the configuration in `settings`; responses of the kernel follow EASE and ALS."""
    if name == "kg-kernel":
        return KGKernel(settings.get(name), ease=settings.get("ease"), als=settings.get("als"))
    config = settings.get(name)
    return PARTS[name].make() if config is None else PARTS[name].make(config)


def fit_part(name: str, settings: Mapping[str, Any], data: TrainingData) -> Scorer:
    """`make_part`, fitted on the data; ResourceError where they have too many items for it."""
    if not PARTS[name].holds(data.n_items):
        raise ResourceError(
            f"{data.n_items:,} items, at most {PARTS[name].most_items:,} can be fitted",
            where=name,
            hint="train again, with other parts",
        )
    return make_part(name, settings).fit(data)
