"""Which device tensors are worked on."""

from __future__ import annotations

import torch

from ..kg.errors import UsageError


def resolve_device(name: str) -> str:
    """ "auto" is CUDA where there is one; UsageError for a device that this machine lacks."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            "no CUDA device is to be seen", where="device", hint="use cpu, or see coldframe doctor"
        )
    return name
