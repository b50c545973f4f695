"""The loop of questions: acquire, label, retrain, and whole loops simulated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import DataError
from .console import Output
from .interviewing import interview
from .options import CatalogFolder, Device, Json, RunFolder, Seed, Weight, listed, numbers

if TYPE_CHECKING:
    from ..gnn.runs import Run

TITLE = "Questions and answers"
COMMANDS = ("acquire", "label", "retrain", "interview", "loop")
ALL = "all-ndcg@10"
SHOWN = 12  # rejected rows shown to a person; --json has them all


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (acquire, label, retrain, interview, loop):
        app.command()(command)


def acquire(
    run: RunFolder,
    budget: Annotated[float, typer.Option("--budget", "-b", help="How many questions.")],
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
    opened = Run.open(run, device=device)  # a folder that is no run gets no lock file
    config = AskConfig(
        users=None if users is None else read_ids(users, "user"),
        items=None if items is None else read_ids(items, "item"),
        user_cap=user_cap,
        item_cap=item_cap,
        item_weight=weights_of(opened, weight),
    )
    with output.progress("acquire") as bar, FolderLock(run, purpose="acquire"):
        opened = Run.open(run, device=device, progress=bar.stage)
        table, fresh = ask(opened, budget, strategy=strategy, seed=seed, config=config)
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
    as_json: Json = False,
) -> None:
    """Take answers into the run's journal: like, dislike, a rating, cannot tell; twice is once."""
    from ..active.cycle import tell
    from ..gnn.runs import Run

    output = Output(as_json)
    with output.progress("label"):
        found = tell(Run.open(run), answers)
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
    }
    output.result(told, lambda shown: _show_told(shown, told))
    if found.rejected and strict:
        raise typer.Exit(3)


def retrain(
    run: RunFolder,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Evaluate on the test pairs as well.")
    ] = True,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Learn from the answers told since the last round: warm start, one named graph per round.

    After a roll-back or a forgotten user the model is first trained anew on what is left.
    """
    from ..active.cycle import learn
    from ..active.replay import relearn
    from ..gnn.runs import Run
    from ..kg.locks import FolderLock

    output = Output(as_json)
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
    }
    output.result(told, lambda shown: _show_learned(shown, told))


def weights_of(run: Run, rules: list[str] | None) -> dict[str, float] | None:
    """The items' priorities that rules of --weight give; None without rules."""
    from ..active.priorities import item_weights, parse

    if not rules:
        return None
    graph = run.catalog.graph
    if not any(parse(rule).selector.startswith("@") for rule in rules):
        return item_weights(graph, rules)
    with run.catalog.store() as store:
        return item_weights(graph, rules, store.select)


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


def loop(
    catalog: CatalogFolder,
    protocol: Annotated[
        str, typer.Option(help="kg-coldstart-open, kg-coldstart-open-80, rated-only or user-cold.")
    ] = "kg-coldstart-open",
    strategies: Annotated[
        str | None, typer.Option(help="Names, with commas; random is always among them.")
    ] = None,
    budgets: Annotated[
        str | None,
        typer.Option(help="Labels told in all, with commas; with user-cold, to each new user."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with commas, or a range: 0-5.")] = "0-3",
    at_least: Annotated[
        int, typer.Option(min=1, help="Positives that an item (or user) needs to be made cold.")
    ] = 20,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of results; CATALOG-loop.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Simulate rounds on hidden interactions: which strategy of asking teaches most here?"""
    from ..active.simulate import SimulationConfig, simulate
    from ..kg.catalog import Catalog

    output = Output(as_json)
    config = SimulationConfig(
        protocol=protocol,
        strategies=tuple(listed(strategies or "")),
        budgets=numbers(budgets, "--budgets") if budgets else (),
        seeds=numbers(seeds, "--seeds"),
        at_least=at_least,
    )
    graph = Catalog.open(catalog).graph
    folder = out or catalog.with_name(f"{catalog.resolve().name}-loop")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with output.progress("simulate") as advance:
        result = simulate(
            graph,
            config,
            workers=min(workers or cores, len(config.seeds)),
            folder=folder / "seeds",
            progress=lambda done, total, _: advance(done, total),
        )
    save_loop(result, folder)
    output.result(result, lambda shown: show_loop(shown, result, folder))


def save_loop(result: dict[str, Any], folder: Path) -> None:
    """The result as loop.json, its curves as SVG and PNG."""
    from ..kg.files import write_json
    from ..report.plots import learning_curves, save

    write_json(folder / "loop.json", result)
    figure = learning_curves(result)
    for name in ("curves.svg", "curves.png"):
        save(figure, folder / name)


def show_loop(out: Output, result: dict[str, Any], folder: Path) -> None:
    """The table of a simulation, what it says in words, and where the files are."""
    out.table(loop_rows(result))
    for sentence in result.get("verdict", ()):
        out.say(sentence)
    out.say(f"figures: {folder / 'loop.json'}; picture: {folder / 'curves.png'}")


def loop_rows(result: dict[str, Any], metric: str = "ndcg@10") -> list[dict[str, Any]]:
    """One row per strategy: the mean per budget, gain over random, labels saved at the largest.

    "all items": NDCG@10 at the largest budget over warm and cold items together.
    """
    rows = []
    for name, found in result["strategies"].items():
        curve = found["curve"][metric]
        row: dict[str, Any] = {"strategy": name}
        for place, budget in enumerate(result["budgets"]):
            row[f"{metric} at {budget:,}"] = sum(values[place] for values in curve) / len(curve)
        if ALL in found["curve"]:
            row["all items"] = sum(values[-1] for values in found["curve"][ALL]) / len(curve)
        gain = found["aulc_gain"][metric]
        row["against random"] = (
            f"{gain['mean']:+.1%} [{gain['low']:+.1%}, {gain['high']:+.1%}]"
            if name != "random"
            else ""
        )
        saved = found["labels_saved"].get(str(result["budgets"][-1]))
        row["labels saved"] = "" if saved is None or name == "random" else f"{saved:.1f}x"
        rows.append(row)
    return rows
