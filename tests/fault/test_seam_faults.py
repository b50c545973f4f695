"""Kills, failing system calls, full disks, hostile names and rival processes at the write seam."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from coldframe.kg import files, locks, writing
from coldframe.kg.errors import DataError, LockedError, ResourceError
from coldframe.kg.files import FolderLock, append_record, atomic_folder, atomic_write, safe_join


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_for_ever(kind: str, target: Path, acknowledge: int) -> None:
    for step in range(1, 1_000_000):
        if kind == "folder":
            with atomic_folder(target, replace=True) as folder:
                for name in ("a", "b", "c"):
                    (folder / name).write_text(f"{step}\n" * 10_000)
        elif kind == "file":
            atomic_write(target, f"{step}\n" * 30_000)
        else:
            append_record(
                target, [b"%d:%d:%d:%0200d" % (os.getpid(), step, k, 0) for k in range(50)]
            )
        os.write(acknowledge, b"%d\n" % step)


@dataclass
class Writer:
    """A forked process that writes one artefact over and over and says what is done."""

    kind: str
    target: Path

    def __post_init__(self) -> None:
        self.acknowledged, said = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            try:
                write_for_ever(self.kind, self.target, said)
            finally:
                os._exit(1)
        os.close(said)

    def kill_soon(self, rng: random.Random) -> int:
        """Kill -9 at a random moment after the first write; the last acknowledged step."""
        with open(self.acknowledged, "rb") as said:  # noqa: PTH123  # a descriptor
            first = said.readline()
            time.sleep(rng.random() * 0.03)
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            return int((first + said.read()).split()[-1])


@pytest.mark.R(1)
@pytest.mark.parametrize("kind", ["folder", "file"])
def test_kill_leaves_the_last_acknowledged_or_newer(tmp_path: Path, kind: str) -> None:
    rng, target = random.Random(1), tmp_path / "artefact"
    for _ in range(50):
        acknowledged = Writer(kind, target).kill_soon(rng)
        parts = sorted(target.iterdir()) if kind == "folder" else [target]
        steps = {line for part in parts for line in part.read_text().split("\n")} - {""}
        assert len(steps) == 1, "parts of two writes"
        assert sum(len(part.read_text().splitlines()) for part in parts) == 30_000, "a part only"
        assert int(steps.pop()) >= acknowledged
    writing.sweep(tmp_path)
    assert names(tmp_path) == ["artefact"]


@pytest.mark.R(2)
def test_killed_appenders_lose_and_double_nothing(tmp_path: Path) -> None:
    rng, log = random.Random(2), tmp_path / "log"
    for _ in range(70):
        log.unlink(missing_ok=True)
        writers = [Writer("log", log) for _ in range(3)]
        acknowledged = [writer.kill_soon(rng) for writer in writers]
        append_record(log, [b"after"])
        lines = log.read_bytes().split(b"\n")
        assert lines[-2:] == [b"after", b""]
        written = Counter(line[:-201] for line in lines if line.count(b":") == 3)
        for writer, done in zip(writers, acknowledged, strict=True):
            for step in range(1, done + 1):
                for k in range(50):
                    assert written[b"%d:%d:%d" % (writer.process, step, k)] == 1
        torn = sum(not re.fullmatch(rb"after||\d+:\d+:\d+:0{200}", line) for line in lines)
        assert torn <= len(writers)


class FailingSystem:
    """The os module, with the N-th call of one of its functions failing."""

    def __init__(self, call: str, at: int, error: int) -> None:
        self.call, self.at, self.error, self.calls = call, at, error, 0

    def __getattr__(self, name: str) -> object:
        real = getattr(os, name)
        aliases = {"rename": ("rename", "replace"), "open": ("open",), "fsync": ("fsync",)}
        if name not in aliases.get(self.call, (self.call,)):
            return real

        def counted(*args: object, **options: object) -> object:
            self.calls += 1
            if self.calls == self.at:
                raise OSError(self.error, os.strerror(self.error))
            return real(*args, **options)

        return counted


class FailingFile:
    """A file whose N-th write fails, half of it done."""

    def __init__(self, system: FailingSystem, real: object) -> None:
        self._system, self._real = system, real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def __enter__(self) -> FailingFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._real.close()  # type: ignore[attr-defined]

    def write(self, data: bytes) -> int:
        self._system.calls += 1
        if self._system.calls == self._system.at:
            self._real.write(data[: len(data) // 2])  # type: ignore[attr-defined]
            raise OSError(self._system.error, os.strerror(self._system.error))
        return int(self._real.write(data))  # type: ignore[attr-defined]


def write_folder(target: Path) -> None:
    with atomic_folder(target, replace=True) as folder:
        (folder / "a").write_text("new")
        (folder / "b").write_text("new")


ARTEFACTS: dict[str, Callable[[Path], None]] = {
    "file": lambda target: atomic_write(target, "new" * 1000),
    "json": lambda target: files.write_json(target, {"new": list(range(1000))}),
    "table.parquet": lambda target: files.write_table(target, pa.table({"a": range(1000)})),
    "table.csv": lambda target: files.write_table(target, pa.table({"a": range(1000)})),
    "log": lambda target: append_record(target, [b"new"] * 10),
    "folder": write_folder,
}


def prepare(target: Path, *, old: bool) -> None:
    if old and target.name == "folder":
        target.mkdir()
        (target / "a").write_text("old")
    elif old:
        target.write_text("old\n")


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.R(5)
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EACCES"])
@pytest.mark.parametrize("old", [True, False], ids=["old", "none"])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename"])
@pytest.mark.parametrize("artefact", ARTEFACTS)
def test_every_failing_call_leaves_the_old_artefact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artefact: str, call: str, old: bool, error: str
) -> None:
    import errno

    failures = 0
    for at in range(1, 50):
        target = tmp_path / str(at) / artefact
        target.parent.mkdir()
        prepare(target, old=old)
        before = content(target.parent)
        system = FailingSystem(call, at, getattr(errno, error))
        with monkeypatch.context() as patch:
            patch.setattr(writing, "os", system)
            if call == "write":
                real_fdopen = os.fdopen
                patch.setattr(
                    os, "fdopen", lambda *args, s=system, r=real_fdopen: FailingFile(s, r(*args))
                )
            try:
                ARTEFACTS[artefact](target)
            except ResourceError as failed:
                failures += 1
                assert (failed.where, failed.exit_code) == (str(target), 5)  # noqa: PT017
            else:
                assert system.calls < at, f"the {at}. {call} failed silently"
                break
        assert content(target.parent) == before, f"after the {at}. {call}"
    else:
        pytest.fail("did not end")
    expected_none = {("log", "rename"), ("folder", "write")}
    if old and artefact == "folder":
        expected_none.add(("folder", "rename"))  # one exchange, by a call of its own
    assert (failures > 0) == ((artefact, call) not in expected_none)


@pytest.mark.R(6)
@pytest.mark.parametrize(
    "artefact", ["file", "json", "table.parquet", "table.csv", "log", "folder"]
)
def test_a_full_disk_leaves_the_old_artefact(tmp_path: Path, artefact: str) -> None:
    ARTEFACTS[artefact](tmp_path / artefact)  # imports what it needs before the forks
    for size in range(1, 21):
        target = tmp_path / str(size) / artefact
        target.parent.mkdir()
        prepare(target, old=True)
        before = content(target.parent)
        child = os.fork()
        if child == 0:
            limit = size * 7 if artefact != "folder" else size % 3
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                ARTEFACTS[artefact](target)
            except ResourceError:
                os._exit(5)
            except BaseException:
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 5)
        if code == 5:
            assert content(target.parent) == before
        assert len(names(target.parent)) == 1
        if size == 1:
            assert code == 5, "the limit was never reached"


@pytest.mark.R(20)
@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "/etc/passwd", "a/b", "a\\b", "..\\x", "C:x", "C:\\x", "a\x00b", "a\nb",
     "\x7f", "x" * 256, "é" * 128, "\ud800", "./x", "x/", "//x", "a/../../x"],
)  # fmt: skip
def test_names_never_become_paths(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError):
        safe_join(tmp_path, name)
    with pytest.raises(DataError):
        safe_join(tmp_path, "fine", name)


@pytest.mark.R(20)
def test_random_names_stay_inside(tmp_path: Path) -> None:
    rng = random.Random(20)
    root = tmp_path / "root"
    root.mkdir()
    for _ in range(2000):
        name = "".join(rng.choices("./\\:~%2ea\x00é\u2215…", k=rng.randint(1, 6)))
        try:
            path = safe_join(root, name)
        except DataError:
            continue
        path.touch()
        assert path.resolve().parent == root.resolve()
    assert names(tmp_path) == ["root"]
    assert len(names(root)) > 100


@pytest.mark.R(20)
def test_links_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (root / "link").symlink_to(tmp_path)
    (root / "fine").symlink_to(root / "in")
    assert safe_join(root, "fine", "x") == root / "fine" / "x"
    for names in (("link",), ("link", "x")):
        with pytest.raises(DataError, match="leads out"):
            safe_join(root, *names)


HOLDER = """
import sys, time
from coldframe.kg.locks import FolderLock
with FolderLock(sys.argv[1], purpose="train"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.R(24)
def test_the_second_process_is_refused_and_a_dead_holder_is_not_waited_for(tmp_path: Path) -> None:
    for _ in range(10):
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        for _ in range(5):
            with pytest.raises(LockedError, match=rf"process {holder.pid} on .*\(train, since"):
                FolderLock(tmp_path, purpose="label").acquire()
        holder.kill()
        holder.communicate()
        with FolderLock(tmp_path, purpose="label"):
            said = json.loads((tmp_path / locks.LOCK_NAME).read_text())
            assert said["pid"] == os.getpid()
        assert names(tmp_path) == []


@pytest.mark.R(24)
def test_one_of_many_at_once_holds(tmp_path: Path) -> None:
    """4 processes try at the same moment, over and over: never two inside."""
    code = """
import os, sys, time
from coldframe.kg.errors import LockedError
from coldframe.kg.locks import FolderLock
got = 0
end = time.time() + 1.5
while time.time() < end:
    try:
        with FolderLock(sys.argv[1], purpose="race"):
            os.mkdir(sys.argv[1] + "/inside")
            time.sleep(0.001)
            os.rmdir(sys.argv[1] + "/inside")
            got += 1
    except LockedError:
        pass
print(got)
"""
    racers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    got = [int(racer.communicate()[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4, "two were inside at once"
    assert sum(got) > 20


@pytest.mark.R(24)
def test_the_same_process_is_a_rival_of_itself(tmp_path: Path) -> None:
    with FolderLock(tmp_path, purpose="one") as lock:
        with pytest.raises(LockedError, match=r"\(one,"):
            FolderLock(tmp_path, purpose="two").acquire()
        with pytest.raises(LockedError):
            lock.acquire()
    with FolderLock(tmp_path, purpose="two"):
        pass


def test_a_holder_leaves_the_lock_of_a_folder_that_took_the_place_of_its_own(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "store"
    with FolderLock(folder, purpose="old"):
        with atomic_folder(folder, replace=True) as new:
            (new / "content").write_text("new")
        second = FolderLock(folder, purpose="new")
        second.acquire()
    with pytest.raises(LockedError, match="new"):
        FolderLock(folder, purpose="third").acquire()
    second.release()
    assert [path.name for path in folder.iterdir()] == ["content"]


def test_an_interrupt_leaves_no_lock_and_no_temporary_file(tmp_path: Path) -> None:
    # A shell's background jobs, and what they start, ignore SIGINT unless told otherwise.
    code = """
import signal, sys, time
from coldframe.kg.locks import FolderLock
from coldframe.kg.writing import atomic_folder
signal.signal(signal.SIGINT, signal.default_int_handler)
with FolderLock(sys.argv[1] + "/run", purpose="x"), atomic_folder(sys.argv[1] + "/out") as folder:
    (folder / "a").write_text("x")
    print("ready", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.wait()
    assert names(tmp_path) == ["run"]
    assert names(tmp_path / "run") == []
