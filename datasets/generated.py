"""The demo catalog: a seed catalogue as RDF, with planted tastes and planted cold items.

What is in the folder:

    schema.toml        how the RDF becomes a graph
    catalogue.ttl      plants with attributes and text, a SKOS tree of taxa, breeders
    gardeners.ttl      users
    ratings.nt         events with stars, time, and part train, valid or test
    truth.parquet      user, item, answer: what panel users answer when asked about a cold item
    panel.txt          users who may be asked; cold_items.txt: items without a training event

A cold item has test events only, all by users outside the panel; so labels from the panel can be
bought and their worth measured on others. As in reality, "like" is rare and the rest says "dislike".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..kg.errors import UsageError, nearest
from ..kg.files import StrPath, atomic_folder
from .generated_rdf import (
    PARTS,
    catalogue_turtle,
    events_ntriples,
    gardener_iri,
    gardeners_turtle,
    plant_iri,
)
from .planted import PlantedConfig, World, make_world

SIZES: dict[str, PlantedConfig] = {
    "tiny": PlantedConfig(users=60, items=80, events=1_200, breeders=8),
    "small": PlantedConfig(),
    "medium": PlantedConfig(users=5_000, items=5_000, events=400_000, breeders=120),
}
RDF_FILES = ("catalogue.ttl", "gardeners.ttl", "ratings.nt")


@dataclass(frozen=True)
class GeneratedCatalog:
    """Where the files are, and what a reader must find in them.

    Attributes:
        inputs: the RDF files.
        schema, truth, panel, cold_items: the other files.
        counts: users, items, events, positives, and events of each part.
    """

    folder: Path
    inputs: tuple[Path, ...]
    schema: Path
    truth: Path
    panel: Path
    cold_items: Path
    counts: dict[str, int]


def generate_catalog(
    folder: StrPath,
    size: str = "small",
    seed: int = 0,
    *,
    random_kg: bool = False,
    config: PlantedConfig | None = None,
    replace_existing: bool = False,
) -> GeneratedCatalog:
    """Write a catalog with a known truth; the same arguments give the same bytes.

    Args:
        size: "tiny" (tests), "small" (demo) or "medium"; `config` overrides it.
        random_kg: attributes and texts are shuffled among the items, so that they tell nothing.

    Raises:
        UsageError: unknown size.
        StateError: the folder exists and is not empty, and `replace_existing` is false.
        ResourceError: it cannot be written; nothing is left behind.
    """
    if config is None:
        if size not in SIZES:
            raise UsageError(f"unknown size {size!r}", hint=nearest(size, SIZES))
        config = SIZES[size]
    if random_kg:
        config = replace(config, random_kg=True)
    world = make_world(config, seed)
    with atomic_folder(folder, replace=replace_existing) as out:
        _write(out, world, seed)
    return _described(Path(folder), world)


def _write(out: Path, world: World, seed: int) -> None:
    schema = resources.files(__package__).joinpath("schemas", "generated.toml").read_text("utf-8")
    texts = {
        "schema.toml": schema,
        "catalogue.ttl": catalogue_turtle(world, seed) + "\n",
        "gardeners.ttl": gardeners_turtle(world),
        "panel.txt": "".join(f"{gardener_iri(u)}\n" for u in world.panel),
        "cold_items.txt": "".join(f"{plant_iri(i)}\n" for i in world.cold_items),
    }
    for name, text in texts.items():
        (out / name).write_text(text, "utf-8", newline="\n")
    with (out / "ratings.nt").open("wb") as events:
        events.writelines(events_ntriples(world))
    pq.write_table(_truth(world), out / "truth.parquet", compression="zstd")


def _truth(world: World) -> pa.Table:
    """One row per (panel user, cold item): like if she would give four stars or more."""
    row_of = {int(user): k for k, user in enumerate(world.panel)}
    column_of = {int(item): k for k, item in enumerate(world.cold_items)}
    liked = np.zeros((len(world.panel), len(world.cold_items)), np.int8)
    for row in np.flatnonzero((world.part == len(PARTS)) & (world.stars >= 4)):
        liked[row_of[int(world.user[row])], column_of[int(world.item[row])]] = 1
    users, items = (
        np.repeat(np.arange(liked.shape[0]), liked.shape[1]),
        np.tile(np.arange(liked.shape[1]), liked.shape[0]),
    )
    return pa.table(
        {
            "user": _dictionary(users, [gardener_iri(u) for u in world.panel]),
            "item": _dictionary(items, [plant_iri(i) for i in world.cold_items]),
            "answer": _dictionary(liked.reshape(-1), ["dislike", "like"]),
        }
    )


def _dictionary(codes: np.ndarray, names: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names, pa.string()))


def _described(folder: Path, world: World) -> GeneratedCatalog:
    shown = world.part < len(PARTS)
    counts = {
        "users": world.config.users,
        "items": world.config.items,
        "cold_items": len(world.cold_items),
        "events": int(shown.sum()),
        "positives": int((shown & (world.stars >= 4)).sum()),
    }
    counts |= {name: int((world.part == code).sum()) for code, name in enumerate(PARTS)}
    return GeneratedCatalog(
        folder=folder,
        inputs=tuple(folder / name for name in RDF_FILES),
        schema=folder / "schema.toml",
        truth=folder / "truth.parquet",
        panel=folder / "panel.txt",
        cold_items=folder / "cold_items.txt",
        counts=counts,
    )
