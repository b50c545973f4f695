"""Which device tensors are worked on, and how precisely."""

from __future__ import annotations

import contextlib
from typing import Any

import torch

from ..kg.errors import UsageError


def resolve_device(name: str | torch.device) -> str:
    """ "auto" is CUDA where there is one; UsageError for a device that this machine lacks."""
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        kind, index = device.type, device.index
    except (RuntimeError, TypeError):
        kind, index = "", None
    if kind not in ("cpu", "cuda"):
        raise UsageError(
            f"unknown device {name!r}", where="device", hint="use auto, cpu, cuda, or cuda:1"
        )
    if kind == "cuda" and (index or 0) >= torch.cuda.device_count():
        seen = torch.cuda.device_count()
        raise UsageError(
            f"there is no {name}: {seen} CUDA devices are to be seen"
            if seen
            else "no CUDA device is to be seen",
            where="device",
            hint="use cpu, or see coldframe doctor",
        )
    return str(name)


def autocast(device: torch.device, precision: str) -> Any:
    """bfloat16 autocast on CUDA; nothing elsewhere, where CSR products know float32 alone."""
    if device.type == "cuda" and precision == "auto":
        return torch.autocast("cuda", torch.bfloat16)
    return contextlib.nullcontext()
