"""Rounds of a run as named graphs of the catalog's store, each run under a name that it alone writes."""

from __future__ import annotations

import json
import math
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..gnn.checkpoint import MANIFEST, checkpoint_name
from ..gnn.runs import RUN_FILE, Run
from ..kg.claims import claim, claims, place_of
from ..kg.errors import ColdframeError, DataError
from ..kg.files import sha256_file
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
from .fold import positive_from
from .rounds import Rounds

ORIGIN = b"coldframe.origin"  # key of the metadata of a table of questions


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
                _record(store, run, number, _answers_of(run, rows))
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


def with_origin(table: pa.Table, run: Run, strategy: str, seed: int) -> pa.Table:
    """Questions with what picked them in their metadata, for the round's named graph."""
    model = run.path / "checkpoints" / checkpoint_name(run.round) / MANIFEST
    origin = {"strategy": strategy, "seed": seed, "model": sha256_file(model)}
    kept = table.schema.metadata or {}
    return table.replace_schema_metadata({**kept, ORIGIN: json.dumps(origin)})


def _origin(run: Run, number: int) -> dict[str, Any]:
    """What picked a round's questions; nothing where nobody was asked."""
    kept = Rounds(run.path).questions(number).schema.metadata or {}
    return dict(json.loads(kept.get(ORIGIN, b"{}")))


def graph_again(run: Run, number: int, rows: Interactions) -> None:
    """The named graph of a round with these labels alone; none where they are none."""
    with run.catalog.store(facts=False) as store:
        if number in recorded_rounds(store, run=run.name):
            rollback_round(store, number, run=run.name)
        if len(rows):
            _record(store, run, number, _answers_of(run, rows))


def record_answers(run: Run, number: int, answers: pa.Table) -> str:
    """The round's answers, verdicts of `fold`, as a named graph of the catalog's store; its IRI.

    What a killed call wrote of the round before goes: an answer may have been changed since.
    """
    with run.catalog.store(facts=False) as store:
        if number in recorded_rounds(store, run=run.name):
            rollback_round(store, number, run=run.name)
        return _record(store, run, number, list(map(_as_answer, answers.to_pylist())))


def _as_answer(verdict: dict[str, Any]) -> dict[str, Any]:
    rating = verdict["rating"]
    return {
        "user": verdict["user"],
        "item": verdict["item"],
        "answer": verdict["answer"],
        "annotator": verdict["annotated_by"],
        "time": datetime.fromisoformat(verdict["time"]).timestamp(),
        "rating": None if math.isnan(rating) else rating,
    }


def _answers_of(run: Run, rows: Interactions) -> list[dict[str, Any]]:
    """Labels as answers, as the model learned them; who gave them and when, if the answers still say so."""
    users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary
    verdicts = Rounds(run.path).answers(positive=positive_from(run.catalog.schema)).to_pylist()
    said = {(row["user"], row["item"], row["answer"]): _as_answer(row) for row in verdicts}
    answers = []
    for user, item, label, rating in zip(
        rows.user, rows.item, rows.label, rows.rating, strict=True
    ):
        pair = users[int(user)], items[int(item)], LIKE if label else DISLIKE
        learned = dict(zip(("user", "item", "answer"), pair, strict=True))
        learned["rating"] = None if math.isnan(rating) else float(rating)
        answers.append(said.get(pair, {}) | learned)
    return answers


def _record(store: Store, run: Run, number: int, answers: list[dict[str, Any]]) -> str:
    ended = max((row["time"] for row in answers if "time" in row), default=None)
    return record_round(
        store,
        number,
        answers,
        run=run.name,
        terms=_terms(run.catalog.schema),
        record=RoundRecord(**_origin(run, number), ended=ended),
    )


def _terms(schema: Schema) -> EventTerms:
    """The words of the schema's first event that an answer can be; answers are no events where none is."""
    for event in schema.events.values():
        try:
            return EventTerms.of(event)
        except DataError:
            continue
    return EventTerms(type="")
