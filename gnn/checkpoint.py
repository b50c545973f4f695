"""Checkpoints: folders of safetensors whose manifest vouches for every byte, and a pointer LATEST.

A checkpoint is written under a temporary name and renamed when it is whole and durable; only then is
the pointer moved. Loading checks the size and sha256 of every file before a tensor is mapped, and that
no tensor holds a NaN, so a damaged checkpoint is an error and never a wrong number.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..kg.errors import IntegrityError, StateError
from ..kg.files import atomic_folder, atomic_write, naming, plain, safe_join, sha256_bytes
from ..kg.origin import made_with

FORMAT = 1
MANIFEST = "manifest.json"
LATEST = "LATEST"
Groups = Mapping[str, Mapping[str, Tensor]]
_STEP = re.compile(r"step-[0-9]{6,}")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        path: its folder.
        groups: file name without suffix -> tensor name -> tensor (on the CPU).
        meta: JSON content that the writer chose: configuration, seed, vocabulary hashes.
        versions: of Coldframe, Python, torch and NumPy when it was written, and the git revision.
    """

    path: Path
    groups: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]
    versions: dict[str, str]


def save_checkpoint(
    folder: Path, step: int, groups: Groups, meta: Mapping[str, Any], *, keep: int = 2
) -> Path:
    """Write `folder`/step-NNNNNN and point LATEST to it; returns its path.

    Args:
        groups: one .safetensors file each.
        meta: JSON-able; NaN becomes null.
        keep: how many of the newest checkpoints stay; older ones are removed afterwards.

    Raises:
        ResourceError: it could not be written; the previous checkpoint and LATEST are as they were.
    """
    from safetensors.torch import save

    name = checkpoint_name(step)
    path = safe_join(folder, name)
    with atomic_folder(path, replace=True) as temporary:
        files = {}
        for group, tensors in groups.items():
            data = save({key: value.detach().cpu().contiguous() for key, value in tensors.items()})
            file = f"{group}.safetensors"
            atomic_write(safe_join(temporary, file), data)
            files[file] = {"bytes": len(data), "sha256": sha256_bytes(data)}
        manifest = {"format": FORMAT, "step": step, "files": files, "meta": plain(meta)}
        manifest["versions"] = made_with("numpy", "torch")
        body = json.dumps(manifest, indent=1, allow_nan=False)
        # The manifest vouches for the files, and its last line for the manifest.
        atomic_write(temporary / MANIFEST, f"{body}\n{sha256_bytes(body.encode())}\n")
    atomic_write(folder / LATEST, f"{name}\n")
    _remove_old(folder, keep)
    return path


def checkpoint_name(step: int) -> str:
    """What the checkpoint of a step is called."""
    return f"step-{step:06d}"


def latest(folder: Path) -> Path | None:
    """The checkpoint LATEST points to; None where there is none yet.

    Raises:
        IntegrityError: LATEST names something that no checkpoint is called.
    """
    pointer = folder / LATEST
    if not pointer.exists():
        return None
    with naming(pointer, "read"):
        name = pointer.read_bytes().decode("utf-8", "replace").strip()
    if not _STEP.fullmatch(name):
        raise IntegrityError(f"{name[:40]!r} is no checkpoint's name", where=str(pointer))
    return safe_join(folder, name)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint back, once all of it has been verified.

    Raises:
        StateError: there is no checkpoint at `path`.
        IntegrityError: a file is missing, unexpected, a link, cut short, changed, no safetensors, or
            holds a NaN or an infinity.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    manifest = _read_manifest(path)
    groups: dict[str, dict[str, Tensor]] = {}
    for file, entry in manifest["files"].items():
        data = _verified(path, file, entry)
        try:
            tensors = load(data)
        except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
            raise IntegrityError(f"not safetensors: {error}", where=str(path / file)) from error
        for key, value in tensors.items():
            if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                raise IntegrityError(
                    f"tensor {key!r} holds a NaN or infinity", where=str(path / file)
                )
        groups[file.removesuffix(".safetensors")] = tensors
    return Checkpoint(path, groups, manifest["meta"], manifest["versions"])


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    if not file.is_file() or file.is_symlink():
        raise StateError(
            "no checkpoint here", where=str(path), hint="train first, or name another folder"
        )
    with naming(file, "read"):
        raw = file.read_bytes()
    body, _, signature = raw.removesuffix(b"\n").rpartition(b"\n")
    if sha256_bytes(body).encode() != signature:
        raise IntegrityError("the manifest was changed or cut short", where=str(file))
    try:
        manifest = json.loads(body)
        files = manifest["files"]
        valid = manifest["format"] == FORMAT and all(
            isinstance(entry["bytes"], int) and isinstance(entry["sha256"], str)
            for entry in files.values()
        )
        manifest["meta"], manifest["versions"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"no manifest of a checkpoint: {error!r}", where=str(file)) from None
    if not valid:
        raise IntegrityError(
            f"format {manifest['format']!r}, expected {FORMAT}",
            where=str(file),
            hint="it was written by another version of Coldframe",
        )
    present = {one.name for one in path.iterdir()} - {MANIFEST}
    if present != set(files):
        odd = sorted(present ^ set(files))[0]
        raise IntegrityError(f"file {odd!r} is missing or unexpected", where=str(path))
    return dict(manifest)


def _verified(path: Path, file: str, entry: Mapping[str, Any]) -> bytes:
    """The bytes of a file whose size and hash are what the manifest says."""
    target = safe_join(path, file)
    if target.is_symlink() or not file.endswith(".safetensors"):
        raise IntegrityError("a link or a foreign file in a checkpoint", where=str(target))
    if target.stat().st_size != entry["bytes"]:
        raise IntegrityError(
            f"{target.stat().st_size} bytes, expected {entry['bytes']}", where=str(target)
        )
    with naming(target, "read"):
        data = target.read_bytes()
    if sha256_bytes(data) != entry["sha256"]:
        raise IntegrityError("its content was changed", where=str(target), hint="use another one")
    return data


def _remove_old(folder: Path, keep: int) -> None:
    steps = sorted(
        (one for one in folder.iterdir() if _STEP.fullmatch(one.name)),
        key=lambda one: int(one.name[5:]),
    )
    for old in steps[:-keep]:
        if latest(folder) != old:
            shutil.rmtree(old, ignore_errors=True)
