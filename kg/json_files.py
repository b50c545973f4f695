"""Strict JSON on disk: no NaN, no surprises from NumPy, errors with line and column."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataError, ParseError
from .writing import StrPath, atomic_write, naming


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
    if hasattr(value, "items"):
        return {str(key): plain(item) for key, item in value.items()}
    raise DataError(f"a value of type {type(value).__name__} cannot be written as JSON")
