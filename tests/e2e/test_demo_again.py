"""A second demo in the same place: its own answers may go, those of others only when that is said."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from coldframe.active.journal import Journal
from coldframe.commands import demo
from coldframe.kg.errors import StateError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What an earlier demo left, its journal told as a demo tells it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "truth.parquet").touch()
    questions = pa.table({"user": ["u"], "item": ["i"]})
    told = demo._answered(questions, {("u", "i"): "like"})
    Journal(tmp_path / "run" / "journal.jsonl").tell(told, round=1)
    return tmp_path


def test_its_own_answers_go(folder: Path) -> None:
    demo._make_room(folder, replace=False)
    assert not (folder / "run").exists()


def test_answers_of_others_stay_unless_they_may_go(folder: Path) -> None:
    journal = Journal(folder / "run" / "journal.jsonl")
    journal.tell([{"user": "u", "item": "other", "answer": "like"}], round=2)
    with pytest.raises(StateError, match="since"):
        demo._make_room(folder, replace=False)
    assert len(journal.records()) == 2
    demo._make_room(folder, replace=True)
    assert not (folder / "run").exists()
