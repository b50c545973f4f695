"""The answers of one run as rows that another takes in: a run trained anew need not ask again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..kg.errors import StateError
from .answers import RATING
from .fold import is_readable
from .rounds import Rounds


def answers_of(folder: Path, positive: float | None = None) -> list[dict[str, Any]]:
    """The answers that count in a run's journal, as rows for `cycle.tell`, in order.

    Each keeps its annotator, its further entries and the time at which it was given, or else told. The
    rounds are the other run's own and are left out: of a pair answered in several, the answers of the
    one that `fold` goes by. Answers to gold questions stay behind.

    Args:
        positive: ratings from here on are a like, see `fold`.

    Raises:
        StateError: nothing was answered there. IntegrityError: its journal is damaged.
    """
    rounds = Rounds(folder)
    gold, records, rows = rounds.annotators().asked, rounds.journal.records(), []
    readable = [record for record in records if is_readable(record.answer, positive)]
    verdicts = rounds.verdicts(readable, positive=positive).to_pylist()
    decided = {(row["user"], row["item"]): row["round"] for row in verdicts}
    for record in records:
        answer = record.answer
        edge = answer.user, answer.item
        if edge in gold or decided.get(edge, answer.round) != answer.round:
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
