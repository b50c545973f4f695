"""How RDF is read: what a source may cost, and what its relative IRIs stand for."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import pyoxigraph as ox

from .errors import UsageError, nearest
from .guarded import Limits

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Reading:
    """Options of reading that say nothing about the catalog itself.

    Attributes:
        limits: what a source may cost.
        base_iri: against which relative IRIs are resolved; None = they are errors.

    Raises:
        UsageError: the base is not an absolute IRI.
    """

    limits: Limits = field(default_factory=Limits)
    base_iri: str | None = None

    def __post_init__(self) -> None:
        if self.base_iri is None:
            return
        try:
            ox.NamedNode(self.base_iri)
        except ValueError as error:
            raise UsageError(
                f"the base {self.base_iri[:80]!r} is not an absolute IRI: {error}",
                hint="say https://example.org/",
            ) from None


def limits_of(settings: Iterable[str]) -> Limits:
    """Limits with some set by `NAME=VALUE`; K, M and G behind a whole number mean 1,024 times more.

    Raises:
        UsageError: no such limit, or a value that is not a number above zero.
    """
    kinds = {each.name: each.default for each in fields(Limits)}
    chosen: dict[str, Any] = {}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name not in kinds:
            raise UsageError(f"unknown limit {name!r}", where=setting, hint=nearest(name, kinds))
        chosen[name] = _number(setting, value, whole=isinstance(kinds[name], int))
    return Limits(**chosen)


def _number(setting: str, text: str, *, whole: bool) -> float:
    unit = _UNITS.get(text[-1:].upper(), 1) if whole else 1
    digits = text[:-1] if unit > 1 else text
    try:
        number: float = int(digits) * unit if whole else float(digits)
    except ValueError:
        number = math.nan
    if not 0 < number < 1 << 62:
        kind = "a whole number, such as 100 or 512M" if whole else "a number"
        raise UsageError(
            f"the limit is {text!r}, expected {kind} above zero", where=setting, hint="NAME=VALUE"
        )
    return number
