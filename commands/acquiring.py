"""`acquire`: pick the next round's questions within limits, and write them where people answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Output
from .inputs import (
    check_ids,
    check_suffix,
    held_out_note,
    held_run,
    read_ids,
    weights_of,
    with_ids,
)
from .options import Device, Ids, Json, RunFolder, Seed, Weight, listed

if TYPE_CHECKING:
    import pyarrow as pa

    from ..active.acquire import AskConfig
    from ..gnn.runs import Run
    from ..kg.graph import Graph


def acquire(
    run: RunFolder,
    budget: Annotated[
        float | None,
        typer.Option(
            "--budget", "-b", help="How many questions; with --costs, what they may cost."
        ),
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
        typer.Option(exists=True, dir_okay=False, help="Only these users may be asked this time."),
    ] = None,
    panel: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Only these users may be asked, now and in every later round of the run.",
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Only about these items."),
    ] = None,
    targets: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="The users for whom rankings shall become right; a sample of all.",
        ),
    ] = None,
    exclude: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A table of user and item: pairs not to ask about."
        ),
    ] = None,
    user_cap: Annotated[int | None, typer.Option(min=1, help="Most questions per user.")] = None,
    item_cap: Annotated[int | None, typer.Option(min=1, help="Most questions per item.")] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A table of user or item, and cost; a question costs the product, 1 if unsaid.",
        ),
    ] = None,
    gold: Annotated[
        int,
        typer.Option(
            min=0,
            help="So many of the questions have a known answer: `label` then scores annotators by "
            "them, and learns nothing from them.",
        ),
    ] = 0,
    weight: Weight = None,
    coverage: Annotated[
        str,
        typer.Option(help="What covers the graph: similar items, attributes, or pagerank's walks."),
    ] = "similar",
    criteria: Annotated[
        str | None,
        typer.Option(
            help="Tell these of each question too, with commas: entropy,variance,bald,..."
        ),
    ] = None,
    ids: Ids = "iri",
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Pick the user-item pairs whose answers teach most; they make the run's next round.

    As long as a round is open (nothing learned from it yet), its questions are given again.
    """
    from ..active.cycle import ask, rounds_of
    from ..active.exclusions import read_pairs
    from ..gnn.runs import Run

    output = Output(as_json)
    check_suffix(out)
    check_ids(ids)
    _check_asked(budget, total, strategy, costs)
    opened = Run.open(run, device=device)
    size = _batch(opened, budget, total)
    config = replace(
        _limits(opened, users, items, targets, costs, weight),
        user_cap=user_cap,
        item_cap=item_cap,
        coverage=coverage,
        criteria=tuple(listed(criteria or "")),
    )
    fixed = None if panel is None else read_ids(panel, "user")
    apart = set() if exclude is None else read_pairs(exclude, opened.catalog.graph)
    with (
        output.progress("acquire") as bar,
        held_run(run, "acquire", device=device, progress=bar.stage) as opened,
    ):
        table, fresh = ask(
            opened, size, strategy=strategy, seed=seed, config=config, gold=gold, exclude=apart,
            panel=fixed,
        )  # fmt: skip
        number = rounds_of(opened).current
    graph = opened.catalog.graph
    told = _give(output, number, with_ids(_titled(table, graph), graph, ids), fresh, out)
    output.result(told, lambda shown: _show_asked(shown, told, held_out_note(opened)))


def _limits(
    run: Run,
    users: Path | None,
    items: Path | None,
    targets: Path | None,
    costs: Path | None,
    weight: list[str] | None,
) -> AskConfig:
    """The pairs that may be asked and what they cost, by the files and rules of the flags."""
    from ..active.acquire import AskConfig
    from ..active.costs import Costs, read_costs

    cost = Costs() if costs is None else read_costs(costs)
    return AskConfig(
        users=None if users is None else read_ids(users, "user"),
        items=None if items is None else read_ids(items, "item"),
        targets=None if targets is None else read_ids(targets, "user"),
        user_cost=cost.user,
        item_cost=cost.item,
        item_weight=weights_of(run.catalog, weight),
    )


def _titled(table: pa.Table, graph: Graph) -> pa.Table:
    """The questions with the items' names, for those who answer; without them where there are none."""
    import pyarrow as pa

    items = graph.items
    if not items.texts:
        return table
    titles = [items.titles[place] for place in items.vocabulary.indices(table["item"].to_pylist())]
    at = table.column_names.index("item") + 1
    return table.add_column(at, "title", pa.array(titles, pa.string()))


def _give(
    output: Output, number: int, table: pa.Table, fresh: bool, out: Path | None
) -> dict[str, Any]:
    """A round's questions, in a file if one is named, and what was played for them."""
    from ..active.acquire import plan_of
    from ..kg.files import write_table

    if not fresh:
        output.note(
            f"round {number} is open: these are its questions, whatever else was asked for; `retrain` "
            f"closes it once some are answered, `rollback --round {number}` drops it unanswered"
        )
    told: dict[str, Any] = {"round": number, "new": fresh, "plan": plan_of(table)}
    if "cost" in table.column_names:
        told["cost"] = sum(table["cost"].to_pylist())
    if out is None:
        told["questions"] = table.to_pylist()
    else:
        # The file is for those who answer: what was played is the asker's business.
        write_table(out, table.replace_schema_metadata(None))
        told |= {"path": str(out), "questions": len(table)}
    return told


def _show_asked(out: Output, told: dict[str, Any], held_out: str) -> None:
    if "path" not in told:
        out.table(told["questions"])
    else:
        out.say(f"round {told['round']}: {told['questions']:,} questions in {told['path']}")
    if "cost" in told:
        out.say(f"they cost {told['cost']:,.6g}")
    if told["plan"]:
        out.say(_played(told["plan"]))
    if held_out:
        out.say(held_out)


def _played(plan: dict[str, Any]) -> str:
    """A sentence on what a strategy came to."""
    if not plan["arms"]:
        same = plan["plays"] == plan["strategy"]
        return f"picked by {plan['plays']}" + ("" if same else f", as {plan['strategy']} decided")
    arms = [f"{one['arm']} {one['share']:.0%}" for one in plan["arms"] if one["share"]]
    trusts = ", ".join(f"{one['arm']} {one['trust']:.2f}" for one in plan["arms"])
    return f"{plan['strategy']} plays {', '.join(arms)}; trust: {trusts}"


def _check_asked(
    budget: float | None, total: int | None, strategy: str, costs: Path | None
) -> None:
    """Refuse a wrong size or strategy, also where an open round would make no use of them."""
    from math import isfinite

    from ..active.auto import find_strategy
    from ..kg.errors import UsageError

    if (budget is None) == (total is None):
        raise UsageError("give either --budget or --total", where="coldframe acquire")
    if total is not None and costs is not None:
        raise UsageError(
            "--total counts questions, not costs", where="--costs", hint="use --budget"
        )
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
    if rounds.is_asking:
        return 1.0  # the open round's questions are given again, whatever the size
    size = next_batch(total or 0, questions_asked(rounds))
    if not size:
        raise StateError(
            f"all {total:,} questions are asked", where=str(run.path), hint="raise --total to go on"
        )
    return float(size)
