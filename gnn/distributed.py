"""Training by many processes under torchrun: each takes a share of every step's users.

All processes draw the same steps from the same generators, so the sum of their gradients is that of
one process. Without an initialised process group everything here does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from .batches import Step


def processes() -> int:
    """How many train together."""
    on = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if on else 1


def share(step: Step) -> Step:
    """The part of a step's targets that this process answers for: every n-th user's."""
    from dataclasses import replace

    if processes() == 1:
        return step
    mine = step.owner % processes() == distributed.get_rank()
    return replace(
        step,
        owner=step.owner[mine],
        target=step.target[mine],
        rating=step.rating[mine],
        weight=step.weight[mine],
    )


def global_mean_scale(weight: Tensor) -> Tensor | float:
    """Turns a mean over this process's targets into its part of the mean over all of them."""
    if processes() == 1:
        return 1.0
    total = weight.sum()
    distributed.all_reduce(total)
    return weight.sum() / total.clamp(min=1e-12)


@torch.no_grad()
def sum_gradients(model: nn.Module) -> None:
    """Add up the gradients of all processes; a weight unused here counts as zero."""
    if processes() == 1:
        return
    for weight in model.parameters():
        if weight.grad is None:
            weight.grad = torch.zeros_like(weight)
        distributed.all_reduce(weight.grad)
