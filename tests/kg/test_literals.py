"""Numbers and times from text, against Python's own conversions."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa

from coldframe.kg.export import iso_date
from coldframe.kg.literals import parse_moments, parse_numbers, parse_times


def test_numbers_are_finite_decimal_text_or_nothing() -> None:
    good = ["1", "+2.5", "-0", ".5", "5.", "1e3", "01"]
    bad = ["", "x", "inf", "nan", "INF", "NaN", "0x10", "1_0", "1,5", "1e999", None, "٣"]
    assert parse_numbers(pa.array(good)).tolist() == [1, 2.5, 0, 0.5, 5, 1000, 1]
    assert np.isnan(parse_numbers(pa.array(bad))).all()
    assert np.isnan(parse_numbers(pa.array(["1", "inf", "nan"]))).tolist() == [False, True, True]
    assert parse_numbers(pa.array([1, None, 3]))[[0, 2]].tolist() == [1, 3]


def test_dates_agree_with_the_standard_library_and_come_back() -> None:
    rng = np.random.default_rng(0)
    days = [dt.date(1, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(0, 3_600_000, 4000)]
    want = np.array([(d - dt.date(1970, 1, 1)).days for d in days])
    text = pa.array([d.isoformat() for d in days])
    assert (parse_times(text) == want * 86400.0).all()
    assert (parse_times(pa.array(days)) == want * 86400.0).all()
    assert iso_date(want).to_pylist() == text.to_pylist()


def test_times_with_zones_fractions_and_short_forms() -> None:
    got = parse_times(
        pa.array(
            [
                "1970-01-01T01:00:00+01:00",
                "1969-12-31T23:59:59.5Z",
                "1850",
                "1999-12",
                "-0044-03-15",
            ]
        )
    )
    assert got.tolist() == [0.0, -0.5, -3786825600.0, 944006400.0, -63549360000.0]
    assert iso_date(got[-1:] / 86400).to_pylist() == ["-0044-03-15"]


def test_days_that_no_calendar_has_are_nothing() -> None:
    bad = ["1999-02-29", "2020-13-01", "2020-00-01", "2020-04-31", "99-01-01", "2020-1-1", "x", ""]
    assert np.isnan(parse_times(pa.array(bad))).all()
    assert not np.isnan(parse_times(pa.array(["2000-02-29"])))[0]


def test_a_moment_is_seconds_or_iso() -> None:
    got = parse_moments(pa.array(["978300760", "2000-12-31T22:12:40Z", "soon", None]))
    assert got[:2].tolist() == [978300760.0, 978300760.0]
    assert np.isnan(got[2:]).all()
    stamps = pa.array([978300760], pa.timestamp("s"))
    assert parse_moments(stamps).tolist() == [978300760.0]


def test_a_number_reads_the_same_whatever_stands_beside_it() -> None:
    texts = ["0e12345", "1e-99999", "1e99999", "+1.5", ".5", "5.", "1e4"]
    alone = [parse_numbers(pa.array([text]))[0] for text in texts]
    np.testing.assert_array_equal(parse_numbers(pa.array([*texts, "no number"]))[:-1], alone)
