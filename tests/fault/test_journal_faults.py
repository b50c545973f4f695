"""The journal under damage, kills and several writers: nothing acknowledged is lost or changed."""

import logging
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from coldframe.active.journal import Journal
from coldframe.kg.errors import IntegrityError, ResourceError

WRITER = """
import sys
from coldframe.active.journal import Journal
journal, name = Journal(sys.argv[1]), sys.argv[2]
for k in range(10_000):
    rows = [{"user": f"{name}-{k}", "item": str(j), "answer": "like"} for j in range(3)]
    journal.tell(rows, round=1)
    print(k, flush=True)
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


@pytest.mark.R(7)
def test_every_flipped_bit_and_every_truncation_is_detected(tmp_path):
    journal = filled(tmp_path / "j.jsonl")
    whole = journal.path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(len(whole) * 8, size=600):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << (place % 8)
        journal.path.write_bytes(broken)
        with pytest.raises(IntegrityError):
            journal.records()
    for size in rng.integers(len(whole) - 1, size=200):
        journal.path.write_bytes(whole[:size])
        with pytest.raises(IntegrityError):
            journal.records()
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


@pytest.mark.R(2)
@pytest.mark.parametrize("trial", range(4))
def test_three_writers_killed_at_random_lose_and_double_nothing(tmp_path, trial):
    path = tmp_path / "j.jsonl"
    out = [tmp_path / f"out{w}" for w in range(3)]
    writers = []
    for w in range(3):
        with out[w].open("w") as sink:
            writers.append(
                subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(w)], stdout=sink)
            )
    deadline = time.monotonic() + 60
    while not all(o.stat().st_size for o in out) and time.monotonic() < deadline:
        time.sleep(0.05)
    rng = np.random.default_rng(trial)
    for w in rng.permutation(3):
        time.sleep(float(rng.random() * 0.15))
        os.kill(writers[w].pid, signal.SIGKILL)
        writers[w].wait()
    journal = Journal(path)
    pairs = [(r.answer.user, r.answer.item) for r in journal.records()]
    stored = set(pairs)
    assert len(stored) == len(pairs)
    for w in range(3):
        text = out[w].read_text()
        acknowledged = [int(line) for line in text[: text.rfind("\n") + 1].split()]
        assert acknowledged
        for k in acknowledged:
            for j in range(3):
                assert (f"{w}-{k}", str(j)) in stored
    journal.tell([{"user": "after", "item": "all", "answer": "like"}], round=2)
    assert journal.records()[-1].answer.user == "after"


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
