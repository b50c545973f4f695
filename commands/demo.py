"""The whole loop on a generated catalog, in a few minutes, with nothing to prepare."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import StateError
from .console import Output
from .inputs import read_ids
from .options import Device, Json, Seed

if TYPE_CHECKING:
    import pyarrow as pa

    from ..datasets.generated import GeneratedCatalog
    from ..gnn.runs import Run
    from ..kg.catalog import Catalog

TITLE = "Start here"
COMMANDS = ("demo",)
BATCHES = (100, 150)  # questions of the rounds that are really played
STRATEGIES = ("popularity", "score-proportional", "auto")
BUDGETS = (100, 200, 400, 800)  # of the simulated ones
PICTURED = ("coldframe", "popularity", "ease", "rp3beta", "kg-knn", "kg-prior")
MADE = ("data", "catalog", "run")
SOURCE = "demo"  # of the answers that it tells itself


def register(app: typer.Typer) -> None:
    """Add this group's command."""
    app.command()(demo)


@dataclass
class _Clock:
    """Seconds per stage, and a line per stage on standard error."""

    output: Output
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
        self.output.note(f"{name}: {self.seconds[name]:.1f} s")


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to fill.")] = Path("demo"),
    size: Annotated[str, typer.Option(help="tiny, small or medium.")] = "small",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace an earlier demo with the answers told to it.")
    ] = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Generate a catalog, train, evaluate, ask, learn, and write a report: the loop in one go."""
    from ..datasets.generated import generate_catalog
    from ..kg.catalog import Catalog
    from ..kg.files import write_json
    from ..report.plots import overview, save
    from .models import evaluation, fit_run

    output = Output(as_json)
    clock = _Clock(output)
    _make_room(out, replace)
    with clock.stage("generate"):
        made = generate_catalog(out / "data", size=size, seed=seed)
    with clock.stage("ingest"):
        catalog, _ = Catalog.ingest(list(made.inputs), made.schema, out / "catalog")
    with clock.stage("train"):
        run = fit_run(output, catalog, out / "run", "default", None, seed, device)
    with clock.stage("evaluate"):
        rows = evaluation(output, run)["rows"]
    with clock.stage("rounds of questions"):
        rounds = _play(output, run, made)
    with clock.stage("simulate strategies"):
        loop = _simulate(output, catalog, run.path / "loop", size)
    with clock.stage("report"):
        report = _report(out / "run")
    told = {
        "folder": str(out),
        "report": str(report),
        "rows": rows,
        "rounds": rounds,
        "loop": loop,
        "seconds": clock.seconds,
    }
    write_json(out / "demo.json", told)
    save(overview(rows, loop, PICTURED), out / "overview.svg")
    output.result(told, lambda shown: _show(shown, told))


def _make_room(out: Path, replace: bool) -> None:
    """Take away what an earlier demo made; other content, or answers of others, is a reason to stop."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / "data" / "truth.parquet").is_file():
        raise StateError(
            "the folder exists and holds no demo", where=str(out), hint="choose another --out"
        )
    if not replace and _told_by_others(out / "run"):
        raise StateError(
            "answers were told to this demo's run since",
            where=str(out / "run" / "journal.jsonl"),
            hint="choose another --out, or give --replace to delete them",
        )
    for name in MADE:
        shutil.rmtree(out / name, ignore_errors=True)


def _told_by_others(run: Path) -> bool:
    from ..active.journal import Journal

    history = Journal(run / "journal.jsonl").history()
    return any(record.answer.extra.get("source") != SOURCE for record in history)


def _play(output: Output, run: Run, made: GeneratedCatalog) -> list[dict[str, Any]]:
    """Rounds against the planted truth: ask the panel about cold items, learn, measure."""
    from ..active.acquire import AskConfig
    from ..active.cycle import ask, curve, learn, tell
    from ..kg.files import read_table

    table = read_table(made.truth)
    pairs = zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True)
    truth = dict(zip(pairs, table["answer"].to_pylist(), strict=True))
    config = AskConfig(users=read_ids(made.panel, "user"), items=read_ids(made.cold_items, "item"))
    with output.progress("rounds") as bar:
        for number, budget in enumerate(BATCHES):
            bar.stage(f"round {number + 1}", number, len(BATCHES))
            questions, _ = ask(run, budget, config=config)
            tell(run, _answered(questions, truth))
            run = learn(run).run
    return curve(run)


def _answered(questions: pa.Table, truth: dict[tuple[str, str], str]) -> list[dict[str, str]]:
    pairs = zip(questions["user"].to_pylist(), questions["item"].to_pylist(), strict=True)
    return [
        {"user": user, "item": item, "answer": truth[user, item], "source": SOURCE}
        for user, item in pairs
    ]


def _simulate(output: Output, catalog: Catalog, folder: Path, size: str) -> dict[str, Any]:
    from ..active.simulate import SimulationConfig, simulate
    from .simulating import save_loop

    budgets = BUDGETS if size != "tiny" else BUDGETS[:1]
    config = SimulationConfig(
        strategies=STRATEGIES,
        budgets=budgets,
        seeds=tuple(range(6)),
        at_least=10 if size != "tiny" else 3,
    )
    with output.progress("simulate") as bar:
        result = simulate(
            catalog.graph, config, workers=2, progress=lambda done, total, _: bar(done, total)
        )
    save_loop(result, folder)
    return result


def _report(folder: Path) -> Path:
    from ..gnn.runs import Run
    from ..kg.files import atomic_write
    from ..report.gather import gather
    from ..report.sections import render

    target = folder / "report.html"
    atomic_write(target, render(gather(Run.open(folder))))
    return target


def _show(out: Output, told: dict[str, Any]) -> None:
    from .models import show_rows
    from .simulating import loop_rows

    show_rows(out, told["rows"])
    out.say("")
    out.table(round_rows(told["rounds"]), title="after each round of questions about cold items")
    out.say("")
    out.table(loop_rows(told["loop"]), title="simulated: which strategy of asking teaches most")
    for sentence in told["loop"].get("verdict", ()):
        out.say(sentence)
    total = sum(told["seconds"].values())
    out.say(f"\n{total:.0f} s in all; everything is in {told['folder']}")
    out.say(f"report: {told['report']}")


def round_rows(rounds: list[dict[str, Any]], metric: str = "ndcg@10") -> list[dict[str, Any]]:
    """One line per round: labels told, and the metric over all items and among the cold ones."""
    rows = []
    for one in rounds:
        value = {row["segment"]: row.get(metric) for row in one["rows"]}
        rows.append(
            {
                "round": one["round"],
                "labels": one["labels"],
                f"{metric}, all": value.get("all"),
                f"{metric}, cold items": value.get("cold-only"),
            }
        )
    return rows
