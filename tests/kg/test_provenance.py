"""Rounds of answers in a store: written once, read as events, taken back whole."""

from __future__ import annotations

import pyarrow as pa
import pytest

from coldframe.kg.errors import DataError, StateError
from coldframe.kg.provenance import (
    EventTerms,
    RoundRecord,
    record_round,
    recorded_rounds,
    rollback_round,
)
from coldframe.kg.schema import Schema
from coldframe.kg.store import MemoryStore

EX = "https://example.org/"
SCHEMA = """
name = "t"
users = "user"
items = "item"
[nodes.user]
class = "schema:Person"
[nodes.item]
class = "schema:Product"
[events.rating]
class = "schema:Rating"
user = "schema:author"
item = "schema:itemReviewed"
rating = "schema:ratingValue"
time = "schema:dateCreated"
positive = 4
"""
ANSWERS = [
    {"user": EX + "u1", "item": EX + "i1", "answer": "like", "annotator": "Ada L.", "time": 0.5},
    {"user": EX + "u1", "item": EX + "i2", "answer": "dislike", "annotator": None, "time": None},
    {"user": EX + "u2", "item": EX + "i1", "answer": "cannot tell"},
    {"user": EX + "u2", "item": EX + "i2", "answer": "like", "rating": 5.0},
]


def terms() -> EventTerms:
    return EventTerms.of(Schema.loads(SCHEMA).events["rating"])


def ratings(store: MemoryStore, graph: str) -> dict[tuple[str, str], str]:
    table = store.select(
        f"PREFIX s: <https://schema.org/> SELECT ?u ?i ?r {{ GRAPH <{graph}> "
        "{ ?e a s:Rating ; s:author ?u ; s:itemReviewed ?i ; s:ratingValue ?r } }"
    )
    return {(row["u"], row["i"]): row["r"] for row in table.to_pylist()}


def test_answers_are_events_of_the_schema() -> None:
    store = MemoryStore()
    graph = record_round(store, 3, ANSWERS, run="a run/1", terms=terms())
    assert graph == "urn:coldframe:run:a%20run%2F1:round:3"
    found = {key: float(value) for key, value in ratings(store, graph).items()}
    assert found == {
        (EX + "u1", EX + "i1"): 4.0,
        (EX + "u1", EX + "i2"): 3.0,
        (EX + "u2", EX + "i2"): 5.0,
    }


def test_provenance_says_who_when_and_how() -> None:
    store = MemoryStore()
    record = RoundRecord("uncertainty", seed=7, model="ab" * 32, started=0.0, ended=60.0)
    graph = record_round(store, 1, pa.Table.from_pylist(ANSWERS[:1]), record=record)
    table = store.select(
        "PREFIX prov: <http://www.w3.org/ns/prov#> PREFIX cf: <urn:coldframe:ns#> "
        f"SELECT ?strategy ?seed ?model ?end ?who ?when ?answer {{ GRAPH <{graph}> {{ "
        f"<{graph}> a prov:Entity ; prov:wasGeneratedBy ?act . ?act cf:strategy ?strategy ; "
        "cf:seed ?seed ; cf:model ?model ; prov:endedAtTime ?end . ?e cf:answer ?answer ; "
        "prov:wasAttributedTo ?who ; prov:generatedAtTime ?when } }"
    )
    assert table.to_pylist() == [
        {
            "strategy": "uncertainty",
            "seed": "7",
            "model": "ab" * 32,
            "end": "1970-01-01T00:01:00Z",
            "who": "urn:coldframe:annotator:Ada%20L.",
            "when": "1970-01-01T00:00:00.5Z",
            "answer": "like",
        }
    ]


def test_recording_twice_changes_nothing_and_more_answers_are_added() -> None:
    store = MemoryStore()
    graph = record_round(store, 1, ANSWERS[:2], terms=terms())
    before = store.count(graph)
    record_round(store, 1, ANSWERS[:2], terms=terms())
    assert store.count(graph) == before
    record_round(store, 1, ANSWERS, terms=terms())
    assert len(ratings(store, graph)) == 3


