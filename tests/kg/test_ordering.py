"""Rows in lexicographic order: the same as NumPy's, whatever the columns hold."""

from __future__ import annotations

import numpy as np
import pytest

from coldframe.kg.ordering import in_order

RNG = np.random.default_rng(0)
N = 2000
FEW = RNG.integers(0, 3, N)
COLUMNS = {
    "few": FEW,
    "constant": np.full(N, 7, np.int8),
    "negative": RNG.integers(-1, 2, N).astype(np.int8),
    "wide": RNG.integers(-(2**62), 2**62, N),
    "whole": RNG.integers(0, 5, N).astype(np.float64),
    "halves": (RNG.integers(-4, 10, N) / 2).astype(np.float32),
    "missing": np.where(RNG.random(N) < 0.3, np.nan, RNG.integers(0, 4, N)),
    "unknown": np.full(N, np.nan, np.float32),
    "odd": np.where(FEW == 1, np.nan, RNG.normal(size=N)),
    "odd32": np.where(FEW == 1, np.nan, RNG.normal(size=N)).astype(np.float32),
    "huge": RNG.choice([-1e300, -1.5, 1e-300, 0.1, 1e300], N),
}


@pytest.mark.parametrize(
    "names",
    [
        *((name,) for name in COLUMNS),
        ("few", "negative", "whole", "halves", "missing"),  # one word
        ("few", "wide", "constant", "missing"),  # several words
        ("few", "negative", "huge", "odd", "odd32", "unknown"),
        ("constant", "few", "odd", "wide"),
        ("few", "constant", "huge", "huge", "negative"),
    ],
)
def test_the_order_is_that_of_lexsort(names: tuple[str, ...]) -> None:
    columns = [COLUMNS[name] for name in names]
    order = np.lexsort(columns[::-1])
    for got, column in zip(in_order(columns), columns, strict=True):
        assert got.dtype == column.dtype
        np.testing.assert_array_equal(got, column[order])


def test_negative_zeros_become_zeros_and_extremes_stay() -> None:
    odd = np.array([0.5, -0.0, np.finfo(float).max, np.nan, -np.finfo(float).max, 0.25])
    for column in (np.array([2.0, -0.0, 1.0]), odd, np.array([-(2**63), 2**63 - 1, 0])):
        both = in_order([column, np.arange(len(column)) * 2**40])
        for got in (in_order([column])[0], both[0]):
            np.testing.assert_array_equal(got, np.sort(column))
            assert not np.signbit(got[got == 0]).any()


def test_no_rows_and_one_row() -> None:
    assert [len(c) for c in in_order([np.zeros(0, np.int64), np.zeros(0, np.float32)])] == [0, 0]
    assert in_order([np.array([5]), np.array([np.nan])])[0].tolist() == [5]
