"""Where the training of a run keeps its work until the run is written."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from .. import __version__
from ..kg.catalog import Catalog
from ..kg.files import plain
from ..kg.split import Split
from .config import RecommenderConfig
from .plain import to_plain
from .recommender import Recommender
from .run_tables import COLUMNS

UNFINISHED = "unfinished"


def unfinished_work(folder: Path, catalog: Catalog, split: Split, model: Recommender) -> Path:
    """The folder in which a training keeps what an interruption must not lose.

    It is named by `plan_hash`, so that the same command finds its work again and another one starts its
    own. `Run.create` takes all of it away.
    """
    return folder / UNFINISHED / plan_hash(catalog, split, model.config, model.seed)[:16]


def plan_hash(catalog: Catalog, split: Split, config: RecommenderConfig, seed: int) -> str:
    """sha256 of all that a training depends on."""
    plan = {
        "version": __version__,
        "catalog": [catalog.content_hash, catalog.schema.content_hash],
        "config": to_plain(config),
        "seed": seed,
    }
    digest = hashlib.sha256(json.dumps(plain(plan), sort_keys=True).encode())
    for rows in (split.train, split.valid):
        for name in COLUMNS:
            digest.update(np.ascontiguousarray(getattr(rows, name)).tobytes())
    return digest.hexdigest()
