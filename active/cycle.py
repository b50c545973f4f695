"""One turn of a run: ask, take answers in, learn from them. Each step can be killed and run again."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..gnn.recommender import Recommender
from ..gnn.runs import Run
from ..kg.errors import DataError, StateError, UsageError
from ..kg.files import read_sealed, write_sealed
from ..kg.graph import Interactions
from ..kg.split import rng_for
from .acquire import AskConfig, acquire
from .answers import RATING, Answer, read_answers
from .costs import costs_of
from .fold import label_of, positive_from, without_threshold
from .gold import draw_gold, mixed
from .history import answer_chance, asked_before
from .journal import TellReport
from .measure import at_once, measured_rows, retrained
from .own_strategy import name_of
from .panel import chosen_panel, fix_panel, within_panel
from .recording import own, record_answers, with_origin
from .rounds import Rounds
from .strategies import Strategy
from .table_rows import Source

FORGETTING = "forgetting"  # folder of a run while a user is half forgotten


@dataclass(frozen=True)
class Learned:
    """What came of a round.

    Attributes:
        run: as it stands now. labels: likes and dislikes learned. told: all labels so far.
        graph_iri: the round's named graph in the catalog's store.
        rows: our rows of evaluation; empty where the run has nothing to test on.
        compared: rows of evaluation on the validation pairs, see `at_once` and `retrained`.
    """

    run: Run
    labels: int
    told: int
    graph_iri: str
    rows: list[dict[str, Any]]
    compared: list[dict[str, Any]] = field(default_factory=list)


def rounds_of(run: Run) -> Rounds:
    """The run's rounds, answers checked against its catalog; a round learned but not closed is closed."""
    graph = run.catalog.graph
    rounds = Rounds(run.path, users=graph.users.vocabulary, items=graph.items.vocabulary)
    last = rounds.current
    if last and last <= run.round and not rounds.is_closed(last):
        _close(rounds, run)
    return rounds


def ask(
    run: Run,
    budget: float,
    *,
    strategy: str | Strategy = "auto",
    seed: int = 0,
    config: AskConfig | None = None,
    gold: int = 0,
    exclude: Iterable[tuple[str, str]] = (),
    panel: Iterable[str] | None = None,
) -> tuple[pa.Table, bool]:
    """The questions of the open round, and whether they are new; an open round is not asked anew.

    Args:
        gold: how many of the questions, within the budget, have an answer that is known; see `gold`.
        exclude: pairs of IRIs that must not be asked, beside those asked before.
        panel: the only users to be asked in this round and, once it is open, in every later one.

    Raises:
        StateError: the run has no posterior to ask with, or another panel, or no pair is left.
            UsageError: too few answers are known, or they cost the whole budget. See `acquire` for the
            rest.
    """
    rounds, config = rounds_of(run), config or AskConfig()
    everybody = run.catalog.graph.users.vocabulary
    chosen = chosen_panel(run.path, panel, everybody)
    among = within_panel(chosen, config.users, everybody)
    config = replace(config, users=among)
    fresh = not rounds.is_asking

    def make(number: int) -> pa.Table:
        records, graph = rounds.journal.records(), run.catalog.graph
        before, apart = asked_before(rounds), set(exclude)
        rng = rng_for(seed, f"gold, round {number}")
        known = draw_gold(run.model, gold, rng, users=among, exclude=before | apart) if gold else []
        price = costs_of(graph, config, [(one.user, one.item) for one in known])
        if known and sum(price) >= budget:
            raise UsageError(
                f"the gold questions cost {sum(price):g} of a budget of {budget:g}", where="--gold"
            )
        table = acquire(
            run.model, budget - sum(price), strategy=strategy, seed=seed, round=number,
            config=config, asked=before | {(one.user, one.item) for one in known}, exclude=apart,
            chance=answer_chance(rounds, records, graph),
        )  # fmt: skip
        if not len(table):
            raise StateError(
                "there is nothing to ask: every pair is known, was asked, or is over a limit",
                where="pool",
                hint="give a larger budget, other users or items, or weights above 0",
            )
        rounds.ask_gold(known)
        if chosen is not None:
            fix_panel(run.path, chosen)  # last: a call that fails binds the run to nothing
        return with_origin(mixed(table, known, price, rng), run, name_of(strategy), seed)

    table = rounds.ask(make)
    if fresh:
        run.log("asked", round=rounds.current, questions=len(table), strategy=name_of(strategy))
    return table, fresh


def tell(run: Run, source: Source) -> TellReport:
    """Take answers into the journal; see `Journal.tell`.

    Where the schema names no smallest positive rating, 0 and 1 are a no and a yes, unless other ratings of
    the catalog or of the table say that they are steps of a longer scale.

    Raises:
        StateError: a user was forgotten, or the model taken away, since the run was opened.
    """
    positive = positive_from(run.catalog.schema)
    if not isinstance(source, str | os.PathLike | pa.Table):
        source = list(source)
    steps = positive is None and (
        _on_a_scale(run.catalog.graph.interactions.rating)
        or _on_a_scale([row.rating for _, row in read_answers(source, round=0)
                        if isinstance(row, Answer) and row.answer == RATING])
    )  # fmt: skip

    def refuse(answer: Answer) -> str | None:
        if answer.round > run.round + 1:
            return f"round {answer.round} is yet to come, this is round {run.round + 1}"
        if steps and answer.answer == RATING:
            return str(without_threshold(answer))
        try:
            label_of(answer, positive)
        except DataError as error:
            return str(error)
        return None

    # Answers belong to the round in which they are learned, also those that nobody was asked for.
    report = rounds_of(run).tell(
        source, round=run.round + 1, refuse=refuse, check=partial(_check_unchanged, run)
    )
    run.log("told", accepted=report.accepted, rejected=len(report.rejected))
    return report


