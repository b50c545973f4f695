"""From a journal's records to one verdict per edge: which answer counts when several were given.

The rule: of one annotator's answers to an edge in a round the last one counts: the one given last,
where both say when (column `time`), else the one told last; one that was given before a usable answer
of an earlier round came late and does not count. Of several annotators the majority of usable answers
(by trust, where trust is given), a tie being "cannot tell"; of several rounds the latest that came to a
like or a dislike, since "cannot tell" takes nothing back.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import pyarrow as pa

from ..kg.errors import DataError
from ..kg.schema import Schema
from .answers import CANNOT_TELL, DISLIKE, LIKE, RATING, Answer, moment_of
from .repeats import Record

COLUMNS = pa.schema(
    [
        ("round", pa.int64()),
        ("user", pa.string()),
        ("item", pa.string()),
        ("answer", pa.string()),
        ("label", pa.int8()),
        ("rating", pa.float64()),
        ("annotators", pa.int64()),
        ("annotated_by", pa.list_(pa.string())),
        ("agreement", pa.float64()),
        ("time", pa.string()),
    ]
)


def fold(
    records: Iterable[Record],
    *,
    positive: float | None = None,
    trust: Mapping[str, float] | None = None,
) -> pa.Table:
    """One row per edge, in the order of first answers.

    Args:
        positive: ratings from here on are a like; None = a rating must be 0 or 1.
        trust: annotator -> weight of a vote; 1 where it says nothing, 0 leaves the annotator out.

    Returns:
        columns round, user, item, answer (like, dislike, cannot tell or skip), label (1, 0, null),
        rating (mean of the ratings, NaN if none), annotators (how many answers were counted),
        annotated_by (their names, sorted, but for users who answer for themselves), agreement
        (share of votes for the verdict, NaN without votes), time (ISO, UTC: when the last answer was
        given, or told where it does not say).

    Raises:
        DataError: a rating other than 0 and 1 while `positive` is not given.
    """
    edges: dict[tuple[str, str], dict[int, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record in last_answers(records):
        answer = record.answer
        if trust is None or trust.get(answer.annotator, 1.0) > 0:
            edges[answer.user, answer.item][answer.round].append(record)
    rows = []
    for (user, item), rounds in edges.items():
        verdicts = {
            number: _verdict(given, positive, trust or {}) for number, given in rounds.items()
        }
        latest = max(verdicts, key=lambda number: (verdicts[number]["label"] is not None, number))
        rows.append({"round": latest, "user": user, "item": item} | verdicts[latest])
    return pa.Table.from_pylist(rows, schema=COLUMNS)


def last_answers(records: Iterable[Record]) -> list[Record]:
    """Of each annotator's answers to an edge in a round the one that counts, in the order of first answers;
    none where it was given before a usable one of an earlier round."""
    last: dict[tuple[str, str, int, str], Record] = {}
    for record in records:
        answer = record.answer
        place = answer.user, answer.item, answer.round, answer.annotator
        before = last.get(place)
        if before is None or not is_older(answer, before.answer):
            last[place] = record
    late = _late(record.answer for record in last.values())
    return [record for place, record in last.items() if place not in late]


def _late(answers: Iterable[Answer]) -> set[tuple[str, str, int, str]]:
    """User, item, round and annotator of the answers given before a usable one of an earlier round."""
    usable: dict[tuple[str, str, str], Answer] = {}
    late = set()
    for answer in sorted(answers, key=lambda one: one.round):
        edge = answer.user, answer.item, answer.annotator
        if edge in usable and is_older(answer, usable[edge]):
            late.add((answer.user, answer.item, answer.round, answer.annotator))
        elif answer.answer in (LIKE, DISLIKE, RATING):
            usable[edge] = answer
    return late


def is_readable(answer: Answer, positive: float | None) -> bool:
    """Whether it is known what the answer says: without `positive`, of ratings 0 and 1 alone."""
    return positive is not None or answer.answer != RATING or answer.rating in (0.0, 1.0)


def label_of(answer: Answer, positive: float | None) -> int | None:
    """1, 0, or None where the answer says nothing; DataError where it is not readable."""
    if not is_readable(answer, positive):
        raise without_threshold(answer)
    if answer.answer == RATING:
        return int(answer.rating >= (0.5 if positive is None else positive))
    return {LIKE: 1, DISLIKE: 0}.get(answer.answer)


def positive_from(schema: Schema) -> float | None:
    """The smallest positive rating that the schema names; None where it names none."""
    named = [event.positive for event in schema.events.values() if event.positive is not None]
    return min(named, default=None)


def without_threshold(answer: Answer) -> DataError:
    """What is wrong with a rating on a scale of which nobody says where a like begins."""
    return DataError(
        f"rating {answer.rating:g} of {answer.item} cannot be read as like or dislike",
        hint="name the smallest positive rating in the schema: positive = ...",
    )


def is_older(answer: Answer, other: Answer) -> bool:
    """Whether both say when they were given, and this one earlier."""
    one, two = moment_of(answer.given), moment_of(other.given)
    return one is not None and two is not None and one < two


def _verdict(
    records: list[Record], positive: float | None, trust: Mapping[str, float]
) -> dict[str, object]:
    votes = {0: 0.0, 1: 0.0}
    for record in records:
        label = label_of(record.answer, positive)
        if label is not None:
            votes[label] += trust.get(record.answer.annotator, 1.0)
    total = votes[0] + votes[1]
    ratings = [r.answer.rating for r in records if not math.isnan(r.answer.rating)]
    if total == 0:
        answers = {record.answer.answer for record in records}
        answer, label = (CANNOT_TELL if CANNOT_TELL in answers else "skip"), None
    elif math.isclose(votes[0], votes[1]):  # sums of trust differ in their last digits
        answer, label = CANNOT_TELL, None
    else:
        label = int(votes[1] > votes[0])
        answer = LIKE if label else DISLIKE
    return {
        "answer": answer,
        "label": label,
        "rating": sum(ratings) / len(ratings) if ratings else math.nan,
        "annotators": len(records),
        "annotated_by": sorted({record.answer.annotator for record in records} - {""}),
        "agreement": max(votes.values()) / total if total else math.nan,
        "time": datetime.fromtimestamp(max(map(_moment, records)), UTC).isoformat(),
    }


def _moment(record: Record) -> float:
    """Seconds since 1970 at which an answer was given, or told where it does not say when it was given."""
    given = moment_of(record.answer.given)
    return datetime.fromisoformat(record.time).timestamp() if given is None else given
