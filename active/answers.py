"""Answers as tables tell them: like, dislike, a rating, "cannot tell" or "skip" about a pair."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from .table_rows import Source, is_blank, numbered_rows, text_of

LIKE, DISLIKE, RATING, CANNOT_TELL, SKIP = "like", "dislike", "rating", "cannot tell", "skip"
_WORDS = {
    **dict.fromkeys(("like", "yes", "true"), LIKE),
    **dict.fromkeys(("dislike", "no", "false"), DISLIKE),
    **dict.fromkeys(("cannot tell", "cannot-tell", "cannot_tell", "unknown"), CANNOT_TELL),
    **dict.fromkeys(("skip", "skipped"), SKIP),
}
_REQUIRED = ("user", "item", "answer")
# Columns of a table of questions, which the journal does not repeat.
_OWN = {*_REQUIRED, "round", "annotator", "title"}
_OWN |= {"utility", "gain", "coverage", "answer_chance", "cost"}
CRITERION = "criterion."  # how the columns of criteria begin in such a table
_DECIMAL_COMMA = re.compile(r"\s*-?\d*,\d+\s*")
_LONGEST = 2_000  # characters of an id


@dataclass(frozen=True)
class Answer:
    """One answer about one edge, as told.

    Attributes:
        round: the round it belongs to. user, item: as written in the table.
        answer: like | dislike | rating | cannot tell | skip. rating: the number, NaN if none.
        annotator: who answered; the user herself where it is empty.
        extra: further columns, kept as they came; "time" says when it was given.
    """

    round: int
    user: str
    item: str
    answer: str
    rating: float = math.nan
    annotator: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given(self) -> str:
        """When it was given, as the table's column `time` says; "" where it says nothing."""
        return str(self.extra.get("time", ""))


# Line number, and the answer, or why there is none; None where the answer was left blank.
Row = tuple[int, Answer | str | None]


def read_answers(source: Source, *, round: int) -> list[Row]:
    """All rows of a table of answers; columns user, item, answer, and optionally round, annotator.

    Args:
        source: as `numbered_rows` takes it.
        round: for rows that name none; below 0 where the caller is to put another in its place.

    Returns:
        (line, answer or reason or None).

    Raises:
        ParseError, DataError, ResourceError: as `numbered_rows`.
    """
    rows = numbered_rows(source, _REQUIRED, "answers")
    return [(line, row if isinstance(row, str) else _answer(row, round)) for line, row in rows]


def _answer(row: Mapping[str, Any], round: int) -> Answer | str | None:
    if not text_of(row.get("answer")):
        return None
    named = {name: text_of(row.get(name)) for name in ("user", "item", "annotator")}
    for name, value in named.items():
        if not value and name != "annotator":
            return f"no {name}"
        if len(value) > _LONGEST:
            return f"{name} is longer than {_LONGEST} characters"
    number = _integer(row.get("round"), round)
    if number is None:
        return f"round {row.get('round')!r} is not a whole number of at least 0"
    kind, rating = _verdict(row.get("answer"))
    if not kind:
        told = str(row.get("answer"))[:40]
        point = "; write decimals with a point, as 3.5" if _DECIMAL_COMMA.fullmatch(told) else ""
        return f"answer {told!r} is neither like, dislike, cannot tell, skip nor a number{point}"
    time = text_of(row.get("time"))
    if time and moment_of(time) is None:
        return f"time {time[:40]!r} is neither an ISO time (2024-06-01T12:00:00Z) nor seconds since 1970"
    extra = {
        str(k): v
        for k, v in row.items()
        if k not in _OWN and not str(k).startswith(CRITERION) and not is_blank(v)
    }
    return Answer(number, named["user"], named["item"], kind, rating, named["annotator"], extra)


def _verdict(value: Any) -> tuple[str, float]:
    if isinstance(value, bool):
        return (LIKE if value else DISLIKE), math.nan
    word = text_of(value).lower()
    if word in _WORDS:
        return _WORDS[word], math.nan
    try:
        rating = float(word)
    except ValueError:
        return "", math.nan
    return (RATING, rating) if math.isfinite(rating) else ("", math.nan)


def moment_of(text: str) -> float | None:
    """Seconds since 1970 of a number or an ISO time (UTC where it names no zone); None if neither.

    What lies outside the years 1 to 9999 in UTC, as milliseconds do, is none.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    try:
        return datetime.fromtimestamp(seconds, UTC).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def _integer(value: Any, default: int) -> int | None:
    if is_blank(value):
        return default
    try:
        number = float(value)
        return int(number) if number == int(number) and number >= 0 else None
    except (TypeError, ValueError, OverflowError):
        return None
