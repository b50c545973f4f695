"""One section of many files, one file of many sections: logs, partitions, fields within fields."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.kg import table_inputs
from coldframe.kg.catalog import Catalog, read
from coldframe.kg.errors import DataError, ParseError, SchemaError
from coldframe.kg.graph import Graph, Interactions
from coldframe.kg.hetero import from_hetero, to_hetero
from coldframe.kg.report import Report
from coldframe.kg.schema import Schema
from coldframe.kg.table_files import write_table

HEAD = """
users = "user"
items = "item"
[nodes.user]
iri = "urn:u:{}"
[nodes.item]
iri = "urn:i:{}"
category.place = "urn:place"
[events.view]
class = "urn:View"
user = "urn:by"
item = "urn:of"
[events.buy]
class = "urn:Buy"
user = "urn:by"
item = "urn:of"
rating = "urn:count"
positive = 1
"""


def log(folder: Path) -> list[Path]:
    """Two days of a log, the second in two parts, whose counts are of another type."""
    days = {
        "dt=2026-01-01/part-0.parquet": ([1, 2], ["view", "buy"], pa.array([1, 1], pa.int32())),
        "dt=2026-01-02/part-0.parquet": ([3], ["buy"], pa.array([-1], pa.int64())),
        "dt=2026-01-02/part-1.parquet": ([1, None], ["Buy ", "view"], pa.array([2, 1], pa.int64())),
    }
    for name, (users, kinds, counts) in days.items():
        path = folder / "log" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(
            pa.table({"u": users, "i": ["a"] * len(users), "type": kinds, "n": counts}), path
        )
    return sorted((folder / "log").rglob("*.parquet"))


def section(name: str, more: str) -> str:
    return f'[tables.{name}]\nfile = "log/*/*.parquet"\nevents = "{name}"\n{more}\n'


BOTH = section("view", 'where = { type = "view" }\ncolumns = { user = "u", item = "i" }') + section(
    "buy",
    'where = { type = ["buy", "Buy"] }\nunless = { dt = "2025-12-31" }\n'
    'columns = { user = "u", item = "i", rating = "n" }',
)


def read_both(folder: Path, schema: str) -> tuple[Graph, Report]:
    catalog = read([folder / "log"], Schema.loads(HEAD + schema))
    assert catalog.report is not None
    return catalog.graph, catalog.report


def test_one_log_serves_several_events_and_many_files_are_one_table(tmp_path: Path) -> None:
    files = log(tmp_path)
    graph, report = read_both(tmp_path, BOTH)
    assert dict(report.edges) == {"view": 1, "buy": 3}
    assert sorted(graph.interactions.label.tolist()) == [0, 1, 1, 1]  # -1 is a return
    (lost,) = report.problems
    assert (lost.kind, lost.where) == ("missing-end", f"{files[2]}:row 2")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_is_parsed_once_for_all_sections_that_read_it_alike(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"u": ["1", "2"], "i": ["a", "b"], "type": ["view", "buy"], "n": ["1", "2"]})
    path = tmp_path / f"log.{suffix}"
    if suffix == "parquet":
        pq.write_table(table, path)
    else:
        write_table(path, table)
    parsed: list[object] = []
    for name in ("read_delimited", "read_record_table"):
        reader = getattr(table_inputs, name)
        monkeypatch.setattr(
            table_inputs, name, lambda *a, r=reader: (parsed.append(a[0]), r(*a))[1]
        )
    file = pq.ParquetFile
    monkeypatch.setattr(pq, "ParquetFile", lambda *a, **k: (parsed.append(a[0]), file(*a, **k))[1])
    both = BOTH.replace("log/*/*.parquet", path.name).replace(
        'unless = { dt = "2025-12-31" }\n', ""
    )
    _, report = Catalog.ingest([path], Schema.loads(HEAD + both), tmp_path / "out")
    assert dict(report.edges) == {"view": 1, "buy": 1}
    assert parsed == [path]
    other = both.replace(
        'events = "view"\n', 'events = "view"\nmissing = ["x"]\nencoding = "latin-1"\n'
    )
    parsed.clear()
    assert len(read([path], Schema.loads(HEAD + other)).graph.interactions) == 2
    assert parsed == [path, path]  # what is read in another way is parsed again


def test_a_column_that_only_another_section_lacks_is_named_with_it(tmp_path: Path) -> None:
    log(tmp_path)
    with pytest.raises(SchemaError, match=r"tables\.buy needs the column 'm'"):
        read_both(tmp_path, BOTH.replace('rating = "n"', 'rating = "m"'))


def test_folders_of_partitions_are_columns(tmp_path: Path) -> None:
    log(tmp_path)
    _, report = read_both(tmp_path, BOTH.replace("2025-12-31", "2026-01-02"))
    assert report.edges["buy"] == 1


def test_a_catalog_of_such_tables_is_rebuilt_as_it_was(tmp_path: Path) -> None:
    log(tmp_path)
    made, _ = Catalog.ingest([tmp_path / "log"], Schema.loads(HEAD + BOTH), tmp_path / "catalog")
    for cached in (tmp_path / "catalog" / "cache").iterdir():
        if cached.name != "tables":
            for file in cached.iterdir():
                file.unlink()
            cached.rmdir()
    again = Catalog.open(tmp_path / "catalog")
    assert again.graph.interactions.label.tolist() == made.graph.interactions.label.tolist()


THREE = (
    HEAD
    + """
