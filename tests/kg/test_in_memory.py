"""Tables, pairs and ids in the forms in which people hold them in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import coldframe
from coldframe.datasets.splits import make_split
from coldframe.kg import Schema, infer_schema
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.in_memory import as_pairs, as_table
from coldframe.kg.vocabulary import Vocabulary

SCHEMA = Schema.loads("""
users = "user"
items = "item"
[nodes.user]
iri = "urn:user:{}"
[nodes.item]
iri = "urn:item:{}"
number.price = "urn:price"
[events.rating]
class = "urn:Rating"
user = "urn:by"
item = "urn:of"
rating = "urn:stars"
positive = 4
[tables.items]
nodes = "item"
id = "id"
columns.price = "price"
[tables.ratings]
events = "rating"
columns = { user = "user", item = "item", rating = "stars" }
""")
ITEMS = {"id": [1, 2, 3], "price": [1.5, None, 3.0]}
RATINGS = {"user": [7, 7, 8], "item": [1, 2, 3], "stars": [5, 3, 4]}
ARROW = {"items": pa.table(ITEMS), "ratings": pa.table(RATINGS)}


def frames() -> dict[str, Any]:
    pandas = pytest.importorskip("pandas")
    ratings = pandas.DataFrame(RATINGS, index=[5, 3, 9])  # as filtering leaves it
    return {"items": pandas.DataFrame(ITEMS).set_index("id"), "ratings": ratings}


@pytest.mark.parametrize("form", ["columns", "records", "batches", "frames"])
def test_every_form_of_table_reads_as_the_arrow_tables_do(form: str) -> None:
    given: dict[str, Any] = {
        "columns": lambda: {
            "items": ITEMS,
            "ratings": {k: np.array(v) for k, v in RATINGS.items()},
        },
        "records": lambda: {name: table.to_pylist() for name, table in ARROW.items()},
        "batches": lambda: {name: table.to_batches()[0] for name, table in ARROW.items()},
        "frames": frames,
    }[form]()
    expected, found = coldframe.read(ARROW, SCHEMA), coldframe.read(given, SCHEMA)
    assert found.content_hash == expected.content_hash
    assert found.graph.interactions.label.tolist() == [1, 0, 1]
    assert infer_schema(given) == infer_schema(ARROW)


def test_a_record_may_lack_a_field() -> None:
    table = as_table([{"a": 1}, {"a": 2, "b": "x"}], "here")
    assert table.to_pydict() == {"a": [1, 2], "b": [None, "x"]}


@pytest.mark.parametrize("wrong", [None, 5, [], [1, 2], np.zeros((2, 2)), "text"])
def test_what_is_no_table_is_named(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"tables.ratings: got .* expected a table"):
        as_table(wrong, "tables.ratings")


def test_a_series_is_no_table() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(UsageError, match="got Series, expected a table"):
        as_table(pandas.Series([1, 2]), "here")


def test_columns_that_mix_types_or_differ_in_length_are_bad_data() -> None:
    for wrong in ({"a": [1, "x"]}, {"a": [1], "b": [1, 2]}):
        with pytest.raises(DataError, match="here: cannot be read as a table"):
            as_table(wrong, "here")


@pytest.mark.parametrize(
    ("source", "schema", "words"),
    [
        (None, None, "source: got NoneType"),
        (5, None, "source: got int"),
        (ARROW["ratings"], SCHEMA, "tables by name"),
        ([("a", "b")], None, "source: got list"),
        (ARROW, {"name": "x"}, "schema: got dict"),
        (ARROW, "users = 'user'\nitems = 'item'", "Schema.loads"),
    ],
)
def test_what_is_no_source_or_schema_is_named(source: Any, schema: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        coldframe.read(source, schema)


def test_a_table_that_no_section_reads_is_named() -> None:
    with pytest.raises(
        DataError, match=r"no section reads the table 'facts' \(write \[tables.facts\]"
    ):
        coldframe.read({**ARROW, "facts": {"head": [1], "relation": ["r"], "tail": [2]}}, SCHEMA)


@pytest.mark.parametrize(("file", "layout"), [("x.inter", "atomic"), ("train.txt", "kgat")])
def test_folders_in_a_layout_of_their_own_are_known(tmp_path: Path, file: str, layout: str) -> None:
    (tmp_path / file).write_text("")
    with pytest.raises(DataError, match=f"coldframe dataset {layout}"):
        coldframe.read(tmp_path)


def test_a_draft_that_takes_low_ratings_for_likes_says_so(caplog: pytest.LogCaptureFixture) -> None:
    ratings = {"user_id": [1, 2, 1], "item_id": [1, 2, 2], "rating": [5, 1, 1]}
    assert coldframe.read({"ratings": ratings}).graph.interactions.label.tolist() == [1, 1, 1]
    assert "every rating for a like" in caplog.text
    caplog.clear()
    coldframe.read({"views": {name: ratings[name] for name in ("user_id", "item_id")}})
    assert not caplog.text


def test_catalogs_and_splits_print_in_one_line() -> None:
    catalog = coldframe.read(ARROW, SCHEMA)
    assert repr(catalog) == (
        "Catalog(Graph('catalog', {user: 2, item: 3}, 0 edges, 3 interactions), path=None)"
    )
    split = repr(make_split(catalog, "all", valid_share=0.0))
    assert (
        split == "Split('all', seed 0, {train: 3, valid: 0, test: 0}, 0 cold items, 0 cold users)"
    )


def test_a_networkx_graph_is_told_how_to_come_as_a_table() -> None:
    networkx = pytest.importorskip("networkx")
    with pytest.raises(UsageError, match="to_pandas_edgelist"):
        coldframe.read(networkx.DiGraph([("a", "b")]))


@pytest.mark.parametrize(
    "pairs",
    [
        [(7, 1), (8, 3)],
        iter([(7, 1), (8, 3)]),
        zip([7, 8], [1, 3], strict=True),
        np.array([[7, 1], [8, 3]]),
        {"user": [7, 8], "item": [1, 3]},
        pa.table({"item": [1, 3], "user": [7, 8]}),
    ],
    ids=lambda pairs: type(pairs).__name__,
)
def test_pairs_come_in_many_forms(pairs: Any) -> None:
    assert as_pairs(pairs) == [(7, 1), (8, 3)]


@pytest.mark.parametrize("wrong", [5, "ab", ["ab"], [(1, 2, 3)], [(1,)], ("u", "i"), {"u": [1]}])
def test_what_is_no_pairs_is_named(wrong: Any) -> None:
    with pytest.raises(UsageError, match="pairs"):
        as_pairs(wrong)


def test_ids_may_be_scalars_and_decimals_that_are_whole() -> None:
    names = Vocabulary(["urn:user:7", "urn:user:8"])
    for given in ([7.0, 8.0], np.array([7, 8], np.float32), pa.array([7.0, 8.0])):
        assert names.indices(given).tolist() == [0, 1]


@pytest.mark.parametrize("wrong", ["7", 7, ARROW["ratings"], np.array([[7]]), np.array(7)])
def test_what_is_no_list_of_ids_is_named(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"where (several|a list of) users"):
        Vocabulary(["urn:user:7"]).indices(wrong, kind="user")
