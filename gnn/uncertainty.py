"""Other ways to doubt a score than the closed-form posterior, for comparison: dropout and ensembles.

Both look at the encoder alone: how far its scores of a pair scatter when parts of its input are left
out, or when it is trained from other random starts. A user's scores are taken against their mean over
all items first, since a constant per user changes no ranking and is not learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from ..kg.errors import StateError, UsageError, nearest
from ..kg.graph import FloatArray
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .encoder import Hidden
from .kg_prior import KGPrior
from .metrics import Float64
from .posterior import Posterior
from .randomness import generator_for, seeded
from .scorer_base import Scorer, require
from .trainer import EncoderScorer
from .view import GraphView

Method = Literal["laplace", "mc-dropout", "ensemble"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True)
class DropoutConfig:
    """Settings of Monte Carlo dropout.

    Attributes:
        passes: forward passes whose scores are compared. rate: share of the inputs' entries, and of
            the interactions and attribute edges, that a pass leaves out.
    """

    passes: int = 20
    rate: float = 0.1

    def __post_init__(self) -> None:
        check_fields(self)
        require(self.passes >= 2, f"must be at least 2, got {self.passes}", "passes")
        require(0 <= self.rate < 1, f"must be in [0, 1), got {self.rate}", "rate")


def known_method(name: str) -> Method:
    """The method of that name; UsageError if there is none, naming the nearest."""
    if name not in METHODS:
        raise UsageError(f"unknown method {name!r}", where="method", hint=nearest(name, METHODS))
    return cast(Method, name)


def posterior_of(parts: Mapping[str, Scorer]) -> Posterior:
    """Beliefs about every item in closed form; StateError where "kg-prior" is no part."""
    if not parts:
        raise StateError(
            "nothing was learned from interactions yet, so there is no posterior to ask with",
            hint="take in answers first; `similar` works without any",
        )
    prior = parts.get("kg-prior")
    if not isinstance(prior, KGPrior):
        raise StateError("the part kg-prior is switched off: there is no posterior to ask with")
    return prior.posterior


def deviation(
    method: str,
    parts: Mapping[str, Scorer],
    members: Sequence[EncoderScorer],
    data: TrainingData,
    users: IntArray,
    items: IntArray,
    config: DropoutConfig,
    seed: int,
) -> FloatArray:
    """Standard deviation pair by pair, float32 (n,).

    Args:
        method: "laplace", of the posterior's logits; "mc-dropout" or "ensemble", of the encoder's
            scores. members: encoders beside the one among `parts`.

    Raises:
        UsageError: an unknown method. StateError: what the method looks at is switched off.
    """
    if known_method(method) == "laplace":
        return posterior_of(parts).deviation(users, items)
    encoder = parts.get("encoder")
    if not isinstance(encoder, EncoderScorer):
        raise StateError(f"the part encoder is switched off: {method} has nothing to look at")
    if method == "mc-dropout":
        return mc_dropout(encoder, data, users, items, config, seed)
    if not members:
        raise StateError(
            "no ensemble was trained", hint="train with hybrid.ensemble at 1 or more encoders"
        )
    return ensemble([encoder, *members], users, items)


def mc_dropout(
    encoder: EncoderScorer,
    data: TrainingData,
    users: IntArray,
    items: IntArray,
    config: DropoutConfig,
    seed: int,
) -> FloatArray:
    """Standard deviation over forward passes with dropout left on, float32 (n,); 0 at rate 0.

    Source: Gal and Ghahramani, ICML 2016, section 4; edges are dropped as in DropEdge, Rong et al.,
    ICLR 2020. Cost: one encoding of the whole graph per pass.
    """
    model, view = encoder.model_of(data)
    model.eval()
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = config.rate
            layer.train()
    rows = []
    for number in range(config.passes):
        hidden = _thinned(view, config.rate, generator_for(seed, "dropped edges", number))
        with seeded(seed, "dropped inputs", number, encoder.device), torch.no_grad():
            out = model(view, hidden)
        own, others, bias = (x.float().cpu().numpy() for x in (out.users, out.items, out.bias))
        rows.append(_scores(own, others, bias, users, items))
    return _spread(rows)


def ensemble(members: Sequence[EncoderScorer], users: IntArray, items: IntArray) -> FloatArray:
    """Standard deviation over encoders trained from other random starts, float32 (n,).

    Source: Lakshminarayanan et al., NeurIPS 2017.
    """
    return _spread(
        [_scores(m.user_vectors, m.item_vectors, m.item_bias, users, items) for m in members]
    )


def save_members(members: Sequence[EncoderScorer], folder: Path, step: int) -> None:
    """Write an ensemble's members beside the checkpoints of `folder`."""
    for number, member in enumerate(members):
        member.state.save(folder / f"member-{number}", step)


def load_members(checkpoint: Path, n: int, data: TrainingData, device: str) -> list[EncoderScorer]:
    """The members saved with a checkpoint. StateError, IntegrityError: see `EncoderScorer.load`."""
    return [
        EncoderScorer.load(
            checkpoint.parent / f"member-{number}" / checkpoint.name, data, device=device
        )
        for number in range(n)
    ]


def _scores(
    user_vectors: FloatArray,
    item_vectors: FloatArray,
    bias: FloatArray,
    users: IntArray,
    items: IntArray,
) -> Float64:
    """Scores pair by pair, less the user's mean over all items, (n,)."""
    centred = (item_vectors - item_vectors.mean(0)).astype(np.float64)
    own = np.einsum("nd,nd->n", user_vectors[users].astype(np.float64), centred[items])
    return np.asarray(own + (bias - bias.mean())[items])


def _spread(rows: Sequence[Float64]) -> FloatArray:
    """Sample standard deviation over rows; exactly 0 where they are equal."""
    return np.asarray(np.std(np.stack(rows) - rows[0], axis=0, ddof=1), np.float32)


def _thinned(view: GraphView, rate: float, generator: torch.Generator) -> Hidden:
    """Masks that leave out `rate` of all interactions and attribute edges."""

    def kept(n: int) -> Tensor:
        mask = torch.rand(n, generator=generator) >= rate
        return mask.float().to(view.liked.forward.device)

    return Hidden(
        liked=kept(len(view.liked.order)),
        unliked=kept(len(view.unliked.order)),
        relations={
            kind: {one.key: kept(len(one.matrix.order)) for one in relations}
            for kind, relations in view.relations.items()
        },
    )
