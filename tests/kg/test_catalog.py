"""Catalog folders: whole or absent, opened from a cache that is never believed when it is damaged."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coldframe.kg import catalog as catalog_module
from coldframe.kg import table_inputs
from coldframe.kg.arrow_folder import read_arrow_folder, write_arrow_folder
from coldframe.kg.cache import graph_hash, read_graph, write_graph
from coldframe.kg.catalog import Catalog, read
from coldframe.kg.errors import (
    DataError,
    IntegrityError,
    ParseError,
    SchemaError,
    StateError,
    UsageError,
)
from coldframe.kg.forgetting import without_person
from coldframe.kg.graph import Graph
from coldframe.kg.guarded import Limits
from coldframe.kg.infer import infer_schema
from coldframe.kg.reading import Reading
from coldframe.kg.schema import Schema
from coldframe.kg.table_files import write_table

SCHEMA = """
name = "garden"
items = "item"
[prefixes]
ex = "https://example.org/"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{}"
text.title = "ex:title"
number.size = "ex:size"
[nodes.user]
class = "ex:User"
iri = "ex:user/{}"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
[tables.items]
nodes = "item"
id = "id"
columns.title = "title"
[tables.ratings]
events = "rating"
columns = { user = "u", item = "i", rating = "r" }
"""
TURTLE = """@prefix : <https://example.org/> .
<https://example.org/item/1> a :Item ; :title "Rose" ; :size 3 .
<https://example.org/item/2> a :Item ; :size "big" .
<https://example.org/user/1> a :User .
:e a :Rating ; :by <https://example.org/user/1> ; :of <https://example.org/item/1> ; :stars 5 .
"""


@pytest.fixture
def garden(tmp_path: Path) -> Path:
    """A folder with garden.ttl and schema.toml."""
    folder = tmp_path / "garden"
    folder.mkdir()
    (folder / "garden.ttl").write_text(TURTLE, "utf-8")
    (folder / "schema.toml").write_text(SCHEMA, "utf-8")
    return folder


def tables_in(folder: Path) -> Path:
    """Two of the garden's plants and one rating as CSV files of a new folder."""
    folder.mkdir()
    (folder / "items.csv").write_text("id,title,more\n1,Rose,x\n2,,y\n", "utf-8")
    (folder / "ratings.csv").write_text("u,i,r\n1,1,5\n", "utf-8")
    return folder


def cache_folder(out: Path) -> Path:
    """The folder of the cached graph."""
    return next(p for p in (out / "cache").iterdir() if len(p.name) == 32)


def test_ingest_and_open_give_the_same_graph(garden: Path, tmp_path: Path) -> None:
    steps: list[tuple[float, float]] = []
    made, report = Catalog.ingest(
        garden / "garden.ttl",
        garden / "schema.toml",
        tmp_path / "out",
        progress=lambda done, total: steps.append((done, total)),
    )
    again = Catalog.open(tmp_path / "out")
    assert graph_hash(made.graph) == graph_hash(again.graph)
    assert made.content_hash == again.content_hash
    assert (report.triples, report.nodes) == (10, {"item": 2, "user": 1})
    assert [p.kind for p in report.problems] == ["bad-number"]
    assert report.problems[0].where.endswith("garden.ttl")
    assert steps[-1] == (4, 4)
    with again.store() as store:
        assert store.count() == 10
    statements = again.quads()
    assert statements is not None
    assert len(statements) == 10
    assert again.name == "garden"
    assert read(tmp_path / "out").content_hash == made.content_hash


def test_a_folder_with_a_schema_needs_no_other(garden: Path) -> None:
    catalog = read(garden)
    assert catalog.graph.n_items == 2
    assert catalog.path is None
    with pytest.raises(StateError, match="memory"):
        catalog.store()


def test_a_pattern_stands_for_tables_as_for_rdf(garden: Path, tmp_path: Path) -> None:
    folder = tables_in(tmp_path / "tables")
    whole = read(folder, garden / "schema.toml")
    assert read(f"{folder}/*.csv", garden / "schema.toml").content_hash == whole.content_hash
    assert read(f"{garden}/*.ttl", garden / "schema.toml").graph.n_items == 2
    assert infer_schema(f"{folder}/*.csv") == infer_schema(folder)
    with pytest.raises(DataError, match="no file matches this pattern"):
        read(f"{folder}/*.tsv", garden / "schema.toml")


