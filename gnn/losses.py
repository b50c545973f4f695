"""Losses: ranking a user's targets above other items, fitting ratings, and two auxiliary tasks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Batch:
    """What a ranking loss sees of one step; B users, P target pairs, C candidate items.

    Attributes:
        users: (B, d) vectors. items: (n_items, d) vectors. bias: (n_items,).
        owner: int64 (P,), row of `users` of each target.
        target: int64 (P,), its item.
        weight: float32 (P,), weight of each target; sums to what the mean is taken over.
        candidates: int64 (C,), items to rank the targets against.
        log_q: float32 (C,), log of the chance that sampling put each candidate there; None = all
            items are there, and the softmax is exact.
        known: bool (B, C), candidates the user is known to like: never a negative.
        rating: float32 (P,), for `mse` only; NaN = none.
        generator: source of a loss's own random draws.
    """

    users: Tensor
    items: Tensor
    bias: Tensor
    owner: Tensor
    target: Tensor
    weight: Tensor
    candidates: Tensor
    log_q: Tensor | None
    known: Tensor
    rating: Tensor | None = None
    generator: torch.Generator | None = None

    def target_scores(self) -> Tensor:
        """float32 (P,)."""
        products = (self.users[self.owner] * self.items[self.target]).sum(1)
        return products + self.bias[self.target]

    def candidate_scores(self) -> Tensor:
        """float32 (B, C)."""
        return self.users @ self.items[self.candidates].T + self.bias[self.candidates]

    def mean(self, losses: Tensor) -> Tensor:
        """Weighted mean over the targets; 0 where there is none."""
        return (losses * self.weight).sum() / self.weight.sum().clamp(min=1e-12)


def softmax_loss(batch: Batch) -> Tensor:
    """-log of a target's share among its user's targets of the step and the negatives.

    The multinomial likelihood of a user's targets (Liang et al. 2018, section 2.2): a user with many
    of them spreads the same mass over more, which keeps long histories from overfitting. With sampled
    negatives, log q is taken from their scores, so that popular items, sampled more often, are not pushed
    down for it (Bengio and Senecal 2008; Yi et al. 2019, section 4.1).
    """
    scores = batch.candidate_scores()
    if batch.log_q is not None:
        scores = scores - batch.log_q
    rest = scores.masked_fill(batch.known, -torch.inf).logsumexp(1)
    target = batch.target_scores()
    own = _logsumexp(target, batch.owner, len(rest))
    return batch.mean(torch.logaddexp(own, rest)[batch.owner] - target)


def bpr_loss(batch: Batch) -> Tensor:
    """-log sigmoid of a target's lead over one random negative (Rendle et al. 2009).

    The negative is drawn per target from the candidates; where all are known, the target counts 0.
    """
    scores, owner = batch.candidate_scores(), batch.owner
    free_first = batch.known.to(torch.uint8).argsort(dim=1, stable=True)
    free = (~batch.known).sum(1)[owner]
    draw = torch.rand(len(owner), generator=batch.generator, device=owner.device)
    chosen = free_first[owner, (draw * free).long().minimum(free - 1).clamp(min=0)]
    lead = batch.target_scores() - scores[owner, chosen]
    return batch.mean(-functional.logsigmoid(lead) * (free > 0))


def bce_loss(batch: Batch) -> Tensor:
    """Binary cross-entropy: targets are 1; negatives are 0, with the weight of the targets in all."""
    positive = batch.mean(functional.softplus(-batch.target_scores()))
    free = ~batch.known
    negative = functional.softplus(batch.candidate_scores())
    return positive + (negative * free).sum() / free.sum().clamp(min=1)


def mse_loss(batch: Batch) -> Tensor:
    """Mean squared error of ratings, on their own scale; targets without a rating take no part."""
    if batch.rating is None:
        return batch.users.sum() * 0.0
    given = torch.isfinite(batch.rating)
    error = batch.target_scores() - torch.where(given, batch.rating, 0.0)
    return (error.square() * given * batch.weight).sum() / (given * batch.weight).sum().clamp(
        min=1e-12
    )


def _logsumexp(values: Tensor, owner: Tensor, n: int) -> Tensor:
    """log sum exp over the values of each owner, (n,); -inf for an owner of none."""
    top = torch.full((n,), -torch.inf, device=values.device, dtype=values.dtype)
    top = top.scatter_reduce(0, owner, values.detach(), "amax")
    safe = torch.where(torch.isfinite(top), top, 0.0)
    sums = torch.zeros_like(top).index_add(0, owner, (values - safe[owner]).exp())
    return torch.where(torch.isfinite(top), sums.clamp(min=1e-30).log() + safe, -torch.inf)


LOSSES: dict[str, Callable[[Batch], Tensor]] = {
    "bce": bce_loss,
    "bpr": bpr_loss,
    "mse": mse_loss,
    "softmax": softmax_loss,
}


def contrastive_loss(first: Tensor, second: Tensor, temperature: float = 0.2) -> Tensor:
    """InfoNCE between two views of the same n nodes, both ways (SGL, Wu et al. 2021, section 3.2).

    Args:
        first, second: (n, d); rows that are zero in either view take no part.
    """
    both = (first.abs().sum(1) > 0) & (second.abs().sum(1) > 0)
    if int(both.sum()) < 2:
        return (first.sum() + second.sum()) * 0.0
    one = functional.normalize(first[both], dim=1)
    two = functional.normalize(second[both], dim=1)
    scores = one @ two.T / temperature
    same = torch.arange(len(scores), device=scores.device)
    return (functional.cross_entropy(scores, same) + functional.cross_entropy(scores.T, same)) / 2


def completion_loss(heads: Tensor, relation: Tensor, tails: Tensor, own: Tensor) -> Tensor:
    """Which attribute belongs to a node? DistMult scores among the attributes at hand.

    Args:
        heads: (P, d) vectors of the nodes. relation: (d,). tails: (C, d) candidate attributes.
        own: int64 (P,), row of `tails` that was held out.
    """
    return functional.cross_entropy((heads * relation) @ tails.T, own)
