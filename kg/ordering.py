"""Rows of several columns in lexicographic order, by one sort of packed integers where they fit.

Sorting 64-bit keys in place is several times faster than sorting row numbers by them, and the columns are
read back from the sorted keys. All is done piece by piece: in a fresh process, memory that is touched for
the first time costs more than the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]
Codes = npt.NDArray[np.uint64]
WORD = 64
PIECE = 1 << 15


@dataclass(frozen=True)
class _Coding:
    """How the values of a column become unsigned integers of the same order, and come back.

    Attributes:
        bits: all codes are below 2**bits; 0 = the column is constant.
    """

    column: Column
    bits: int
    encode: Callable[[Column], Codes]
    decode: Callable[[Codes], Column]


def in_order(columns: Sequence[Column]) -> list[Column]:
    """The rows in lexicographic order, the first column first; NaN comes last, -0 becomes 0.

    Args:
        columns: integers, float32 or float64, each of shape (n,).
    """
    n = len(columns[0])
    if not n:
        return list(columns)
    codings = [_coding(column) for column in columns]
    if sum(coding.bits for coding in codings) > WORD:
        order = _order(codings)
        return [column[order] + column.dtype.type(0) for column in columns]
    keys = _packed(codings)
    keys.sort()
    out = [np.empty_like(column) for column in columns]
    for part in _pieces(n):
        left = keys[part].copy()
        for coding, column in zip(reversed(codings), reversed(out), strict=True):
            column[part] = coding.decode(left & np.uint64((1 << coding.bits) - 1))
            left >>= np.uint64(coding.bits)
    return out


def _pieces(n: int) -> Iterator[slice]:
    return (slice(start, start + PIECE) for start in range(0, n, PIECE))


def _coding(column: Column) -> _Coding:
    if column.dtype.kind == "f":
        return _float_coding(column)
    low = int(column.min())
    return _Coding(
        column,
        (int(column.max()) - low).bit_length(),
        lambda values: (values.astype(np.int64) - low).view(np.uint64),
        lambda codes: codes.view(np.int64) + low,
    )


def _float_coding(column: Column) -> _Coding:
    """NaN becomes the highest code; the numbers are counted in ones or halves where that is exact."""
    known, low, high, scale = 0, np.inf, -np.inf, 1
    for part in _pieces(len(column)):
        values = column[part]
        values = values[~np.isnan(values)]
        if len(values):
            known += len(values)
            low, high = min(low, values.min()), max(high, values.max())
            while scale and not _is_whole(values, scale):
                scale = {1: 2, 2: 0}[scale]
    if not known:
        return _Coding(column, 0, lambda v: np.zeros(len(v), np.uint64), lambda _: column[:1])
    kind = column.dtype
    ends = _ranks(np.array([low, high], kind), scale)
    first, missing = ends[0], int((ends[1:] - ends[0])[0]) + 1
    bits = (missing if known < len(column) else missing - 1).bit_length()

    def encode(values: Column) -> Codes:
        gone = np.isnan(values)
        codes = _ranks(np.where(gone, low, values).astype(kind), scale) - first
        codes[gone] = missing
        return np.asarray(codes)

    def decode(codes: Codes) -> Column:
        ranks = np.minimum(codes, np.uint64(missing - 1)) + first
        values = ranks.view(np.int64) / scale if scale else _floats(ranks, kind)
        return np.where(codes == missing, np.nan, values)

    return _Coding(column, bits, encode, decode)


def _is_whole(numbers: Column, scale: int) -> bool:
    """Whether all are multiples of 1/scale, and integers of it exact."""
    if np.abs(numbers).max() > 2**52:
        return False
    return bool((numbers * scale == np.floor(numbers * scale)).all())


def _ranks(numbers: Column, scale: int) -> Codes:
    """Integers that rise with floats: multiples of 1/scale, or with scale 0 their bits."""
    if scale:
        return (numbers * scale).astype(np.int64).view(np.uint64)
    bits = (numbers + numbers.dtype.type(0)).view(f"u{numbers.itemsize}")
    sign = bits.dtype.type(1 << (8 * numbers.itemsize - 1))
    return np.asarray(np.where(bits & sign, ~bits, bits | sign), np.uint64)


def _floats(ranks: Codes, kind: np.dtype[Any]) -> Column:
    """The floats of `_ranks` with scale 0."""
    bits = ranks.astype(f"u{kind.itemsize}")
    sign = bits.dtype.type(1 << (8 * kind.itemsize - 1))
    return np.asarray(np.where(bits & sign, bits ^ sign, ~bits).view(kind))


def _packed(codings: Sequence[_Coding]) -> Codes:
    keys = np.empty(len(codings[0].column), np.uint64)
    for part in _pieces(len(keys)):
        piece = codings[0].encode(codings[0].column[part])
        for coding in codings[1:]:
            if coding.bits:
                piece = piece << np.uint64(coding.bits) | coding.encode(coding.column[part])
        keys[part] = piece
    return keys


def _order(codings: Sequence[_Coding]) -> npt.NDArray[np.int64]:
    """Row numbers in order: by the columns that fit into one word, then ties by those of the next."""
    words: list[list[_Coding]] = [[]]
    for coding in codings:
        if sum(other.bits for other in words[-1]) + coding.bits > WORD:
            words.append([])
        words[-1].append(coding)
    keys = _packed(words[0])
    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    for word in words[1:]:
        places = np.flatnonzero(np.r_[False, same] | np.r_[same, False])
        if not len(places):
            break
        keys, bits = _packed(word), sum(coding.bits for coding in word)
        group = np.cumsum(np.r_[True, ~same])[places].astype(np.uint64)
        rows = order[places]
        if bits + int(group[-1]).bit_length() <= WORD:
            rows = rows[np.argsort(group << np.uint64(bits) | keys[rows])]
        else:
            rows = rows[np.lexsort([keys[rows], group])]
        order[places] = rows
        same[places[:-1]] &= keys[rows[1:]] == keys[rows[:-1]]
    return order
