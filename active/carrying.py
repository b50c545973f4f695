"""The answers of one run as rows that another takes in: a run trained anew need not ask again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..kg.errors import StateError
from .answers import RATING
from .rounds import Rounds


def answers_of(folder: Path) -> list[dict[str, Any]]:
    """The answers that count in a run's journal, as rows for `cycle.tell`, in order.

    Each keeps its annotator, its further entries and the time at which it was given, or else told; the
    rounds are the other run's own and are left out. Answers to gold questions stay behind.

    Raises:
        StateError: nothing was answered there. IntegrityError: its journal is damaged.
    """
    rounds = Rounds(folder)
    gold, rows = rounds.annotators().asked, []
    for record in rounds.journal.records():
        answer = record.answer
        if (answer.user, answer.item) in gold:
            continue
        own = {
            "user": answer.user,
            "item": answer.item,
            "answer": answer.rating if answer.answer == RATING else answer.answer,
            "annotator": answer.annotator,
            "time": answer.given or record.time,
        }
        rows.append({**answer.extra, **own})
    if not rows:
        raise StateError(
            "this run has no answers", where=str(folder), hint="give a table, or a run with some"
        )
    return rows
