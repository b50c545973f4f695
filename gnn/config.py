"""The configuration of a recommender as one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..kg.typed_fields import check_fields
from .ablation import AblationConfig
from .hybrid import HybridConfig
from .text import TextConfig


@dataclass(frozen=True)
class RecommenderConfig:
    """Settings of a `Recommender`.

    Attributes:
        hybrid: the scorer: its parts, the encoder, its training, and the gate.
        text: how texts become vectors.
        ablation: what to do without.
        refit: fit on training and validation pairs together, once validation has chosen everything.
    """

    hybrid: HybridConfig = field(default_factory=HybridConfig)
    text: TextConfig = field(default_factory=TextConfig)
    ablation: AblationConfig = field(default_factory=AblationConfig)
    refit: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
