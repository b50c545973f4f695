"""The loop of questions: acquire, label, retrain, and whole loops simulated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import DataError
from .console import Output
from .interviewing import interview
from .options import Device, Json, RunFolder, Seed, Weight
from .simulating import loop

if TYPE_CHECKING:
    from ..active.rounds import Rounds
    from ..active.stopping import StopConfig
    from ..gnn.runs import Run

TITLE = "Questions and answers"
COMMANDS = ("acquire", "label", "retrain", "interview", "loop")
SHOWN = 12  # rejected rows shown to a person; --json has them all


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (acquire, label, retrain, interview, loop):
        app.command()(command)


def acquire(
    run: RunFolder,
    budget: Annotated[
        float | None, typer.Option("--budget", "-b", help="How many questions.")
    ] = None,
    total: Annotated[
        int | None,
        typer.Option(min=1, help="In place of --budget: rounds of growing size, so many in all."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".csv, .tsv, .jsonl or .parquet file.")
    ] = None,
    strategy: Annotated[str, typer.Option(help="How questions are picked; auto decides.")] = "auto",
    users: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Only these users may be asked."),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Only about these items."),
    ] = None,
    user_cap: Annotated[int | None, typer.Option(min=1, help="Most questions per user.")] = None,
    item_cap: Annotated[int | None, typer.Option(min=1, help="Most questions per item.")] = None,
    weight: Weight = None,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Pick the user-item pairs whose answers teach most; they make the run's next round.

    As long as a round is open (nothing learned from it yet), its questions are given again.
    """
    from ..active.acquire import AskConfig
    from ..active.cycle import ask
    from ..gnn.runs import Run
    from ..kg.files import write_table
    from ..kg.locks import FolderLock
    from .serving import read_ids

    output = Output(as_json)
    if out is not None:
        table_suffix(out)
    _check_asked(budget, total, strategy)
    opened = Run.open(run, device=device)  # a folder that is no run gets no lock file
    size = _batch(opened, budget, total)
    config = AskConfig(
        users=None if users is None else read_ids(users, "user"),
        items=None if items is None else read_ids(items, "item"),
        user_cap=user_cap,
        item_cap=item_cap,
        item_weight=weights_of(opened, weight),
    )
    with output.progress("acquire") as bar, FolderLock(run, purpose="acquire"):
        opened = Run.open(run, device=device, progress=bar.stage)
        table, fresh = ask(opened, size, strategy=strategy, seed=seed, config=config)
    number = int(table["round"][0].as_py()) if len(table) else 0
    if not fresh:
        output.note(f"round {number} is open: these are its questions; retrain closes it")
    if out is None:
        rows = table.to_pylist()
        output.result({"round": number, "questions": rows}, lambda shown: shown.table(rows))
        return
    write_table(out, table)
    told = {"path": str(out), "round": number, "questions": len(table), "new": fresh}
    output.result(
        told, lambda shown: shown.say(f"round {number}: {len(table):,} questions in {out}")
    )


def label(
    run: RunFolder,
    answers: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A table with user, item and answer."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on any bad row.")] = False,
    gold: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Answers known to be right: annotators are weighed by them.",
        ),
    ] = None,
    quota: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Largest share of a round's answers from one annotator."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take answers into the run's journal: like, dislike, a rating, cannot tell; twice is once.

    --gold and --quota hold for the run from then on, for answers told before as well.
    """
    from ..active.cycle import positive_from, rounds_of, tell
    from ..gnn.runs import Run

    output = Output(as_json)
    with output.progress("label"):
        opened = Run.open(run)
        rounds, positive = rounds_of(opened), positive_from(opened.catalog.schema)
        if gold is not None or quota is not None:
            rounds.set_quality(gold=gold, quota=quota, positive=positive)
        found = tell(opened, answers)
    if found.rejected and not (found.accepted or found.repeated):
        line, reason = found.rejected[0]
        raise DataError(
            f"none of the answers can be used: {reason}",
            where=f"{answers}:{line}",
            hint="needed: columns user, item, answer; like, dislike, a rating or cannot tell",
        )
    told = {
        "accepted": found.accepted,
        "repeated": found.repeated,
        "blank": found.blank,
        "rejected": [{"line": line, "reason": reason} for line, reason in found.rejected],
        "agreement": _agreement(rounds, positive),
    }
    output.result(told, lambda shown: _show_told(shown, told))
    if found.rejected and strict:
        raise typer.Exit(3)


def retrain(
    run: RunFolder,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Evaluate on the test pairs as well.")
    ] = True,
    total: Annotated[
        int | None, typer.Option(min=1, help="Stop when so many questions were asked in all.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="METRIC=VALUE", help="Stop there, as ndcg@10=0.3.")
    ] = None,
    plateau: Annotated[
        float | None,
        typer.Option(help="Stop when two rounds surely gained less than this share, as 0.01."),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Learn from the answers told since the last round: warm start, one named graph per round.

    After a roll-back or a forgotten user the model is first trained anew on what is left. With rules
    of stopping it says whether to ask on.
    """
    from ..active.cycle import learn
    from ..active.replay import relearn
    from ..active.stopping import stop_reason
    from ..gnn.runs import Run
    from ..kg.locks import FolderLock

    output, rules = Output(as_json), _stop_rules(total, target, plateau)
    Run.open(run)  # a folder that is no run gets no lock file
    with output.progress("retrain") as bar, FolderLock(run, purpose="retrain"):
        opened = Run.open(run, device=device, progress=bar.stage)
        found = (relearn if opened.stale else learn)(opened, measure=measure)
    told = {
        "round": found.run.round,
        "labels": found.labels,
        "labels_in_all": found.told,
        "graph": found.graph_iri,
        "rows": found.rows,
        "stop": stop_reason(found.run, rules),
    }
    output.result(told, lambda shown: _show_learned(shown, told))