[events.cart]
class = "urn:Cart"
user = "urn:by"
item = "urn:of"
"""
    + section("view", 'where = { type = "view" }\ncolumns = { user = "u", item = "i" }')
    + section("cart", 'where = { type = "buy" }\ncolumns = { user = "u", item = "i" }')
)


def test_events_that_look_alike_keep_their_kind(tmp_path: Path) -> None:
    log(tmp_path)
    schema = Schema.loads(THREE)
    catalog, _ = Catalog.ingest([tmp_path / "log"], schema, tmp_path / "catalog")
    written = tmp_path / "written.nq"
    catalog.write_nquads(written)
    again = read(written, schema)
    assert again.report is not None
    assert dict(again.report.edges) == {"view": 1, "buy": 0, "cart": 2}
    for graph in (catalog.graph, again.graph, from_hetero(to_hetero(catalog.graph))):
        rows = graph.interactions
        assert rows.event is not None
        kinds = [rows.event_names[code] for code in rows.event]
        assert sorted(kinds) == ["cart", "cart", "view"]
        both = rows.concat(Interactions.build([0], [0])).select(np.array([3, 0]))
        assert both.event is not None
        assert [code >= 0 for code in both.event] == [False, True]
    with catalog.store() as store:
        counted = store.select("SELECT (COUNT(?e) AS ?n) { ?e a <urn:Cart> }").to_pylist()
    assert counted == [{"n": "2"}]


def test_a_value_that_no_row_has_is_a_finding(tmp_path: Path) -> None:
    log(tmp_path)
    _, report = read_both(tmp_path, BOTH.replace('"buy", "Buy"', '"buys", "Buy"'))
    found = [problem for problem in report.problems if problem.kind == "unmatched"]
    assert len(found) == 1
    assert "'buys'" in found[0].message
    assert "'buy'" in found[0].message


def test_rows_are_chosen_by_whole_numbers_of_any_length() -> None:
    shop = 1234567890123456789
    table = pa.table({"u": [1, 2], "i": ["a", "a"], "shop": [shop, shop + 1]})
    text = f'unless = {{ shop = {shop} }}\ncolumns = {{ user = "u", item = "i" }}'
    graph = read({"view": table}, Schema.loads(HEAD + section("view", text))).graph
    assert list(graph.users.vocabulary) == ["urn:u:2"]


@pytest.mark.parametrize(
    ("column", "more"),
    [
        (pa.array([4, 5, 20, 21, None]), ""),
        (pa.array([4.75, 5.0, 20.0, 20.5, float("nan")], pa.float32()), ""),
        (pa.array(["4.9", " 5", "2e1", "21", "x"]), ""),
        (pa.array(["4,99 €", "5,00 €", "20,00", "1.000,00", ""]), 'decimal = ","\n'),
        (pa.array(["4", "5", "20", "21", None]).dictionary_encode(), ""),
    ],
)
def test_rows_are_chosen_by_bounds(column: pa.Array, more: str) -> None:
    table = pa.table({"u": range(1, 6), "i": ["a"] * 5, "price": column})
    for word, kept in (("where", "23"), ("unless", "145")):
        text = f'{word} = {{ price = {{ min = 5, max = 20 }} }}\n{more}columns = {{ user = "u", item = "i" }}'
        graph = read({"view": table}, Schema.loads(HEAD + section("view", text))).graph
        assert list(graph.users.vocabulary) == [f"urn:u:{user}" for user in kept]


def test_a_bound_is_as_exact_as_the_column() -> None:
    table = pa.table({"u": [1, 2], "i": ["a", "a"], "r": pa.array([0.7, 0.6], pa.float32())})
    text = 'where = { r = { min = 0.7 } }\ncolumns = { user = "u", item = "i" }'
    graph = read({"view": table}, Schema.loads(HEAD + section("view", text))).graph
    assert list(graph.users.vocabulary) == ["urn:u:1"]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ("min = 5, max = 6", "a number from 5 to 6, by which [tables] choose rows: its numbers go from 1 to 3"),
        ("min = 5", "a number from 5 on"),
        ("max = 0.5", "a number up to 0.5"),
    ],
)  # fmt: skip
def test_bounds_that_no_row_meets_are_a_finding(bounds: str, said: str) -> None:
    table = pa.table({"u": [1, 2], "i": ["a", "a"], "n": ["1", "3"]})
    both = section(
        "view", f'where = {{ n = {{ {bounds} }} }}\ncolumns = {{ user = "u", item = "i" }}'
    )
    both += section("buy", 'columns = { user = "u", item = "i", rating = "n" }')
    report = read({"view": table, "buy": table}, Schema.loads(HEAD + both)).report
    assert report is not None
    (found,) = [problem for problem in report.problems if problem.kind == "unmatched"]
    assert said in found.message


def test_bounds_of_what_is_no_number_are_refused() -> None:
    table = pa.table({"u": [1], "i": ["a"], "tags": [["x"]]})
    text = 'where = { tags = { min = 5 } }\ncolumns = { user = "u", item = "i" }'
    with pytest.raises(DataError, match="'tags' \\(large_list"):
        read({"view": table}, Schema.loads(HEAD + section("view", text)))


def test_a_name_with_a_dot_that_is_not_quoted_is_told_from_bounds() -> None:
    text = 'where = { at.place = "x" }\ncolumns = { user = "u", item = "i" }'
    with pytest.raises(SchemaError, match="unknown key 'place'") as caught:
        Schema.loads(HEAD + section("view", text))
    assert '"at.place"' in (caught.value.hint or "")


def test_several_files_for_one_name_are_refused_with_both_ways_out(tmp_path: Path) -> None:
    log(tmp_path)
    with pytest.raises(DataError, match="2 files fit") as caught:
        read_both(tmp_path, BOTH.replace("log/*/*.parquet", "part-0.parquet"))
    assert 'file = "dt=2026-01-01/part-0.parquet"' in caught.value.hint
    assert 'file = "*/part-0.parquet"' in caught.value.hint


def test_files_of_different_types_say_so(tmp_path: Path) -> None:
    log(tmp_path)
    odd = tmp_path / "log" / "dt=2026-01-03" / "part-0.parquet"
    odd.parent.mkdir()
    pq.write_table(pa.table({"u": [[1]], "i": ["a"], "type": ["view"], "n": [1]}), odd)
    with pytest.raises(ParseError, match="columns of different types"):
        read_both(tmp_path, BOTH)


RECORDS = [
    {"id": 7, "at": {"place": "Köln", "shelf": {"tags": ["x", "y"]}}, "seen": [{"by": "u1"}]},
    {"id": 8, "at": None, "seen": [{"by": "u1"}, {"by": "u2"}]},
    {"id": 9, "at": {"place": "Paris"}},
]
FIELDS = """
[nodes.tag]
iri = "urn:t:{}"
[relations.tag]
property = "urn:tag"
from = "item"
to = "tag"
[tables.things]
nodes = "item"
id = "id"
columns = { place = "at.place", tag = "at.shelf.tags" }
"""


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_fields_within_fields(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"things.{suffix}"
    if suffix == "jsonl":
        path.write_text("".join(json.dumps(one) + "\n" for one in RECORDS), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(RECORDS), path)
    catalog = read([path], Schema.loads(HEAD + FIELDS))
    place = catalog.graph.items.categories["place"]
    assert [place.names[code] if code >= 0 else "" for code in place.codes] == ["Köln", "", "Paris"]
    assert catalog.graph.edges["item", "tag", "tag"].index.tolist() == [[0, 0], [0, 1]]
    seen = FIELDS.replace("at.shelf.tags", "seen.by")
    edges = read([path], Schema.loads(HEAD + seen)).graph.edges["item", "tag", "tag"]
    assert edges.index.tolist() == [[0, 1, 1], [0, 0, 1]]
    for wrong in ("elsewhere.x", "at.plaice", "seen.buy"):
        with pytest.raises(SchemaError, match=f"needs the column '{wrong.partition('.')[0]}"):
            read([path], Schema.loads(HEAD + FIELDS.replace("at.place", wrong)))


def test_rows_of_another_length_are_left_out_where_the_section_says_so(tmp_path: Path) -> None:
    path = tmp_path / "view.csv"
    path.write_text("u,i\n1,a\n2,a,b\n3\n4,a\n")
    table = '[tables.view]\nevents = "view"\ncolumns = { user = "u", item = "i" }\n'
    with pytest.raises(ParseError, match="Row #3"):
        read([path], Schema.loads(HEAD + table))
    catalog = read([path], Schema.loads(HEAD + table + "skip_bad_rows = true\n"))
    assert catalog.report is not None
    assert catalog.report.edges["view"] == 2
    found = [(p.kind, p.where, p.message) for p in catalog.report.problems]
    assert found == [
        ("bad-row", f"{path}:3", "3 cells, expected 2: left out"),
        ("bad-row", f"{path}:4", "1 cells, expected 2: left out"),
    ]


def test_lines_that_are_no_json_are_left_out_where_the_section_says_so(tmp_path: Path) -> None:
    path = tmp_path / "view.jsonl"
    path.write_text('{"u": 1, "i": "a"}\n{"u": 2, "i":\n[]\n{"u": 4, "i": "a"}\n')
    table = '[tables.view]\nevents = "view"\nskip_bad_rows = true\ncolumns = { user = "u", item = "i" }\n'
    catalog = read([path], Schema.loads(HEAD + table))
    assert catalog.report is not None
    assert catalog.report.edges["view"] == 2
    assert [p.where for p in catalog.report.problems] == [f"{path}:2", f"{path}:3"]


def test_a_quote_that_is_never_closed_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "view.csv"
    table = '[tables.view]\nevents = "view"\ncolumns = { user = "u", item = "i" }\n'
    path.write_text('u,i,note\n1,a,"well\nmeant, really"\n2,a,"27 inch\n3,a,x\n4,b,y\n')
    report = read([path], Schema.loads(HEAD + table)).report
    assert report is not None
    assert report.edges["view"] == 2
    assert [(p.kind, p.where) for p in report.problems] == [("open-quote", f"{path}:row 2")]


def test_rows_are_counted_with_those_that_were_left_out(tmp_path: Path) -> None:
    table = '[tables.buy]\nevents = "buy"\nskip_bad_rows = true\n'
    table += 'columns = { user = "u", item = "i", rating = "n" }\n'
    lines = ["1,a,1", "1,a", "1,a,1,9", "2,a,many", '3,"a', '4,a,1"', "5,b,few"]
    (tmp_path / "csv").mkdir()
    path = tmp_path / "csv" / "buy.csv"
    path.write_text("u,i,n\n" + "\n".join(lines) + "\n")
    report = read([path], Schema.loads(HEAD + table)).report
    assert report is not None
    bad = [p.where for p in report.problems if p.kind == "bad-rating"]
    assert bad == [f"{path}:row 4", f"{path}:row 6"]
    path = tmp_path / "buy.jsonl"
    path.write_text('{"u": 1, "i": "a", "n": 1}\n\n{"u"\n{"u": 2, "i": "a", "n": "many"}\n')
    report = read([path], Schema.loads(HEAD + table)).report
    assert report is not None
    assert [p.where for p in report.problems if p.kind == "bad-rating"] == [f"{path}:row 3"]


def test_a_file_of_more_than_a_thousand_columns_is_read(tmp_path: Path) -> None:
    path = tmp_path / "view.csv"
    names = ["u", "i", *(f"c{k}" for k in range(1100))]
    path.write_text(",".join(names) + "\n" + ",".join("1" * len(names)) + "\n")
    table = '[tables.view]\nevents = "view"\ncolumns = { user = "u", item = "i" }\n'
    assert len(read([path], Schema.loads(HEAD + table)).graph.interactions) == 1


def test_names_of_yaml_that_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "view.yaml"
    path.write_text("- {1: a, 2: b}\n")
    table = '[tables.view]\nevents = "view"\ncolumns = { user = "1", item = "2" }\n'
    assert len(read([path], Schema.loads(HEAD + table)).graph.interactions) == 1


def test_lines_of_json_by_their_other_suffix(tmp_path: Path) -> None:
    path = tmp_path / "view.ndjson"
    path.write_text('{"u": 1, "i": "a"}\n')
    table = '[tables.view]\nevents = "view"\ncolumns = { user = "u", item = "i" }\n'
    assert len(read([path], Schema.loads(HEAD + table)).graph.interactions) == 1
