"""Training by many processes under torchrun: each takes a share of every step's users.

All processes draw the same steps from the same generators, so the sum of their gradients is that of
one process (with the loss "bpr", which draws a negative for each target of its own, in expectation).
The first of them writes, the others only compute. Without an initialised process group everything here
does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from .batches import Step


def processes() -> int:
    """How many train together."""
    on = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if on else 1


def process_number() -> int:
    """Which of them this process is, from 0."""
    return distributed.get_rank() if processes() > 1 else 0


def is_first() -> bool:
    """Whether this is the process that writes; true where there is one alone."""
    return process_number() == 0


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Within, the processes that torchrun started are one group; each has a GPU of its own, if any."""
    if not distributed.is_available() or not distributed.is_torchelastic_launched():
        yield
        return
    gpu = int(os.environ.get("LOCAL_RANK", "0"))
    if gpu < torch.cuda.device_count():
        torch.cuda.set_device(gpu)
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return once every process is here: what they all have read may be written from now on."""
    if processes() > 1:
        distributed.all_reduce(torch.zeros(1))


def agreed(value: float) -> float:
    """The first process's value, so that all decide alike."""
    if processes() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64)
    distributed.broadcast(shared, 0)
    return float(shared)


def summed(value: Tensor) -> Tensor:
    """The sum of all processes' values."""
    if processes() > 1:
        distributed.all_reduce(value)
    return value


def share(step: Step) -> Step:
    """The part of a step's targets that this process answers for: every n-th user's."""
    if processes() == 1:
        return step
    mine = step.owner % processes() == process_number()
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
