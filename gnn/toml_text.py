"""Nested plain values as TOML text; the standard library reads TOML, but does not write it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(values: Mapping[str, Any], name: str = "") -> str:
    """TOML of nested mappings of text, numbers, booleans and lists; None is left out."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items() if value is not None]
    text = (f"[{name}]\n" if name and lines else "") + "".join(f"{line}\n" for line in lines)
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = dumps(value, f"{name}.{key}" if name else key)
            text += ("\n" if text and inner else "") + inner
    return text


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    # JSON's escapes are TOML's, but for pairs of surrogates, and for DEL, which TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
