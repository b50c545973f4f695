"""Configurations to and from plain values, checked key by key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from ..kg.errors import UsageError, nearest

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def to_plain(config: Any) -> dict[str, Any]:
    """Nested plain values of a configuration, fit for JSON and TOML."""
    return asdict(config)


def from_plain(kind: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """A configuration from plain values; what is not given keeps its default.

    Raises:
        UsageError: an unknown key, naming it and the nearest one, or a value of another type.
    """
    hints = get_type_hints(kind)
    names = {one.name for one in fields(kind)}  # type: ignore[arg-type]
    out: dict[str, Any] = {}
    for key, value in values.items():
        path = f"{where}.{key}" if where else key
        if key not in names:
            raise UsageError("unknown setting", where=path, hint=nearest(key, names))
        out[key] = _typed(hints[key], value, path)
    return kind(**out)


def _typed(hint: Any, value: Any, where: str) -> Any:
    """The value as what the field holds: text, a number, a boolean, a tuple, a configuration."""
    if is_dataclass(hint):
        if isinstance(value, Mapping):
            return from_plain(hint, value, where)  # type: ignore[arg-type]
        raise UsageError(f"got {value!r}, expected a table of settings", where=where)
    if get_origin(hint) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_typed(get_args(hint)[0], one, where) for one in value)
        raise UsageError(f"got {value!r}, expected a list", where=where)
    if hint is float and type(value) is int:
        if abs(value) > 10**300:  # whole numbers in TOML have no bound
            raise UsageError(f"got {value.bit_length()} bits, expected a usual number", where=where)
        return float(value)
    if hint in _WORDS and type(value) is not hint:
        raise UsageError(f"got {value!r}, expected {_WORDS[hint]}", where=where)
    return value