def _check_asked(budget: float | None, total: int | None, strategy: str) -> None:
    """Refuse a wrong size or strategy, also where an open round would make no use of them."""
    from math import isfinite

    from ..active.auto import find_strategy
    from ..kg.errors import UsageError

    if (budget is None) == (total is None):
        raise UsageError("give either --budget or --total", where="coldframe acquire")
    if budget is not None and not (budget > 0 and isfinite(budget)):
        raise UsageError(f"budget is {budget:g}, expected a number above 0", where="--budget")
    find_strategy(strategy)


def _batch(run: Run, budget: float | None, total: int | None) -> float:
    """The size of the next round, by --budget or by --total."""
    from ..active.cycle import rounds_of
    from ..active.stopping import next_batch, questions_asked
    from ..kg.errors import StateError

    if budget is not None:
        return budget
    rounds = rounds_of(run)
    current = rounds.current
    if current and not rounds.state(current).closed:
        return 1.0  # the open round's questions are given again, whatever the size
    size = next_batch(total or 0, questions_asked(rounds))
    if not size:
        raise StateError(
            f"all {total:,} questions are asked", where=str(run.path), hint="raise --total to go on"
        )
    return float(size)


def _stop_rules(total: int | None, target: str | None, plateau: float | None) -> StopConfig:
    from ..active.stopping import StopConfig
    from ..kg.errors import UsageError

    if target is None:
        return StopConfig(total=total, plateau=plateau)
    metric, _, value = target.partition("=")
    try:
        return StopConfig(total, float(value), plateau, metric=metric.strip())
    except ValueError:
        raise UsageError(f"got {target!r}, expected ndcg@10=0.3", where="--target") from None


def _agreement(rounds: Rounds, positive: float | None) -> dict[str, Any]:
    """How far annotators agree, and the weights of their votes where gold answers are set."""
    from dataclasses import asdict

    from ..active.quality import agreement, trust

    # Ratings that nothing says how to read wait for a schema that does; `retrain` says so.
    records = [
        one
        for one in rounds.journal.records()
        if positive is not None or one.answer.answer != "rating" or one.answer.rating in (0, 1)
    ]
    gold, config = rounds.quality()
    weights = trust(records, gold, positive=positive, config=config) if gold else {}
    found = asdict(agreement(records, positive=positive))
    shown = {key: None if value != value else value for key, value in found.items()}
    return {**shown, "weights": weights}


def weights_of(run: Run, rules: list[str] | None) -> dict[str, float] | None:
    """The items' priorities that rules of --weight give; None without rules."""
    from ..active.priorities import item_weights, parse

    if not rules:
        return None
    graph = run.catalog.graph
    if not any(parse(rule).selector.startswith("@") for rule in rules):
        return item_weights(graph, rules)
    with run.catalog.store() as store:
        return item_weights(graph, rules, store.select_within)


def table_suffix(path: Path) -> None:
    """Before the work: refuse a suffix that names no format of tables."""
    from ..kg.errors import UsageError
    from ..kg.table_files import SUFFIXES

    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot tell the format from the suffix {path.suffix!r}",
            where=str(path),
            hint=f"use one of {', '.join(SUFFIXES)}",
        )


def _show_told(out: Output, told: dict[str, Any]) -> None:
    out.say(
        f"{told['accepted']:,} answers taken in, {told['repeated']:,} known before, "
        f"{told['blank']:,} left blank, {len(told['rejected']):,} rejected"
    )
    agreement = told["agreement"]
    if agreement["edges"]:
        alpha = "-" if agreement["alpha"] is None else f"{agreement['alpha']:.2f}"
        out.say(
            f"{agreement['annotators']:,} annotators; {agreement['edges']:,} edges answered by several, "
            f"alike on {agreement['same']:.0%}, Krippendorff's alpha {alpha}"
        )
    for who, weight in agreement["weights"].items():
        if weight == 0:
            out.say(f"  {who or 'somebody'} is left out: wrong too often")
    for row in told["rejected"][:SHOWN]:
        out.say(f"  line {row['line']}: {row['reason']}")
    if len(told["rejected"]) > SHOWN:
        out.say(f"  ... and {len(told['rejected']) - SHOWN:,} more; --json has all")


def _show_learned(out: Output, told: dict[str, Any]) -> None:
    if not told["graph"]:
        out.say(f"trained anew on what is left: round {told['round']}")
        return
    out.say(
        f"round {told['round']}: learned {told['labels']:,} labels, "
        f"{told['labels_in_all']:,} in all; graph {told['graph']}"
    )
    out.table(told["rows"], ("segment", "users", "ndcg@10", "recall@10", "recall@20"))
    if told["stop"]:
        out.say(f"stop asking: {told['stop']}")
