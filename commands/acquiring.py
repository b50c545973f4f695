"""`acquire`: pick the next round's questions within limits, and write them where people answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Output
from .options import Device, Json, RunFolder, Seed, Weight

if TYPE_CHECKING:
    import pyarrow as pa

    from ..active.acquire import AskConfig
    from ..gnn.runs import Run


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
    from ..active.cycle import ask
    from ..gnn.runs import Run
    from ..kg.locks import FolderLock
    from .asking import table_suffix

    output = Output(as_json)
    if out is not None:
        table_suffix(out)
    _check_asked(budget, total, strategy)
    opened = Run.open(run, device=device)  # a folder that is no run gets no lock file
    size = _batch(opened, budget, total)
    config = _limits(opened, users, items, user_cap, item_cap, weight)
    with output.progress("acquire") as bar, FolderLock(run, purpose="acquire"):
        opened = Run.open(run, device=device, progress=bar.stage)
        table, fresh = ask(opened, size, strategy=strategy, seed=seed, config=config)
    _give(output, table, fresh, out)


def _limits(
    run: Run,
    users: Path | None,
    items: Path | None,
    user_cap: int | None,
    item_cap: int | None,
    weight: list[str] | None,
) -> AskConfig:
    """The pairs that may be asked, by the flags."""
    from ..active.acquire import AskConfig
    from .asking import weights_of
    from .serving import read_ids

    return AskConfig(
        users=None if users is None else read_ids(users, "user"),
        items=None if items is None else read_ids(items, "item"),
        user_cap=user_cap,
        item_cap=item_cap,
        item_weight=weights_of(run, weight),
    )


def _give(output: Output, table: pa.Table, fresh: bool, out: Path | None) -> None:
    """The questions to a file or on standard output."""
    from ..kg.files import write_table

    number = int(table["round"][0].as_py()) if len(table) else 0
    if not fresh:
        output.note(f"round {number} is open: these are its questions; retrain closes it")
    if out is None:
        rows = table.to_pylist()
        output.result({"round": number, "questions": rows}, lambda shown: shown.table(rows))
        return
    write_table(out, table)
    told: dict[str, Any] = {
        "path": str(out),
        "round": number,
        "questions": len(table),
        "new": fresh,
    }
    output.result(
        told, lambda shown: shown.say(f"round {number}: {len(table):,} questions in {out}")
    )


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
