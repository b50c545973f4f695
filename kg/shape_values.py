"""Values of SHACL constraints, checked before anything is held against them."""

from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.compute as pc
import pyoxigraph as ox

from .errors import SchemaError

SH = "http://www.w3.org/ns/shacl#"
COUNTS = ("minCount", "maxCount", "minLength", "maxLength")
BOUNDS = ("minInclusive", "maxInclusive", "minExclusive", "maxExclusive")
KINDS = tuple(
    SH + kind
    for kind in (
        "IRI",
        "BlankNode",
        "Literal",
        "BlankNodeOrIRI",
        "BlankNodeOrLiteral",
        "IRIOrLiteral",
    )
)
_FLAGS = frozenset("ism")
_PYSHACL = "correct it, or take the engine 'pyshacl'"


def check_value(
    name: str, term: ox.NamedNode | ox.BlankNode | ox.Literal, flags: str, where: str
) -> None:
    """Raise SchemaError where the value of `sh:<name>` is none that the constraint can have."""
    text = term.value
    if name in COUNTS and not (isinstance(term, ox.Literal) and _is_count(text)):
        raise _wrong(name, text, "a whole number that is not negative", where)
    if name in BOUNDS and not (isinstance(term, ox.Literal) and _is_number(text)):
        raise _wrong(name, text, "a finite number", where, hint=_PYSHACL)
    if name in ("class", "datatype") and not isinstance(term, ox.NamedNode):
        raise _wrong(name, text, "an IRI", where)
    if name == "nodeKind" and text not in KINDS:
        kinds = ", ".join(f"sh:{kind.removeprefix(SH)}" for kind in KINDS)
        raise _wrong(name, text, "a kind of node", where, hint=f"one of {kinds}")
    if name == "pattern":
        pattern(text, flags, where)


def pattern(text: str, flags: str, where: str) -> str:
    """A pattern with its flags as the columns' engine takes it."""
    if not set(flags) <= _FLAGS:
        raise _wrong("flags", flags, "letters of i, s and m", where, hint=_PYSHACL)
    whole = f"(?{''.join(sorted(set(flags)))}){text}" if flags else text
    try:
        pc.match_substring_regex(pa.array([""], pa.large_string()), whole)
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise _wrong(
            "pattern", text, f"a regular expression ({reason})", where, hint=_PYSHACL
        ) from None
    return whole


def _is_count(text: str) -> bool:
    digits = text.strip().removeprefix("+")
    return digits.isascii() and digits.isdecimal() and len(digits) < 16


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _wrong(
    name: str, text: str, expected: str, where: str, hint: str = "correct the shapes file"
) -> SchemaError:
    return SchemaError(f"sh:{name} is {text[:80]!r}, expected {expected}", where=where, hint=hint)
