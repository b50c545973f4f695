"""Drafted schemas load, and building with them finds what is in the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.catalog import read
from coldframe.kg.errors import DataError
from coldframe.kg.infer import infer_schema, plain_name, telling_name
from coldframe.kg.infer_types import Types
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.quads import Quads
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import Schema
from coldframe.kg.tables import graph_from_tables

PREFIXES = (
    "@prefix : <https://example.org/v#> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> ."
    "@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .\n"
)


def shop() -> Quads:
    """60 products with makers behind a production node, topics in a tree, and 90 ratings."""
    lines = [PREFIXES]
    for i in range(60):
        lines.append(
            f':p{i} a :Product ; rdfs:label "Product number {i} of many" ; :price {i}.5 ;'
            f' :colour "{("red", "green")[i % 2]}" ; :topic :t{i % 6} ; :made :made{i} ; :tag :g{i % 4} ;'
            f' :page "http://example.org/{i}" .'
            f":made{i} a :Production ; :by :m{i % 5} . :m{i % 5} :makes :other . "
        )
        lines.append(f":t{i % 6} :holds :p{i} .")
    lines += [f":t{k} a skos:Concept ; skos:broader :t{k // 2} ." for k in range(1, 6)]
    lines += [":t0 a skos:Concept ; skos:prefLabel 'Everything' ."]
    lines += [f":m{k} a :Maker ; rdfs:label 'Maker {k}' ." for k in range(5)]
    lines += [f":u{k} a :Customer ." for k in range(9)]
    lines += [
        f':e{k} a :Review ; :who :u{k % 9} ; :what :p{k % 60} ; :stars {k % 5} ; :at "2020-01-0{k % 9 + 1}" .'
        for k in range(90)
    ]
    return read_quads("\n".join(lines).encode(), syntax="turtle")


def test_a_draft_from_rdf_finds_types_relations_and_events() -> None:
    text = infer_schema(shop())
    schema = Schema.loads(text)
    assert (schema.user_type, schema.item_type) == ("customer", "product")
    kinds = {f.name: f.kind for f in schema.nodes["product"].features}
    assert kinds == {"label": "text", "price": "number", "colour": "category"}
    assert "# text.page" in text  # an identifier is left out, and said to be
    maker = next(r for r in schema.relations.values() if r.targets == ("maker",))
    assert len(maker.path.hops) == 2
    assert "production" not in schema.nodes
    topic = next(
        r for r in schema.relations.values() if r.sources == ("product",) and "concept" in r.targets
    )
    assert topic.inverse.endswith("holds")
    assert schema.relations["broader"].closure
    assert set(schema.events["review"].roles) == {"user", "item", "rating", "time"}
    graph, report = graph_from_quads(shop(), schema)
    assert len(graph.interactions) == 90
    assert report.edges["review"] == 90
    assert not report.problems
    assert report.edges["tag"] == 60


def test_a_draft_from_tables_builds_the_same_tables() -> None:
    tables = {
        "films": pa.table(
            {
                "film_id": ["1", "2", "3"],
                "title": ["a rose", "two tulips", "more"],
                "genres": ["x|y", "y", "x|y"],
                "price": [1.0, 2.5, None],
                "empty": pa.array([None, None, None], pa.string()),
            }
        ),
        "ratings": pa.table(
            {
                "user_id": [1, 2, 1],
                "film_id": [1, 1, 3],
                "rating": [5, 3, 4],
                "timestamp": [1, 2, 3],
            }
        ),
    }
    schema = Schema.loads(infer_schema(tables))
    graph, report = graph_from_tables(tables, schema)
    assert (graph.user_type, graph.item_type) == ("user", "film")
    assert report.nodes == {"film": 3, "user": 2, "genre": 2}
    assert report.edges == {"genres": 5, "rating": 3}
    assert graph.items.texts["title"] == ("a rose", "two tulips", "more")
    assert graph.interactions.time.tolist() == [1, 3, 2]  # by user, then item
    assert not report.problems


def test_tables_without_events_and_files(tmp_path: Path) -> None:
    (tmp_path / "products.csv").write_text("id,name\n1,a rose\n2,a lily\n", "utf-8")
    assert read([tmp_path / "products.csv"]).graph.items.titles == ("a rose", "a lily")
    assert 'file = "products.csv"' in infer_schema(tmp_path)


def test_reading_rdf_without_a_schema_drafts_one(tmp_path: Path) -> None:
    path = tmp_path / "x.ttl"
    path.write_text(PREFIXES + ":a a :Thing ; rdfs:label 'A name' . :b a :Thing .", "utf-8")
    assert read(path).graph.n_items == 2


def test_nothing_to_draft_from_is_an_error() -> None:
    with pytest.raises(DataError, match="rdf:type"):
        infer_schema(read_quads(b"<urn:a> <urn:b> <urn:c> .", syntax="ntriples"))
    with pytest.raises(DataError, match="no rows"):
        infer_schema({"x": pa.table({"id": pa.array([], pa.string())})})
    with pytest.raises(DataError, match="distinct ids"):
        infer_schema({"x": pa.table({"id": ["1", "1"]})})
    with pytest.raises(DataError, match="no RDF"):
        infer_schema([])


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("E22_Man-Made_Object", "man_made_object"),
        ("starRating", "star_rating"),
        ("P7", "p7"),
        ("Größe", "grosse"),
        ("Prix d'été", "prix_d_ete"),
        ("цена", "thing"),
    ],
)
def test_readable_names(raw: str, name: str) -> None:
    assert plain_name(raw) == name


def test_the_museum_draft_needs_trimming_only(data_folder: Path) -> None:
    quads = read_quads(data_folder / "aac-npg-rdf")
    schema = Schema.loads(infer_schema(quads))
    graph, _ = graph_from_quads(quads, schema)
    assert graph.n_items == 16_846
    assert schema.nodes[schema.item_type].classes[0].endswith("E22_Man-Made_Object")
    makers = [r for r in schema.relations.values() if "P14_carried_out_by" in r.path.text]
    assert [len(r.path.hops) for r in makers] == [2]


def test_nodes_without_class_that_relations_share_become_one_type() -> None:
    lines = [PREFIXES]
    for i in range(40):
        lines.append(
            f":f{i} a :Film ; rdfs:label 'Film {i} of forty' ; :genre :genre{i % 4} ;"
            f" :director <https://example.org/person/{i % 7}> ;"
            f" :writer <https://example.org/person/{i % 7 + i % 2}> ."
        )
        lines.append(f":s{i} a :Show ; rdfs:label 'Show {i}' ; :director :crew{i % 5} .")
    schema = Schema.loads(infer_schema(read_quads("\n".join(lines).encode(), syntax="turtle")))
    assert set(schema.nodes) == {"film", "show", "genre", "person", "director"}
    ends = {name: (r.sources, r.targets) for name, r in schema.relations.items()}
    assert ends == {
        "director": (("film",), ("person",)),
        "writer": (("film",), ("person",)),
        "genre": (("film",), ("genre",)),
        "show_director": (("show",), ("director",)),
    }


def test_short_literals_of_which_a_node_has_several_become_nodes() -> None:
    colours = ("red", "blue", "green")
    lines = [PREFIXES]
    for i in range(40):
        own = f'"{colours[i % 3]}", "{colours[(i + 1) % 3]}"'
        lines.append(f":p{i} a :Thing ; rdfs:label 'Thing {i} of forty' ; :color {own} .")
    quads = read_quads("\n".join(lines).encode(), syntax="turtle")
    graph, _ = graph_from_quads(quads, Schema.loads(infer_schema(quads)))
    assert graph.nodes["color"].titles == ("blue", "green", "red")
    assert graph.edges["thing", "color", "color"].index.shape == (2, 80)


def test_a_name_that_is_taken_is_told_apart_by_the_step_that_differs() -> None:
    birth, death = "<urn:x/birth>/<urn:x/date>", "<urn:x/death>/<urn:x/date>"
    assert telling_name(birth, "actor", {}) == "date"
    assert telling_name(death, "actor", {"date": birth}) == "death_date"
    assert telling_name("<urn:x/birth>/<urn:x/label>", "actor", {}) == "birth"
    taken = {"birth": "<urn:x/birth>/<urn:x/value>"}
    assert telling_name("<urn:x/birth>/<urn:x/label>", "actor", taken) == "birth_label"
    assert telling_name("<urn:x/date>", "show", {"date": birth}) == "show_date"
    taken = {"date": "<urn:x/date>", "show_date": "<urn:y/date>"}
    assert telling_name("<urn:x/date>", "show", taken) == "date_2"


def test_a_draft_keeps_the_users_of_a_single_event_each() -> None:
    lines = [PREFIXES]
    for i in range(30):
        lines.append(f":p{i} a :Product ; rdfs:label 'Product {i} of thirty' . :u{i} a :User .")
        lines.append(f":e{i} a :Order ; :by :u{i} ; :of :p{i} .")
    schema = Schema.loads(infer_schema(read_quads("\n".join(lines).encode(), syntax="turtle")))
    assert (schema.user_type, schema.item_type) == ("user", "product")


def many_likes(direction: str) -> str:
    """20 products with makers, and users who like some, said in one or both directions."""
    lines = [PREFIXES]
    for k in range(20):
        lines.append(f':p{k} a :Product ; rdfs:label "Product {k} of many" ; :by :m{k % 4} .')
        lines.append(f":m{k % 4} a :Maker ; rdfs:label 'Maker' . :u{k % 6} a :User ; :age {k} .")
        for other in (k % 3, 5 + k % 7):
            if direction != "back":
                lines.append(f":u{k % 6} :likes :p{other} .")
            if direction != "forward":
                lines.append(f":p{other} :likedBy :u{k % 6} .")
    return "\n".join(lines)


@pytest.mark.parametrize("direction", ["forward", "both"])
def test_what_joins_users_and_items_is_drafted_as_an_event(direction: str) -> None:
    quads = read_quads(many_likes(direction).encode(), syntax="turtle")
    schema = Schema.loads(infer_schema(quads))
    assert (schema.user_type, schema.item_type) == ("user", "product")
    (event,) = schema.events.values()
    assert event.property.endswith("#likes")
    assert event.inverse.endswith("#likedBy") == (direction == "both")
    graph, _ = graph_from_quads(quads, schema)
    assert len(graph.interactions)
    assert {relation for _, relation, _ in graph.edges} == {"by"}


def test_items_of_several_classes_are_one_type_of_an_event() -> None:
    lines = [PREFIXES]
    for k in range(30):
        kind = ("Film", "Series", "Film")[k % 3]
        lines.append(f":i{k} a :{kind} ; rdfs:label 'Number {k} of the list' ; :genre :g{k % 4} .")
        lines.append(f":g{k % 4} a :Genre . :u{k % 8} a :User .")
    lines += [f":e{k} a :View ; :who :u{k % 8} ; :what :i{k % 30} ." for k in range(90)]
    quads = read_quads("\n".join(lines).encode(), syntax="turtle")
    schema = Schema.loads(infer_schema(quads))
    assert schema.item_type == "film"
    assert [iri.rpartition("#")[2] for iri in schema.nodes["film"].classes] == ["Film", "Series"]
    assert "series" not in schema.nodes
    graph, report = graph_from_quads(quads, schema)
    assert (graph.n_items, len(graph.interactions)) == (30, 90)
    assert not report.problems


def test_each_property_is_looked_through_once_for_all_types(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quads, asked = shop(), []

    def counted(one: Quads, predicate: int | str) -> slice:
        asked.append(predicate)
        return rows_of(one, predicate)

    rows_of = Quads.rows_of
    monkeypatch.setattr(Quads, "rows_of", counted)
    types = Types(quads)
    assert len(types.classes) > 4
    assert len(asked) <= len(np.unique(quads.p)) + 1


def tree(lines: str) -> Schema:
    """The draft of a tree of 40 concepts and further statements."""
    concepts = [f":t{k} a skos:Concept ; skos:broader :t{k // 2} ." for k in range(1, 40)]
    text = PREFIXES + " ".join([":t0 a skos:Concept .", *concepts, lines])
    return Schema.loads(infer_schema(read_quads(text.encode(), syntax="turtle")))


def test_a_property_that_tells_a_part_of_a_relation_from_above_is_its_inverse() -> None:
    below = " ".join(f":t{k // 2} skos:narrower :t{k} ." for k in range(1, 40, 3))
    (broader,) = tree(below).relations.values()
    assert broader.inverse == "http://www.w3.org/2004/02/skos/core#narrower"


def test_what_is_a_relation_already_is_no_inverse_of_another() -> None:
    relations = tree(":t0 :down :t1 .").relations
    assert relations["broader"].inverse == ""
    assert all(each.inverse == "" for each in relations.values())


def test_parts_in_a_ring_are_things() -> None:
    lines = [f":p{k} a ex:Part ; ex:next :p{(k + 1) % 20} ." for k in range(20)]
    text = PREFIXES + "@prefix ex: <http://ex.example/> . " + " ".join(lines)
    schema = Schema.loads(infer_schema(read_quads(text.encode(), syntax="turtle")))
    assert schema.item_type == "part"


def test_plain_events_of_a_name_that_events_have_get_another() -> None:
    lines = [
        f":u{k % 9} a ex:User ; ex:rating :i{k % 7} . :i{k % 7} a ex:Item ; ex:about ex:x{k % 3} ."
        f":r{k} a ex:Rating ; ex:by :u{k % 9} ; ex:of :i{k % 7} ; ex:stars {k % 5} ."
        for k in range(60)
    ]
    text = PREFIXES + "@prefix ex: <http://ex.example/> . " + " ".join(lines)
    schema = Schema.loads(infer_schema(read_quads(text.encode(), syntax="turtle")))
    assert set(schema.events) == {"rating", "rating_2"}
