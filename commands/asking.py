"""The loop of questions: acquire, label, retrain, and whole loops simulated."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import Output
from .options import CatalogFolder, Json, listed, numbers

TITLE = "Questions and answers"
COMMANDS = ("acquire", "label", "retrain", "loop")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(loop)


def loop(
    catalog: CatalogFolder,
    protocol: Annotated[
        str, typer.Option(help="kg-coldstart-open, kg-coldstart-open-80 or rated-only.")
    ] = "kg-coldstart-open",
    strategies: Annotated[
        str, typer.Option(help="Names, with commas; random is always among them.")
    ] = "popularity,predicted-popularity,score-proportional,auto",
    budgets: Annotated[
        str, typer.Option(help="Labels told in all, with commas.")
    ] = "500,1000,2000",
    seeds: Annotated[str, typer.Option(help="Seeds, with commas, or a range: 0-5.")] = "0-3",
    at_least: Annotated[
        int, typer.Option(min=1, help="Positives that an item needs to be made cold.")
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
        strategies=tuple(listed(strategies)),
        budgets=numbers(budgets, "--budgets"),
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
    """One row per strategy: the mean per budget, gain over random, labels saved at the largest."""
    rows = []
    for name, found in result["strategies"].items():
        curve = found["curve"][metric]
        row: dict[str, Any] = {"strategy": name}
        for place, budget in enumerate(result["budgets"]):
            row[f"{metric} at {budget:,}"] = sum(values[place] for values in curve) / len(curve)
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
