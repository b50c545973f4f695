"""Rounds of answers as named graphs with PROV-O: who said what, when, and how to take it back.

One graph per round and run, `urn:coldframe:run:<run>:round:<n>`. Its answers are events in the words
of the catalog's own schema, so that ingesting the store again reads them like all others; what the
schema has no word for (the answer as given, the annotator) is in PROV-O and in the small namespace
`urn:coldframe:ns#`. Rolling back is dropping the graph.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
import pyoxigraph as ox

from .errors import DataError, StateError
from .schema import RDF_TYPE, XSD, Event
from .store import Store, named_node

NAMESPACE = "urn:coldframe:ns#"
PROV = "http://www.w3.org/ns/prov#"
SOFTWARE = "urn:coldframe:software"


@dataclass(frozen=True)
class EventTerms:
    """IRIs of the schema's event, and the ratings that stand for like and dislike.

    Attributes:
        type: class of an event node.
        user, item: properties from the event to its ends.
        rating, time: properties of its values; "" = the schema has none.
        like, dislike: rating written for an answer without one; None = the schema has no rating.
    """

    type: str = "https://schema.org/Action"
    user: str = "https://schema.org/agent"
    item: str = "https://schema.org/object"
    rating: str = ""
    time: str = ""
    like: float | None = None
    dislike: float | None = None

    @classmethod
    def of(cls, event: Event) -> EventTerms:
        """The terms of a schema's event; each role must be one forward property.

        A like is written as the event's threshold, a dislike as one below it.
        """
        found = {name: path.single or "" for name, path in event.roles.items()}
        if not event.classes or not found.get("user") or not found.get("item"):
            raise DataError(
                f"event {event.name!r} has no class with user and item as plain properties",
                hint="answers need an event of nodes in the schema",
            )
        rated = found.get("rating") and event.positive is not None
        return cls(
            type=event.classes[0],
            user=found["user"],
            item=found["item"],
            rating=found.get("rating", ""),
            time=found.get("time", ""),
            like=event.positive if rated else None,
            dislike=event.positive - 1 if rated and event.positive is not None else None,
        )


@dataclass(frozen=True)
class RoundRecord:
    """What is kept of a round beside its answers.

    Attributes:
        strategy, seed: how the questions were picked.
        model: hash of the checkpoint that picked them; "" = none.
        started, ended: seconds since 1970-01-01.
    """

    strategy: str = ""
    seed: int = 0
    model: str = ""
    started: float | None = None
    ended: float | None = None


def round_graph(run: str, round: int) -> str:
    """IRI of a round's graph."""
    return f"urn:coldframe:run:{quote(run, safe='')}:round:{round}"


def record_round(
    store: Store,
    round: int,
    answers: pa.Table | Iterable[Mapping[str, Any]],
    *,
    run: str = "run",
    terms: EventTerms | None = None,
    record: RoundRecord | None = None,
) -> str:
    """Write a round's answers as one named graph; returns its IRI.

    Recording the same answers again changes nothing; further answers of the round are added.

    Args:
        answers: rows with user and item (IRIs), answer ("like", "dislike", "cannot tell"), and
            optionally rating, annotator (a name or IRI), time (seconds since 1970-01-01).

    Raises:
        DataError: a user or item is not an IRI.
    """
    words, kept, graph = terms or EventTerms(), record or RoundRecord(), round_graph(run, round)
    rows = answers.to_pylist() if isinstance(answers, pa.Table) else list(answers)
    statements = _round_statements(graph, round, kept)
    for row in rows:
        statements += _answer_statements(graph, row, words)
    store.add(statements, graph)
    return graph


def rollback_round(store: Store, round: int, *, run: str = "run") -> int:
    """Drop a round's graph; returns how many triples it held.

    Raises:
        StateError: the store holds no such round; names those it holds.
    """
    graph = round_graph(run, round)
    held = store.count(graph)
    if not held:
        known = ", ".join(map(str, recorded_rounds(store, run=run))) or "none"
        raise StateError(f"no round {round} of run {run!r}", hint=f"recorded rounds: {known}")
    store.drop(graph)
    return held


