"""A catalog as one RDF file: read again it is the same graph, and the rounds stand in their own graphs."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyoxigraph as ox
import pytest

from coldframe.kg.cache import graph_hash
from coldframe.kg.catalog import Catalog, read
from coldframe.kg.catalog_store import ROUNDS
from coldframe.kg.errors import LockedError, UsageError
from coldframe.kg.rdf_files import write_rdf
from coldframe.kg.schema import Schema

SCHEMA = Schema.loads("""
users = "user"
items = "item"
[prefixes]
ex = "https://example.org/"
"a b" = "https://example.org/odd/"
[nodes.item]
class = "ex:Item"
text.title = "ex:title"
[nodes.user]
class = "ex:User"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
""")
TURTLE = """@prefix : <https://example.org/> .
:item1 a :Item ; :title "Rose \\"red\\"\\n"@en . :item2 a :Item ; :near [ :height 3 ] . :user1 a :User .
:e a :Rating ; :by :user1 ; :of :item1 .
"""
ROUND = f"{ROUNDS}1:round:1"


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A folder with nine statements and a round of one."""
    (tmp_path / "garden.ttl").write_text(TURTLE, "utf-8")
    made, _ = Catalog.ingest(tmp_path / "garden.ttl", SCHEMA, tmp_path / "catalog")
    by, user = (ox.NamedNode(f"https://example.org/{name}") for name in ("by", "user1"))
    with made.store(facts=False) as store:
        store.add([ox.Triple(ox.NamedNode("urn:answer:1"), by, user)], ROUND)
    return made


@pytest.mark.parametrize("name", ["a.nq", "a.trig", "a.nt", "a.ttl", "a.nq.gz", "a.TTL.GZ"])
def test_read_again_it_is_the_same_graph(catalog: Catalog, tmp_path: Path, name: str) -> None:
    with_rounds = "nq" in name or "trig" in name
    assert write_rdf(catalog, tmp_path / name) == 9 + with_rounds
    assert graph_hash(read(tmp_path / name, SCHEMA).graph) == graph_hash(catalog.graph)
    raw = (tmp_path / name).read_bytes()
    text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode()
    assert (f"<{ROUND}>" in text) == with_rounds
    assert write_rdf(catalog, tmp_path / name) == 9 + with_rounds
    assert (tmp_path / name).read_bytes() == raw


def test_tables_are_written_by_the_schema(tmp_path: Path) -> None:
    tables = {"items": {"id": ["r", "t"], "name": ["Rose", "Tulip"], "kind": ["tall", "small"]}}
    schema = Schema.loads(
        """
items = "item"
users = "user"
[nodes.user]
iri = "urn:user:{}"
[nodes.item]
iri = "urn:item:{}"
text.title = "urn:title"
category.kind = "urn:kind"
[tables.items]
nodes = "item"
id = "id"
columns = { title = "name", kind = "kind" }
"""
    )
    made = read(tables, schema)
    for name in ("items.nq", "items.ttl"):
        write_rdf(made, tmp_path / name)
        again = read(tmp_path / name, made.schema)
        assert graph_hash(again.graph) == graph_hash(made.graph)


def test_another_suffix_and_a_store_in_use_leave_no_file(catalog: Catalog, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UsageError, match=r"no RDF is written to '\.csv'"):
        write_rdf(catalog, tmp_path / "a.csv")
    with catalog.store(), pytest.raises(LockedError):
        write_rdf(catalog, tmp_path / "a.nq")
    assert sorted(tmp_path.iterdir()) == before
