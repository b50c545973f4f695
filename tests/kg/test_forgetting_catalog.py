"""A catalog without a person: her events, her other names and her blank nodes go; the rest stays."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from coldframe.kg.catalog import Catalog
from coldframe.kg.forgetting import replace_catalog, without_person
from coldframe.kg.scan import scan

SCHEMA = """
name = "shop"
users = "buyer"
items = "plant"
same_as = ["http://www.w3.org/2002/07/owl#sameAs"]

[prefixes]
ex = "https://e.org/"

[nodes.plant]
class = "ex:Plant"
iri = "ex:plant/{}"
text.title = "ex:title"

[nodes.buyer]
class = "ex:Buyer"
iri = "ex:buyer/{}"

[events.bought]
class = "ex:Purchase"
user = "ex:buyer"
item = "ex:plant"
"""
TABLES = """
[tables.plants]
nodes = "plant"
id = "id"
columns = { title = "title" }

[tables.bought]
events = "bought"
columns = { user = "buyer", item = "plant" }
"""
FACTS = """
@prefix ex: <https://e.org/> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
<https://e.org/plant/1> a ex:Plant ; ex:title "Rose" ; ex:planter <https://e.org/buyer/eve> .
<https://e.org/buyer/ada> a ex:Buyer ; ex:lives _:town .
<https://e.org/buyer/eve> a ex:Buyer ; ex:lives _:town ; ex:card [ ex:number "4711" ; ex:by [ ex:bank "B" ] ] .
<https://f.org/x/eva> owl:sameAs <https://e.org/buyer/eve> ; ex:mail "eva@f.org" .
_:town ex:title "Lund" .
<https://e.org/bought/1> a ex:Purchase ; ex:buyer <https://e.org/buyer/eve> ; ex:plant <https://e.org/plant/1> ; ex:note "for eva" .
<https://e.org/bought/2> a ex:Purchase ; ex:buyer <https://e.org/buyer/ada> ; ex:plant <https://e.org/plant/1> .
"""
EVE = "https://e.org/buyer/eve"


def test_everything_of_hers_goes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "facts.ttl").write_text(FACTS)
    (tmp_path / "schema.toml").write_text(SCHEMA)
    catalog, _ = Catalog.ingest(
        tmp_path / "facts.ttl", tmp_path / "schema.toml", tmp_path / "catalog"
    )
    new, names = without_person(catalog, EVE)
    assert {EVE, "eve", "https://f.org/x/eva", "eva"} <= names
    lines = "\n".join(new.quads().lines())
    for gone in ("eve", "eva", "4711", '"B"', "bought/1"):
        assert gone not in lines
    for left in ("Rose", "ada", "Lund", "lives", "bought/2"):
        assert left in lines
    assert list(new.graph.users.vocabulary) == ["https://e.org/buyer/ada"]
    assert len(new.graph.interactions) == 1
    replace_catalog(catalog, new, names)
    again = Catalog.open(catalog.path)
    assert again.content_hash == new.content_hash != catalog.content_hash
    assert scan([catalog.path], names).hits == ()
    nobody, _ = without_person(again, "https://e.org/buyer/ada")
    assert (len(nobody.graph.users), len(nobody.graph.items)) == (0, 1)


def test_a_catalog_of_tables(tmp_path: Path) -> None:
    (tmp_path / "schema.toml").write_text(SCHEMA + TABLES)
    tables = {
        "plants": pa.table({"id": ["1", "2"], "title": ["Rose", "Iris"]}),
        "bought": pa.table({"buyer": ["eve", "ada", "eve"], "plant": ["1", "2", "2"]}),
    }
    catalog, _ = Catalog.ingest(tables, tmp_path / "schema.toml", tmp_path / "catalog")
    new, names = without_person(catalog, EVE)
    assert list(new.graph.users.vocabulary) == ["https://e.org/buyer/ada"]
    assert list(new.graph.items.vocabulary) == list(catalog.graph.items.vocabulary)
    assert (new.graph.interactions.user.tolist(), new.graph.interactions.item.tolist()) == (
        [0],
        [1],
    )
    assert new.graph.items.documents == catalog.graph.items.documents
    replace_catalog(catalog, new, names)
    assert scan([catalog.path], names).hits == ()
    assert len(Catalog.open(catalog.path).graph.interactions) == 1
