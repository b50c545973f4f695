"""Tables to a graph: every part of the mapping on small tables, and one clear error per bad input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.kg.errors import ColdframeError, DataError, ParseError, SchemaError
from coldframe.kg.infer import infer_schema
from coldframe.kg.references import Reference, locate
from coldframe.kg.schema import Schema
from coldframe.kg.table_sources import find_tables
from coldframe.kg.tables import graph_from_tables
from coldframe.kg.vocabulary import IntArray

SHOP = """
name = "shop"
items = "item"
splits = ["train", "test"]
open_relations = "ex:open/{}"
[prefixes]
ex = "https://example.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{}"
text.title = "ex:title"
number.price = "ex:price"
date.listed = "ex:listed"
category.colour = "ex:colour"
[nodes.user]
class = "ex:User"
iri = "ex:user/{}"
[nodes.tag]
iri = "ex:tag/{}"
label = "rdfs:label"
[relations.tag]
property = "ex:tag"
from = "item"
to = "tag"
[relations.near]
property = "ex:near"
from = ["item", "tag"]
to = ["item", "tag"]
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
time = "ex:at"
split = "ex:split"
positive = 4
[events.viewed]
property = "ex:viewed"
[tables.items]
nodes = "item"
id = "id"
columns = { title = "name", price = "price", listed = "day", colour = "colour", tag = { column = "tags", separator = "|" } }
[tables.ratings]
events = "rating"
columns = { user = "u", item = "i", rating = "r", time = "t", split = "s" }
[tables.views]
events = "viewed"
columns = { user = "u", item = "i" }
[tables.facts]
columns = { from = { column = "h", iri = "{}" }, relation = "r", to = { column = "t", iri = "{}" } }
"""
EX = "https://example.org/"


def shop_tables() -> dict[str, pa.Table]:
    """Three items, two users, one bad price, one repeated view."""
    return {
        "items": pa.table(
            {
                "id": ["7", " 10 ", "a b/ü"],
                "name": ["Rose", "", 'Tulip\n"x"'],
                "price": ["1.5", "cheap", ""],
                "day": ["2020-02-29", None, "1999"],
                "colour": ["red", "red", None],
                "tags": ["a | b", "", "b|b|c d"],
            }
        ),
        "ratings": pa.table(
            {
                "u": [2, 1, 1, None],
                "i": ["7", "7", "99", "7"],
                "r": [5.0, 3.0, float("nan"), 4.0],
                "t": pa.array([10, None, 5, 6], pa.timestamp("s")),
                "s": ["test", "train", "train", "train"],
            }
        ),
        "views": pa.table({"u": ["1", "1", "3"], "i": ["7", "7", "10"]}),
        "facts": pa.table(
            {
                "h": [EX + "item/7", EX + "tag/a", EX + "item/7", "no iri"],
                "r": ["near", "near", "made by", "near"],
                "t": [EX + "item/10", EX + "elsewhere", EX + "tag/b", EX + "tag/a"],
            }
        ),
    }


def test_every_part_of_a_shop() -> None:
    graph, report = graph_from_tables(shop_tables(), Schema.loads(SHOP, source="shop.toml"))
    items = graph.nodes["item"]
    assert list(items.vocabulary) == [EX + "item/" + i for i in ("10", "7", "99", "a%20b%2F%C3%BC")]
    assert items.texts["title"] == ("", "Rose", "", 'Tulip\n"x"')
    np.testing.assert_array_equal(items.numbers["price"], np.float32([np.nan, 1.5, np.nan, np.nan]))
    np.testing.assert_array_equal(items.numbers["listed"], [np.nan, 18321, np.nan, 10592])
    assert items.categories["colour"].names == ("red",)
    assert items.categories["colour"].codes.tolist() == [0, 0, -1, -1]
    assert items.vocabulary.find("a b/ü") == 3
    tags = graph.nodes["tag"]
    assert list(tags.vocabulary) == [EX + t for t in ("elsewhere", "tag/a", "tag/b", "tag/c%20d")]
    assert tags.texts["label"] == ("", "a", "b", "c d")
    assert graph.edges["item", "tag", "tag"].index.tolist() == [[1, 1, 3, 3], [1, 2, 2, 3]]
    assert graph.edges["item", "near", "item"].index.tolist() == [[1], [0]]
    assert graph.edges["tag", "near", "tag"].index.tolist() == [[1], [0]]
    assert graph.edges["item", "made by", "tag"].index.tolist() == [[1], [2]]
    rows = graph.interactions
    assert list(graph.users.vocabulary) == [EX + f"user/{u}" for u in (1, 2, 3)]
    assert rows.user.tolist() == [0, 0, 1, 2]
    assert rows.item.tolist() == [1, 1, 1, 0]
    np.testing.assert_array_equal(rows.rating, np.float32([3, np.nan, 5, np.nan]))
    assert rows.label.tolist() == [0, 1, 1, 1]
    np.testing.assert_array_equal(rows.time, [np.nan, np.nan, 10, np.nan])
    assert rows.split_names == ("train", "test")
    assert rows.split.tolist() == [0, -1, 1, -1]
    assert report.nodes == {"item": 4, "user": 3, "tag": 4}
    assert report.edges["rating"] == 2
    assert report.edges["viewed"] == 2
    found = {(p.kind, p.where) for p in report.problems}
    assert ("bad-number", "items:row 2") in found
    assert ("no-rating", "ratings:row 3") in found
    assert ("missing-end", "ratings:row 4") in found
    assert ("bad-id", "facts") in found
    undescribed = [p.iri for p in report.problems if p.kind == "undescribed"]
    assert undescribed == [EX + "item/99"]


def test_files_of_all_kinds_give_the_same(tmp_path: Path) -> None:
    text = 'items = "a"\n[nodes.a]\niri = "urn:a:{}"\ntext.t = "urn:t"\n[tables.x]\nnodes = "a"\nid = "id"\ncolumns.t = "t"\n'
    (tmp_path / "x.csv").write_text('id,t\n007,"é, ""b""\nc"\n', "utf-8")
    (tmp_path / "x.tsv").write_text('id\tt\n007\t"é, ""b""\nc"\n', "utf-8")
    table = pa.table({"id": ["007"], "t": ['é, "b"\nc'], "more": [1]})
    pq.write_table(table, tmp_path / "x.parquet")
    for suffix in ("csv", "tsv", "parquet"):
        graph, _ = graph_from_tables({"x": tmp_path / f"x.{suffix}"}, Schema.loads(text))
        assert list(graph.nodes["a"].vocabulary) == ["urn:a:007"]
        assert graph.nodes["a"].texts["t"] == ('é, "b"\nc',)
    latin = text + 'encoding = "latin-1"\nheader = ["id", "t"]\ndelimiter = ";"\nquote = false\n'
    (tmp_path / "y.csv").write_bytes('1;"\xe9\n'.encode("latin-1"))
    graph, _ = graph_from_tables({"x": tmp_path / "y.csv"}, Schema.loads(latin))
    assert graph.nodes["a"].texts["t"] == ('"é',)


def test_dictionaries_lists_and_large_integers() -> None:
    schema = Schema.loads(
        'items = "a"\n[nodes.a]\niri = "urn:a:{}"\n[relations.r]\nproperty = "urn:r"\nfrom = "a"\n'
        'to = "a"\n[tables.x]\nnodes = "a"\nid = "id"\ncolumns.r = "r"\n'
    )
    ids = pa.array([2**62, 5, None])
    lists = pa.array([["5", "6"], [], ["5"]])
    graph, report = graph_from_tables({"x": pa.table({"id": ids, "r": lists})}, schema)
    assert list(graph.nodes["a"].vocabulary) == [f"urn:a:{n}" for n in (2**62, 5, 6)]
    assert graph.edges["a", "r", "a"].index.tolist() == [[0, 0], [1, 2]]
    assert report.totals == {("undescribed", "a"): 1, ("missing-id", "a"): 1}
    coded = pa.table({"id": pa.array(["b", "b"]).dictionary_encode(), "r": ["b", None]})
    graph, _ = graph_from_tables({"x": coded}, schema)
    assert graph.edges["a", "r", "a"].index.tolist() == [[0], [0]]


CAST = """
users = "fan"
items = "film"
[nodes.film]
iri = "urn:film:{}"
[nodes.person]
iri = "urn:person:{}"
[nodes.fan]
iri = "urn:fan:{}"
[relations.cast]
property = "urn:cast"
from = "film"
to = "person"
[events.seen]
class = "urn:Seen"
user = "urn:by"
item = "urn:of"
[tables.cast]
relations = "cast"
columns = { from = { column = "films", separator = "|" }, to = { column = "people", separator = "|" } }
[tables.seen]
events = "seen"
columns = { user = "fan", item = { column = "films", separator = "|" } }
"""


def test_both_ends_of_an_edge_may_hold_several_values() -> None:
    tables = {
        "cast": pa.table({"films": ["a|b", "c", ""], "people": ["x", "x|y", "y"]}),
        "seen": pa.table({"fan": ["1"], "films": ["a"]}),
    }
    graph, _ = graph_from_tables(tables, Schema.loads(CAST))
    assert graph.edges["film", "cast", "person"].index.tolist() == [[0, 1, 2, 2], [0, 0, 0, 1]]


@pytest.mark.parametrize("films", [["a", "b|c"], [["a"], ["b", "c"]]])
def test_an_event_of_several_items_is_an_error(films: list[object]) -> None:
    tables = {
        "cast": pa.table({"films": ["a"], "people": ["x"]}),
        "seen": pa.table({"fan": ["1", "2"], "films": films}),
    }
    with pytest.raises(DataError, match="expected one item per row") as caught:
        graph_from_tables(tables, Schema.loads(CAST))
    assert caught.value.where == "seen:row 2"


def test_many_relations_are_looked_up_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []

    def counted(ref: Reference, members: Mapping[str, pa.Array]) -> list[tuple[str, IntArray]]:
        looked_up.append(ref)
        return locate(ref, members)

    monkeypatch.setattr("coldframe.kg.tables.locate", counted)
    names = [f"r{k}" for k in range(30)]
    facts = {"h": [EX + "item/7"] * 30, "r": names, "t": [EX + f"tag/{k % 4}" for k in range(30)]}
    graph, _ = graph_from_tables({**shop_tables(), "facts": pa.table(facts)}, Schema.loads(SHOP))
    assert {relation for _, relation, _ in graph.edges} == {"tag", *names}
    end = graph.edges["item", "r5", "tag"].index[1]
    assert graph.nodes["tag"].vocabulary.take(end) == [EX + "tag/1"]
    assert len(looked_up) < 10


@pytest.mark.parametrize("parquet", [True, False])
def test_columns_of_one_name_are_one_error(tmp_path: Path, parquet: bool) -> None:
    column = pa.array(["1"])
    table = pa.Table.from_arrays([column, column, column], ["u", "i", "u"])
    source: pa.Table | Path = table
    if parquet:
        source = tmp_path / "views.parquet"
        pq.write_table(table, source)
    with pytest.raises(ParseError, match="column 'u' stands twice") as caught:
        graph_from_tables({**shop_tables(), "views": source}, Schema.loads(SHOP))
    assert caught.value.where == (str(source) if parquet else "views")


def test_a_draft_of_columns_of_one_name_is_one_error(tmp_path: Path) -> None:
    field = pa.array([{"b": "1"}])
    pq.write_table(pa.table({"a": field, "a.b": ["2"]}), tmp_path / "a.parquet")
    with pytest.raises(ParseError, match=r"column 'a\.b' stands twice"):
        infer_schema(tmp_path / "a.parquet")


def test_names_of_relations_are_trimmed_as_ids_are() -> None:
    facts = {"h": [EX + "item/7"] * 2, "r": [" near", "near "], "t": [EX + "item/10", EX + "tag/a"]}
    tables = {**shop_tables(), "facts": pa.table(facts)}
    graph, report = graph_from_tables(tables, Schema.loads(SHOP))
    assert ("item", "near", "item") in graph.edges
    assert ("item", "near", "tag") in graph.edges
    assert not [kind for kind, _ in report.totals if kind == "unknown-relation"]


def test_rows_of_triples_are_counted_in_their_file() -> None:
    tables = shop_tables()
    near = {"h": [EX + "item/7", EX + "item/7", ""], "r": ["near", "near", "near"]}
    other = {"h": [EX + "item/7"], "r": ["no such"], "t": [EX + "item/10"]}
    facts = pa.table({**near, "t": [EX + "item/10", EX + "tag/a", EX + "tag/a"]})
    tables["facts"] = pa.concat_tables([pa.table(other), facts])
    _, report = graph_from_tables(tables, Schema.loads(SHOP))
    lost = [p.where for p in report.problems if p.kind == "missing-end" and "facts" in p.where]
    assert lost == ["facts:row 4"]


BAD: list[tuple[str, dict[str, str], type[ColdframeError], str, str]] = [
    ("a missing column", {"items.csv": "id,nam\n1,x\n"}, SchemaError, "items.csv", "nam"),
    ("an empty file", {"items.csv": ""}, ParseError, "items.csv", ""),
    ("only a header", {"items.csv": "id,name\n"}, DataError, "t.toml", ""),
    ("a ragged row", {"items.csv": "id,name\n1,x\n2,y,z\n"}, ParseError, "items.csv:3", ""),
    ("a column twice", {"items.csv": "id,name,id\n1,x,2\n"}, ParseError, "items.csv:1", ""),
    ("no such file", {}, DataError, "t.toml:tables.items", "items.csv"),
    ("two files", {"items.csv": "id\n", "items.tsv": "id\n"}, DataError, "items.csv", ""),
    ("no parquet", {"items.parquet": "id"}, ParseError, "items.parquet", ""),
]


@pytest.mark.parametrize(("what", "files", "kind", "where", "hint"), BAD, ids=[b[0] for b in BAD])
def test_bad_input_is_one_clear_error(
    what: str,
    files: dict[str, str],
    kind: type[ColdframeError],
    where: str,
    hint: str,
    tmp_path: Path,
) -> None:
    schema = Schema.loads(
        '[nodes.item]\niri = "urn:i:{}"\ntext.name = "urn:n"\n'
        '[tables.items]\nnodes = "item"\nid = "id"\ncolumns.name = "name"\n',
        source="t.toml",
    )
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(kind) as caught:
        graph_from_tables(find_tables(sorted(tmp_path.iterdir()), schema), schema)
    assert where in caught.value.where, what
    assert hint in caught.value.hint


def test_tables_and_sections_must_fit() -> None:
    schema = Schema.loads(SHOP, source="s.toml")
    tables = shop_tables()
    with pytest.raises(DataError) as caught:
        graph_from_tables({**tables, "itms": tables["items"]}, schema)
    assert "items" in caught.value.hint
    with pytest.raises(DataError, match="missing"):
        graph_from_tables({"items": tables["items"]}, schema)
    bare = Schema.loads('[nodes.item]\n[tables.x]\nnodes = "item"\nid = "id"\n', source="s.toml")
    with pytest.raises(SchemaError) as caught:
        graph_from_tables({"x": pa.table({"id": ["1"]})}, bare)
    assert caught.value.where == "s.toml:tables.x.columns.id"
    assert "iri" in caught.value.hint
