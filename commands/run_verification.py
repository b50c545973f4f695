"""What `verify` looks at in a run folder: every file that a later command believes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ..active.annotators import QUALITY
from ..active.cycle import FORGETTING
from ..active.journal import Journal
from ..active.measure import PER_USER
from ..active.panel import PANEL
from ..active.rounds import ASKED, CLOSED, Rounds
from ..gnn.checkpoint import LATEST, checkpoint_name, latest, load_checkpoint
from ..gnn.counts import KEY, LEDGER, pseudonym_key
from ..gnn.runs import RUN_FILE, Run
from ..gnn.unfinished import UNFINISHED
from ..kg.errors import ColdframeError, IntegrityError, StateError
from ..kg.files import naming, read_sealed, read_table
from ..kg.table_files import unseal

Check = tuple[str, Callable[[], object]]


def run_checks(folder: Path) -> Iterator[Check]:
    """Each part of a run with the look at it; parts that run.json vouches for only where it is sound."""
    yield RUN_FILE, partial(Run.open, folder)
    try:
        run = Run.open(folder)
    except ColdframeError:
        run = None
    if run is not None:
        yield from _vouched(run)
    checkpoints = folder / "checkpoints"
    for path in sorted([*checkpoints.rglob("step-*"), *(folder / UNFINISHED).rglob("step-*")]):
        yield str(path.relative_to(folder)), partial(load_checkpoint, path)
    if checkpoints.is_dir():
        yield f"checkpoints/{LATEST}", partial(_check_latest, checkpoints)
    yield from _answers(folder, run)
    for name in ("metrics.json", QUALITY, PANEL, LEDGER):
        if (folder / name).exists():
            yield name, partial(read_sealed, folder / name)
    if (folder / "events.jsonl").exists():
        yield "events.jsonl", partial(_check_events, folder / "events.jsonl")
    if (folder / FORGETTING).exists():
        yield FORGETTING, _half_forgotten


def _vouched(run: Run) -> Iterator[Check]:
    for name in run.about["files"]:
        yield name, partial(run.check_file, name)
    yield "split.parquet", lambda: run.split
    if not run.stale:
        name = checkpoint_name(run.round)
        if not (run.path / "checkpoints" / name).is_dir():
            yield f"checkpoints/{name}", partial(_lacks, "the model of the last round is missing")
    if (run.path / KEY).exists():
        yield KEY, partial(pseudonym_key, run)
    for number in range(1, run.round + 1):
        yield f"rounds/{number:03d}/labels.parquet", partial(run.labels, number)


def _answers(folder: Path, run: Run | None) -> Iterator[Check]:
    """The journal, and of each round its questions and what was measured after it."""
    journal, rounds = Journal(folder / "journal.jsonl"), Rounds(folder)
    learned = 0 if run is None else run.round
    if journal.path.exists() or journal.head_path.exists():
        yield "journal", journal.records
        if run is not None:
            yield "ids of the journal", partial(_check_ids, journal, run)
    elif learned:
        yield "journal", partial(_lacks, "the answers that the rounds learned from are missing")
    for number in range(1, max(learned, rounds.current) + 1):
        yield f"rounds/{number:03d}/{ASKED}", partial(rounds.questions, number)
    for path in sorted((folder / "rounds").glob(f"[0-9]*/{CLOSED}")):
        yield str(path.relative_to(folder)), partial(read_sealed, path)
    for path in sorted((folder / "rounds").glob(f"[0-9]*/{PER_USER}")):
        yield str(path.relative_to(folder)), partial(_unsealed, path)


def _check_ids(journal: Journal, run: Run) -> None:
    """Whether the catalog has all that the answers name, else nothing can be learned from them."""
    try:
        graph = run.catalog.graph
        history = journal.history()
    except ColdframeError:  # a catalog is verified by itself, a journal above
        return
    for record in history:
        answer = record.answer
        for name, nodes in ((answer.user, graph.users), (answer.item, graph.items)):
            if name and name not in nodes.vocabulary:
                raise IntegrityError(
                    f"record {record.seq} names {name}, which the catalog does not have",
                    where=str(journal.path),
                    hint="`coldframe forget` takes a user's answers out",
                )


def _unsealed(path: Path) -> None:
    unseal(read_table(path), path)


def _lacks(what: str) -> None:
    raise IntegrityError(what)


def _check_latest(checkpoints: Path) -> None:
    pointed = latest(checkpoints)
    if pointed is None:
        raise IntegrityError("the pointer to the newest checkpoint is missing")
    if not pointed.is_dir():
        raise IntegrityError(f"{pointed.name}, which it points to, is missing")


def _check_events(path: Path) -> None:
    """Lines of JSON, but for such as a killed writer left unfinished."""
    with naming(path, "read"):
        *lines, _ = path.read_bytes().split(b"\n")  # what no newline ends is unfinished
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line or b"{}")
        except (ValueError, RecursionError):
            if line.endswith(b"}"):
                raise IntegrityError(f"line {number} is no JSON") from None


def _half_forgotten() -> None:
    raise StateError("a user is half forgotten: run `coldframe forget` again for the same user")
