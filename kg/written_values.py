"""Numbers and times as shops and spreadsheets write them, turned into what `literals` parses."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .literals import parse_numbers, parse_times
from .vocabulary import TEXT, is_text

_UNIT = r"(?:\p{Sc}|%|[A-Z]{3})"  # a currency's sign or code, or per cent
_NAIVE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-5][0-9](?:\.[0-9]{1,12})?)?$"
_SPACES = "[ \u00a0\u202f'\u2019]"  # what parts thousands beside the other of , and .


def plain_numbers(text: pa.Array, decimal: str) -> pa.Array:
    """`1.234,50 €` as `1234.50`, where `decimal` is a comma; null stays null.

    A currency's sign or three-letter code, or a per cent sign, before or behind the number is taken
    away, and so are signs between groups of three digits. Any other text stays as it is.

    Args:
        decimal: "," or "."; the other one parts thousands.
    """
    mark, other = re.escape(decimal), re.escape("." if decimal == "," else ",")
    clean = pc.utf8_trim_whitespace(text.cast(TEXT))
    bare = pc.replace_substring_regex(clean, rf"^([+-]?)\s*{_UNIT}?\s*([+-]?[0-9])", r"\1\2")
    bare = pc.replace_substring_regex(bare, rf"\s*{_UNIT}$", "")
    grouped = rf"^[+-]?[0-9]{{1,3}}(?:(?:{other}|{_SPACES})[0-9]{{3}})*(?:{mark}[0-9]*)?$"
    single = rf"^[+-]?[0-9]*(?:{mark}[0-9]*)?(?:[eE][+-]?[0-9]+)?$"
    fits = pc.or_(pc.match_substring_regex(bare, grouped), pc.match_substring_regex(bare, single))
    joined = pc.replace_substring_regex(bare, f"{other}|{_SPACES}", "")
    return pc.if_else(fits, pc.replace_substring(joined, decimal, "."), clean)


def units(text: pa.Array) -> list[str]:
    """The currencies (or %) that stand beside numbers, each once, as they are written."""
    clean = pc.utf8_trim_whitespace(text.cast(TEXT))
    found: set[str] = set()
    for pattern in (rf"^[+-]?\s*(?P<unit>{_UNIT})\s*[+-]?[0-9]", rf"[0-9]\s*(?P<unit>{_UNIT})$"):
        part = pc.struct_field(pc.extract_regex(clean, pattern), ["unit"])
        found.update(pc.unique(part.drop_null()).to_pylist())
    return sorted(found)


def plain_times(values: pa.Array, formats: Sequence[str], zone: str) -> pa.Array:
    """Times in any of these forms as time stamps in UTC; other text as it is, and nulls null.

    Args:
        formats: of `strptime`, such as "%d.%m.%Y %H:%M"; the first that fits counts.
        zone: where the times are local that name no zone, such as "Europe/Berlin"; "" = UTC.
    """
    text = pc.utf8_trim_whitespace(values.cast(TEXT))
    out = text
    for form in formats:
        stamps = pc.strptime(text, format=form, unit="us", error_is_null=True)
        day = not re.search("%[HIsTRXc]", form)  # a day is one everywhere
        out = pc.coalesce(_iso(stamps if day else _local(stamps, zone)), out)
        text = pc.if_else(stamps.is_valid(), pa.scalar(None, TEXT), text)
    if zone:
        naive = pc.match_substring_regex(text, _NAIVE)
        stamps = _stamps(pc.if_else(naive, text, pa.scalar(None, TEXT)))
        out = pc.coalesce(_iso(_local(stamps, zone)), out)
    return out


def _stamps(text: pa.Array) -> pa.Array:
    """ISO text without a zone as time stamps; null where it is none."""
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:  # such as the 30th of February, or tenths of a microsecond
        none = pa.array(np.isnan(parse_times(text)))
        text = pc.if_else(none, pa.scalar(None, TEXT), text)
        text = pc.replace_substring_regex(text, r"(\.[0-9]{6})[0-9]+$", r"\1")
        return text.cast(pa.timestamp("us"))


def zoned(stamps: pa.Array, zone: str) -> pa.Array:
    """Time stamps that name no zone as local ones, with it; others, and midnights alone, as they are.

    A column of midnights holds days, which are the same everywhere.

    Args:
        zone: such as "Europe/Berlin".
    """
    if stamps.type.tz or pc.all(pc.equal(stamps, pc.floor_temporal(stamps, unit="day"))).as_py():
        return stamps
    return _known(stamps, zone)


def _local(stamps: pa.Array, zone: str) -> pa.Array:
    """Time stamps without zone, taken as local and turned to UTC."""
    if not zone:
        return stamps
    return _known(stamps, zone).cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us"))


def _known(stamps: pa.Array, zone: str) -> pa.Array:
    """Local time stamps with their zone; the clock's lost hour moves on."""
    return pc.assume_timezone(stamps, zone, ambiguous="earliest", nonexistent="latest")


def _iso(stamps: pa.Array) -> pa.Array:
    return pc.strftime(stamps, format="%Y-%m-%dT%H:%M:%S").cast(TEXT)


def likely_decimal(text: pa.Array) -> str:
    """The decimal sign by which at least some of these values are numbers and plain ones are none.

    "" where they are numbers already, or hardly any is one by either sign. A value such as `1,234`
    speaks for neither, so that a column of such values alone is left to the reader.
    """
    if not len(text) or np.isnan(parse_numbers(text)).mean() < 0.05:
        return ""
    for sign in (",", "."):
        bad = np.isnan(parse_numbers(plain_numbers(text, sign))).mean()
        odd = rf"{re.escape(sign)}(?:[0-9]{{1,2}}|[0-9]{{4,}})(?:[^0-9]|$)"
        if bad < 0.05 and pc.any(pc.match_substring_regex(text, odd)).as_py():
            return sign
    return ""


TIME_FORMS = tuple(
    day + clock
    for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%Y%m%d")
    for clock in ("", " %H:%M", " %H:%M:%S")
)


def likely_form(text: pa.Array) -> str:
    """The form in which nearly all of these values are times; "" if there is none, or two read them
    differently (day and month)."""
    fitting = []
    for form in TIME_FORMS:
        stamps = pc.strptime(text, format=form, unit="us", error_is_null=True)
        if len(text) and stamps.null_count < 0.05 * len(text):
            fitting.append((stamps.null_count, form))
    if len(fitting) > 1 and fitting[0][0] == fitting[1][0]:
        return ""
    return min(fitting)[1] if fitting else ""


def advice(kind: str, bad: pa.Array) -> str:
    """What a table's section may say so that these values, which are none of their kind, are some."""
    if not is_text(bad):
        return ""
    sample = bad.slice(0, 1000)
    find, key = (likely_decimal, "decimal") if kind == "number" else (likely_form, "dates")
    found = find(sample)
    return f': say {key} = "{found}" in its table\'s section' if found else ""
