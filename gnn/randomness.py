"""Generators derived from (seed, purpose, epoch), so that nothing depends on what was drawn before.

An epoch is then the same whether or not training was interrupted before it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import torch

_debugging: Any = torch.utils.deterministic  # a module whose one attribute mypy does not see
# cuBLAS adds up in one order only in a workspace of fixed size, which it takes at its first use.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def generator_for(seed: int, purpose: str, epoch: int = 0) -> torch.Generator:
    """A CPU generator that depends on these three and on nothing else."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@contextlib.contextmanager
def seeded(seed: int, purpose: str, epoch: int, device: torch.device | str) -> Iterator[None]:
    """torch's own generators, of the CPU and the device, seeded for what takes none (dropout,
    initialisation), then put back.

    torch's deterministic kernels are used inside: the backward of an indexing adds up in the order in
    which threads arrive, so that the same seed would not give the same bits.
    """
    device = torch.device(device)
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        _debugging.fill_uninitialized_memory,
    )
    start = generator_for(seed, purpose, epoch).initial_seed()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        # `torch.manual_seed` would seed the other devices too, which nobody puts back.
        torch.default_generator.manual_seed(start)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(start)
        torch.use_deterministic_algorithms(True, warn_only=True)
        _debugging.fill_uninitialized_memory = False  # costs time, for debugging alone
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            _debugging.fill_uninitialized_memory = before[2]
