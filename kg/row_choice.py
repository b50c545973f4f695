"""Which rows of a table its section reads: those of `where`, without those of `unless`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError, nearest
from .literals import parse_numbers
from .schema import Bounds, TableMap
from .vocabulary import TEXT, is_text
from .written_values import plain_numbers

BoolArray = npt.NDArray[np.bool_]
Unmet = list[tuple[str, str, str]]
"""Column of `where`, what no row has there, and what is there instead."""
_COMPARED = 1000  # cells among which the nearest to a value is looked for


def chosen_rows(data: pa.Table, table: TableMap) -> tuple[BoolArray | None, Unmet]:
    """Mask of the rows, (n,), None where the section chooses none; and what of `where` no row has.

    Raises:
        DataError: cells of a column cannot be compared.
    """
    if not table.where and not table.unless:
        return None, []
    mask, unmet = np.ones(len(data), bool), Unmet()
    for name, choice in table.where.items():
        if isinstance(choice, Bounds):
            numbers = _numbers(data[name], name, table.decimal)
            within = _within(numbers, choice)
            if not within.any():
                unmet.append((name, f"a number {choice}", _range(numbers)))
        else:
            words = _words(data[name], name)
            within = _among(words, choice)
            unmet += [(name, repr(value), near) for value, near in _not_there(words, choice)]
        mask &= within
    for name, choice in table.unless.items():
        if isinstance(choice, Bounds):
            mask &= ~_within(_numbers(data[name], name, table.decimal), choice)
        else:
            mask &= ~_among(_words(data[name], name), choice)
    return mask, unmet


def _among(words: pa.ChunkedArray, values: tuple[str, ...]) -> BoolArray:
    return np.asarray(pc.is_in(words, value_set=pa.array(values, TEXT)), bool)


def _not_there(words: pa.ChunkedArray, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """The values that no cell has, each with the nearest that some cell has."""
    there = pc.unique(words.drop_null())
    met = pc.is_in(pa.array(values, TEXT), value_set=there).to_pylist()
    lost = [value for value, found in zip(values, met, strict=True) if not found]
    known = there.slice(0, _COMPARED).to_pylist() if lost else []
    return [(value, nearest(value, known)) for value in lost]


def _words(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Cells as text, to be compared."""
    try:
        return pc.utf8_trim_whitespace(column.cast(TEXT))
    except pa.ArrowException:
        raise DataError(
            f"rows cannot be chosen by the column {name!r} ({column.type})",
            hint="where and unless compare text, numbers and booleans",
        ) from None


def _within(numbers: npt.NDArray[np.floating], bounds: Bounds) -> BoolArray:
    """Mask of the numbers that lie within, (n,); what is none (NaN) does not.

    Bounds are rounded as the numbers are: 0.7 of a column of 32 bits is no less than min = 0.7.
    """
    low, high = numbers.dtype.type(bounds.low), numbers.dtype.type(bounds.high)
    return np.asarray((numbers >= low) & (numbers <= high))


def _range(numbers: npt.NDArray[np.floating]) -> str:
    there = numbers[~np.isnan(numbers)]
    if not len(there):
        return "its cells hold no numbers"
    return f"its numbers go from {there.min():g} to {there.max():g}"


def _numbers(column: pa.ChunkedArray, name: str, decimal: str) -> npt.NDArray[np.floating]:
    """Cells as numbers, (n,), read as those of a feature are; NaN where one is none."""
    array = column.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    kind = array.type
    if is_text(array):
        text = pc.utf8_trim_whitespace(array)
        return parse_numbers(plain_numbers(text, decimal) if decimal else text)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise DataError(
            f"rows cannot be chosen by bounds of the column {name!r} ({kind})",
            hint="min and max compare numbers; name the values instead",
        )
    return parse_numbers(array).astype(
        kind.to_pandas_dtype() if pa.types.is_floating(kind) else float
    )
