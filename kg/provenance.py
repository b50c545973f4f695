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
from functools import lru_cache
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
        type: class of an event node; "" = the schema has no event that answers could be.
        user, item: properties from the event to its ends.
        rating, time: properties of its values; "" = the schema has none.
        like, dislike: rating written for an answer without one, or with one that would be read as
            the contrary, `like` being the smallest that reads as a like; None = every event is a like.
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

        Raises:
            DataError: an answer written as this event would not be read back as it was meant.
        """
        found = {name: path.single or "" for name, path in event.roles.items()}
        if not event.classes or not found.get("user") or not found.get("item"):
            raise DataError(
                f"event {event.name!r} has no class with user and item as plain properties",
                hint="answers need an event of nodes in the schema",
            )
        one_label = "negative" if event.negative else "auxiliary" if event.auxiliary else ""
        if one_label or (event.positive is not None and not found.get("rating")):
            raise DataError(
                f"event {event.name!r} is "
                + (f"always {one_label}" if one_label else "rated behind a path"),
                hint="answers need an event that is positive, or rated by a plain property",
            )
        return cls(
            type=event.classes[0],
            user=found["user"],
            item=found["item"],
            rating=found.get("rating", ""),
            time=found.get("time", ""),
            like=event.positive,
            dislike=None if event.positive is None else event.positive - 1,
        )


@dataclass(frozen=True)
class RoundRecord:
    """What is kept of a round beside its answers.

    Attributes:
        strategy, seed: how the questions were picked; "" and None where nobody was asked.
        model: hash of the checkpoint that picked them; "" = none.
        started, ended: seconds since 1970-01-01.
    """

    strategy: str = ""
    seed: int | None = None
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
            optionally rating, annotator (a name or IRI, or several), time (seconds since 1970-01-01).

    Raises:
        DataError: a user or item is not an IRI.
    """
    words, kept, graph = terms or EventTerms(), record or RoundRecord(), round_graph(run, round)
    rows = answers.to_pylist() if isinstance(answers, pa.Table) else list(answers)
    lines = _round_lines(graph, round, kept)
    for row in rows:
        lines += _answer_lines(graph, row, words)
    store.add("".join(lines).encode(), graph)
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


def _round_lines(graph: str, round: int, kept: RoundRecord) -> list[str]:
    own, activity = _iri(graph), _iri(f"{graph}:activity")
    lines = [
        _line(own, RDF_TYPE, _iri(PROV + "Entity")),
        _line(own, RDF_TYPE, _iri(NAMESPACE + "Round")),
        _line(own, NAMESPACE + "round", _literal(str(round), "integer")),
        _line(own, PROV + "wasGeneratedBy", activity),
        _line(activity, RDF_TYPE, _iri(PROV + "Activity")),
        _line(activity, PROV + "wasAssociatedWith", _iri(SOFTWARE)),
        _line(_iri(SOFTWARE), RDF_TYPE, _iri(PROV + "SoftwareAgent")),
    ]
    if kept.seed is not None:
        lines.append(_line(activity, NAMESPACE + "seed", _literal(str(kept.seed), "integer")))
    if kept.strategy:
        lines.append(_line(activity, NAMESPACE + "strategy", _literal(kept.strategy)))
    if kept.model:
        lines.append(_line(activity, NAMESPACE + "model", _literal(kept.model)))
    for name, moment in (("startedAtTime", kept.started), ("endedAtTime", kept.ended)):
        if moment is not None:
            lines.append(_line(activity, PROV + name, _literal(_iso(moment), "dateTime")))
    return lines


def _answer_lines(graph: str, row: Mapping[str, Any], terms: EventTerms) -> list[str]:
    user, item, answer = str(row["user"]), str(row["item"]), str(row["answer"])
    pair = hashlib.sha256(f"{len(user)}:{user}{item}".encode()).hexdigest()[:24]
    event, user, item = f"<{graph}:answer:{pair}>", _iri(user), _iri(item)
    lines = [
        _line(event, RDF_TYPE, _iri(NAMESPACE + "Answer")),
        _line(event, NAMESPACE + "answer", _literal(answer)),
        _line(event, NAMESPACE + "user", user),
        _line(event, NAMESPACE + "item", item),
    ]
    if terms.type and (answer == "like" or (answer == "dislike" and terms.dislike is not None)):
        lines += [
            _line(event, RDF_TYPE, _iri(terms.type)),
            _line(event, terms.user, user),
            _line(event, terms.item, item),
        ]
        rating = _rating(answer, row.get("rating"), terms)
        if rating is not None and terms.rating:
            lines.append(_line(event, terms.rating, _literal(repr(float(rating)), "double")))
    return lines + _source_lines(event, row, terms)


def _rating(answer: str, told: float | None, terms: EventTerms) -> float | None:
    """The rating as told, or one in its place that the schema reads as the answer."""
    if terms.like is None or (told is not None and (told >= terms.like) == (answer == "like")):
        return told
    return terms.like if answer == "like" else terms.dislike


def _source_lines(event: str, row: Mapping[str, Any], terms: EventTerms) -> list[str]:
    lines = []
    given = row.get("annotator") or ()
    for name in [given] if isinstance(given, str) else given:
        agent = _iri(name if ":" in name else f"urn:coldframe:annotator:{quote(name, safe='')}")
        lines += [
            _line(event, PROV + "wasAttributedTo", agent),
            _line(agent, RDF_TYPE, _iri(PROV + "Agent")),
        ]
    if row.get("time") is not None:
        moment = _literal(_iso(float(row["time"])), "dateTime")
        lines.append(_line(event, PROV + "generatedAtTime", moment))
        if terms.time:
            lines.append(_line(event, terms.time, moment))
    return lines


def _line(subject: str, predicate: str, target: str) -> str:
    """One line of N-Triples from two tokens and a property's IRI."""
    return f"{subject} {_iri(predicate)} {target} .\n"


@lru_cache(maxsize=4096)
def _iri(iri: str) -> str:
    """A checked IRI in angle brackets: what is not one never reaches a store."""
    return str(named_node(iri))


@lru_cache(maxsize=256)
def _literal(text: str, kind: str = "string") -> str:
    return str(ox.Literal(text, datatype=named_node(XSD + kind)))


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
