"""A small trained run that the tests of asking copy and change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog

CONFIG = RecommenderConfig(
    hybrid=HybridConfig(parts=("popularity", "kg-prior"), tune=False), text=TextConfig(model="none")
)


@pytest.fixture(scope="session")
def asking_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a generated catalog and a run trained on it."""
    base = tmp_path_factory.mktemp("asking-base")
    made = generate_catalog(base / "data", size="tiny")
    catalog, _ = Catalog.ingest(list(made.inputs), made.schema, base / "catalog")
    split = make_split(catalog.graph, "default")
    Run.create(base / "run", catalog, split, Recommender(CONFIG, device="cpu").fit(catalog, split))
    return base


@pytest.fixture
def asking_run(asking_base: Path, tmp_path: Path) -> Run:
    """A copy of that run and its catalog, to ask with."""
    for name in ("catalog", "run"):
        shutil.copytree(asking_base / name, tmp_path / name)
    return Run.open(tmp_path / "run", device="cpu")
