"""Drafts from tables as shops export them; each loads, and reads its tables without a finding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.kg.catalog import Catalog, read
from coldframe.kg.errors import DataError, ParseError
from coldframe.kg.infer import infer_schema
from coldframe.kg.schema import Schema

N = 60


def shop(folder: Path) -> None:
    """Products as a spreadsheet writes them (one row twice), a second table of them, categories that
    stand below others, customers with records, and a log by days."""
    rows = ["Artikel Nr;Name;Kategorie;Preis;Seit"]
    rows += [
        f"{k:05d};Stück {k} in Rot;C{k % 6 + 2};{k + 1}.000,5 €;{k % 28 + 1}.02.2026"
        for k in range(N)
    ]
    rows[7] = rows[7].replace("7.000,5 €", "n/a")
    (folder / "products.csv").write_text("\n".join([*rows, rows[5]]) + "\n", "utf-8")
    stock = {"sku": [f"{k:05d}" for k in range(N)], "season": ["summer", "winter"] * (N // 2)}
    pq.write_table(pa.table(stock), folder / "stock.parquet")
    above = ["", *["C1"] * 7]
    lines = [f"C{k + 1},kind {k},{above[k]}" for k in range(8)]
    (folder / "categories.csv").write_text("\n".join(["category_id,name,parent_id", *lines]) + "\n")
    people = [{"customerId": f"c{k}", "at": {"city": ["Köln", "Ulm"][k % 2]}} for k in range(20)]
    text = "".join(json.dumps(one) + "\n" for one in people)
    (folder / "customers.jsonl").write_text(text, "utf-8")
    for day in (1, 2):
        path = folder / "log" / f"dt=2026-01-0{day}" / "part-0.parquet"
        path.parent.mkdir(parents=True)
        events = {
            "customer_id": [f"c{k % 20}" for k in range(N)],
            "sku": stock["sku"],
            "event_type": ["view", "view", "buy"] * (N // 3),
            "quantity": [1, 1, -1 if day == 2 else 2] * (N // 3),
            "event_time": ["2026-01-01 10:00:00 UTC"] * N,
            "shop": ["de", "fr"] * (N // 2),
        }
        pq.write_table(pa.table(events), path)


def test_a_shop_of_many_tables(tmp_path: Path) -> None:
    shop(tmp_path)
    schema = Schema.loads(infer_schema([tmp_path]))
    assert (schema.user_type, schema.item_type) == ("customer", "product")
    catalog = read([tmp_path], schema)
    assert catalog.report is not None
    assert {problem.kind for problem in catalog.report.problems} == {"repeated-id"}
    assert catalog.report.nodes == {"product": N, "category": 8, "customer": 20}
    assert dict(catalog.report.edges) == {"kategorie": N, "parent_id": 7, "buy": 40, "view": 80}
    rows = catalog.graph.interactions
    assert int((rows.label == 0).sum()) == 20  # what was sent back
    assert not np.isnan(rows.time).any()
    items = catalog.graph.items
    assert int(np.isfinite(items.numbers["preis"]).sum()) == N - 1
    assert items.numbers["preis"][1] == 2000.5
    assert np.isfinite(items.numbers["seit"]).all()
    assert set(items.categories) == {"season"}
    assert catalog.graph.users.categories["at_city"].names == ("Köln", "Ulm")


def test_a_draft_names_the_columns_that_no_event_takes(tmp_path: Path) -> None:
    shop(tmp_path)
    draft = infer_schema([tmp_path])
    assert '# not used: "shop"' in draft
    assert 'file = "log/*/*.parquet"' in draft
    assert 'where = { event_type = "view" }' in draft
    assert draft.count("\nauxiliary = true") == 1  # views beside orders
    schema = Schema.loads(draft)
    made, _ = Catalog.ingest([tmp_path], schema, tmp_path / "catalog")
    assert len(made.graph.interactions) == 2 * N


def test_files_of_one_name_do_not_hide_each_other(tmp_path: Path) -> None:
    for shop_name in ("de", "fr"):
        (tmp_path / shop_name).mkdir()
        path = tmp_path / shop_name / "orders.csv"
        path.write_text(
            "customer_id,sku\n" + "".join(f"{shop_name}{k},s{k % 3}\n" for k in range(9))
        )
    schema = Schema.loads(infer_schema([tmp_path]))
    graph = read([tmp_path], schema).graph
    assert (len(graph.users), len(graph.interactions)) == (18, 18)


MOVIES = "movie_id,title\n" + "".join(f"m{k},film {k} of many\n" for k in range(9))
RATINGS = "user_id,movie_id,rating\n" + "".join(f"u{k},m{k},{k % 5}\n" for k in range(9))


@pytest.mark.parametrize("place", ["run=3", "run=3/data"])
@pytest.mark.parametrize("whole", [True, False], ids=["folder", "files"])
def test_two_tables_in_a_folder_with_a_sign_of_equality_are_two(
    tmp_path: Path, place: str, whole: bool
) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "movies.csv").write_text(MOVIES)
    (folder / "ratings.csv").write_text(RATINGS)
    inputs = [folder] if whole else sorted(folder.iterdir())
    draft = infer_schema(inputs)
    assert 'file = "movies.csv"' in draft
    assert 'file = "ratings.csv"' in draft
    graph = read(inputs, Schema.loads(draft)).graph
    assert (len(graph.items), len(graph.interactions)) == (9, 9)


def test_parts_of_two_tables_in_the_same_folders_are_two_tables(tmp_path: Path) -> None:
    for day in (1, 2):
        folder = tmp_path / "log" / f"dt={day}"
        folder.mkdir(parents=True)
        (folder / f"movies-{day}.csv").write_text(MOVIES.replace("\nm", f"\nm{day}"))
        (folder / f"ratings-{day}.csv").write_text(RATINGS)
    draft = infer_schema(tmp_path)
    assert 'file = "log/*/movies*.csv"' in draft
    assert 'file = "log/*/ratings*.csv"' in draft
    assert len(read(tmp_path, Schema.loads(draft)).graph.interactions) == 18
    one_day = infer_schema(tmp_path / "log" / "dt=1")
    assert 'file = "movies-1.csv"' in one_day


def test_parts_with_names_that_writers_make_up_are_one_table(tmp_path: Path) -> None:
    for day, name in ((1, "d3b07384d113edec49eaa6238ad5ff00-0"), (2, "0b07384d113edec49eaa6238-0")):
        folder = tmp_path / "likes" / f"dt={day}"
        folder.mkdir(parents=True)
        (folder / f"{name}.csv").write_text(RATINGS)
    assert 'file = "likes/*/*.csv"' in infer_schema(tmp_path)


def test_a_table_that_is_not_understood_says_what_comes_nearest() -> None:
    table = pa.table({"word": ["a", "b", "c", "c"], "more": ["x"] * 4})
    other = pa.table({"id": ["1", "2"], "name": ["one thing", "another thing"]})
    draft = infer_schema({"words": table, "things": other})
    assert (
        "'words' was not understood: no column names its rows; 'word' comes nearest (75%" in draft
    )


def test_the_letters_of_windows_are_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    for odd, guess in ((b"\x80", "cp1252"), (b"\x80\x81", "latin-1")):
        path.write_bytes(b"id,name\n1,Gr\xf6\xdfe in " + odd + b" and more\n2,one thing\n")
        draft = infer_schema([path])
        assert f'encoding = "{guess}"   # a guess' in draft
    path.write_bytes(b"id,name\n1,Gr\xf6\xdfe in \x80 and more\n2,one thing\n")
    graph = read([path], Schema.loads(infer_schema([path]))).graph
    assert "Größe in € and more" in list(graph.items.texts["name"])


def test_a_format_that_is_neither_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(DataError, match="neither RDF nor a table") as caught:
        infer_schema([tmp_path / "a.xlsx"])
    assert ".csv" in caught.value.hint


def test_a_few_rows_of_another_length_are_left_out_and_many_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    rows = [f"c{k % 9},s{k % 7},{k % 28 + 1}/01/2026 10:00" for k in range(N)]
    path.write_text("\n".join(["customer_id,sku,ordered_at", *rows, "c1,s1,1/01/2026 10:00,more"]))
    draft = infer_schema([path])
    assert "skip_bad_rows = true   # 1 have" in draft
    report = read([path], Schema.loads(draft)).report
    assert report is not None
    assert [problem.kind for problem in report.problems] == ["bad-row"]
    plain = Schema.loads(draft.replace("dates =", "# dates ="))
    report = read([path], plain).report
    assert report is not None
    assert any('dates = "%d/%m/%Y %H:%M"' in problem.message for problem in report.problems)
    path.write_text("\n".join(["customer_id,sku,ordered_at", *rows, *["c1,s1"] * 9]))
    with pytest.raises(ParseError, match="Expected 3 columns") as caught:
        infer_schema([path])
    assert "skip_bad_rows" in caught.value.hint


def test_a_decimal_sign_that_would_change_another_column_is_only_remarked_on(
    tmp_path: Path,
) -> None:
    path = tmp_path / "products.csv"
    rows = [f'p{k},"{k},{k % 7}0",0.{100 + k}' for k in range(40)]
    path.write_text("\n".join(["product_id,price,weight", *rows]), "utf-8")
    draft = infer_schema(path)
    assert '# decimal = ","   # would change "weight", and is meant for "price"' in draft
    weights = read([path], Schema.loads(draft)).graph.items.numbers["weight"]
    assert weights.max() == pytest.approx(0.139)


def test_ids_with_commas_between_them_are_lists_and_no_decimals(tmp_path: Path) -> None:
    path = tmp_path / "movies.csv"
    rows = [f'm{k},"{k % 3},{k % 5}",0.{100 + k}' for k in range(40)]
    path.write_text("\n".join(["movie_id,genre_ids,score", *rows]), "utf-8")
    draft = infer_schema(path)
    assert "decimal" not in draft
    assert 'columns.genre_ids = { column = "genre_ids", separator = "," }' in draft
