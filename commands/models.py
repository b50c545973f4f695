"""Models: train, evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import DataError, IntegrityError, StateError, UsageError
from .console import Output, command
from .inputs import held_run
from .layers import Layered, resolve, settings
from .options import (
    CatalogFolder,
    ConfigFile,
    Device,
    Json,
    PrintConfig,
    RunFolder,
    Seed,
    Set,
    listed,
    numbers,
)

if TYPE_CHECKING:
    from ..gnn.config import RecommenderConfig
    from ..gnn.recommender import Recommender
    from ..gnn.runs import Run
    from ..kg.catalog import Catalog
    from ..kg.split import Split

TITLE = "Models"
COMMANDS = ("train", "evaluate")

SHOWN = ("all", "hot", "warm", "cold", "cold-only")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(train)
    app.command()(evaluate)


def train(
    catalog: CatalogFolder,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The run folder to make.")] = None,
    protocol: Annotated[
        str,
        typer.Option(
            help="How interactions are split: default (the catalog's own split, else item-cold), fixed, "
            "time (the latest likes are tested), leave-one-out, item-cold, user-cold, warm, thinned, "
            "cold-split-column, kg-coldstart-open, or all: nothing held back to test on."
        ),
    ] = "default",
    epochs: Annotated[int | None, typer.Option(min=1, help="Of the encoder, at most.")] = None,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Of the encoder's vectors.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Text model: auto, minilm, tfidf, none, a folder, a hub id.")
    ] = None,
    without: Annotated[
        str | None, typer.Option(help="Leave out kg, text, walk or ids (commas); an ablation.")
    ] = None,
    randomise: Annotated[
        str | None, typer.Option(help="Shuffle what is named: kg, the graph; an ablation.")
    ] = None,
    config: ConfigFile = None,
    set_: Set = None,
    print_config: PrintConfig = False,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Learn from a catalog: graph encoder with text, linear models, a gate, a posterior."""
    if randomise not in (None, "kg"):
        raise UsageError(f"cannot randomise {randomise!r}", where="--randomise", hint="say kg")
    flags = {
        "hybrid.training.epochs": ("--epochs", epochs),
        "hybrid.encoder.dimensions": ("--dimensions", dimensions),
        "text.model": ("--text", text),
        "ablation.without": ("--without", None if without is None else listed(without)),
        "ablation.randomise_kg": ("--randomise kg", randomise and True),
    }
    layered = _layered(config, {**settings(set_ or ()), **given(flags)})
    output = Output(as_json)
    if print_config:
        rows = layered.rows()
        lines = [{**row, "value": repr(row["value"])} for row in rows]
        output.result({"config": rows}, lambda shown: shown.table(lines))
        return
    from ..gnn.device import resolve_device
    from ..gnn.distributed import is_first, joined
    from ..kg.catalog import Catalog

    resolve_device(device)  # before there is a folder
    folder = out or catalog.with_name(f"{catalog.resolve().name}-run")
    refuse_used(folder)
    with joined():
        made = Catalog.open(catalog), folder, protocol, layered.config, seed, device
        if not is_first():
            help_fit(*made)
            return
        run = fit_run(output, *made)
    told = summary(run)
    output.result(told, lambda shown: _show_run(shown, told))


