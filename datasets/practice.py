"""Practice catalogs: small planted worlds of many kinds, on which an asking policy is trained.

They differ in size, in how rare a "like" is, in how much attributes, popularity and what no graph
tells decide it, and in a third of them the knowledge graph is shuffled and tells nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..kg.catalog import read
from ..kg.graph import Graph
from ..kg.split import rng_for
from .generated import generate_catalog
from .planted import PlantedConfig

RANDOM_KG = 1 / 3  # share of the catalogs whose graph tells nothing


def practice_config(rng: np.random.Generator) -> PlantedConfig:
    """Draw the make-up of one catalog."""
    users, items = int(rng.integers(500, 1501)), int(rng.integers(250, 701))
    density = float(np.exp(rng.uniform(np.log(0.02), np.log(0.08))))
    return PlantedConfig(
        users=users,
        items=items,
        events=round(density * users * items),
        breeders=int(rng.integers(8, 41)),
        attributes=rng.uniform(0.2, 1.6),
        hidden=rng.uniform(0.3, 1.2),
        traits=rng.uniform(0.0, 0.8),
        popularity=rng.uniform(0.3, 2.5),
        noise=rng.uniform(0.3, 1.0),
        exposure=rng.uniform(0.5, 1.5),
        random_kg=bool(rng.random() < RANDOM_KG),
    )


def practice_catalogs(count: int, seed: int = 0) -> Iterator[Graph]:
    """`count` catalogs in memory, the same for the same seed; more of them begin with the same ones."""
    for number in range(count):
        config = practice_config(rng_for(seed, f"practice catalog {number}"))
        with TemporaryDirectory(prefix="coldframe-practice-") as folder:
            made = generate_catalog(Path(folder) / "catalog", seed=seed + number, config=config)
            yield read(list(made.inputs), made.schema).graph
