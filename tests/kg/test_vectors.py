"""Columns of Parquet with several values per cell: vectors by their numbers, the rest refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.kg.errors import DataError, SchemaError
from coldframe.kg.graph import Graph
from coldframe.kg.infer import infer_schema
from coldframe.kg.schema import Schema
from coldframe.kg.tables import graph_from_tables
from coldframe.kg.vectors import plain_cells
from coldframe.kg.vocabulary import TEXT

SCHEMA = """
items = "item"
[nodes.item]
class = "https://example.org/Item"
iri = "https://example.org/{}"
number.first = "https://example.org/first"
number.last = "https://example.org/last"
text.title = "https://example.org/title"
[nodes.tag]
iri = "https://example.org/tag/{}"
[relations.tag]
property = "https://example.org/tag"
from = "item"
to = "tag"
[tables.items]
nodes = "item"
id = "id"
"""
VECTORS = {
    "fixed": pa.array([[0.5, 1, 2], None, [3.5, 4, 5]], pa.list_(pa.float32(), 3)),
    "lists": pa.array([[0.5, 1, 2], None, [3.5, 4, 5]], pa.list_(pa.float64())),
}


def read(tmp_path: Path, column: pa.Array, columns: str, *, parquet: bool = True) -> Graph:
    """Three items with a column `v`, read through a section with these columns."""
    table = pa.table({"id": ["a", "b", "c"], "v": column})
    source: pa.Table | Path = table
    if parquet:
        source = tmp_path / "items.parquet"
        pq.write_table(table, source)
    return graph_from_tables({"items": source}, Schema.loads(SCHEMA + columns))[0]


@pytest.mark.parametrize("kind", sorted(VECTORS))
@pytest.mark.parametrize("parquet", [True, False])
def test_the_numbers_of_a_vector_are_features(tmp_path: Path, kind: str, parquet: bool) -> None:
    columns = 'columns = { first = "v.0", last = "v.2" }\n'
    numbers = read(tmp_path, VECTORS[kind], columns, parquet=parquet).items.numbers
    np.testing.assert_array_equal(numbers["first"], np.float32([0.5, np.nan, 3.5]))
    np.testing.assert_array_equal(numbers["last"], np.float32([2, np.nan, 5]))


@pytest.mark.parametrize("kind", sorted(VECTORS))
@pytest.mark.parametrize("part", ["first", "title", "tag"])
def test_a_whole_vector_is_refused_with_its_numbers(tmp_path: Path, kind: str, part: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, VECTORS[kind], f'columns = {{ {part} = "v" }}\n')
    assert "v.0 to v.2" in caught.value.hint


def test_a_number_beyond_the_vector_is_a_missing_column(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"v\.3"):
        read(tmp_path, VECTORS["fixed"], 'columns = { first = "v.3" }\n')


@pytest.mark.parametrize(
    "column",
    [
        pa.array([{"x": 1}] * 3),
        pa.array([b"\xff", b"\xfe", b""]),
        pa.array([[0.5], [1.5, 2], []]),
        pa.array([[{"x": 1}]] * 3),
        pa.array([[("x", 1)]] * 3, pa.map_(pa.string(), pa.int64())),
    ],
    ids=["struct", "bytes", "ragged", "list of structs", "map"],
)
@pytest.mark.parametrize("part", ["first", "title", "tag"])
def test_what_is_no_plain_value_is_refused_by_name(
    tmp_path: Path, column: pa.Array, part: str
) -> None:
    with pytest.raises(DataError, match="column 'v' holds"):
        read(tmp_path, column, f'columns = {{ {part} = "v" }}\n')


def test_bytes_that_are_text_and_lists_of_whole_numbers_are_read(tmp_path: Path) -> None:
    graph = read(tmp_path, pa.array([b"one", b"two", None]), 'columns = { title = "v" }\n')
    assert graph.items.texts["title"] == ("one", "two", "")
    graph = read(tmp_path, pa.array([[1.0, 2.0], [2.0], None]), 'columns = { tag = "v" }\n')
    assert graph.edges["item", "tag", "tag"].index.tolist() == [[0, 0, 1], [0, 1, 1]]


@pytest.mark.parametrize("kind", [pa.string(), pa.string_view(), pa.binary(), pa.binary_view()])
def test_text_of_any_kind_is_read_in_the_one_whose_chunks_join_beyond_2_gib(
    kind: pa.DataType,
) -> None:
    column = pa.array(["rose", None]).cast(kind)
    lists = pa.array([["rose"], None]).cast(pa.list_(kind))
    read = plain_cells(pa.table({"one": column, "several": lists}), "items")
    assert read.schema.types == [TEXT, pa.large_list(TEXT)]
    assert read.to_pydict() == {"one": ["rose", None], "several": [["rose"], None]}


def test_wider_text_is_no_copy() -> None:
    column = pa.array(["rose", "lily"])
    read = plain_cells(pa.table({"one": column}), "items")["one"].chunk(0)
    assert read.buffers()[2].address == column.buffers()[2].address


def test_a_draft_leaves_vectors_as_a_remark_and_reads_without_them(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "b", "c"],
            "name": ["one rose", "two lilies", "a tulip"],
            "embedding": VECTORS["fixed"],
            "about": pa.array([[{"x": 1}]] * 3),
        }
    )
    path = tmp_path / "items.parquet"
    pq.write_table(table, path)
    draft = infer_schema(path)
    assert "# number.embedding_0 = " in draft
    assert '# columns.embedding_0 = "embedding.0"' in draft
    assert "'about' of 'items'" in draft
    assert graph_from_tables({"items": path}, Schema.loads(draft))[0].n_items == 3
    used = draft.replace("# number.", "number.").replace("# columns.", "columns.")
    numbers = graph_from_tables({"items": path}, Schema.loads(used))[0].items.numbers
    np.testing.assert_array_equal(numbers["embedding_0"], np.float32([0.5, np.nan, 3.5]))
