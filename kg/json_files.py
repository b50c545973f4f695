"""Strict JSON on disk: no NaN, no surprises from NumPy, errors with line and column.

What a later command trusts is sealed: the object holds the sha256 of its own content.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, IntegrityError, ParseError
from .writing import StrPath, atomic_write, naming

SEAL = "sha256"


def read_json(path: StrPath) -> Any:
    """The content of a JSON file; ParseError with line and column if it is not JSON."""
    with naming(path, "read"):
        raw = Path(path).read_bytes()
    try:
        return json.loads(raw)
    except json.JSONDecodeError as error:
        raise ParseError(error.msg, where=f"{path}:{error.lineno}:{error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not usable JSON: {error}", where=str(path)) from None


def write_json(path: StrPath, value: object) -> None:
    """Write JSON (UTF-8, indented, NumPy values as plain ones, NaN and infinities as null)."""
    text = json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False)
    atomic_write(path, text.encode("utf-8", "backslashreplace") + b"\n")


def write_sealed(path: StrPath, value: Mapping[str, Any]) -> None:
    """`write_json` of an object, with the sha256 of its content as its last entry."""
    content = plain(dict(value))
    write_json(path, {**content, SEAL: _content_hash(content)})


def read_sealed(path: StrPath, hint: str = "restore it from a copy, or make it again") -> Any:
    """An object that `write_sealed` wrote, without its seal.

    Raises:
        IntegrityError: it is no JSON object, its seal is missing (as in files of earlier versions),
            or its content is not what was sealed.
        ResourceError: it cannot be read.
    """
    try:
        found = read_json(path)
    except ParseError as error:
        raise IntegrityError(
            f"damaged: {error.message}", where=error.where or str(path), hint=hint
        ) from None
    seal = found.pop(SEAL, None) if isinstance(found, dict) else None
    if seal is None:
        raise IntegrityError("its seal is missing", where=str(path), hint=hint)
    if seal != _content_hash(found):
        raise IntegrityError("its content was changed", where=str(path), hint=hint)
    return found


def _content_hash(content: Mapping[str, Any]) -> str:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        return ""  # nested as nothing that we write
    return hashlib.sha256(text.encode()).hexdigest()


def plain(value: Any) -> Any:
    """A value of strict JSON: NumPy and dataclasses unpacked, NaN and infinities to None."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set) else value)]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, date | time):  # datetimes are dates
        return str(value)
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON")
