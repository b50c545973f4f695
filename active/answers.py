"""Answers from files: row by row, so that a bad row is named by its line and costs no other row."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from numbers import Real
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..kg.delimited import likely_delimiter
from ..kg.errors import DataError, ParseError
from ..kg.files import StrPath, read_table
from ..kg.writing import naming

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
_LARGEST_CELL = 2**31 - 1  # what the reader takes; its own limit would refuse the whole file


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


def read_answers(
    source: StrPath | pa.Table | Iterable[Mapping[str, Any]], *, round: int
) -> list[Row]:
    """All rows of a table of answers; columns user, item, answer, and optionally round, annotator.

    Args:
        source: a CSV, TSV, JSONL or Parquet file, an Arrow table, or rows as mappings.
        round: for rows that name none; below 0 where the caller is to put another in its place.

    Returns:
        (line, answer or reason or None); lines count from 1, a header being line 1.

    Raises:
        ParseError: the file as a whole cannot be read. DataError: a needed column is missing.
        ResourceError: no such file.
    """
    rows = list(_raw_rows(source))
    named = [row for _, row in rows if not isinstance(row, str)]
    missing = [name for name in _REQUIRED if named and not any(name in row for row in named)]
    if missing:
        place = str(source) if isinstance(source, str | Path) else "answers"
        raise DataError(
            f"column {missing[0]!r} is missing; there are {', '.join(map(str, named[0]))}",
            where=place,
            hint="needed: user, item, answer",
        )
    return [(line, row if isinstance(row, str) else _answer(row, round)) for line, row in rows]


def first_line(path: StrPath) -> int:
    """The line of a table's first row: 1 in JSON lines, else 2, below a header."""
    return 1 if Path(path).suffix.lower() == ".jsonl" else 2


def _raw_rows(
    source: StrPath | pa.Table | Iterable[Mapping[str, Any]],
) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    if isinstance(source, pa.Table):
        yield from enumerate(source.to_pylist(), 2)
    elif isinstance(source, str | Path):
        suffix = Path(source).suffix.lower()
        if suffix in (".csv", ".tsv"):
            yield from _cells(Path(source), "," if suffix == ".csv" else "\t")
        elif suffix == ".jsonl":
            yield from _lines(Path(source))
        else:
            yield from enumerate(read_table(source).to_pylist(), 2)
    else:
        yield from enumerate(source, 1)  # type: ignore[arg-type]  # PathLike is neither


def _cells(path: Path, usual: str) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    with (
        naming(path, "read"),
        path.open(encoding="utf-8-sig", errors="replace", newline="") as text,
    ):
        delimiter = likely_delimiter(text.readline(_LARGEST_CELL), usual)
        text.seek(0)
        reader = csv.reader(text, delimiter=delimiter)
        limit = csv.field_size_limit(_LARGEST_CELL)
        try:
            header = [name.strip() for name in next(reader, [])]
            if len(set(header)) != len(header):
                raise ParseError("a column stands twice in the header", where=f"{path}:1")
            if missing := [name for name in _REQUIRED if name not in header]:
                raise DataError(
                    f"column {missing[0]!r} is missing; there are {', '.join(header)}",
                    where=f"{path}:1",
                    hint="needed: user, item, answer",
                )
            for cells in reader:
                line = reader.line_num
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(header):
                    yield line, f"{len(cells)} cells, expected {len(header)}"
                    continue
                # A quote that keeps spreadsheets from running the cell is taken away again.
                plain = [re.sub(r"^'('*[=+\-@\t\r])", r"\1", cell) for cell in cells]
                yield line, dict(zip(header, plain, strict=True))
        except csv.Error as error:
            raise ParseError(str(error), where=f"{path}:{reader.line_num}") from None
        finally:
            csv.field_size_limit(limit)


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any] | str]]:
    with naming(path, "read"), path.open("rb") as source:
        for number, line in enumerate(source, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                yield number, "not JSON"
                continue
            yield number, row if isinstance(row, dict) else "not a JSON object"


def _answer(row: Mapping[str, Any], round: int) -> Answer | str | None:
    if not _text(row.get("answer")):
        return None
    user, item = (_text(row.get(name)) for name in ("user", "item"))
    for name, value in (("user", user), ("item", item), ("annotator", _text(row.get("annotator")))):
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
    time = _text(row.get("time"))
    if time and moment_of(time) is None:
        return f"time {time[:40]!r} is neither an ISO time (2024-06-01T12:00:00Z) nor seconds since 1970"
    extra = {
        str(k): v
        for k, v in row.items()
        if k not in _OWN and not str(k).startswith(CRITERION) and not _is_blank(v)
    }
    return Answer(number, user, item, kind, rating, _text(row.get("annotator")), extra)


def _verdict(value: Any) -> tuple[str, float]:
    if isinstance(value, bool):
        return (LIKE if value else DISLIKE), math.nan
    word = _text(value).lower()
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
    if _is_blank(value):
        return default
    try:
        number = float(value)
        return int(number) if number == int(number) and number >= 0 else None
    except (TypeError, ValueError, OverflowError):
        return None


def _is_blank(value: Any) -> bool:
    """Nothing, or NaN or NaT, as data frames have in its place."""
    if isinstance(value, Real | datetime):
        return bool(value != value)
    return value is None or (isinstance(value, str) and not value)


def _text(value: Any) -> str:
    if _is_blank(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
