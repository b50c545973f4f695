"""Drafts from the columns that shops and public data sets have: each loads, and reads its tables whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from coldframe.kg import infer_tables
from coldframe.kg.catalog import read
from coldframe.kg.errors import ParseError
from coldframe.kg.graph import Graph
from coldframe.kg.infer import infer_schema
from coldframe.kg.infer_columns import filled_text, owner_name, singular
from coldframe.kg.report import Report
from coldframe.kg.schema import Schema
from coldframe.kg.tables import graph_from_tables

N = 40
PRODUCTS = {
    "name": [f"thing {k}" for k in range(N)],
    "description": [f"A thing of number {k}, good for all" for k in range(N)],
    "price": [f"{k}.99" for k in range(N)],
    "brand": [f"maker {k % 3}" for k in range(N)],
    "image_url": [f"https://shop.example.org/{k}.png" for k in range(N)],
    "ean": [f"4000000{k:05d}" for k in range(N)],
    "avg_rating": [f"{k % 5}" for k in range(N)],
    "currency": ["EUR"] * N,
}


def drafted(tables: dict[str, Any]) -> tuple[str, Schema, Graph, Report]:
    text = infer_schema(tables)
    schema = Schema.loads(text)
    return text, schema, *graph_from_tables(tables, schema)


def test_a_shop_by_sku_and_customer() -> None:
    orders = {
        "order_id": [f"o{k}" for k in range(90)],
        "customer": [f"c{k % 9}" for k in range(90)],
        "sku": [f"SKU-{k % N}" for k in range(90)],
        "ordered_at": [f"2024-02-0{k % 9 + 1}T10:00:00Z" for k in range(90)],
        "quantity": [k % 3 + 1 for k in range(90)],
    }
    products = {"sku": [f"SKU-{k}" for k in range(N)], **PRODUCTS}
    tables = {"products": pa.table(products), "orders": pa.table(orders)}
    text, schema, graph, report = drafted(tables)
    assert (schema.user_type, schema.item_type) == ("customer", "product")
    assert report.nodes == {"product": N, "customer": 9, "brand": 3}
    assert report.edges == {"brand": N, "order": 90}
    assert not report.problems
    assert not set(graph.interactions.time) & {float("nan")}
    kinds = {f.name: f.kind for f in schema.nodes["product"].features}
    assert kinds == {"name": "text", "description": "text", "price": "number"}
    for column in ("image_url", "ean", "avg_rating", "currency"):
        assert f"# columns.{column}" in text
    assert "positive" not in text  # a count has no threshold


@pytest.mark.parametrize(
    ("user", "item", "rating", "time"),
    [
        ("user_id", "item_id", "rating", "timestamp"),
        ("userId", "movieId", "rating", "timestamp"),
        ("customer", "sku", "quantity", "ordered_at"),
        ("reviewerID", "asin", "overall", "unixReviewTime"),
        ("User-ID", "ISBN", "Book-Rating", "date"),
        ("client_id", "product_code", "score", "created_at"),
        ("userid", "articleid", "count", "time"),
        ("buyer", "product", "stars", "when"),
    ],
)
def test_events_by_the_names_that_are_used(user: str, item: str, rating: str, time: str) -> None:
    table = {
        rating: [k % 5 + 1 for k in range(60)],
        item: [f"i{k % 7}" for k in range(60)],
        user: [f"u{k % 6}" for k in range(60)],
        time: [1_700_000_000 + k for k in range(60)],
    }
    _, schema, graph, report = drafted({"data": pa.table(table)})
    assert (graph.n_users, graph.n_items, len(graph.interactions)) == (6, 7, 60)
    assert set(schema.events["data"].roles) == {"user", "item", "rating", "time"}
    assert not report.problems


def test_columns_that_speak_of_another_table_are_relations() -> None:
    tables = {
        "items": pa.table({"id": [str(k) for k in range(20)], "brand_id": ["a", "b"] * 10}),
        "brands": pa.table({"id": ["a", "b"], "name": ["Acme", "Bolt"]}),
        "ratings": pa.table({"user": ["x"] * 5, "item_id": ["1", "2", "3", "4", "5"]}),
    }
    _, schema, _, report = drafted(tables)
    assert schema.relations["brand_id"].targets == ("brand",)
    assert report.edges == {"brand_id": 20, "rating": 5}
    assert report.nodes == {"item": 20, "brand": 2, "user": 1}


def test_a_bare_id_is_found_by_its_values() -> None:
    tables = {
        "products": pa.table({"id": [f"p{k}" for k in range(20)], "title": ["x"] * 20}),
        "clicks": pa.table({"user_id": ["1", "2"], "item_id": ["p3", "p4"]}),
    }
    _, schema, graph, _ = drafted(tables)
    assert (schema.item_type, graph.n_items) == ("product", 20)


def test_records_as_json_lines_and_yaml(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {
            "asin": f"B{k}",
            "title": f"a book {k}",
            "categories": ["x", "yz"[k % 2]],
            "details": {"a": 1},
        }
        for k in range(20)
    ]
    (tmp_path / "items.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    graph = read(tmp_path / "items.jsonl").graph
    assert graph.n_items == 20
    assert len(graph.nodes["category"]) == 3
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "items.yaml").write_text(json.dumps(rows), "utf-8")  # JSON is YAML
    other = read(tmp_path / "yaml").graph
    assert other.items.vocabulary == graph.items.vocabulary
    assert other.edges.keys() == graph.edges.keys()


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("a.jsonl", '{"id": 1}\n{"id": \n', "a.jsonl:2"),
        ("a.jsonl", "[1]\n", "a.jsonl:1"),
        ("a.yaml", "- id: 1\n- [\n", "a.yaml:3"),
        ("a.yaml", "id: 1\n", "a.yaml"),
        ("a.yaml", "- 1\n", "a.yaml: record 1"),
    ],
)
def test_broken_records_name_their_place(tmp_path: Path, name: str, text: str, where: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    with pytest.raises(ParseError) as caught:
        infer_schema(tmp_path / name)
    assert str(caught.value.where).endswith(where)


def test_a_wanted_field_that_holds_a_record_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text('{"id": "1", "price": {"eur": 2}}\n', "utf-8")
    schema = Schema.loads(
        '[nodes.item]\nclass = "ex:I"\niri = "ex:{}"\nnumber.price = "ex:price"\n[prefixes]\nex = "urn:x:"\n'
        '[tables.items]\nnodes = "item"\nid = "id"\ncolumns.price = "price"\n'
    )
    with pytest.raises(ParseError, match=r"expected text or a number, got dict"):
        read(tmp_path / "items.jsonl", schema)


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
def test_a_draft_says_how_its_tables_are_written(
    tmp_path: Path, delimiter: str, encoding: str
) -> None:
    def write(name: str, rows: list[list[str]]) -> None:
        lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
        (tmp_path / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode(encoding))

    books = [["ISBN", "Title"]] + [[f"00{k}X", f"Fräulein{delimiter} Teil {k}"] for k in range(9)]
    ratings = [["User-ID", "ISBN", "Book-Rating"]]
    ratings += [[f"{k % 3}", f"00{k}X", f"{10 - k}"] for k in range(9)]
    write("books.csv", books)
    write("ratings.csv", ratings)
    draft = infer_schema([tmp_path / "books.csv", tmp_path / "ratings.csv"])
    assert "# positive = 8 " in draft
    (tmp_path / "schema.toml").write_text(draft, encoding="utf-8")
    graph = read(tmp_path, tmp_path / "schema.toml").graph
    assert graph.items.vocabulary[0] == "urn:catalog:book:000X"
    assert [*graph.items.texts["title"]] == [title for _, title in books[1:]]
    assert sorted(graph.interactions.rating) == [k + 2 for k in range(9)]


def test_the_retail_catalogue_needs_trimming_only(data_folder: Path) -> None:
    folder = data_folder / "retail-catalog"
    schema = Schema.loads(infer_schema(folder))
    graph = read(folder, schema).graph
    assert schema.item_type == "product"
    assert graph.n_items == 2_465
    assert {"name", "description"} <= set(graph.items.texts)
    assert {"style", "category"} <= set(schema.relations)


@pytest.mark.parametrize(
    ("column", "owner"),
    [("userId", "user"), ("movieid", "movie"), ("ASIN", "product"), ("id", ""), ("valid", "valid")],
)
def test_what_an_id_speaks_of(column: str, owner: str) -> None:
    assert owner_name(column) == owner


def test_singular_words() -> None:
    assert [singular(w) for w in ("categories", "movies", "class", "series", "items")] == [
        "category", "movie", "class", "series", "item",
    ]  # fmt: skip


def test_any_name_of_a_column_is_written_as_toml() -> None:
    odd = 'si"ze\\\n\x7f\U000e0001'
    tables = {"items": pa.table({"id": ["1", "2", "3"], odd: ["1", "2", "3"]})}
    _, _, graph, _ = drafted(tables)
    assert [values.tolist() for values in graph.items.numbers.values()] == [[1, 2, 3]]


def test_dictionaries_and_bytes_are_drafted_as_what_they_hold() -> None:
    tables = {
        "items": pa.table(
            {
                "id": pa.array(["1", "2", "3"]).dictionary_encode(),
                "title": pa.array([b"a rose", b"an iris", b"a lily"]),
                "thumb": pa.array([b"\xff", b"\xfe", b"\xfd"]),
            }
        )
    }
    draft, _, graph, _ = drafted(tables)
    assert graph.items.texts["title"] == ("a rose", "an iris", "a lily")
    assert "'thumb' of 'items' (large_binary) is not read" in draft


def test_events_never_get_the_class_of_a_node_type() -> None:
    tables = {"items": pa.table({"user": ["a", "b"], "item_id": ["x", "x"]})}
    _, schema, graph, _ = drafted(tables)
    assert len(graph.interactions) == 2
    classes = [iri for node in schema.nodes.values() for iri in node.classes]
    assert not {iri for event in schema.events.values() for iri in event.classes} & {*classes}


def test_the_ids_of_a_table_are_looked_through_once_for_all_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = {name: [f"{name}{k}" for k in range(20)] for name in ("film", "book", "song")}
    columns = {f"note{k}": [f"word {k % 7}"] * 20 for k in range(5)}
    tables = {name: pa.table({"id": one, **columns}) for name, one in ids.items()}
    asked = []

    def counted(column: pa.ChunkedArray) -> pa.Array:
        asked.extend(name for name, one in ids.items() if column.to_pylist() == one)
        return filled_text(column)

    monkeypatch.setattr(infer_tables, "filled_text", counted)
    infer_schema(tables)
    assert sorted(asked) == sorted(ids)


def test_a_table_takes_no_name_from_a_column() -> None:
    """`[tables.subtitles]` is as long as `[relations.titles]` before its last letters."""
    tables = {
        "subtitles": pa.table({"id": [f"s{k}" for k in range(20)], "text": ["a word"] * 20}),
        "zines": pa.table(
            {"id": [f"z{k}" for k in range(20)], "titles": [f"a title {k}" for k in range(20)]}
        ),
    }
    assert 'columns.titles = "titles"' in infer_schema(tables)
