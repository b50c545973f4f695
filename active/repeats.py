"""Which answers of a table were told before, so that a table can be told twice and changes nothing.

The rule. An answer that says when it was given (column `time`) was told before where the same answer
of the same annotator to the same edge and round, given at that time, is in the journal. One that says
nothing of it was told before where it came with this very table (whatever the round then was), or says
what the annotator's last answer to that edge and round says. So the same table told again changes
nothing, and a change of mind counts, also back to what was said at first. Without times a table that
was told, went stale and is told again with more rows cannot be told from a change of mind: it counts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from ..kg.files import sha256_bytes
from .answers import Answer

UNSTATED = -1  # the round of an answer that names none


@dataclass(frozen=True)
class Record:
    """One line of the journal.

    Attributes:
        seq: its number from 1. answer: as told. time: when it was taken in (ISO, UTC).
        told: the round in which it was taken in, whatever round the answer names; -1 = not noted.
        batch: hash of the table of answers that it came with; "" = not noted.
    """

    seq: int
    answer: Answer
    time: str
    told: int = -1
    batch: str = ""


def in_round(answer: Answer, round: int) -> Answer:
    """The answer, in this round where it names none."""
    return replace(answer, round=round) if answer.round == UNSTATED else answer


def batch_of(answers: Iterable[Answer]) -> str:
    """Hash of a table of answers, their order left out; rounds are those that the rows name."""
    rows = sorted(
        (answer.round, *_edge(answer), *_said(answer), answer.given) for answer in answers
    )
    return sha256_bytes(repr(rows).encode())[:16]


class Repeat(Enum):
    """Whether an answer was told before, and the annotator has said something else since."""

    NEW, TOLD, OUTDATED = "new", "told", "outdated"


def repeats(stored: Sequence[Record], wanted: Sequence[Answer], batch: str) -> list[Repeat]:
    """Which of the wanted answers, in their order, were told before; see the rule above.

    Args:
        stored: the journal, what was rolled back included: told again, it stays rolled back.
        batch: `batch_of` the wanted.
    """
    with_it: Counter[tuple[str, ...]] = Counter()
    timed: set[tuple[object, ...]] = set()
    unnoted: set[tuple[object, ...]] = set()  # of journals that did not note the table yet
    last: dict[tuple[object, ...], tuple[str, str]] = {}
    latest: dict[tuple[str, str, str], tuple[str, str]] = {}  # of any round
    for record in stored:
        answer = record.answer
        place = answer.round, *_edge(answer)
        last[place] = latest[_edge(answer)] = _said(answer)
        if answer.given:
            timed.add((*place, *_said(answer), answer.given))
        elif not record.batch:
            unnoted.add((*place, *_said(answer)))
        elif record.batch == batch:
            with_it[*_edge(answer), *_said(answer)] += 1
    found = []
    for answer in wanted:
        place, said = (answer.round, *_edge(answer)), _said(answer)
        if answer.given:
            old = (*place, *said, answer.given) in timed
            timed.add((*place, *said, answer.given))
        else:
            old = with_it[*_edge(answer), *said] > 0
            with_it[*_edge(answer), *said] -= old
            old = old or last.get(place) == said or (*place, *said) in unnoted
        if not old:
            last[place] = latest[_edge(answer)] = said
            found.append(Repeat.NEW)
        else:
            found.append(Repeat.TOLD if latest[_edge(answer)] == said else Repeat.OUTDATED)
    return found


def _edge(answer: Answer) -> tuple[str, str, str]:
    return answer.user, answer.item, answer.annotator


def _said(answer: Answer) -> tuple[str, str]:
    return answer.answer, "" if math.isnan(answer.rating) else repr(answer.rating)
