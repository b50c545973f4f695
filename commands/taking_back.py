"""Taking back what was taken in, and giving away no more than is meant: rollback, ..., export-counts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..kg.errors import IntegrityError, UsageError
from .console import Output, command
from .inputs import check_suffix, held_run
from .options import Device, Json, RunFolder, TopK

TITLE = "Taking back and giving away"
COMMANDS = ("rollback", "influence", "forget", "export-counts")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(rollback)
    app.command()(influence)
    app.command()(forget)
    app.command("export-counts")(export_counts)


def rollback(
    run: RunFolder,
    round_: Annotated[
        int | None, typer.Option("--round", min=1, help="Take back the answers of this round.")
    ] = None,
    annotator: Annotated[
        str | None, typer.Option(help="Take back the answers of this annotator.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Take back one round or one annotator: the answers no longer count.

    An open round without answers is dropped with its questions. Else the answers stay in the journal. Named
    graphs follow at once. A model that had learned from them is taken away until `retrain`.
    """
    from ..active.replay import roll_back

    output = Output(as_json)
    if (round_ is None) == (annotator is None):
        raise UsageError("name either a round or an annotator", hint="--round N, or --annotator X")
    with output.progress("rollback"), held_run(run, "rollback") as opened:
        found = roll_back(opened, round=round_, annotator=annotator)
    told: dict[str, Any] = {
        "answers": found.answers,
        "labels": found.labels,
        "rounds": list(found.rounds),
        "stale": bool(found.run.stale),
    }

    def show(out: Output) -> None:
        if not found.answers and not found.rounds:
            out.say(f"round {round_} had no answers: its questions are dropped")
            return
        out.say(
            f"{found.answers:,} answers no longer count; the model had learned {found.labels:,}"
        )
        if found.run.stale:
            out.say(f"next: {command('retrain', run)}")

    output.result(told, show)


def influence(
    run: RunFolder,
    annotator: Annotated[
        str | None, typer.Option(help="Only this annotator; all of them by default.")
    ] = None,
    top: TopK = 10,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """How much the users' top lists would change without one annotator's answers.

    The linear parts and the posterior are fitted without them; the encoder keeps its weights.
    """
    from dataclasses import asdict

    from ..active.influence import influences
    from ..gnn.runs import Run

    output = Output(as_json)
    with output.progress("influence") as bar:
        opened = Run.open(run, device=device, progress=bar.stage)
        found = influences(opened, None if annotator is None else [annotator], top)
    rows = [asdict(one) for one in found]
    output.result({"top": top, "influence": rows}, lambda shown: shown.table(rows))


def forget(
    run: RunFolder,
    user: Annotated[str, typer.Option("--user", help="IRI or original id of the person.")],
    as_json: Json = False,
) -> None:
    """Take a person out of a run and its catalog, and search every file for what is left of her.

    The model is taken away until `retrain`. Other runs on the catalog are refused from then on.
    The files that the catalog was made from are not touched.
    """
    from ..active.forgetting import forget as take_out

    output = Output(as_json)
    with output.progress("forget"), held_run(run, "forget") as opened:
        found = take_out(opened, user)
    told: dict[str, Any] = {
        "interactions": found.interactions,
        "records": found.records,
        "files_scanned": found.scan.files,
        "bytes_scanned": found.scan.bytes,
        "hits": list(found.scan.hits),
    }
    if found.scan.hits:
        error = IntegrityError(
            f"taken out, but {len(found.scan.hits)} of {found.scan.files} files still name the user",
            where=found.scan.hits[0],
            hint="these files are not Coldframe's own: delete or change them",
        )
        if not as_json:
            raise error
        output.result({"error": error.as_dict(), **told})
        raise typer.Exit(error.exit_code)

    def show(out: Output) -> None:
        out.say(f"{found.interactions:,} interactions and {found.records:,} answers taken out")
        out.say(f"{found.scan.files:,} files searched afterwards: none names the user")
        out.say(f"next: {command('retrain', run)}")

    output.result(told, show)


def export_counts(
    run: RunFolder,
    by: Annotated[str, typer.Option(help="item, or a relation of items such as genre.")] = "item",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".csv, .tsv, .jsonl or .parquet file.")
    ] = None,
    at_least: Annotated[int, typer.Option(min=1, help="Groups of fewer users are left out.")] = 10,
    epsilon: Annotated[
        float, typer.Option(min=0.0, help="Add noise of this privacy loss; 0 = exact counts.")
    ] = 0.0,
    per_user: Annotated[
        int, typer.Option(min=1, help="With noise: most groups that a user counts in.")
    ] = 1,
    budget: Annotated[
        float | None, typer.Option(min=0.0, help="Loss of all exports, set once per run; 1.")
    ] = None,
    pseudonymous: Annotated[
        bool, typer.Option("--pseudonymous", help="Keyed hashes in the place of IRIs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """How many users like an item, or a group's; small groups left out, noise on request.

    Each noisy export is entered in the run's ledger; when the budget is spent there are no more.
    """
    from ..gnn.counts import CountsConfig, counts
    from ..kg.files import write_table

    output = Output(as_json)
    config = CountsConfig(by, at_least, epsilon, per_user, budget, pseudonymous)
    check_suffix(out)
    with output.progress("export"), held_run(run, "export-counts") as opened:
        table = counts(opened, config)
    if out is None:
        rows = table.to_pylist()
        if not rows:
            output.note(f"no group has {at_least:,} users: see --at-least")
        output.result({"counts": rows}, lambda shown: shown.table(rows))
        return
    write_table(out, table)
    told = {"path": str(out), "groups": len(table)}
    output.result(told, lambda shown: shown.say(f"{len(table):,} groups in {out}"))
