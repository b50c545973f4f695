"""Numbers and times from text, checked by us: whole columns at once, never a typed evaluation."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .vocabulary import TEXT, is_text

DAY = 86_400.0
LATEST = 7_258_118_400.0  # seconds: from the year 2200 on, a time is one in another unit
TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # how many make a second
# What the text of a number or a date feature must be.
EXPECTED = {"number": "a finite number", "date": "an ISO 8601 date"}
_NUMBER = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
_TIME = (
    r"^(?P<year>-?[0-9]{4,6})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:\.[0-9]{1,12})?))?)?"
    r")?)?(?P<zone> ?(?:Z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?))?$"
)
_MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FIELDS = re.findall(r"P<(\w+)>", _TIME)


def parse_numbers(values: pa.Array) -> npt.NDArray[np.float64]:
    """float64 (n,) from text or numbers; NaN where a value is null or not a finite number.

    Decimal and scientific notation; no words such as "INF", no digit separators.
    """
    if not is_text(values):
        return _numeric(values)
    try:
        out = _floats(values.cast(pa.float64()))
    except pa.ArrowInvalid:
        good = pc.match_substring_regex(values, _NUMBER)
        clean = pc.utf8_ltrim(pc.if_else(good, values, pa.scalar(None, values.type)), "+")
        out = _floats(clean.cast(pa.float64()))
    out[~np.isfinite(out)] = np.nan
    return out


def parse_times(values: pa.Array) -> npt.NDArray[np.float64]:
    """Seconds since 1970-01-01 UTC, float64 (n,), from ISO 8601 text, dates or time stamps.

    A year or year-month stands for its first day; no zone means UTC. NaN where a value is null,
    not of this form, or no day of the calendar (proleptic Gregorian).
    """
    if pa.types.is_temporal(values.type):
        return _temporal(values)
    found = pc.extract_regex(values.cast(TEXT), _TIME)
    part = {name: pc.struct_field(found, [name]) for name in _FIELDS}
    year = _part(part["year"], np.nan)
    month, day = _part(part["month"], 1.0), _part(part["day"], 1.0)
    hour, minute = _part(part["hour"], 0.0), _part(part["minute"], 0.0)
    second = _part(part["second"], 0.0)
    whole_month = np.clip(np.nan_to_num(month, nan=1.0), 1, 12).astype(np.int64)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    last = _MONTH_DAYS[whole_month - 1] + (leap & (whole_month == 2))
    good = (month >= 1) & (month <= 12) & (day >= 1) & (day <= last)
    good &= (hour < 24) & (minute < 60) & (second < 61)
    days = _days(np.nan_to_num(year).astype(np.int64), whole_month, np.nan_to_num(day))
    seconds = days * DAY + hour * 3600 + minute * 60 + second - _zone(part["zone"])
    return np.where(good & ~np.isnan(year), seconds, np.nan)


def parse_moments(values: pa.Array, unit: str = "s") -> npt.NDArray[np.float64]:
    """Like `parse_times`, but a plain number counts since 1970; NaN from the year 2200 on.

    Args:
        unit: of plain numbers, one of `TIME_UNITS`.
    """
    if pa.types.is_temporal(values.type):
        out = _temporal(values)
    else:
        out = parse_numbers(values) / TIME_UNITS[unit]
        if is_text(values):
            rest = np.isnan(out)
            if rest.any():
                out[rest] = parse_times(values.filter(pa.array(rest)))
    out[out >= LATEST] = np.nan
    return out


def likely_unit(values: pa.Array) -> str:
    """The unit in which most plain numbers lie between 1973 and 2200; "" if none is."""
    numbers = parse_numbers(values)
    if not np.isfinite(numbers).any():
        return ""
    middle = float(np.nanmedian(numbers))
    fitting = (unit for unit, many in TIME_UNITS.items() if 1e8 <= middle / many < LATEST)
    return next(fitting, "")


def wrong_time(values: pa.Array, unit: str) -> str:
    """What to say of times that are none: a unit in which they would be some, if there is one."""
    message = "not a time in ISO 8601 or a number since 1970 that ends before the year 2200"
    likely = likely_unit(values)
    more = f': is it in {likely}? say time_unit = "{likely}" in its event'
    return message + (more if likely not in ("", unit) else "")


def _part(values: pa.Array, missing: float) -> npt.NDArray[np.float64]:
    """A group of the pattern as numbers; where the group is empty: `missing`."""
    empty = pc.equal(values, "")
    clean = pc.if_else(empty, pa.scalar(None, values.type), values).cast(pa.float64())
    out = _floats(clean)
    out[np.isnan(out)] = missing
    return out


def _zone(values: pa.Array) -> npt.NDArray[np.float64]:
    """Seconds east of UTC."""
    digits = pc.utf8_ltrim(pc.replace_substring(values, ":", ""), " ")
    digits = pc.if_else(pc.is_in(digits, pa.array(["", "Z", "UTC", "GMT"], TEXT)), "+0000", digits)
    digits = pc.utf8_rpad(digits, 5, "0")  # "+01" is a whole hour
    number = np.nan_to_num(_floats(pc.utf8_ltrim(digits, "+").cast(pa.float64())))
    size = np.abs(number)
    return np.asarray(np.sign(number) * (size // 100 * 3600 + size % 100 * 60))


def _days(
    year: npt.NDArray[np.int64], month: npt.NDArray[np.int64], day: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Days since 1970-01-01 (the civil calendar counted in years that start in March)."""
    year = year - (month <= 2)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return np.asarray(
        year * 365 + year // 4 - year // 100 + year // 400 + day_of_year - 719_468, np.float64
    )


def _temporal(values: pa.Array) -> npt.NDArray[np.float64]:
    if pa.types.is_date(values.type):
        return _floats(values.cast(pa.date32()).cast(pa.int32()).cast(pa.float64())) * DAY
    if not pa.types.is_timestamp(values.type):
        return np.full(len(values), np.nan)
    micros = values.cast(pa.timestamp("us", tz=values.type.tz), safe=False).cast(pa.int64())
    return _floats(micros.cast(pa.float64(), safe=False)) / 1e6


def _numeric(values: pa.Array) -> npt.NDArray[np.float64]:
    if pa.types.is_integer(values.type):
        numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, np.float64)
    try:
        out = _floats(values.cast(pa.float64(), safe=False))
    except pa.ArrowException:
        return np.full(len(values), np.nan)
    out[~np.isfinite(out)] = np.nan
    return out


def _floats(values: pa.Array) -> npt.NDArray[np.float64]:
    """NumPy copy with NaN for null."""
    return np.array(values.to_numpy(zero_copy_only=False), np.float64)
