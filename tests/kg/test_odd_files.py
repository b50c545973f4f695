"""Odd files: each is read whole, or is one error that says where and what to do."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest

from coldframe.kg.catalog import Catalog, read
from coldframe.kg.errors import ColdframeError, DataError, ParseError, SchemaError

SCHEMA = """
items = "item"
[prefixes]
ex = "https://e.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:{}"
text.title = "ex:title"
number.price = "ex:price"
[nodes.tag]
iri = "ex:tag/{}"
[relations.tag]
property = "ex:tag"
from = "item"
to = "tag"
"""
TABLES = (
    '[tables.items]\nnodes = "item"\nid = "id"\ncolumns = { title = "title", price = "price" }\n'
)
GOOD = "id,title,price\na,One,1.5\nb,Two,2\n"
TRIPLE = (
    "<https://e.org/a> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <https://e.org/Item> .\n"
)


def schema(folder: Path, more: str = TABLES) -> Path:
    path = folder / "schema.toml"
    path.write_text(SCHEMA + more, "utf-8")
    return path


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", GOOD.replace("\n", "\r").encode()),
        ("items.csv", GOOD.replace("\n", "\r\n").encode()),
        ("items.csv", GOOD.encode("utf-8-sig")),
        ("items.csv", GOOD.replace("id,title,price", '"id", title ,"price"').encode()),
        ("items.csv.gz", gzip.compress(GOOD.encode(), mtime=0)),
    ],
)
def test_tables_are_read_whatever_wrote_them(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    graph = read(tmp_path / name, schema(tmp_path)).graph
    assert graph.items.texts["title"] == ("One", "Two")
    assert graph.items.numbers["price"].tolist() == [1.5, 2]


def test_a_header_may_hold_the_delimiter_and_utf_16_is_read_when_told(tmp_path: Path) -> None:
    more = TABLES.replace('price = "price"', 'price = "price, net"') + 'encoding = "utf-16"\n'
    text = GOOD.replace("price", '"price, net"')
    (tmp_path / "items.csv").write_bytes(text.encode("utf-16"))
    assert read(tmp_path / "items.csv", schema(tmp_path, more)).graph.n_items == 2


@pytest.mark.parametrize("syntax", ["nt", "ttl", "nq", "trig"])
def test_a_byte_order_mark_before_rdf_is_named(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / f"a.{syntax}"
    path.write_text(TRIPLE, "utf-8-sig")
    with pytest.raises(ParseError) as caught:
        read(path, schema(tmp_path))
    assert "byte order mark" in (caught.value.hint or "")
    assert str(caught.value.where).startswith(f"{path}:1:")


@pytest.mark.parametrize(
    ("name", "content", "kind", "message", "hint"),
    [
        ("items.csv", b"", ParseError, "empty", "names columns"),
        ("items.csv", b"id,title,price", DataError, "no rows", ""),
        ("items.csv", GOOD.replace(",", ";").encode(), SchemaError, "column", "delimiter = ';'"),
        ("items.csv", GOOD.encode("utf-16"), ParseError, "UTF-16", 'encoding = "utf-16"'),
        ("items.csv", GOOD.replace("e", "é").encode("latin-1"), ParseError, "utf-8", "encoding"),
        ("items.csv", b"id,title,price\na," + b"x" * 20_000_000 + b",1\n", ParseError, "8,388,608", "quote"),
        ("items.csv", b'id,title,price\na,"One,1\n', ParseError, "Expected 3", "quote left open"),
        ("items.csv", b'"id\nx",title,price\na,b,1\n', ParseError, "quoted over lines", ""),
        ("items.csv.gz", gzip.compress(GOOD.encode(), mtime=0)[:-9], ParseError, "damaged", "unpack"),
        ("items.csv.gz", GOOD.encode(), ParseError, "damaged", "unpack"),
        ("items.jsonl", b"\n\n", ParseError, "empty", ""),
        ("items.yaml", b"", ParseError, "empty", ""),
        ("items.yaml", b"- &a {id: *a}\n", ParseError, "expected text", ""),
        ("a.zip", zipped("b.zip", zipped("c.nt", TRIPLE.encode())), DataError, "archive", "outer one"),
        ("a.zip", zipped("items.csv", GOOD.encode()), DataError, "archive", ".gz"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_one_clear_error(
    tmp_path: Path, name: str, content: bytes, kind: type[ColdframeError], message: str, hint: str
) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / name
    path.write_bytes(content)
    with pytest.raises(kind, match=message) as caught:
        Catalog.ingest([path], schema(tmp_path), tmp_path / "out")
    assert hint in (caught.value.hint or "")
    assert caught.value.where
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("inside", ["a.txt", "items.csv/more.txt"])
def test_a_folder_without_data_says_what_was_looked_for(tmp_path: Path, inside: str) -> None:
    path = tmp_path / "in" / inside
    path.parent.mkdir(parents=True)
    path.write_text("x")
    with pytest.raises(DataError, match="no RDF files and no tables") as caught:
        read(tmp_path / "in", schema(tmp_path))
    assert ".csv" in (caught.value.hint or "")


def test_rows_without_id_and_ids_given_twice_are_told(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_text("id,title,price\n,One,1\na,Two,2\na,Zwei,2\n  ,Three,1\n")
    report = read(tmp_path / "items.csv", schema(tmp_path)).report
    assert report is not None
    told = {(one.kind, one.where.rpartition(":")[2]) for one in report.problems}
    assert told == {("missing-id", "row 1"), ("missing-id", "row 4"), ("repeated-id", "row 3")}


def test_edges_without_an_end_are_told(tmp_path: Path) -> None:
    more = '[tables.tags]\nrelations = "tag"\ncolumns = { from = "item", to = "tag" }\n'
    (tmp_path / "tags.csv").write_text("item,tag\na,x\nb,\n,y\n")
    report = read(tmp_path / "tags.csv", schema(tmp_path, more)).report
    assert report is not None
    assert report.edges == {"tag": 1}
    told = {(one.kind, one.where.rpartition(":")[2]) for one in report.problems}
    assert told == {("missing-end", "row 2"), ("missing-end", "row 3")}