def _check_unchanged(run: Run) -> None:
    """StateError where ids of the run's catalog may be those of a user who was forgotten since."""
    if (run.path / FORGETTING).exists():
        raise StateError(
            "a user is half forgotten",
            where=str(run.path),
            hint="run `coldframe forget` again for the same user, then tell the answers again",
        )
    now = Run.open(run.path)
    if (now.about["content"], now.stale) != (run.about["content"], run.stale):
        raise StateError(
            "the run was changed while the answers were read",
            where=str(run.path),
            hint="tell the answers again",
        )


def told(run: Run, until: int | None = None) -> int:
    """Pairs with a label that the run has learned from so far, or until the end of a round."""
    last = run.round if until is None else until
    rows = [run.labels(number) for number in range(1, last + 1)]
    width = run.catalog.graph.n_items
    return len({int(code) for one in rows for code in one.user * width + one.item})


def learn(run: Run, *, measure: bool = True) -> Learned:
    """Retrain on the answers that came since the last round, as a new round of the run.

    The answers are written to the catalog's store first, as one named graph; then the model is
    retrained and the run moves on in one step. Killed in between, the same call repeats it.

    A round whose answers are all "cannot tell" is closed, and the model stays as it is.

    Args:
        measure: evaluate the model afterwards on the run's test pairs, and once before the first
            round, so that the rounds can be compared; and what retraining adds to the posterior, on
            the validation pairs.

    Raises:
        StateError: there are no answers that the model has not learned from.
        IntegrityError: the run's settings, rounds or journal are damaged.
    """
    run.check_file("config.toml")  # training anew would go by it
    rounds = rounds_of(run)
    fresh = unlearned(run, rounds)
    if not len(fresh) and rounds.current > run.round and rounds.state().answered:
        return _close_without_labels(run, rounds)
    if not len(fresh):
        raise StateError(
            "there are no new likes or dislikes to learn from",
            where=str(run.journal_path),
            hint="take answers in with `coldframe label` first",
        )
    model = run.model
    if measure and run.round == 0:
        keep_start(run, model)
    # Answers that nobody was asked for make a round of their own, with no questions.
    rounds.ask(lambda _: _no_questions())
    number = rounds.current
    run = own(run)
    graph_iri = record_answers(run, number, fresh)
    rows = model.interactions(
        fresh.drop_columns(["round"]).append_column("round", _all(number, fresh))
    )
    model.tell(rows)
    compared = at_once(model, run.split) if measure else []
    model.retrain()
    compared += retrained(model, run.split) if compared else []
    found = measured_rows(run, model, run.round_folder(number)) if measure else []
    done = run.finish_round(model, rows, {"rows": found, "compared": compared})
    return Learned(done, len(rows), _close(rounds, done), graph_iri, found, compared)


def _close_without_labels(run: Run, rounds: Rounds) -> Learned:
    done = run.finish_round(run.model, Interactions.empty())
    return Learned(done, 0, _close(rounds, done), "", [])


def _close(rounds: Rounds, run: Run) -> int:
    """Close the round that the run has learned last, with what was measured then; the labels so far."""
    labels = told(run)
    rounds.close(run.round, {"labels": labels, **run.about.get("measured", {"rows": []})})
    return labels


def curve(run: Run) -> list[dict[str, Any]]:
    """What was measured at the start and after each round: round, labels, rows."""
    out: list[dict[str, Any]] = []
    start = run.path / "rounds" / "000" / "metrics.json"
    if start.exists():
        out.append({"round": 0, **read_sealed(start)})
    rounds = rounds_of(run)
    for number in range(1, run.round + 1):
        found = rounds.metrics(number)
        if found and found.get("rows"):
            out.append({"round": number, **found})
    return out


def _on_a_scale(ratings: npt.ArrayLike) -> bool:
    """Whether any of them is neither 0 nor 1."""
    known = np.asarray(ratings, np.float64)
    return bool(np.any(np.isfinite(known) & ~np.isin(known, (0, 1))))


def keep_start(run: Run, model: Recommender) -> list[dict[str, Any]]:
    """Measure a model that has learned from no answer, as round 0; its rows."""
    rows = measured_rows(run, model, run.round_folder(0))
    write_sealed(run.round_folder(0) / "metrics.json", {"labels": 0, "rows": rows})
    return rows


def unlearned(run: Run, rounds: Rounds) -> pa.Table:
    """Verdicts with a label that differ from what the model has learned of the pair."""
    verdicts = rounds.answers(positive=positive_from(run.catalog.schema))
    verdicts = verdicts.filter(pa.compute.is_valid(verdicts["label"]))
    users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary
    learned: dict[tuple[str, str], int] = {}
    for number in range(1, run.round + 1):
        rows = run.labels(number)
        for user, item, label in zip(rows.user, rows.item, rows.label, strict=True):
            learned[users[int(user)], items[int(item)]] = int(label)
    names = (verdicts[name].to_pylist() for name in ("user", "item", "label"))
    keep = [learned.get((user, item)) != label for user, item, label in zip(*names, strict=True)]
    return verdicts.filter(pa.array(keep, pa.bool_()))


def _no_questions() -> pa.Table:
    return pa.table({"user": pa.array([], pa.string()), "item": pa.array([], pa.string())})


def _all(number: int, table: pa.Table) -> pa.Array:
    return pa.array(np.full(len(table), number, np.int64))
