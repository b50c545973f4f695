"""The journal under damage, kills and several writers: nothing acknowledged is lost or changed."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from coldframe.active.journal import Journal
from coldframe.kg.errors import IntegrityError, ResourceError

# One process imports everything once and forks every writer: a trial takes as long as their lives.
_KILLER = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from coldframe.active.journal import Journal
folder, trials, rng = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
path = folder / "journal.jsonl"

def write_forever(name, out):
    for k in range(10_000):
        rows = [{"user": f"{name}-{k}", "item": str(j), "answer": "like"} for j in range(3)]
        Journal(path).tell(rows, round=1)
        os.write(out, b"%d\\n" % k)

def start(name):
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            write_forever(name, write)
        finally:
            os._exit(1)
    os.close(write)
    return process, read

for trial in range(trials):
    for left in folder.iterdir():
        left.unlink()
    writers = [start(w) for w in range(3)]
    told = [os.read(read, 8) for _, read in writers]  # each has written once
    for w in rng.sample(range(3), 3):
        time.sleep(rng.random() * 0.02)
        os.kill(writers[w][0], signal.SIGKILL)
        os.waitpid(writers[w][0], 0)
    pairs = [(r.answer.user, r.answer.item) for r in Journal(path).records()]
    stored = set(pairs)
    assert len(stored) == len(pairs)
    for w, (_, read) in enumerate(writers):
        with os.fdopen(read, "rb") as rest:
            said = told[w] + rest.read()
        for k in map(int, said[: said.rfind(b"\\n") + 1].split()):
            assert {(f"{w}-{k}", str(j)) for j in range(3)} <= stored, (trial, w, k)
    Journal(path).tell([{"user": "after", "item": "all", "answer": "like"}], round=2)
    assert Journal(path).records()[-1].answer.user == "after"
"""


def filled(path, batches: int = 6) -> Journal:
    journal = Journal(path)
    for k in range(batches):
        journal.tell([{"user": f"u{k}", "item": "i", "answer": "like", "note": "x" * k}], round=k)
    return journal


def test_a_torn_tail_is_dropped_with_a_message_and_healed_by_the_next_answer(tmp_path, caplog):
    journal = filled(tmp_path / "j.jsonl")
    whole = journal.path.read_bytes()
    next_line = whole.splitlines()[-1]
    for cut in (1, 20, len(next_line) - 1):
        journal.path.write_bytes(whole + next_line[:cut])
        with caplog.at_level(logging.WARNING):
            assert len(journal.records()) == 6
        assert "cut off" in caplog.text
    journal.tell([{"user": "new", "item": "i", "answer": "dislike"}], round=9)
    assert [r.seq for r in journal.records()] == list(range(1, 8))


def test_a_tail_that_is_torn_behind_a_brace_is_dropped_as_well(tmp_path, caplog):
    journal = filled(tmp_path / "j.jsonl")
    whole = journal.path.read_bytes()
    line = whole.splitlines()[-1]
    torn = line[: line.rindex(b"}", 0, -1) + 1]
    assert torn.endswith(b'"xxxxx"}')
    journal.path.write_bytes(whole + torn)
    assert len(journal.records()) == 6
    assert "cut off" in caplog.text
    journal.tell([{"user": "new", "item": "i", "answer": "dislike"}], round=9)
    assert torn + b"\n" in journal.path.read_bytes()
    assert [r.seq for r in journal.records()] == list(range(1, 8))


def flip_journals(folder: Path, flips: int, seed: int) -> None:
    """Three flipped bits to one truncation: each is refused."""
    journal = filled(folder / "j.jsonl")
    whole = journal.path.read_bytes()
    rng = np.random.default_rng(seed)
    for place in rng.integers(len(whole) * 8, size=flips * 3 // 4):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << (place % 8)
        journal.path.write_bytes(broken)
        with pytest.raises(IntegrityError):
            journal.records()
    for size in rng.integers(len(whole) - 1, size=flips // 4):
        journal.path.write_bytes(whole[:size])
        with pytest.raises(IntegrityError):
            journal.records()
    journal.path.write_bytes(whole)
    assert len(journal.records()) == 6


@pytest.mark.R(7)
def test_every_flipped_bit_and_every_truncation_is_detected(tmp_path):
    flip_journals(tmp_path, 800, seed=0)


@pytest.mark.R(7)
def test_lines_left_out_moved_or_doubled_are_detected(tmp_path):
    journal = filled(tmp_path / "j.jsonl")
    whole = journal.path.read_bytes()
    lines = whole.splitlines(keepends=True)
    for changed in (lines[:2] + lines[3:], [lines[1], lines[0], *lines[2:]], [*lines, lines[-1]]):
        journal.path.write_bytes(b"".join(changed))
        with pytest.raises(IntegrityError):
            journal.records()
    journal.path.write_bytes(whole)
    assert len(journal.records()) == 6


def test_a_damaged_journal_takes_no_answers(tmp_path):
    journal = filled(tmp_path / "j.jsonl")
    journal.path.write_bytes(journal.path.read_bytes().replace(b"u2", b"u9"))
    with pytest.raises(IntegrityError, match="checksum"):
        journal.tell([{"user": "a", "item": "b", "answer": "like"}], round=1)


def test_an_unreadable_head_is_an_integrity_error(tmp_path):
    journal = filled(tmp_path / "j.jsonl")
    journal.head_path.write_text("{")
    with pytest.raises(IntegrityError):
        journal.records()


def kill_writers(folder: Path, trials: int, seed: int) -> None:
    """Three writers killed at random: no acknowledged answer is lost or doubled, and telling goes on."""
    (folder / "journal").mkdir()
    command = [sys.executable, "-c", _KILLER, str(folder / "journal"), str(trials), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.R(2)
def test_three_writers_killed_at_random_lose_and_double_nothing(tmp_path):
    kill_writers(tmp_path, 130, seed=2)


@pytest.mark.R(5)
@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_full_or_failing_disk_leaves_the_journal_as_it_was(tmp_path, monkeypatch, call):
    journal = filled(tmp_path / "j.jsonl")
    before = journal.path.read_bytes()
    real = getattr(os, call)

    def failing(*args, **kwargs):
        if call != "open" or "j.jsonl" in str(args[0]):
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    with pytest.raises(ResourceError):
        journal.tell([{"user": "a", "item": "b", "answer": "like"}], round=1)
    monkeypatch.undo()
    assert journal.path.read_bytes() == before
    assert len(journal.records()) == 6
