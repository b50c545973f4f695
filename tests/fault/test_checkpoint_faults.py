"""Checkpoints under kills, flipped bits, full disks and malice: detected, never a wrong number."""

from __future__ import annotations

import json
import pickle
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from coldframe.gnn.checkpoint import LATEST, MANIFEST, latest, load_checkpoint, save_checkpoint
from coldframe.kg.errors import ColdframeError, DataError, IntegrityError, ResourceError, StateError
from coldframe.kg.files import sha256_bytes


def tensors(value: float, size: int = 50) -> dict[str, dict[str, torch.Tensor]]:
    return {"encoder": {"w": torch.full((size,), value), "n": torch.arange(3)}, "best": {}}


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 7, tensors(1.5), {"seed": 3, "best": float("nan")})
    assert path == latest(tmp_path)
    back = load_checkpoint(path)
    assert torch.equal(back.groups["encoder"]["w"], torch.full((50,), 1.5))
    assert back.groups["best"] == {}
    assert back.meta == {"seed": 3, "best": None}
    assert back.versions["torch"] == torch.__version__


def test_old_checkpoints_go_and_the_latest_stays(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, step, tensors(step), {})
    assert sorted(one.name for one in tmp_path.iterdir()) == [LATEST, "step-000002", "step-000003"]
    save_checkpoint(tmp_path, 3, tensors(9), {})
    assert load_checkpoint(tmp_path / "step-000003").groups["encoder"]["w"][0] == 9


def test_nothing_there_is_a_named_state(tmp_path: Path) -> None:
    assert latest(tmp_path) is None
    with pytest.raises(StateError, match="no checkpoint"):
        load_checkpoint(tmp_path)


# One process imports torch once and forks every victim: a trial takes as long as its life.
_KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import safetensors.torch, torch
from coldframe.gnn.checkpoint import latest, load_checkpoint, save_checkpoint
folder, trials, rng, told = Path(sys.argv[1]), int(sys.argv[2]), random.Random(0), 0

def save_forever(step, out):
    while True:
        step += 1
        value = torch.full((20_000,), float(step))
        save_checkpoint(folder, step, {"a": {"w": value}, "b": {"w": -value}}, {"step": step})
        os.write(out, b"%d\\n" % step)

for trial in range(trials):
    read, write = os.pipe()
    victim = os.fork()
    if victim == 0:
        save_forever(told, write)
    os.close(write)
    with os.fdopen(read, "rb", buffering=0) as lines:
        start = time.monotonic()
        first = lines.read(100)  # one checkpoint is whole; the kill hits a later one anywhere
        time.sleep(2 * rng.random() * (time.monotonic() - start))
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        told = max(map(int, (first + lines.read()).split()))
    checkpoint = load_checkpoint(latest(folder))
    step = checkpoint.meta["step"]
    assert step >= told, (step, told)
    assert (checkpoint.groups["a"]["w"] == step).all() and (checkpoint.groups["b"]["w"] == -step).all()
    told = step
print(told)
"""


def kill_while_saving(folder: Path, kills: int) -> None:
    """Whatever the moment of the kill, LATEST loads and is the last acknowledged step or a newer one."""
    command = [sys.executable, "-c", _KILLER, str(folder / "runs"), str(kills)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= kills


@pytest.mark.R(1)
def test_killed_while_saving(tmp_path: Path) -> None:
    kill_while_saving(tmp_path, 100)


@pytest.mark.R(7)
def test_flipped_bits_and_cut_files_are_all_detected(tmp_path: Path) -> None:
    flip_checkpoints(tmp_path, 400, seed=1)


def flip_checkpoints(tmp_path: Path, flips: int, seed: int) -> None:
    """Damage one file of a checkpoint at a time: refused, or loaded as it was saved."""
    whole = save_checkpoint(tmp_path / "whole", 1, tensors(1.5), {"seed": 3})
    files = [one for one in whole.iterdir() if one.stat().st_size]
    rng = random.Random(seed)
    for trial in range(flips):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        victim = copy / rng.choice(files).name
        raw = bytearray(victim.read_bytes())
        if trial % 4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        else:
            raw = raw[: rng.randrange(len(raw))]
        victim.write_bytes(bytes(raw))
        try:
            back = load_checkpoint(copy)
        except IntegrityError:
            continue
        # Only the final newline after the manifest's own hash may go without notice.
        assert victim.name == MANIFEST
        assert torch.equal(back.groups["encoder"]["w"], torch.full((50,), 1.5))
        assert len(raw) == len((whole / MANIFEST).read_bytes()) - 1


@pytest.mark.R(6)
def test_disk_full_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    old = save_checkpoint(tmp_path, 1, tensors(1.0), {})
    before = {one.name: one.read_bytes() for one in old.iterdir()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for size in (0, 100, 1_000, 20_000, 39_000):
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
            with pytest.raises(ResourceError):
                save_checkpoint(tmp_path, 2, tensors(2.0, size=10_000), {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert latest(tmp_path) == old
    assert {one.name: one.read_bytes() for one in old.iterdir()} == before
    assert sorted(one.name for one in tmp_path.iterdir()) == [LATEST, "step-000001"]


class _Canary:
    """Unpickling it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return (Path.touch, (self.path,))


