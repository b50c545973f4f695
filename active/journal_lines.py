"""One line of a journal: a record as JSON, with the hash of the line before and a checksum of itself."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any

from ..kg.errors import DataError
from ..kg.files import plain
from .answers import Answer
from .repeats import Record


def line_of(record: Record, before: str) -> bytes:
    """A record as a line without its end, chained to the sha256 of the line before."""
    answer = record.answer
    body: dict[str, Any] = {
        "seq": record.seq,
        "prev": before,
        "round": answer.round,
        "user": answer.user,
        "item": answer.item,
        "answer": answer.answer,
        "annotator": answer.annotator,
        "time": record.time,
    }
    if record.batch:
        body |= {"told": record.told, "batch": record.batch}
    if not math.isnan(answer.rating):
        body["rating"] = answer.rating
    if answer.extra:
        body["extra"] = {key: _kept(value) for key, value in answer.extra.items()}
    body["crc"] = _crc(body)
    return json.dumps(body, ensure_ascii=True, separators=(",", ":")).encode()


def parse_line(line: bytes) -> tuple[dict[str, Any], Answer] | None:
    """The record in a line; None where the line is not one whole, unchanged record."""
    try:
        body = json.loads(line)
        if not isinstance(body, dict) or body.get("crc") != _crc(body):
            return None
        return body, Answer(
            int(body["round"]),
            body["user"],
            body["item"],
            body["answer"],
            float(body.get("rating", math.nan)),
            body["annotator"],
            body.get("extra", {}),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def is_cut_off(line: bytes) -> bool:
    """Whether a line is no JSON, as the beginning of a record is whose outermost brace is open."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _kept(value: Any) -> Any:
    """A further entry as JSON has it; what JSON has not, such as the time of an Arrow table, as text."""
    try:
        return plain(value)
    except DataError:
        return str(value)


def _crc(body: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in body.items() if key != "crc"}
    return f"{zlib.crc32(json.dumps(rest, separators=(',', ':')).encode()):08x}"
