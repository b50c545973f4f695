"""Cells as real files have them: escaped quotes, words for nothing, ratings that are none, odd clocks."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.cache import graph_hash
from coldframe.kg.errors import SchemaError
from coldframe.kg.export import write_nquads
from coldframe.kg.graph import Graph
from coldframe.kg.infer import infer_schema
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.reader import read_quads
from coldframe.kg.report import Report
from coldframe.kg.schema import Schema
from coldframe.kg.table_sources import find_tables
from coldframe.kg.tables import graph_from_tables

NODES = """
items = "item"
[prefixes]
ex = "https://example.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{}"
text.title = "ex:title"
number.price = "ex:price"
[nodes.user]
class = "ex:User"
iri = "ex:user/{}"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
time = "ex:at"
positive = 5
"""
ITEMS = (
    '[tables.items]\nnodes = "item"\nid = "id"\ncolumns = { title = "title", price = "price" }\n'
)
RATINGS = (
    '[tables.ratings]\nevents = "rating"\ncolumns = { user = "u", item = "i", rating = "r" }\n'
)
TIMED = RATINGS.replace('"r" }', '"r", time = "t" }')
ESCAPED = 'id;title;price\n"1";"Zu \\"viele\\" Zeichen";"2"\n"2";"5\\" disk";"3"\n"3";"plain";"4"\n'


def read_items(tmp_path: Path, text: str, more: str) -> tuple[Graph, Report]:
    """The items of a CSV file, with further lines in its section."""
    path = tmp_path / "items.csv"
    path.write_text(text)
    return graph_from_tables({"items": path}, Schema.loads(NODES + ITEMS + more))


def read_ratings(
    ratings: pa.Array, *, more: str = "", times: pa.Array | None = None
) -> tuple[Graph, Report]:
    """Events with these ratings, each by a user of its own."""
    columns = {"u": np.arange(len(ratings)), "i": ["a"] * len(ratings), "r": ratings}
    section = RATINGS
    if times is not None:
        columns["t"], section = times, TIMED
    schema = NODES.replace("positive = 5\n", f"positive = 5\n{more}") + section
    return graph_from_tables({"ratings": pa.table(columns)}, Schema.loads(schema))


def test_escaped_quotes_are_read_where_the_section_says_so(tmp_path: Path) -> None:
    graph, report = read_items(tmp_path, ESCAPED, 'delimiter = ";"\nescape = "\\\\"\n')
    assert graph.items.texts["title"] == ('Zu "viele" Zeichen', '5" disk', "plain")
    assert not report.problems


def test_escaped_quotes_without_a_word_are_a_finding(tmp_path: Path) -> None:
    _, report = read_items(tmp_path, ESCAPED, 'delimiter = ";"\n')
    found = [problem for problem in report.problems if problem.kind == "escaped-quote"]
    assert [problem.where.rpartition(":")[2] for problem in found] == ["row 1", "row 2"]
    assert 'escape = "\\\\"' in found[0].message


@pytest.mark.parametrize("cell", ['"C:\\dir\\"', '"a ""b"" c"', "C:\\dir", '""'])
def test_other_backslashes_and_quotes_are_none(tmp_path: Path, cell: str) -> None:
    text = f"id,title,price\n1,{cell},2\n"
    assert not read_items(tmp_path, text, "")[1].problems
    path = tmp_path / "items.csv"
    assert "escape" not in infer_schema(path)


def test_a_draft_names_the_escape_and_reads_by_it(tmp_path: Path) -> None:
    path = tmp_path / "books.csv"
    path.write_text(ESCAPED)
    draft = infer_schema(path)
    assert 'escape = "\\\\"' in draft
    graph, _ = graph_from_tables({"books": path}, Schema.loads(draft))
    assert 'Zu "viele" Zeichen' in graph.items.texts["title"]


@pytest.mark.parametrize("escape", ['"ab"', "3", '"ü"'])
def test_an_escape_is_one_sign(escape: str) -> None:
    with pytest.raises(SchemaError, match="escape"):
        Schema.loads(NODES + ITEMS + f"escape = {escape}\n")


def test_words_for_nothing_are_missing_cells(tmp_path: Path) -> None:
    text = "id,title,price\n1,NULL,NA\nNULL,x,1\n2,NULLs, NA \n"
    graph, report = read_items(tmp_path, text, 'missing = ["NULL", "NA"]\n')
    assert graph.items.texts["title"] == ("", "NULLs")
    assert np.isnan(graph.items.numbers["price"]).all()
    assert [problem.kind for problem in report.problems] == ["missing-id"]


def test_an_unrated_event_is_positive_and_has_no_rating() -> None:
    graph, report = read_ratings(pa.array(["0", "3", "7", ""]), more="unrated = [0]\n")
    rows = graph.interactions
    assert rows.label.tolist() == [1, 0, 1]
    np.testing.assert_array_equal(rows.rating, np.float32([np.nan, 3, 7]))
    assert [problem.kind for problem in report.problems] == ["no-rating"]


def test_unrated_events_come_back_from_rdf() -> None:
    graph, _ = read_ratings(pa.array([0, 3, 7]), more="unrated = [0, -1]\n")
    schema = Schema.loads(NODES.replace("positive = 5", "positive = 5\nunrated = [0, -1]"))
    out = io.BytesIO()
    write_nquads(graph, schema, out)
    again, _ = graph_from_quads(read_quads(out.getvalue(), syntax="nquads"), schema)
    assert graph_hash(again) == graph_hash(graph)


@pytest.mark.parametrize(
    "values, counts, heap",
    [
        ([0, 1, 2, 3, 4, 5], [50, 1, 2, 3, 4, 5], "0"),
        ([-10, -5, 0, 5, 10, 99], [1, 1, 1, 1, 1, 1], "99"),
        ([0, 1, 2, 3, 4, 5], [5, 4, 3, 4, 5, 6], ""),
        ([1, 2, 3, 4, 5], [50, 2, 2, 3, 4], ""),
        ([0, 1], [50, 2], ""),
    ],
)
def test_a_heap_apart_from_the_scale_is_a_finding(
    values: list[int], counts: list[int], heap: str
) -> None:
    ratings = pa.array(np.repeat(values, counts))
    found = [p for p in read_ratings(ratings)[1].problems if p.kind == "rating-heap"]
    assert [f"unrated = [{heap}]" in problem.message for problem in found] == [True] * bool(heap)
    if heap:
        said = read_ratings(ratings, more=f"unrated = [{heap}]\n")[1]
        assert not said.problems


@pytest.mark.parametrize("highest, kinds", [(4, ["no-likes"]), (5, [])])
def test_a_threshold_that_no_rating_reaches_is_a_finding(highest: int, kinds: list[str]) -> None:
    _, report = read_ratings(pa.array([1, 3, highest]))
    assert [problem.kind for problem in report.problems] == kinds
    if kinds:
        assert "none of the 3 ratings, 1 to 4, reaches positive = 5" in report.problems[0].message


@pytest.mark.parametrize("unit, many", [("ms", 10**3), ("us", 10**6), ("ns", 10**9)])
def test_a_time_in_another_unit_is_found_and_can_be_said(unit: str, many: int) -> None:
    seconds = np.array([1_600_000_000, 1_650_000_000])
    ratings, times = pa.array([5, 5]), pa.array(seconds * many)
    graph, report = read_ratings(ratings, times=times)
    assert np.isnan(graph.interactions.time).all()
    (first, _) = report.problems
    assert (first.kind, f'time_unit = "{unit}"' in first.message) == ("bad-time", True)
    graph, report = read_ratings(ratings, times=times, more=f'time_unit = "{unit}"\n')
    np.testing.assert_array_equal(graph.interactions.time, seconds)
    assert not report.problems


def test_a_draft_names_the_unit_of_times() -> None:
    n = 30
    table = pa.table(
        {
            "user_id": [f"u{k % 7}" for k in range(n)],
            "item_id": [f"i{k % 11}" for k in range(n)],
            "timestamp": [1_600_000_000_000 + 1000 * k for k in range(n)],
        }
    )
    draft = infer_schema({"ratings": table})
    assert 'time_unit = "ms"' in draft
    graph, _ = graph_from_tables({"ratings": table}, Schema.loads(draft))
    assert graph.interactions.time.min() == 1_600_000_000


def test_a_named_file_may_be_packed(tmp_path: Path) -> None:
    path = tmp_path / "items.csv.gz"
    path.write_bytes(gzip.compress(b"id,title,price\n1,x,2\n"))
    schema = Schema.loads(NODES + ITEMS + 'file = "items.csv"\n')
    assert find_tables([path], schema) == {"items": path}
    assert graph_from_tables({"items": path}, schema)[0].n_items == 1


def test_times_in_another_unit_come_back_from_rdf() -> None:
    times = pa.array([1_600_000_000_500, 1_600_000_000_000, -500])
    graph, _ = read_ratings(pa.array([5, 5, 5]), times=times, more='time_unit = "ms"\n')
    assert graph.interactions.time.tolist() == [1_600_000_000.5, 1_600_000_000, -0.5]
    schema = Schema.loads(NODES.replace("positive = 5", 'positive = 5\ntime_unit = "ms"'))
    out = io.BytesIO()
    write_nquads(graph, schema, out)
    again, report = graph_from_quads(read_quads(out.getvalue(), syntax="nquads"), schema)
    assert graph_hash(again) == graph_hash(graph)
    assert {problem.kind for problem in report.problems} <= {"unmatched"}


@pytest.mark.parametrize("suffix", ["jsonl", "yaml"])
def test_truth_is_spelt_as_in_other_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"items.{suffix}"
    rows = [{"id": "1", "title": True, "price": 1}, {"id": "2", "title": False, "price": 2}]
    text = "\n".join(map(json.dumps, rows)) if suffix == "jsonl" else json.dumps(rows)
    path.write_text(text, "utf-8")
    graph, _ = graph_from_tables({"items": path}, Schema.loads(NODES + ITEMS))
    assert graph.items.texts["title"] == ("true", "false")


def test_quotes_of_records_are_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text('{"id": "1", "title": "a \\\\ b\\"", "price": 2}\n')
    graph, report = graph_from_tables({"items": path}, Schema.loads(NODES + ITEMS))
    assert graph.items.texts["title"] == ('a \\ b"',)
    assert not report.problems
