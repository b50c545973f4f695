"""Numbers and times as shops write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.catalog import read
from coldframe.kg.errors import SchemaError
from coldframe.kg.literals import parse_moments
from coldframe.kg.schema import Schema
from coldframe.kg.vocabulary import TEXT
from coldframe.kg.written_values import (
    likely_decimal,
    likely_form,
    plain_numbers,
    plain_times,
    units,
    zoned,
)


@pytest.mark.parametrize(
    ("written", "comma", "point"),
    [
        ("1.234,50 €", "1234.50", "1.234,50 €"),
        ("1,234.50", "1,234.50", "1234.50"),
        ("1.234", "1234", "1.234"),
        ("12.345.678", "12345678", "12.345.678"),
        ("-3,00", "-3.00", "-3,00"),
        ("€ -5,00", "-5.00", "€ -5,00"),
        ("$1,000", "1.000", "1000"),
        ("1\u202f234,5", "1234.5", "1\u202f234,5"),
        ("1'234", "1234", "1234"),
        ("15.25 USD", "15.25 USD", "15.25"),
        ("1e5", "1e5", "1e5"),
        ("1,23,4", "1,23,4", "1,23,4"),
        ("12 apples", "12 apples", "12 apples"),
        ("", "", ""),
    ],
)
def test_numbers(written: str, comma: str, point: str) -> None:
    text = pa.array([written, None], TEXT)
    assert plain_numbers(text, ",").to_pylist() == [comma, None]
    assert plain_numbers(text, ".").to_pylist() == [point, None]


def test_units_are_seen_on_both_sides() -> None:
    assert units(pa.array(["5 €", "$7", "USD 3", "8", "x €"], TEXT)) == ["$", "USD", "€"]


def test_times_of_several_forms_and_a_zone() -> None:
    forms = ["%d.%m.%Y", "%d/%m/%Y %H:%M"]
    text = pa.array(["13.02.2026", "14/07/2026 05:22", "2026-02-01 10:00", "2026-02-01", "?", None])
    here = plain_times(text, forms, "Europe/Berlin").to_pylist()
    assert [each and each[:16] for each in here] == [
        "2026-02-13T00:00",  # a day is a day everywhere
        "2026-07-14T03:22",
        "2026-02-01T09:00",
        "2026-02-01",
        "?",
        None,
    ]
    assert plain_times(text, forms, "").to_pylist()[1][:16] == "2026-07-14T05:22"


@pytest.mark.parametrize("unit", ["s", "ns"])
def test_time_stamps_without_a_zone_are_as_local_as_text(unit: str) -> None:
    text = pa.array(["2024-07-01 12:00:00", None])
    stamps = text.cast(pa.timestamp(unit))
    for local in (plain_times(text, [], "Europe/Berlin"), zoned(stamps, "Europe/Berlin")):
        assert parse_moments(local)[0] == 1_719_828_000
    known = stamps.cast(pa.timestamp(unit, "UTC"))
    assert zoned(known, "Europe/Berlin").equals(known)


def test_a_column_of_midnights_holds_days_which_are_the_same_everywhere() -> None:
    days = pa.array(["2024-07-01", "2024-07-02", None]).cast(pa.timestamp("ns"))
    assert zoned(days, "Europe/Berlin").equals(days)


def test_events_with_time_stamps_are_read_by_the_zone_of_their_section() -> None:
    schema = """
users = "u"
items = "i"
[nodes.u]
iri = "urn:u:{}"
[nodes.i]
iri = "urn:i:{}"
[events.e]
class = "urn:E"
user = "urn:by"
item = "urn:of"
time = "urn:at"
[tables.e]
events = "e"
timezone = "Europe/Berlin"
columns = { user = "u", item = "i", time = "t" }
"""
    time = pa.array(["2024-07-01 12:00:00"]).cast(pa.timestamp("us"))
    table = pa.table({"u": ["1"], "i": ["1"], "t": time})
    graph = read({"e": table}, Schema.loads(schema)).graph
    assert graph.interactions.time.tolist() == [1_719_828_000]


def test_times_beside_such_as_are_none_keep_their_zone() -> None:
    text = ["2026-02-30 10:00", "2026-02-01T10:00:00.1234567", "2026-02-01 24:00", None]
    assert plain_times(pa.array(text), [], "Europe/Berlin").to_pylist() == [
        "2026-02-30 10:00",
        "2026-02-01T09:00:00.123456",
        "2026-02-01 24:00",
        None,
    ]


def test_a_section_says_how_its_values_are_written(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("id;price;from\na;1.234,50 €;13.02.2026\nb;7,00 $;2026-02-14\nc;?;?\n", "utf-8")
    schema = """