def test_rolling_back_takes_one_round_and_leaves_the_rest() -> None:
    store = MemoryStore()
    for round in (1, 2, 11):
        record_round(store, round, ANSWERS, terms=terms())
    record_round(store, 2, ANSWERS, run="other")
    held = store.count("urn:coldframe:run:run:round:2")
    assert rollback_round(store, 2) == held > 10
    assert recorded_rounds(store) == [1, 11]
    assert recorded_rounds(store, run="other") == [2]
    with pytest.raises(StateError, match="1, 11"):
        rollback_round(store, 2)


@pytest.mark.parametrize("item", ["no iri", "x:y> <a:b> <c:d", ""])
def test_what_is_no_iri_writes_nothing(item: str) -> None:
    store = MemoryStore()
    with pytest.raises(DataError):
        record_round(store, 1, [*ANSWERS, {"user": EX + "u", "item": item, "answer": "like"}])
    assert store.graphs() == []


def test_a_schema_without_event_nodes_cannot_hold_answers() -> None:
    text = SCHEMA.partition("[events.rating]")[0] + '[events.viewed]\nproperty = "schema:view"\n'
    with pytest.raises(DataError, match="viewed"):
        EventTerms.of(Schema.loads(text).events["viewed"])


def typed(store: MemoryStore, graph: str) -> set[tuple[str, str]]:
    table = store.select(
        f"PREFIX s: <https://schema.org/> SELECT ?u ?i {{ GRAPH <{graph}> "
        "{ ?e a s:Rating ; s:author ?u ; s:itemReviewed ?i } }"
    )
    return {(row["u"], row["i"]) for row in table.to_pylist()}


@pytest.mark.parametrize("rated", [True, False])
def test_where_every_event_is_a_like_a_dislike_is_none(rated: bool) -> None:
    text = SCHEMA.replace("positive = 4\n", "")
    text = text if rated else text.replace('rating = "schema:ratingValue"\n', "")
    words = EventTerms.of(Schema.loads(text).events["rating"])
    store = MemoryStore()
    rows = [row | {"rating": 2.0} for row in ANSWERS]
    graph = record_round(store, 1, rows, terms=words)
    assert typed(store, graph) == {(EX + "u1", EX + "i1"), (EX + "u2", EX + "i2")}


def test_a_rating_that_would_be_read_as_the_contrary_is_not_written() -> None:
    store = MemoryStore()
    told = [(1.0, "like"), (5.0, "dislike"), (4.0, "like"), (2.5, "dislike"), (3.0, "skip")]
    rows = [
        {"user": f"{EX}u{k}", "item": EX + "i", "answer": answer, "rating": rating}
        for k, (rating, answer) in enumerate(told)
    ]
    found = ratings(store, record_round(store, 1, rows, terms=terms()))
    assert [float(found[f"{EX}u{k}", EX + "i"]) for k in range(4)] == [4.0, 3.0, 4.0, 2.5]
    assert len(found) == 4


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ('rating = "schema:ratingValue"', 'rating = "schema:reviewRating / schema:ratingValue"'),
        ('rating = "schema:ratingValue"\n', "negative = true\n"),
    ],
)
def test_an_event_that_would_be_read_otherwise_holds_no_answers(was: str, now: str) -> None:
    text = SCHEMA.replace(was, now)
    text = text.replace("positive = 4\n", "") if "negative" in now else text
    with pytest.raises(DataError, match="rating"):
        EventTerms.of(Schema.loads(text).events["rating"])
    store = MemoryStore()
    graph = record_round(store, 1, ANSWERS, terms=EventTerms(type=""))
    assert typed(store, graph) == set()


def test_several_annotators_are_all_named() -> None:
    store = MemoryStore()
    graph = record_round(store, 1, [ANSWERS[0] | {"annotator": ["Ada", EX + "bob"]}])
    table = store.select(
        "PREFIX prov: <http://www.w3.org/ns/prov#> "
        f"SELECT ?who {{ GRAPH <{graph}> {{ ?e prov:wasAttributedTo ?who . ?who a prov:Agent }} }}"
    )
    assert set(table["who"].to_pylist()) == {"urn:coldframe:annotator:Ada", EX + "bob"}
