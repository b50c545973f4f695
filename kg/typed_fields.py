"""Values of configuration fields and options, held to the types that are declared for them."""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from .errors import ColdframeError, UsageError, nearest


def check_fields(config: Any) -> None:
    """Hold a frozen dataclass's fields to their types; to be called first in its `__post_init__`.

    Raises:
        UsageError: naming the field, what was got and what was expected.
    """
    hints = get_type_hints(type(config))
    for item in dataclasses.fields(config):
        value, default = getattr(config, item.name), item.default
        plain = None if default is dataclasses.MISSING else default
        fitted = fit_value(value, hints[item.name], plain, UsageError, item.name)
        if fitted is not value:
            object.__setattr__(config, item.name, fitted)


def fit_value(value: Any, hint: Any, default: Any, error: type[ColdframeError], where: str) -> Any:
    """The value as the field's type: whole numbers pass as decimals, NumPy's numbers as Python's, lists,
    ranges and arrays as tuples; nothing else bends."""
    fitted = _match(value, hint)
    if fitted is _NO:
        raise error(
            f"got {value!r:.80} ({type(value).__name__}), expected {_name(hint)}",
            where=where,
            hint=f"the default is {'none' if default is None else json.dumps(default, default=str)}",
        )
    return fitted


def fit_options(
    function: Callable[..., Any], options: Mapping[str, Any], what: str
) -> dict[str, Any]:
    """Options held to the keyword-only parameters of a function and their types.

    Args:
        what: what the function is, for errors.

    Raises:
        UsageError: there is no such option, or its value is of another type.
    """
    parameters = inspect.signature(function).parameters.values()
    known = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    hints = get_type_hints(function)
    for name in options:
        if name not in known:
            hint = nearest(name, known) if known else "it has none"
            raise UsageError(f"{what} has no option {name!r}", hint=hint)
    return {
        name: fit_value(value, hints[name], known[name], UsageError, name)
        for name, value in options.items()
    }


_NO = object()


def _match(value: Any, hint: Any) -> Any:
    origin = get_origin(hint)
    if isinstance(value, np.bool_ | np.integer | np.floating):
        value = value.item()
    if origin in (Union, types.UnionType):
        tries = (_match(value, option) for option in get_args(hint))
        return next((found for found in tries if found is not _NO), _NO)
    if origin is Literal:
        return value if value in get_args(hint) else _NO
    if origin in (tuple, list):
        inner = get_args(hint)[0] if get_args(hint) else Any
        if not isinstance(value, list | tuple | range | np.ndarray):
            return _NO
        items = [_match(item, inner) for item in value]
        return (
            _NO
            if any(item is _NO for item in items)
            else (tuple if origin is tuple else list)(items)
        )
    if hint is Any:
        return value
    if hint is type(None):
        return None if value is None or (isinstance(value, str) and value == "none") else _NO
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is str and isinstance(value, Path):
        return str(value)
    if isinstance(hint, type) and isinstance(value, hint):
        return _NO if isinstance(value, bool) and hint is not bool else value
    return _NO


def _name(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    if get_origin(hint) in (tuple, list):
        return f"a list of {_name(get_args(hint)[0])}"
    return getattr(hint, "__name__", None) or str(hint).replace("typing.", "")