[nodes.item]
iri = "urn:i:{}"
number.price = "urn:price"
date.listed = "urn:from"
[tables.items]
nodes = "item"
id = "id"
delimiter = ";"
decimal = ","
dates = "%d.%m.%Y"
columns = { price = "price", listed = "from" }
"""
    catalog = read([path], Schema.loads(schema))
    items = catalog.graph.items
    np.testing.assert_array_equal(items.numbers["price"], np.array([1234.5, 7, np.nan], np.float32))
    np.testing.assert_array_equal(
        items.numbers["listed"], np.array([20497, 20498, np.nan], np.float32)
    )
    assert catalog.report is not None
    kinds = sorted(problem.kind for problem in catalog.report.problems)
    assert kinds == ["bad-date", "bad-number", "several-units"]


def test_a_finding_says_what_the_section_may_say(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text('id,price,from\na,"1.234,50 €",13.02.2026\nb,"7,00",14.02.2026\n', "utf-8")
    schema = """
[nodes.item]
iri = "urn:i:{}"
number.price = "urn:price"
date.listed = "urn:from"
[tables.items]
nodes = "item"
id = "id"
columns = { price = "price", listed = "from" }
"""
    report = read([path], Schema.loads(schema)).report
    assert report is not None
    said = " ".join(problem.message for problem in report.problems)
    assert 'decimal = ","' in said
    assert 'dates = "%d.%m.%Y"' in said


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('decimal = ";"', 'expected "," or "."'),
        ('encoding = "hex"', "no encoding of text: 'hex'"),
        ('encoding = "rot13"', "no encoding of text: 'rot13'"),
        ('encoding = "a\\u0000b"', "no encoding of text"),
        ('header = ["id", "_", "_"]', "column '_' is defined twice"),
        ('dates = "dd.mm.yyyy"', "expected a form with a year"),
        ('timezone = "Europe/Berln"', "unknown time zone"),
        ("where = { a = [] }", "expected a value"),
        ("where = { a = {} }", "expected min, max or both"),
        ("where = { a = { mni = 5 } }", "unknown key 'mni'"),
        ('where = { a = { min = "5" } }', "expected a number, got '5'"),
        ("unless = { a = { max = inf } }", "usual size"),
        ("where = { a = { min = 5, max = 4 } }", "min = 5 is above max = 4"),
        ("where = { a = [{ min = 5 }] }", "expected a string"),
    ],
)
def test_what_a_section_says_is_checked(said: str, message: str) -> None:
    text = f'[nodes.item]\niri = "urn:i:{{}}"\n[tables.items]\nnodes = "item"\nid = "id"\n{said}\n'
    with pytest.raises(SchemaError, match=message):
        Schema.loads(text)


@pytest.mark.parametrize(
    ("values", "sign"),
    [
        (["1,5", "2"], ","),
        (["1.234,50 €", "3,00 €"], ","),
        (["1,500.25", "3"], "."),
        (["1,500"], ""),  # either
        (["1.5", "2"], ""),  # plain
        (["red", "blue"], ""),
    ],
)
def test_the_likely_decimal_sign(values: list[str], sign: str) -> None:
    assert likely_decimal(pa.array(values, TEXT)) == sign


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["13.02.2026"], "%d.%m.%Y"),
        (["03/02/2026", "13/02/2026"], "%d/%m/%Y"),
        (["02/13/2026 10:00"], "%m/%d/%Y %H:%M"),
        (["03/02/2026"], ""),  # either
        (["tomorrow"], ""),
    ],
)
def test_the_likely_form_of_times(values: list[str], form: str) -> None:
    assert likely_form(pa.array(values, TEXT)) == form