def evaluate(
    run: RunFolder,
    models: Annotated[
        str | None, typer.Option(help="Only these models, with commas; all of them by default.")
    ] = None,
    part: Annotated[str, typer.Option(help="test, or valid.")] = "test",
    top: Annotated[str, typer.Option("--at", help="Cut-offs, with commas.")] = "10,20",
    groups: Annotated[
        bool,
        typer.Option("--groups", help="Also by group of users, of each category that they have."),
    ] = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Rank all items for every test user: ours beside the linear models, hot, warm and cold."""
    output = Output(as_json)
    names, ks = None if models is None else listed(models), numbers(top, "--at")
    if min(ks) < 1:
        raise UsageError(f"got {top!r}, expected cut-offs from 1 on", where="--at")
    with held_run(run, "evaluate", device=device) as opened:
        found = evaluation(output, opened, names, part, ks, groups)
    output.result(found, lambda shown: _show_evaluation(shown, found, f"ndcg@{ks[0]}"))


def given(flags: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    """The flags that were given."""
    return {key: flag for key, flag in flags.items() if flag[1] is not None}


def refuse_used(folder: Path) -> None:
    """Before hours of work: a folder that is in use is no place for another; half a training is."""
    from ..kg.locks import LOCK_NAME

    names = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if names - {LOCK_NAME} and not ("unfinished" in names and "run.json" not in names):
        raise StateError(
            "the folder exists already", where=str(folder), hint="choose another --out"
        )


def fit_run(
    output: Output,
    catalog: Catalog,
    folder: Path,
    protocol: str,
    config: RecommenderConfig | None,
    seed: int,
    device: str,
) -> Run:
    """Split, fit and write a run; a fit that was interrupted goes on where it was."""
    from ..gnn.recommender import Recommender
    from ..gnn.runs import Run
    from ..gnn.unfinished import unfinished_work
    from ..kg.locks import FolderLock

    split = split_of(catalog, protocol, seed)
    with output.progress("train") as bar, FolderLock(folder, purpose="train"):
        model = Recommender(config, seed=seed, device=device, progress=bar.stage)
        work = unfinished_work(folder, catalog, split, model)
        if work.is_dir():
            output.note(f"going on with the training that was interrupted in {folder}")
        work.mkdir(parents=True, exist_ok=True)
        return Run.create(folder, catalog, split, model.fit(catalog, split, work=work))


def help_fit(
    catalog: Catalog,
    folder: Path,
    protocol: str,
    config: RecommenderConfig | None,
    seed: int,
    device: str,
) -> None:
    """The same fit in a process beside the first: it computes its share and writes nothing."""
    from ..gnn.recommender import Recommender
    from ..gnn.unfinished import unfinished_work

    split = split_of(catalog, protocol, seed)
    model = Recommender(config, seed=seed, device=device)
    model.fit(catalog, split, work=unfinished_work(folder, catalog, split, model))


def split_of(catalog: Catalog, protocol: str, seed: int) -> Split:
    """The protocol's split; of a catalog without positives an empty one, if none was asked for."""
    import numpy as np

    from ..datasets.splits import make_split
    from ..kg.graph import Interactions
    from ..kg.split import Split

    if protocol == "default" and not (catalog.graph.interactions.label == 1).any():
        none, nobody = Interactions.empty(), np.zeros(0, np.int64)
        return Split(none, none, none, nobody, nobody, "none", seed)
    return make_split(catalog.graph, protocol, seed)


def evaluation(
    output: Output,
    run: Run,
    names: list[str] | None = None,
    part: str = "test",
    ks: tuple[int, ...] = (10, 20),
    groups: bool = False,
) -> dict[str, Any]:
    """Evaluate a run's model and its baselines; kept as the run's metrics.json.

    A look at some models alone, or at the validation part, does not take the place of a whole one of
    the same round.
    """
    from ..gnn.calibration import assess
    from ..gnn.evaluate import evaluate as rank
    from ..gnn.ratings import rating_errors
    from ..gnn.scorer_base import fitted
    from ..gnn.segments import category_groups
    from ..kg.files import write_sealed
    from .comparison import compared, differences, group_gaps

    if part not in ("test", "valid"):
        raise UsageError(f"got {part!r}, expected test or valid", where="--part")
    if not (getattr(run.split, part).label == 1).any():  # before the baselines are fitted
        raise DataError(
            f"the run holds no like back to test on ({part} of the split {run.split.name!r})",
            where=str(run.path),
            hint="train one that does, by another --protocol, and evaluate that",
        )
    with output.progress("evaluate") as bar:
        model: Recommender = run.model
        scorers = compared(model, run.split, names, bar.stage)
        members = category_groups(run.catalog.graph) if groups else {}
        found = rank(
            scorers, model.data, run.split, part=part, ks=ks, groups=members, progress=bar.stage  # type: ignore[arg-type]
        )  # fmt: skip
        scorer = fitted(model.scorer, "the run's model")
        chances = scorer.calibration
        judged = chances and assess(scorer.untold_score, chances, model.data, run.split, part)
        ratings = rating_errors(model.encoder, model.data, getattr(run.split, part))
    result = {
        "rows": found.rows(), "differences": differences(found, model.seed), "calibration": judged,
        "gaps": group_gaps(found, members), "ratings": ratings,
        "split": run.split.name, "part": part, "round": run.round,
    }  # fmt: skip
    kept = run.path / "metrics.json"
    whole = names is None and part == "test"
    if whole or not _whole(kept, run.round):
        write_sealed(kept, {**result, "whole": whole})
    return result


def _whole(metrics: Path, round_number: int) -> bool:
    """Whether a kept evaluation is of this round, of all models and of the test part."""
    from ..kg.files import read_sealed

    try:
        kept = read_sealed(metrics) if metrics.exists() else {}
    except IntegrityError:  # what cannot be read is no loss
        return False
    return bool(kept.get("whole")) and kept.get("round") == round_number


def show_rows(out: Output, rows: list[dict[str, Any]], metric: str = "ndcg@10") -> None:
    """One line per model, one column per segment; the best of a column is marked."""
    segments = [name for name in SHOWN if any(row["segment"] == name for row in rows)]
    value = {(row["model"], row["segment"]): row.get(metric) for row in rows}
    users = {row["segment"]: row["users"] for row in rows}
    best = {
        name: max((v for (_, s), v in value.items() if s == name and v is not None), default=None)
        for name in segments
    }
    table = []
    for model in dict.fromkeys(row["model"] for row in rows):
        line: dict[str, Any] = {"model": model}
        for name in segments:
            found = value.get((model, name))
            mark = "*" if found and found == best[name] else " "
            line[f"{name} (n={users[name]:,})"] = "-" if found is None else f"{found:.4f}{mark}"
        table.append(line)
    out.table(table, title=f"{metric}, full ranking, n users; * = best of the column")


def summary(run: Run) -> dict[str, Any]:
    """What `train --json` prints."""
    scorer, split = run.model.scorer, run.split
    return {
        "run": str(run.path),
        "catalog": run.about["catalog"],
        "split": split.name,
        "train": len(split.train),
        "valid": len(split.valid),
        "test": len(split.test),
        "cold_items": len(split.cold_items),
        "parts": list(scorer.parts) if scorer is not None else [],
        "similar_by": "graph kernel" if run.model.encoder is None else "encoder",
        "device": run.model.device,
        "seed": run.model.seed,
    }


def _show_evaluation(out: Output, found: dict[str, Any], metric: str) -> None:
    from .comparison import difference_table

    show_rows(out, found["rows"], metric)
    if rows := found["differences"]:
        title = (
            f"coldframe less the others: {rows[0]['metric']}, 95 % intervals over users; * = sure"
        )
        out.table(difference_table(rows), title=f"{title} (Holm over all cells, p < .05)")
    if gaps := found["gaps"]:
        out.table(
            gaps, title=f"{gaps[0]['metric']} of the best and the worst served group of users"
        )
    if (rated := found["ratings"]) is not None:
        out.say(
            f"ratings: RMSE {rated['rmse']:.4f}, MAE {rated['mae']:.4f} on {rated['pairs']:,} pairs; "
            f"of the mean rating {rated['mean']['rmse']:.4f}, {rated['mean']['mae']:.4f}"
        )
    if (judged := found["calibration"]) is not None:
        out.say(
            f"chances: ECE {judged['ece']:.4f}, Brier {judged['brier']:.4f}, "
            f"among the first {judged['top']['of_each_user']} of each user ECE {judged['top']['ece']:.4f}"
        )


def _layered(file: Path | None, flags: dict[str, tuple[str, Any]]) -> Layered[RecommenderConfig]:
    from ..gnn.config import RecommenderConfig

    return resolve(RecommenderConfig, file=file, flags=flags)


def _show_run(out: Output, told: dict[str, Any]) -> None:
    out.say(
        f"run in {told['run']}: {told['split']} split, {told['train']:,} training rows, "
        f"{told['cold_items']:,} cold items"
    )
    parts = ", ".join(told["parts"]) or "none: there are no likes yet"
    out.say(f"parts of the score: {parts}")
    out.say(f"similar items: by the {told['similar_by']}")
    out.say(f"next: {_following(told)}")


def _following(told: dict[str, Any]) -> str:
    """The command that makes use of a run: to test it needs test pairs, to recommend parts."""
    if not told["parts"]:
        return command("similar", told["run"], "--item", "ID")
    if told["test"]:
        return command("evaluate", told["run"])
    return f"{command('recommend', told['run'])}, or {command('acquire', told['run'], '--budget', 100)}"