def test_hidden_copies_in_a_folder_are_left_out(garden: Path, tmp_path: Path) -> None:
    folder = tables_in(tmp_path / "tables")
    for hidden in (".ipynb_checkpoints", ".git"):
        shutil.copytree(folder, folder / hidden)
        (folder / hidden / "schema.toml").write_text("damaged")
    (folder / "schema.toml").write_text((garden / "schema.toml").read_text())
    assert read(folder).graph.n_items == 2
    assert "ipynb" not in infer_schema(folder)


def test_tables_rdf_and_both_agree(garden: Path, tmp_path: Path) -> None:
    folder = tables_in(tmp_path / "tables")
    schema = garden / "schema.toml"
    tables = read([folder], schema)
    both = read([folder, garden / "garden.ttl"], schema)
    assert list(tables.graph.items.vocabulary) == list(both.graph.items.vocabulary)
    assert tables.graph.items.titles == both.graph.items.titles
    assert both.graph.items.numbers["size"][0] == 3
    assert len(tables.graph.interactions) == 1
    assert len(both.graph.interactions) == 2  # two event nodes
    out, _ = Catalog.ingest([folder], schema, tmp_path / "out")
    assert graph_hash(out.graph) == graph_hash(tables.graph)
    with out.store() as store:
        assert store.count() == 2 + 1 + 1 + 4
    arrow = {
        "items": pa.table({"id": [1, 2], "title": ["Rose", ""]}),
        "ratings": pa.table({"u": [1], "i": [1], "r": [5]}),
    }
    assert read(arrow, schema).content_hash == tables.content_hash


def test_exports_of_several_catalogs_can_be_read_together(garden: Path, tmp_path: Path) -> None:
    schema, paths = garden / "schema.toml", []
    for number in ("1", "2"):
        folder = tables_in(tmp_path / number)
        (folder / "ratings.csv").write_text(f"u,i,r\n{number},{number},5\n", "utf-8")
        paths.append(tmp_path / f"{number}.nq")
        read([folder], schema).write_nquads(paths[-1])
    rows = read([paths[0], paths[1], paths[0]], schema).graph.interactions
    assert (rows.user.tolist(), rows.item.tolist()) == ([0, 1], [0, 1])


