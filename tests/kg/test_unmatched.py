"""What the schema names and the data lacks is a finding that names the nearest IRI of the data."""

from __future__ import annotations

import pytest

from coldframe.kg.errors import DataError
from coldframe.kg.mapping import graph_from_quads
from coldframe.kg.problems import Problem
from coldframe.kg.reader import read_quads
from coldframe.kg.schema import Schema
from coldframe.kg.unmatched import closest_iri

DATA = b"""@prefix : <http://schema.org/> . @prefix ex: <https://example.org/ont#> .
ex:a a :Movie ; :name "A" ; ex:genre ex:g ; ex:year 1999 . ex:g a ex:Genre .
"""
SCHEMA = """
items = "item"
[prefixes]
ex = "https://example.org/ont#"
slash = "https://example.org/ont/"
[nodes.item]
class = "http://schema.org/Movie"
text.title = "http://schema.org/name"
number.year = "ex:year"
[nodes.genre]
class = "ex:Genre"
[relations.genre]
property = "ex:genre"
from = "item"
to = "genre"
"""


def unmatched(schema: str, data: bytes = DATA) -> list[Problem]:
    """The findings of this kind of the data read through a schema."""
    _, report = graph_from_quads(read_quads(data, syntax="turtle"), Schema.loads(schema))
    return [problem for problem in report.problems if problem.kind == "unmatched"]


def test_a_schema_that_matches_has_no_such_finding() -> None:
    assert unmatched(SCHEMA) == []


@pytest.mark.parametrize(
    "right, wrong, key, near",
    [
        ('"http://schema.org/name"', '"schema:name"', "nodes.item.title", "http://schema.org/name"),
        ('"ex:year"', '"ex:yaer"', "nodes.item.year", "https://example.org/ont#year"),
        ('"ex:Genre"', '"slash:Genre"', "nodes.genre.class", "https://example.org/ont#Genre"),
        ('"ex:genre"', '"ex:gennre"', "relations.genre", "https://example.org/ont#genre"),
    ],
)
def test_a_slip_names_its_key_and_the_nearest_iri(
    right: str, wrong: str, key: str, near: str
) -> None:
    (problem,) = unmatched(SCHEMA.replace(right, wrong))
    assert (problem.property, problem.message.rpartition(": ")[2]) == (key, near)


def test_event_classes_roles_and_plain_properties_are_looked_for() -> None:
    found = unmatched(
        SCHEMA
        + '[nodes.user]\n[events.rated]\nclass = "ex:Rated"\nuser = "ex:by"\nitem = "ex:of"\n'
        + '[events.liked]\nproperty = "ex:liked"\n'
    )
    keys = ["events.liked", "events.rated.class", "events.rated.item", "events.rated.user"]
    assert [problem.property for problem in found] == keys


def test_an_inverse_states_the_edges_as_well() -> None:
    schema = SCHEMA.replace('"ex:genre"', '"ex:genres"\ninverse = "ex:genre"')
    assert unmatched(schema) == []


def test_a_class_whose_nodes_are_all_of_a_subclass_is_matched() -> None:
    below = b"ex:Sub <http://www.w3.org/2000/01/rdf-schema#subClassOf> ex:Genre ."
    assert unmatched(SCHEMA, DATA.replace(b"a ex:Genre", b"a ex:Sub") + below) == []


def test_nothing_similar_is_no_nearest_iri() -> None:
    assert closest_iri("urn:a", ["https://example.org/b"]) == ""


def test_a_catalog_without_any_node_names_the_nearest_class() -> None:
    with pytest.raises(DataError) as caught:
        unmatched('items = "item"\n[nodes.item]\nclass = "https://schema.org/Movie"\n')
    assert "nearest: http://schema.org/Movie" in caught.value.hint
