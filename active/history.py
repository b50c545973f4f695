"""What a run's own questions and answers say: which pairs were asked, and who answers usefully."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..kg.graph import Graph
from .answers import CANNOT_TELL, SKIP
from .journal import standing
from .pool import AnswerChance
from .repeats import Record
from .rounds import Rounds


def asked_before(rounds: Rounds) -> set[tuple[str, str]]:
    """Pairs of all rounds and of the journal: who could not tell once is not asked again.

    Pairs whose answers were all rolled back are open again.
    """
    history = rounds.journal.history()
    answered, counting = _pairs(history), _pairs(standing(history))
    asked: set[tuple[str, str]] = set()
    for number in range(1, rounds.current + 1):
        asked |= rounds.pairs(number)
    return (asked - answered) | counting


def _pairs(records: Iterable[Record]) -> set[tuple[str, str]]:
    return {(record.answer.user, record.answer.item) for record in records}


def answer_chance(rounds: Rounds, records: Iterable[Record], graph: Graph) -> AnswerChance:
    """The chance of a useful answer by the journal's records so far; certain without any answer.

    An edge counts once: as told where anybody gave a like, a dislike or a rating, else as one that
    nobody could tell. What is not answered yet counts for nothing: it may still come. Gold questions
    do neither: they are about what the user knows.
    """
    told: dict[tuple[str, str], bool] = {}
    gold = rounds.annotators().asked
    for record in records:
        answer = record.answer
        useful = answer.answer not in (CANNOT_TELL, SKIP)
        edge = answer.user, answer.item
        if edge in gold:
            continue
        told[edge] = told.get(edge, False) or useful
    users = np.array([graph.users.vocabulary.find(user) for user, _ in told], np.int64)
    items = np.array([graph.items.vocabulary.find(item) for _, item in told], np.int64)
    here = (users >= 0) & (items >= 0)
    usefully = np.fromiter(told.values(), bool, len(told))
    return AnswerChance.from_history(
        users[here], items[here], usefully[here], graph.n_users, graph.n_items
    )
