"""`loop`: rounds of asking simulated on a catalog, their table and their picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import Output
from .options import CatalogFolder, Json, listed, numbers

ALL = "all-ndcg@10"


def loop(
    catalog: CatalogFolder,
    protocol: Annotated[
        str, typer.Option(help="kg-coldstart-open, kg-coldstart-open-80, rated-only or user-cold.")
    ] = "kg-coldstart-open",
    strategies: Annotated[
        str | None,
        typer.Option(
            help="Names, with commas; beside them random, popularity and, for items, "
            "score-proportional."
        ),
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
    from ..kg.locks import FolderLock

    output = Output(as_json)
    config = SimulationConfig(
        protocol=protocol,
        strategies=beside(protocol, listed(strategies or "")),
        budgets=numbers(budgets, "--budgets") if budgets else (),
        seeds=numbers(seeds, "--seeds"),
        at_least=at_least,
    )
    graph = Catalog.open(catalog).graph
    folder = out or catalog.with_name(f"{catalog.resolve().name}-loop")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with output.progress("simulate") as advance, FolderLock(folder, purpose="loop"):
        result = simulate(
            graph,
            config,
            workers=min(workers or cores, len(config.seeds)),
            folder=folder / "seeds",
            progress=lambda done, total, _: advance(done, total),
        )
        save_loop(result, folder)
    output.result(result, lambda shown: show_loop(shown, result, folder))


def beside(protocol: str, named: Sequence[str]) -> tuple[str, ...]:
    """The named strategies after the simple ones that each has to beat; none named = none.

    A gain over random alone flatters: drawing by popularity or by score is as easy, and often enough.
    """
    from ..active.simulate import USER_COLD

    simple = ("popularity",) if protocol == USER_COLD else ("popularity", "score-proportional")
    return tuple(dict.fromkeys((*simple, *named))) if named else ()


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
        row["against random"] = "" if name == "random" else _gain(found["aulc_gain"][metric])
        row["labels saved"] = "" if name == "random" else _saved(result, found)
        rows.append(row)
    return rows


def _saved(result: dict[str, Any], found: dict[str, Any], metric: str = "ndcg@10") -> str:
    """Labels saved at the largest budget: a bound where random's curve starts above or ends below."""
    budget = result["budgets"][-1]
    if str(budget) not in found["labels_saved"]:
        return ""
    saved = found["labels_saved"][str(budget)]
    if saved is None:
        return f"under {result['reference']['labels'][0] / budget:.2f}x"
    least = found.get("saved_at_least", {}).get(metric, {}).get(str(budget), False)
    return f"{'over ' if least else ''}{saved:.1f}x"


def _gain(gain: dict[str, Any]) -> str:
    """A gain and its interval, which one seed does not give."""
    if gain["low"] is None or gain["high"] is None:
        return f"{gain['mean']:+.1%} (one seed)"
    return f"{gain['mean']:+.1%} [{gain['low']:+.1%}, {gain['high']:+.1%}]"
