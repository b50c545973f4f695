"""Answers taken over from another run: what counted there counts here, and nothing twice."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import run as command

from coldframe.active.carrying import answers_of
from coldframe.active.cycle import ask, learn, rounds_of, tell
from coldframe.gnn.runs import Run
from coldframe.kg.errors import StateError


@pytest.fixture
def other(asking_base: Path, tmp_path: Path) -> Run:
    """A run of its own, trained on the same catalog."""
    folder = tmp_path / "other"
    for name in ("catalog", "run"):
        shutil.copytree(asking_base / name, folder / name)
    return Run.open(folder / "run", device="cpu")


def verdicts(run: Run) -> dict[tuple[str, str], object]:
    rows = rounds_of(run).answers().to_pylist()
    return {
        (row["user"], row["item"]): (row["answer"], row["annotated_by"], row["time"])
        for row in rows
    }


def test_what_counts_in_one_run_counts_in_the_other(asking_run: Run, other: Run) -> None:
    words = ["like", "dislike", 1, 0, "cannot tell", "skip"]
    asked = ask(asking_run, 8, strategy="random")[0].to_pylist()
    rows = [
        {"user": row["user"], "item": row["item"], "answer": word, "note": "n"}
        for row, word in zip(asked, words, strict=False)
    ]
    rows[0] |= {"annotator": "ann", "time": "2026-01-02T03:04:05+00:00"}
    tell(asking_run, rows)
    run = learn(asking_run, measure=False).run
    # In a later round, which counts alone: a change of mind, and what somebody else says.
    tell(run, [rows[1] | {"answer": "like"}, rows[0] | {"answer": "dislike", "annotator": "bob"}])
    carried = answers_of(run.path)
    report = tell(other, carried)
    assert (report.accepted, report.rejected) == (len(words), ())
    assert verdicts(other) == verdicts(run)
    assert {record.answer.round for record in rounds_of(other).journal.records()} == {1}
    assert rounds_of(other).journal.records()[0].answer.extra["note"] == "n"
    assert tell(other, carried).accepted == 0
    assert learn(other, measure=False).labels == 4


def test_gold_questions_and_what_was_rolled_back_stay_behind(asking_run: Run) -> None:
    table, _ = ask(asking_run, 12, strategy="random", gold=4)
    rows = [
        {"user": row["user"], "item": row["item"], "answer": "like", "annotator": f"a{k % 2}"}
        for k, row in enumerate(table.to_pylist())
    ]
    tell(asking_run, rows)
    rounds = rounds_of(asking_run)
    rounds.journal.roll_back(annotator="a1")
    left = {(row["user"], row["item"]) for row in rows[::2]} - rounds.annotators().asked
    assert {(row["user"], row["item"]) for row in answers_of(asking_run.path)} == left


def test_the_command_takes_another_run_in_the_place_of_a_table(asking_run: Run, other: Run) -> None:
    question = ask(asking_run, 1, strategy="random")[0].to_pylist()[0]
    tell(asking_run, [{"user": question["user"], "item": question["item"], "answer": "like"}])
    assert command("label", other.path, asking_run.path)["accepted"] == 1
    assert verdicts(other) == verdicts(asking_run)


def test_a_run_without_answers_is_refused(asking_run: Run) -> None:
    with pytest.raises(StateError, match="has no answers"):
        answers_of(asking_run.path)
