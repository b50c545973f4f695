"""A catalog without a person: her events, her other names and her blank nodes go; the rest stays."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest

from coldframe.kg.catalog import Catalog, read
from coldframe.kg.catalog_folder import write_catalog
from coldframe.kg.errors import LockedError
from coldframe.kg.forgetting import replace_catalog, without_person
from coldframe.kg.guarded import Limits
from coldframe.kg.person import Person
from coldframe.kg.provenance import record_round
from coldframe.kg.reading import Reading
from coldframe.kg.scan import scan
from coldframe.kg.schema import Schema

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
    new, person = without_person(catalog, EVE)
    assert {EVE, "https://f.org/x/eva", "urn:coldframe:annotator:eve"} <= person.iris
    assert person.ids == {"eve", "eva"}
    lines = "\n".join(new.quads().lines())
    for gone in ("eve", "eva", "4711", '"B"', "bought/1"):
        assert gone not in lines
    for left in ("Rose", "ada", "Lund", "lives", "bought/2"):
        assert left in lines
    assert list(new.graph.users.vocabulary) == ["https://e.org/buyer/ada"]
    assert len(new.graph.interactions) == 1
    replace_catalog(catalog, new, person)
    again = Catalog.open(catalog.path)
    assert again.content_hash == new.content_hash != catalog.content_hash
    assert scan([catalog.path], person).hits == ()
    nobody, _ = without_person(again, "https://e.org/buyer/ada")
    assert (len(nobody.graph.users), len(nobody.graph.items)) == (0, 1)


def test_an_event_of_a_subclass_goes_as_a_whole(tmp_path: Path) -> None:
    gift = FACTS.replace("bought/1> a ex:Purchase", "bought/1> a ex:Gift")
    gift += "ex:Gift <http://www.w3.org/2000/01/rdf-schema#subClassOf> ex:Purchase .\n"
    (tmp_path / "facts.ttl").write_text(gift)
    (tmp_path / "schema.toml").write_text(SCHEMA)
    catalog, _ = Catalog.ingest(
        tmp_path / "facts.ttl", tmp_path / "schema.toml", tmp_path / "catalog"
    )
    assert len(catalog.graph.interactions) == 2
    new, _ = without_person(catalog, EVE)
    assert "bought/1" not in "\n".join(new.quads().lines())


def test_a_catalog_of_tables(tmp_path: Path) -> None:
    (tmp_path / "schema.toml").write_text(SCHEMA + TABLES)
    tables = {
        "plants": pa.table({"id": ["1", "2"], "title": ["Rose", "Iris"]}),
        "bought": pa.table({"buyer": ["eve", "ada", "eve"], "plant": ["1", "2", "2"]}),
    }
    catalog, _ = Catalog.ingest(tables, tmp_path / "schema.toml", tmp_path / "catalog")
    new, person = without_person(catalog, EVE)
    assert list(new.graph.users.vocabulary) == ["https://e.org/buyer/ada"]
    assert list(new.graph.items.vocabulary) == list(catalog.graph.items.vocabulary)
    assert (new.graph.interactions.user.tolist(), new.graph.interactions.item.tolist()) == (
        [0],
        [1],
    )
    assert new.graph.items.documents == catalog.graph.items.documents
    replace_catalog(catalog, new, person)
    assert scan([catalog.path], person).hits == ()
    assert len(Catalog.open(catalog.path).graph.interactions) == 1


@pytest.mark.parametrize(
    "said",
    [
        "ex:e a ex:Gift ; ex:buyer <{eve}> . ex:Gift rdfs:subClassOf ex:Purchase .",
        "ex:e a ex:Purchase ; ex:bill ex:b . ex:b ex:buyer <{eve}> .",
    ],
    ids=["of a subclass", "along a path"],
)
def test_events_go_as_the_schema_finds_them(tmp_path: Path, said: str) -> None:
    path = "ex:bill/ex:buyer" if "ex:bill" in said else "ex:buyer"
    schema = Schema.loads(SCHEMA.replace('user = "ex:buyer"', f'user = "{path}"'))
    (tmp_path / "facts.ttl").write_text(
        FACTS
        + "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
        + said.format(eve=EVE)
        + '\nex:e ex:plant <https://e.org/plant/1> ; ex:note "private" .'
    )
    new, _ = without_person(read(tmp_path / "facts.ttl", schema), EVE)
    assert not [line for line in new.quads().lines() if "e.org/e>" in line or "private" in line]


def test_a_text_that_a_raised_limit_let_in_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "facts.ttl").write_text(FACTS.replace("Rose", "Rose" * 200_000))
    reading = Reading(Limits(statement_bytes=1 << 20))
    catalog = read(tmp_path / "facts.ttl", Schema.loads(SCHEMA), reading=reading)
    new, _ = without_person(catalog, EVE)
    assert len(new.graph.items.documents[0]) == 800_000


@pytest.mark.R(26)
def test_an_item_and_a_user_of_one_id_are_told_apart(tmp_path: Path) -> None:
    """Plant 1, buyer 1, round 1 and the annotator "2": only what is said of buyer 1 goes."""
    (tmp_path / "schema.toml").write_text(SCHEMA + TABLES)
    tables = {
        "plants": pa.table({"id": ["1", "2"], "title": ["1", "Iris"]}),
        "bought": pa.table({"buyer": ["1", "2", "2"], "plant": ["1", "1", "2"]}),
    }
    catalog, _ = Catalog.ingest(tables, tmp_path / "schema.toml", tmp_path / "catalog")
    buyer, plant = "https://e.org/buyer/", "https://e.org/plant/"
    said = [
        (f"{buyer}1", f"{plant}2", ""),
        (f"{buyer}2", f"{plant}1", "2"),
        (f"{buyer}2", f"{plant}2", "1"),
    ]
    rows = [{"user": u, "item": i, "answer": "like", "annotator": a} for u, i, a in said]
    with catalog.store() as store:
        graph = record_round(store, 1, rows)
    assert scan([catalog.path], Person.of([f"{buyer}1"], [], ["buyer"])).hits
    new, person = without_person(catalog, f"{buyer}1")
    assert person.ids == {"1"}
    assert "buyer" in person.places
    replace_catalog(catalog, new, person)
    assert scan([catalog.path], person).hits == ()  # the title "1" and the plant 1 are not she
    again = Catalog.open(catalog.path)
    assert list(again.graph.items.vocabulary) == list(catalog.graph.items.vocabulary)
    assert again.graph.items.documents == catalog.graph.items.documents
    with again.store() as store:
        left = store.select(
            "SELECT ?u ?i { GRAPH ?g { ?a <urn:coldframe:ns#user> ?u ; <urn:coldframe:ns#item> ?i } }"
        )
        of_round = store.select(
            f"SELECT ?n {{ GRAPH <{graph}> {{ ?g <urn:coldframe:ns#round> ?n }} }}"
        )
    assert left.to_pylist() == [{"u": f"{buyer}2", "i": f"{plant}1"}]
    assert of_round["n"].to_pylist() == ["1"]


@pytest.mark.R(26)
def test_what_names_a_person_and_what_does_not() -> None:
    her = "https://e.org/buyer/7"
    person = Person.of([her, "https://f.org/x/8"], [her, "https://e.org/buyer/8"], ["buyer"])
    assert person.ids == {"7"}  # another buyer is called 8
    assert Person.restored(person.as_dict()) == person
    for value in (
        {"user": "7"}, {"annotator": "7"}, {"buyer": "7"}, {"users": ["1", "7"]}, {"note": f"see {her}."},
        {her: 1}, {"a": [{"b": quote(her, safe="")}]}, {"annotators": {"7": 1}}, {"who": "https://f.org/x/8"},
    ):  # fmt: skip
        assert person.is_in(value), value
    for value in (
        {"item": "7"},
        {"user": "8"},
        {"note": "7"},
        {"user": 7},
        {"x": her + "0"},
        "7",
        7,
        None,
    ):
        assert not person.is_in(value), value


def test_nobody_writes_a_round_into_a_catalog_that_is_being_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "facts.ttl").write_text(FACTS)
    (tmp_path / "schema.toml").write_text(SCHEMA)
    catalog, _ = Catalog.ingest(
        tmp_path / "facts.ttl", tmp_path / "schema.toml", tmp_path / "catalog"
    )
    new, person = without_person(catalog, EVE)

    def write(new: Catalog, folder: Path) -> None:
        with pytest.raises(LockedError, match="in use"):
            catalog.store(facts=False)
        write_catalog(new, folder)

    monkeypatch.setattr("coldframe.kg.forgetting.write_catalog", write)
    replace_catalog(catalog, new, person)
    with Catalog.open(catalog.path).store() as store:  # and the new one's lock is free
        assert store.graphs() == []
