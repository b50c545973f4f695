"""Rounds of a run as named graphs of the catalog's store, each run under a name that it alone writes."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..gnn.runs import RUN_FILE, Run
from ..kg.claims import claim, claims, place_of
from ..kg.errors import ColdframeError, DataError
from ..kg.graph import Interactions
from ..kg.provenance import (
    EventTerms,
    RoundRecord,
    record_round,
    recorded_rounds,
    rollback_round,
)
from ..kg.schema import Schema
from ..kg.store import Store
from .answers import DISLIKE, LIKE


def own(run: Run) -> Run:
    """The run under a name in the store that no other folder writes under.

    A folder that was moved takes its name along. A copy, whose original is still there, gets another
    name, and the graphs of its rounds are written under it. Killed on the way, the same call completes it.

    Raises:
        LockedError: the store is in use.
    """
    catalog = run.catalog.path
    assert catalog is not None
    here = place_of(run.path, catalog)
    with run.catalog.store(facts=False) as store:
        known = claims(store.folder)
        if known.get(run.name) == here:
            return run
        if run.name in known and _lives(catalog / known[run.name], run.name):
            run = run.renamed()
        recorded = recorded_rounds(store, run=run.name) if run.name in known or run.round else []
        for number in recorded:
            if number > run.round:  # of a folder that is gone and went on without this one
                rollback_round(store, number, run=run.name)
        for number in range(1, run.round + 1):
            rows = run.labels(number)
            if number not in recorded and len(rows):
                _record_labels(store, run, number, rows)
        claim(store.folder, run.name, here)
    return run


def _lives(folder: Path, name: str) -> bool:
    """Whether a run of that name is there; one that cannot be read may be."""
    if not (folder / RUN_FILE).is_file():
        return False
    try:
        return Run.open(folder).name == name
    except ColdframeError:
        return True


def graph_again(run: Run, number: int, rows: Interactions) -> None:
    """The named graph of a round with these labels alone; none where they are none."""
    with run.catalog.store(facts=False) as store:
        if number in recorded_rounds(store, run=run.name):
            rollback_round(store, number, run=run.name)
        if len(rows):
            _record_labels(store, run, number, rows)


def record_answers(run: Run, number: int, answers: pa.Table) -> str:
    """The round's answers as a named graph of the catalog's store; its IRI."""
    rows = answers.select(["user", "item", "answer", "rating", "time"]).to_pylist()
    for row in rows:
        row["time"] = datetime.fromisoformat(row["time"]).timestamp()
        if math.isnan(row["rating"]):
            del row["rating"]
    ended = max(row["time"] for row in rows)
    with run.catalog.store(facts=False) as store:
        return _record(store, run, number, rows, RoundRecord(ended=ended))


def _record_labels(store: Store, run: Run, number: int, rows: Interactions) -> None:
    """Labels of a round, as the model learned them, as its named graph."""
    users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary
    said = zip(rows.user, rows.item, rows.label, rows.rating, strict=True)
    answers = [
        {"user": users[int(u)], "item": items[int(i)], "answer": LIKE if label else DISLIKE}
        | ({} if math.isnan(rating) else {"rating": float(rating)})
        for u, i, label, rating in said
    ]
    _record(store, run, number, answers, RoundRecord())


def _record(
    store: Store, run: Run, number: int, rows: list[dict[str, Any]], record: RoundRecord
) -> str:
    return record_round(
        store, number, rows, run=run.name, terms=_terms(run.catalog.schema), record=record
    )


def _terms(schema: Schema) -> EventTerms:
    """The words of the schema's first event of nodes; neutral ones where it has none."""
    for event in schema.events.values():
        try:
            return EventTerms.of(event)
        except DataError:
            continue
    return EventTerms()