def recorded_rounds(store: Store, *, run: str = "run") -> list[int]:
    """Numbers of a run's rounds in the store, sorted."""
    found = (graph.rpartition(":round:") for graph in store.graphs())
    start = "urn:coldframe:run:"
    return sorted(
        int(number)
        for head, _, number in found
        if head.startswith(start) and unquote(head[len(start) :]) == run and number.isdigit()
    )


def _round_statements(graph: str, round: int, kept: RoundRecord) -> list[ox.Triple]:
    activity = f"{graph}:activity"
    statements = [
        _link(graph, RDF_TYPE, PROV + "Entity"),
        _link(graph, RDF_TYPE, NAMESPACE + "Round"),
        _value(graph, NAMESPACE + "round", str(round), "integer"),
        _link(graph, PROV + "wasGeneratedBy", activity),
        _link(activity, RDF_TYPE, PROV + "Activity"),
        _link(activity, PROV + "wasAssociatedWith", SOFTWARE),
        _link(SOFTWARE, RDF_TYPE, PROV + "SoftwareAgent"),
        _value(activity, NAMESPACE + "seed", str(kept.seed), "integer"),
    ]
    if kept.strategy:
        statements.append(_value(activity, NAMESPACE + "strategy", kept.strategy))
    if kept.model:
        statements.append(_value(activity, NAMESPACE + "model", kept.model))
    for name, moment in (("startedAtTime", kept.started), ("endedAtTime", kept.ended)):
        if moment is not None:
            statements.append(_value(activity, PROV + name, _iso(moment), "dateTime"))
    return statements


def _answer_statements(graph: str, row: Mapping[str, Any], terms: EventTerms) -> list[ox.Triple]:
    user, item, answer = str(row["user"]), str(row["item"]), str(row["answer"])
    pair = hashlib.sha256(f"{len(user)}:{user}{item}".encode()).hexdigest()[:24]
    event = f"{graph}:answer:{pair}"
    statements = [
        _link(event, RDF_TYPE, NAMESPACE + "Answer"),
        _value(event, NAMESPACE + "answer", answer),
        _link(event, NAMESPACE + "user", user),
        _link(event, NAMESPACE + "item", item),
    ]
    rating = row.get("rating")
    if rating is None:
        rating = {"like": terms.like, "dislike": terms.dislike}.get(answer)
    # Without a rating a dislike would read as one more positive event: it stays outside the class.
    if answer != "cannot tell" and (rating is not None or answer == "like"):
        statements += [
            _link(event, RDF_TYPE, terms.type),
            _link(event, terms.user, user),
            _link(event, terms.item, item),
        ]
        if rating is not None and terms.rating:
            statements.append(_value(event, terms.rating, repr(float(rating)), "double"))
    statements += _source_statements(event, row, terms)
    return statements


def _source_statements(event: str, row: Mapping[str, Any], terms: EventTerms) -> list[ox.Triple]:
    statements = []
    if row.get("annotator"):
        name = str(row["annotator"])
        agent = name if ":" in name else f"urn:coldframe:annotator:{quote(name, safe='')}"
        statements += [
            _link(event, PROV + "wasAttributedTo", agent),
            _link(agent, RDF_TYPE, PROV + "Agent"),
        ]
    if row.get("time") is not None:
        moment = _iso(float(row["time"]))
        statements.append(_value(event, PROV + "generatedAtTime", moment, "dateTime"))
        if terms.time:
            statements.append(_value(event, terms.time, moment, "dateTime"))
    return statements


def _link(subject: str, predicate: str, target: str) -> ox.Triple:
    return ox.Triple(named_node(subject), named_node(predicate), named_node(target))


def _value(subject: str, predicate: str, text: str, kind: str = "string") -> ox.Triple:
    literal = ox.Literal(text, datatype=named_node(XSD + kind))
    return ox.Triple(named_node(subject), named_node(predicate), literal)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
