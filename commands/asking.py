"""The loop of questions: acquire, label, retrain, and whole loops simulated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import DataError, UsageError
from .acquiring import acquire
from .console import Output, show_rejected
from .inputs import held_run
from .interviewing import KEEPING, interview
from .options import Device, Json, RunFolder
from .simulating import loop

if TYPE_CHECKING:
    from ..active.rounds import Rounds
    from ..active.stopping import StopConfig

TITLE = "Questions and answers"
COMMANDS = ("acquire", "label", "retrain", "interview", "loop")
SHOWN_METRICS = ("ndcg@10", "recall@10", "recall@20")
UNKNOWN_USER = "unknown user"  # how the journal begins such a reason


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (acquire, label, retrain, interview, loop):
        app.command()(command)


def label(
    run: RunFolder,
    answers: Annotated[
        Path,
        typer.Argument(
            exists=True,
            help="A table with user, item and answer; or another run, whose answers are taken over.",
        ),
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
    from ..active.carrying import answers_of
    from ..active.cycle import rounds_of, tell
    from ..active.fold import positive_from
    from ..gnn.runs import Run

    output = Output(as_json)
    with output.progress("label"):
        opened = Run.open(run)
        rounds, positive = rounds_of(opened), positive_from(opened.catalog.schema)
        if gold is not None or quota is not None:
            rounds.set_quality(gold=gold, quota=quota, positive=positive)
        found = tell(opened, answers_of(answers, positive) if answers.is_dir() else answers)
    if found.rejected and not (found.accepted or found.repeated):
        line, reason = found.rejected[0]
        raise DataError(
            f"none of the answers can be used: {reason}",
            where=f"{answers}:{line}",
            hint=KEEPING
            if reason.startswith(UNKNOWN_USER)
            else "needed: columns user, item, answer; like, dislike, a rating or cannot tell",
        )
    told = {
        "accepted": found.accepted,
        "repeated": found.repeated,
        "outdated": found.outdated,
        "blank": found.blank,
        "rejected": [{"line": line, "reason": reason} for line, reason in found.rejected],
        "over_quota": rounds.over_quota(),
        "agreement": _agreement(rounds, positive),
    }
    output.result(told, lambda shown: _show_told(shown, told))
    if found.rejected and strict:
        raise typer.Exit(3)


def retrain(
    run: RunFolder,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure/--no-measure",
            help="Evaluate on the test pairs, and on the validation pairs what retraining adds.",
        ),
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
    from ..active.cycle import learn, rounds_of
    from ..active.replay import relearn
    from ..active.stopping import stop_reason

    output, rules = Output(as_json), _stop_rules(total, target, plateau)
    with (
        output.progress("retrain") as bar,
        held_run(run, "retrain", device=device, progress=bar.stage) as opened,
    ):
        anew = bool(opened.stale)
        found = (relearn if anew else learn)(opened, measure=measure)
    told = {
        "round": found.run.round,
        "labels": found.labels,
        "labels_in_all": found.told,
        "graph": found.graph_iri,
        "rows": found.rows,
        "compared": found.compared,
        "over_quota": rounds_of(found.run).over_quota(),
        "stop": stop_reason(found.run, rules),
    }
    output.result(told, lambda shown: _show_learned(shown, told, anew))


def _stop_rules(total: int | None, target: str | None, plateau: float | None) -> StopConfig:
    from ..active.stopping import StopConfig

    if target is None:
        return StopConfig(total=total, plateau=plateau)
    metric, _, value = target.partition("=")
    try:
        return StopConfig(total, float(value), plateau, metric=metric.strip())
    except ValueError:
        raise UsageError(f"got {target!r}, expected ndcg@10=0.3", where="--target") from None


def _agreement(rounds: Rounds, positive: float | None) -> dict[str, Any]:
    """How far annotators agree, and their weights and gold scores where gold answers are set."""
    from dataclasses import asdict

    from ..active.fold import is_readable
    from ..active.quality import agreement, gold_scores, trust

    # Ratings that nothing says how to read wait for a schema that does; `retrain` says so.
    records = [one for one in rounds.journal.records() if is_readable(one.answer, positive)]
    known = rounds.annotators()
    weights = {}
    if known.gold:
        weights = trust(records, known.gold, positive=positive, config=known.config)
    found = asdict(agreement(records, positive=positive))
    shown = {key: None if value != value else value for key, value in found.items()}
    scores = gold_scores(records, known.gold, positive=positive)
    told = {who: {"answered": n, "right": right} for who, (n, right) in scores.items()}
    return {**shown, "weights": weights, "gold": told}


def _show_told(out: Output, told: dict[str, Any]) -> None:
    out.say(
        f"{told['accepted']:,} answers taken in, {told['repeated']:,} known before, "
        f"{told['blank']:,} left blank, {len(told['rejected']):,} rejected"
    )
    if told["outdated"]:
        out.say(
            f"{told['outdated']:,} of those known before were changed since and stay changed; a column "
            "time makes them count again"
        )
    _show_over_quota(out, told)
    agreement = told["agreement"]
    if agreement["edges"]:
        alpha = "-" if agreement["alpha"] is None else f"{agreement['alpha']:.2f}"
        out.say(
            f"{agreement['annotators']:,} annotators; {agreement['edges']:,} edges answered by several, "
            f"alike on {agreement['same']:.0%}, Krippendorff's alpha {alpha}"
        )
    for who, score in agreement["gold"].items():
        name = who or "users who answer for themselves"
        out.say(f"  {name}: {score['right']:,} of {score['answered']:,} gold answers right")
    for who, weight in agreement["weights"].items():
        if weight == 0:
            out.say(f"  {who or 'somebody'} is left out: wrong too often")
    show_rejected(out, told["rejected"])
    if any(row["reason"].startswith(UNKNOWN_USER) for row in told["rejected"]):
        out.say(KEEPING)


def _show_over_quota(out: Output, told: dict[str, Any]) -> None:
    if told["over_quota"]:
        out.say(f"{told['over_quota']:,} answers in all are beyond the quota and do not count")


def _show_learned(out: Output, told: dict[str, Any], anew: bool) -> None:
    _show_over_quota(out, told)
    if anew:
        out.say(f"trained anew on what is left: round {told['round']}")
    if told["graph"]:
        out.say(
            f"round {told['round']}: learned {told['labels']:,} labels, "
            f"{told['labels_in_all']:,} in all; graph {told['graph']}"
        )
    elif not anew:
        out.say(
            f"round {told['round']} is closed: no like or dislike among its answers, so the model stays "
            "as it is"
        )
    if told["rows"]:
        out.table(told["rows"], ("segment", "users", *SHOWN_METRICS), title="test pairs")
    if told["compared"]:
        title = "validation pairs: at once, and retrained"
        out.table(told["compared"], ("model", "segment", "users", *SHOWN_METRICS), title=title)
    if told["stop"]:
        out.say(f"stop asking: {told['stop']}")