def test_a_damaged_cache_is_rebuilt_whatever_is_damaged(garden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    made, _ = Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    want = graph_hash(made.graph)
    rng = np.random.default_rng(0)
    files = sorted(p for p in cache_folder(out).iterdir() if p.is_file())
    for turn in range(40):
        path = files[turn % len(files)]
        raw = bytearray(path.read_bytes())
        if turn % 3 == 0:
            raw = raw[: int(rng.integers(0, len(raw)))]
        else:
            raw[int(rng.integers(0, len(raw)))] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(bytes(raw))
        assert graph_hash(Catalog.open(out).graph) == want


def test_a_graph_of_tables_is_rebuilt_from_their_columns(garden: Path, tmp_path: Path) -> None:
    tables = tables_in(tmp_path / "tables")
    out = tmp_path / "out"
    made, _ = Catalog.ingest(tables, garden / "schema.toml", out)
    for path in (*tables.iterdir(), *cache_folder(out).iterdir()):
        path.unlink()
    assert graph_hash(Catalog.open(out).graph) == graph_hash(made.graph)
    text = (out / "catalog.toml").read_text("utf-8")
    (out / "catalog.toml").write_text(text.replace('columns.title = "title"\n', ""), "utf-8")
    assert set(Catalog.open(out).graph.items.titles) == {"1", "2"}


def test_what_nothing_intact_is_left_of_is_an_error(garden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    shutil.rmtree(out / "cache")
    with pytest.raises(IntegrityError) as caught:
        Catalog.open(out)
    assert "ingest" in caught.value.hint


def test_a_stray_table_beside_rdf_is_left_out_with_a_word(
    garden: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_table(garden / "stray.parquet", pa.table({"a": [1]}))
    (garden / "README.md").write_text("a garden", "utf-8")
    rdf_only = Schema.loads((garden / "schema.toml").read_text("utf-8").partition("[tables.")[0])
    assert read(garden, rdf_only).graph.n_items == 2
    assert "stray.parquet: no [tables.*] section" in caplog.text
    (garden / "schema.toml").unlink()
    assert read(garden).graph.n_items == 2  # a draft of the RDF
    (garden / "garden.ttl").unlink()
    with pytest.raises(DataError, match=r"no \[tables\.\*\] section, so stray\.parquet"):
        read(garden, rdf_only)


def test_a_changed_schema_makes_the_cache_stale(garden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    text = (out / "catalog.toml").read_text("utf-8")
    (out / "catalog.toml").write_text(text.replace('number.size = "ex:size"\n', ""), "utf-8")
    assert Catalog.open(out).graph.items.numbers == {}
    assert len([p for p in (out / "cache").iterdir() if len(p.name) == 32]) == 2


def test_a_stale_cache_that_cannot_be_written_is_served_from_memory(
    garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    text = (out / "catalog.toml").read_text("utf-8")
    (out / "catalog.toml").write_text(text.replace('number.size = "ex:size"\n', ""), "utf-8")
    before = sorted(out.rglob("*"))

    def read_only(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", read_only)
        assert Catalog.open(out).graph.items.numbers == {}
    assert "cannot write: Read-only file system" in caplog.text
    assert sorted(out.rglob("*")) == before


def without_graph(out: Path) -> Path:
    """The catalog without the cached graph, so that opening builds it again."""
    shutil.rmtree(cache_folder(out))
    return out


def test_a_file_that_grows_while_it_is_read_is_kept_as_it_was_read(
    garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tables_in(tmp_path / "tables")
    read_once = table_inputs.read_delimited

    def growing(path: Path, *rest: Any) -> pa.Table:
        table = read_once(path, *rest)
        path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
        return table

    monkeypatch.setattr(table_inputs, "read_delimited", growing)
    made, _ = Catalog.ingest(folder, garden / "schema.toml", tmp_path / "out")
    again = Catalog.open(without_graph(tmp_path / "out"))
    assert len(again.graph.interactions) == len(made.graph.interactions) == 1
    assert graph_hash(again.graph) == again.content_hash


def test_kept_tables_that_give_another_graph_are_refused_but_by_another_schema(
    garden: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    Catalog.ingest(tables_in(tmp_path / "tables"), garden / "schema.toml", out)
    kept, about = read_arrow_folder(out / "cache" / "tables")
    twice = kept | {"ratings": pa.concat_tables([kept["ratings"]] * 2)}
    write_arrow_folder(out / "cache" / "tables", twice, about)
    with pytest.raises(IntegrityError, match="do not give the graph that was read"):
        Catalog.open(without_graph(out))
    text = (out / "catalog.toml").read_text("utf-8")
    (out / "catalog.toml").write_text(text.replace('name = "garden"', 'name = "yard"'), "utf-8")
    assert len(Catalog.open(out).graph.interactions) == 2


def test_categories_of_several_files_are_kept(tmp_path: Path) -> None:
    for number, names in enumerate((["a", "b"], ["c", "b"])):
        categories = pa.array(names).dictionary_encode()
        pq.write_table(pa.table({"id": categories}), tmp_path / f"part-{number}.parquet")
    schema = """
[nodes.item]
iri = "urn:{}"
[tables.items]
file = "part-*.parquet"
nodes = "item"
id = "id"
"""
    Catalog.ingest(tmp_path, Schema.loads(schema), tmp_path / "out")
    again = Catalog.open(without_graph(tmp_path / "out"))
    assert list(again.graph.items.vocabulary) == ["urn:a", "urn:b", "urn:c"]


def test_an_opened_catalog_does_not_read_its_sources(
    garden: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    monkeypatch.setattr(catalog_module, "rebuilt", lambda *_: pytest.fail("it was rebuilt"))
    assert Catalog.open(out).graph.n_items == 2


def test_a_failed_ingest_leaves_nothing_and_keeps_the_old(garden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    before = sorted(str(p) for p in tmp_path.rglob("*"))
    (garden / "bad.ttl").write_text(TURTLE + ":x :y ", "utf-8")
    before.append(str(garden / "bad.ttl"))
    with pytest.raises(ParseError):
        Catalog.ingest(garden / "bad.ttl", garden / "schema.toml", out, replace=True)
    with pytest.raises(StateError, match="exists"):
        Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    with pytest.raises(UsageError, match="no catalog"):
        Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", garden, replace=True)
    assert sorted(str(p) for p in tmp_path.rglob("*")) == sorted(before)
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out, replace=True)
    assert Catalog.open(out).graph.n_items == 2


def test_bad_folders_and_inputs_are_one_error(garden: Path, tmp_path: Path) -> None:
    with pytest.raises(StateError) as caught:
        Catalog.open(tmp_path / "nowhere")
    assert "ingest" in caught.value.hint
    out = tmp_path / "out"
    Catalog.ingest(garden / "garden.ttl", garden / "schema.toml", out)
    (out / "manifest.json").write_text(json.dumps({"format": 99}), "utf-8")
    with pytest.raises(IntegrityError):
        Catalog.open(out)
    with pytest.raises(SchemaError):
        read(garden / "garden.ttl", tmp_path / "none.toml")
    (tmp_path / "empty.nt").write_text("", "utf-8")
    with pytest.raises(DataError, match="empty"):
        read(tmp_path / "empty.nt", garden / "schema.toml")


def test_any_graph_survives_the_cache(tiny_graph: Graph, tmp_path: Path) -> None:
    write_graph(tiny_graph, tmp_path / "g")
    again = read_graph(tmp_path / "g")
    assert graph_hash(again) == graph_hash(tiny_graph)
    assert again.nodes["item"].documents == tiny_graph.nodes["item"].documents
    assert list(again.edges) == list(tiny_graph.edges)
    assert again.interactions.split_names == tiny_graph.interactions.split_names


def test_tables_beside_rdf_are_under_no_limit_of_rdf(garden: Path, tmp_path: Path) -> None:
    folder = tables_in(tmp_path / "tables")
    long = "y" * 900_000  # more than a statement of RDF may take
    rows = f'id,title,more\n1,{long},x\n2,"{"<<" * 200}",y\n'
    (folder / "items.csv").write_text(rows, "utf-8")
    (garden / "garden.ttl").write_text("<urn:a:b> <urn:c:d> <urn:e:f> .", "utf-8")
    reading = Reading(Limits(statements=5))
    both = read([folder, garden / "garden.ttl"], garden / "schema.toml", reading=reading)
    assert both.graph.items.titles[0] == long
    assert both.graph.items.titles[1] == "<<" * 200


def test_rare_iris_of_tables_are_taken_beside_rdf_and_forgotten_by(
    garden: Path, tmp_path: Path
) -> None:
    folder = tables_in(tmp_path / "tables")
    (folder / "items.csv").write_text("id,title\nhttp://e.org/%zz,é\n", "utf-8")
    (folder / "ratings.csv").write_text("u,i,r\n1,http://e.org/%zz,5\n2,http://e.org/%zz,4\n")
    text = SCHEMA.replace('id = "id"', 'id = { column = "id", iri = "{}" }')
    text = text.replace('item = "i"', 'item = { column = "i", iri = "{}" }')
    tables = read([folder], Schema.loads(text))
    (garden / "garden.ttl").write_text("<urn:a:b> <urn:c:d> <urn:e:f> .", "utf-8")
    both = read([folder, garden / "garden.ttl"], Schema.loads(text))
    assert list(both.graph.items.vocabulary) == list(tables.graph.items.vocabulary)
    left, _ = without_person(tables, "https://example.org/user/1")
    assert list(left.graph.items.vocabulary) == ["http://e.org/%zz"]


def test_a_cell_beyond_the_parser_is_an_error_that_names_the_table(
    garden: Path, tmp_path: Path
) -> None:
    title = "\\" * (9 << 20)  # escaped, 18 MiB
    items = tmp_path / "items.parquet"
    write_table(items, pa.table({"id": ["1"], "title": [title]}))
    write_table(tmp_path / "ratings.parquet", pa.table({"u": ["1"], "i": ["1"], "r": ["5"]}))
    with pytest.raises(ParseError, match="more than 16 MiB") as caught:
        read([items, tmp_path / "ratings.parquet", garden / "garden.ttl"], garden / "schema.toml")
    assert caught.value.where.startswith(str(items))
