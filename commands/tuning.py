"""Making a model fit its catalog: tune, adapt-text; and training the policy that asks: train-policy."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import __version__
from .console import Output, command
from .models import refuse_used, split_of
from .options import CatalogFolder, Device, Json, Seed

TITLE = "Fine-tuning"
UNSEEN = 10_000  # added to the seed for catalogs that a policy is judged on
COMMANDS = ("tune", "adapt-text", "train-policy")


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(tune)
    app.command("adapt-text")(adapt_text)
    app.command("train-policy")(train_policy)


def tune(
    catalog: CatalogFolder,
    trials: Annotated[int, typer.Option(min=1, help="How many configurations to try in all.")] = 20,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the search; CATALOG-tune.")
    ] = None,
    protocol: Annotated[str, typer.Option(help="How interactions are split.")] = "default",
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Search the encoder's settings on validation data; run again to go on with a search."""
    from ..gnn.plain import to_plain
    from ..gnn.search import search
    from ..gnn.toml_text import dumps
    from ..kg.catalog import Catalog
    from ..kg.files import FolderLock, atomic_write

    output = Output(as_json)
    folder = out or catalog.with_name(f"{catalog.resolve().name}-tune")
    opened = Catalog.open(catalog)
    split = split_of(opened, protocol, seed)
    best = folder / "best.toml"
    with output.progress("tune") as bar, FolderLock(folder, purpose="tune"):
        found = search(opened, split, trials, folder, seed=seed, device=device, progress=bar.stage)
        atomic_write(best, dumps(to_plain(found.config)))
    told = {"value": found.value, "config": str(best), "trials": list(found.trials)}

    def show(shown: Output) -> None:
        shown.table([_short(row) for row in found.trials[:10]])
        shown.say(f"best settings in {best}: {command('train', catalog, '--config', best)}")

    output.result(told, show)


def adapt_text(
    catalog: CatalogFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the adapted model.")],
    text: Annotated[
        str, typer.Option(help="Model to start from: auto, minilm, a folder, an id.")
    ] = "auto",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the texts.")] = 3,
    lora_rank: Annotated[
        int, typer.Option(min=0, help="0 = all weights; else LoRA of this rank (extra lora).")
    ] = 0,
    learning_rate: Annotated[
        float,
        typer.Option(
            help="The highest, reached after a tenth of the steps; LoRA wants about 5e-4."
        ),
    ] = 5e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts per step.")] = 16,
    seed: Seed = 0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Go on training a language model on the catalog's texts; use it by `train --text FOLDER`."""
    from ..gnn.adapt import AdaptConfig, adapt_text_model
    from ..gnn.device import resolve_device
    from ..kg.catalog import Catalog
    from ..kg.files import FolderLock

    output = Output(as_json)
    refuse_used(out)
    config = AdaptConfig(
        epochs=epochs, lora_rank=lora_rank, batch_size=batch_size, learning_rate=learning_rate
    )
    graph = Catalog.open(catalog).graph
    texts = [text for nodes in graph.nodes.values() for text in nodes.documents if text]
    with output.progress("adapt") as bar, FolderLock.of_file(out, purpose="adapt-text"):
        refuse_used(out)  # again: whoever held it until now may have filled it
        found = adapt_text_model(
            texts, out, config, model=text, seed=seed, device=resolve_device(device),
            progress=lambda done, total, _: bar(done, total),
        )  # fmt: skip
    told = {
        "model": str(found.folder),
        "loss_before": found.before,
        "loss_after": found.after,
        "trained": found.trained,
        "weights": found.total,
    }

    def show(shown: Output) -> None:
        shown.say(
            f"loss per hidden word on held-out texts: {found.before:.3f} before, "
            f"{found.after:.3f} after; {found.trained:,} of {found.total:,} weights trained"
        )
        shown.say(f"next: {command('train', catalog, '--text', found.folder)}")

    output.result(told, show)


def train_policy(
    out: Annotated[Path, typer.Option("--out", "-o", help="JSON file of the policy.")],
    catalogs: Annotated[int, typer.Option(min=1, help="Generated catalogs to train on.")] = 24,
    updates: Annotated[int, typer.Option(min=1, help="Gradient steps of 16 episodes.")] = 90,
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Learn by simulation which strategy to ask with; use it as strategy `learned:FILE`.

    The catalogs are made up, of many kinds; in a third of them the graph tells nothing. The file holds
    the weights, how they were made, and how they compare on catalogs they have not seen.
    """
    from ..active.policy import ARMS, Policy
    from ..active.policy_training import PolicyTraining, compare, practice_worlds
    from ..active.policy_training import train_policy as train
    from ..active.strategies import STRATEGIES
    from ..datasets.practice import practice_catalogs
    from ..gnn.statistics import paired_t
    from ..kg.files import FolderLock, write_json

    output = Output(as_json)
    config = PolicyTraining(updates=updates)
    with (
        output.progress("train policy") as bar,
        FolderLock.of_file(out, purpose="train-policy"),
    ):
        worlds = practice_worlds(list(practice_catalogs(catalogs, seed)), config, seed)
        weights = train(worlds, config, seed, bar)
        unseen = practice_worlds(
            list(practice_catalogs(max(catalogs // 3, 1), seed + UNSEEN)), config, seed + UNSEEN
        )
        rivals = {name: STRATEGIES[name] for name in ARMS[1:]} | {"learned": Policy(weights, {})}
        figures = compare(unseen, rivals, config, seed)
        above = {name: paired_t(found, [0.0] * len(found)) for name, found in figures.items()}
        told: dict[str, Any] = {
            "command": f"coldframe train-policy --catalogs {catalogs} --updates {updates} --seed {seed}",
            "coldframe": __version__,
            "seed": seed,
            "training": asdict(config),
            "unseen_catalogs": len(unseen),
            "above_random": {
                name: {"mean": gap.mean, "low": gap.low, "high": gap.high}
                for name, gap in above.items()
            },
        }
        write_json(out, Policy(weights, told).as_dict())

    def show(shown: Output) -> None:
        rows = [{"strategy": name, **gap} for name, gap in told["above_random"].items()]
        shown.table(sorted(rows, key=lambda row: -row["mean"]))
        shown.say(
            "area under NDCG@10 above random's, as a share of the ceiling, on "
            f"{len(unseen)} catalogs not trained on; 95 % intervals"
        )
        shown.say(f"next: {command('loop', 'CATALOG', '--strategies', f'auto,learned:{out}')}")

    output.result({"path": str(out), **told}, show)


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A trial with the last words of its keys, the figure first."""
    settings = {key.rpartition(".")[2]: value for key, value in row.items() if key != "value"}
    return {"ndcg@10": row["value"], **settings}
