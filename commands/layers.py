"""One configuration from three layers: a flag beats the file, the file beats the default."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from ..kg.errors import ColdframeError, SchemaError, UsageError, nearest

C = TypeVar("C")


@dataclass(frozen=True)
class Layered(Generic[C]):
    """A configuration and where each value comes from.

    Attributes:
        config: the frozen dataclass, nested dataclasses filled in.
        origins: dotted key -> "default", "file NAME" or "flag --name".
    """

    config: C
    origins: Mapping[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """key, value, origin of every value, in the order of declaration."""
        values = flatten(self.config)
        return [{"key": k, "value": values[k], "origin": o} for k, o in self.origins.items()]


def resolve(
    kind: type[C], *, file: Path | None = None, flags: Mapping[str, tuple[str, Any]] | None = None
) -> Layered[C]:
    """Build `kind`, a dataclass whose fields may be dataclasses, from file and flags.

    Args:
        file: TOML; a nested dataclass is a table of its field's name.
        flags: dotted key -> (name of the flag, value); None values count as not given.

    Raises:
        SchemaError: the file is no TOML, has an unknown key or a value of the wrong type.
        UsageError: the same of a flag.
    """
    from ..kg.typed_fields import fit_value  # loads NumPy, which --help does without

    names, defaults = fields_of(kind), flatten(kind())
    given: dict[str, tuple[str, Any]] = {}
    if file is not None:
        for key, value in _leaves(_load(file)):
            _check_key(key, names, SchemaError, str(file))
            given[key] = (
                f"file {file.name}",
                fit_value(value, names[key], defaults[key], SchemaError, f"{file}:{key}"),
            )
        try:
            _build(kind, {key: value for key, (_, value) in given.items()})
        except UsageError as error:  # a value that no setting allows: say that the file has it
            where = f"{file}:{error.where}"
            raise SchemaError(error.message, where=where, hint=error.hint) from None
    flags = {key: words for key, words in (flags or {}).items() if words[1] is not None}
    for key, (flag, value) in flags.items():
        _check_key(key, names, UsageError, flag)
        given[key] = (f"flag {flag}", fit_value(value, names[key], defaults[key], UsageError, flag))
    try:
        config = _build(kind, {key: value for key, (_, value) in given.items()})
    except UsageError as error:  # name the flag, as its user knows it by that
        where = flags[error.where][0] if error.where in flags else error.where
        raise UsageError(error.message, where=where, hint=error.hint) from None
    origins = {key: given[key][0] if key in given else "default" for key in names}
    return Layered(config, origins)


def settings(words: Iterable[str]) -> dict[str, tuple[str, Any]]:
    """`--set key=value` words as flags; values are TOML (a bare word is text)."""
    out: dict[str, tuple[str, Any]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise UsageError(f"got {word!r}", where="--set", hint="write it as key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            value = text
        out[key.strip()] = (f"--set {key.strip()}", value)
    return out


def fields_of(kind: type[Any], prefix: str = "") -> dict[str, Any]:
    """Dotted key -> type of every leaf field, in the order of declaration."""
    hints = get_type_hints(kind)
    out: dict[str, Any] = {}
    for item in dataclasses.fields(kind):
        hint = hints[item.name]
        if dataclasses.is_dataclass(hint):
            out |= fields_of(hint, f"{prefix}{item.name}.")  # type: ignore[arg-type]
        elif item.init:
            out[prefix + item.name] = hint
    return out


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of every leaf."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if dataclasses.is_dataclass(value):
            out |= flatten(value, f"{prefix}{item.name}.")
        else:
            out[prefix + item.name] = value
    return out


def _build(kind: type[C], values: Mapping[str, Any], prefix: str = "") -> C:
    hints = get_type_hints(kind)
    own: dict[str, Any] = {}
    for item in dataclasses.fields(kind):  # type: ignore[arg-type]
        key = prefix + item.name
        if dataclasses.is_dataclass(hints[item.name]):
            own[item.name] = _build(hints[item.name], values, f"{key}.")
        elif key in values:
            own[item.name] = values[key]
    try:
        return kind(**own)
    except UsageError as error:  # a part of the configuration knows its own keys alone
        raise UsageError(error.message, where=prefix + error.where, hint=error.hint) from None


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError(f"not valid TOML: {error}", where=str(file)) from error
    except UnicodeDecodeError as error:
        raise SchemaError(f"not UTF-8 text: {error.reason}", where=str(file)) from error


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _check_key(key: str, names: Mapping[str, Any], error: type[ColdframeError], where: str) -> None:
    if key not in names:
        raise error(f"unknown key {key!r}", where=where, hint=nearest(key, names))