def _resign(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    """Rewrite a manifest with a right hash, as somebody who knows the format would."""
    body = (path / MANIFEST).read_text().rstrip("\n").rpartition("\n")[0]
    manifest = json.loads(body)
    change(manifest)
    body = json.dumps(manifest)
    (path / MANIFEST).write_text(f"{body}\n{sha256_bytes(body.encode())}\n")


def _replace_file(path: Path, data: bytes) -> None:
    (path / "encoder.safetensors").write_bytes(data)
    entry = {"bytes": len(data), "sha256": sha256_bytes(data)}
    _resign(path, lambda manifest: manifest["files"].update({"encoder.safetensors": entry}))  # type: ignore[attr-defined]


def _safetensors(header: object, body: bytes) -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + body


def _tensor(begin: int, end: int, shape: list[int], kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}


HOSTILE = {
    "pickle": lambda canary: pickle.dumps(_Canary(canary)),
    "header length": lambda _: struct.pack("<Q", 2**62) + b"{}",
    "no header": lambda _: b"",
    "overlap": lambda _: _safetensors(
        {"a": _tensor(0, 8, [2]), "b": _tensor(4, 12, [2])}, bytes(12)
    ),
    "lying shape": lambda _: _safetensors({"a": _tensor(0, 8, [2**40])}, bytes(8)),
    "beyond the end": lambda _: _safetensors({"a": _tensor(0, 800, [200])}, bytes(8)),
    "unknown type": lambda _: _safetensors({"a": _tensor(0, 8, [2], "PYOBJ")}, bytes(8)),
    "nan": lambda _: _safetensors({"a": _tensor(0, 4, [1])}, struct.pack("<f", float("nan"))),
    "infinity": lambda _: _safetensors({"a": _tensor(0, 4, [1])}, struct.pack("<f", float("inf"))),
    "header is a list": lambda _: _safetensors([1, 2], bytes(8)),
}


@pytest.mark.R(19)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tensors_with_a_right_hash(tmp_path: Path, name: str) -> None:
    path = save_checkpoint(tmp_path / "runs", 1, tensors(1.0), {})
    canary = tmp_path / "canary"
    _replace_file(path, HOSTILE[name](canary))
    with pytest.raises(IntegrityError):
        load_checkpoint(path)
    assert not canary.exists()


def forge_checkpoints(folder: Path, count: int, seed: int) -> None:
    """Hostile files changed at random, with right hashes: refused, or tensors of numbers; never run."""
    rng = random.Random(seed)
    path = save_checkpoint(folder / "runs", 1, tensors(1.0), {})
    sound = (path / "encoder.safetensors").read_bytes()
    canary = folder / "canary"
    files = [sound, *(make(canary) for make in HOSTILE.values())]
    refused = 0
    for _ in range(count):
        raw = bytearray(rng.choice(files))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(raw) + 1)
            if rng.random() < 0.5 and at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            else:
                raw[at : at + rng.randrange(9)] = rng.choice(_BITS)
        _replace_file(path, bytes(raw))
        try:
            found = load_checkpoint(path).groups["encoder"]
        except IntegrityError:
            refused += 1
            continue
        assert all(torch.isfinite(one).all() for one in found.values() if one.is_floating_point())
    assert refused > count // 2
    assert not canary.exists()


_BITS = (
    b"",
    b"{",
    b"}",
    b"[",
    b'"',
    b"\x00",
    b"\xff" * 8,
    b"-1",
    b"9" * 20,
    b"F32",
    b"shape",
    b"../",
)


@pytest.mark.R(19)
def test_forged_tensors(tmp_path: Path) -> None:
    forge_checkpoints(tmp_path, 200, seed=19)


@pytest.mark.R(19)
@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/b.safetensors", ".."])
def test_names_that_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    path = save_checkpoint(tmp_path / "runs", 1, tensors(1.0), {})
    entry = {"bytes": 0, "sha256": sha256_bytes(b"")}
    _resign(path, lambda manifest: manifest["files"].update({name: entry}))  # type: ignore[attr-defined]
    with pytest.raises((IntegrityError, DataError)):
        load_checkpoint(path)


@pytest.mark.R(19)
def test_links_and_extra_files_are_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "runs", 1, tensors(1.0), {})
    (path / "extra.bin").write_bytes(b"x")
    with pytest.raises(IntegrityError, match=r"extra\.bin"):
        load_checkpoint(path)
    (path / "extra.bin").unlink()
    moved = tmp_path / "moved"
    shutil.move(path / "encoder.safetensors", moved)
    (path / "encoder.safetensors").symlink_to(moved)
    with pytest.raises((IntegrityError, DataError)):
        load_checkpoint(path)


@pytest.mark.R(19)
@pytest.mark.parametrize("pointer", ["../../etc", "/etc", "", "step-1/../..", "\x00", "other"])
def test_a_pointer_to_elsewhere_is_refused(tmp_path: Path, pointer: str) -> None:
    save_checkpoint(tmp_path, 1, tensors(1.0), {})
    (tmp_path / LATEST).write_text(pointer)
    with pytest.raises(IntegrityError, match="no checkpoint's name"):
        latest(tmp_path)


@pytest.mark.R(19)
def test_manifests_of_any_shape_are_named_errors(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 1, tensors(1.0), {})
    for body in (
        "[]",
        "3",
        "{}",
        '{"files": 3}',
        '{"format": 99, "files": {}}',
        "[" * 5000,
        "\xff",
    ):
        (path / MANIFEST).write_text(f"{body}\n{sha256_bytes(body.encode())}\n")
        with pytest.raises(ColdframeError):
            load_checkpoint(path)
