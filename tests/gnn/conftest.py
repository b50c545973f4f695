"""One planted catalog and one recommender fitted on it, shared by the tests of the scorer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.planted import PlantedConfig
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.split import Split

QUICK = RecommenderConfig(
    hybrid=HybridConfig(
        encoder=EncoderConfig(dimensions=16, profile_dimensions=32),
        training=TrainingConfig(epochs=3, warm_epochs=1, learning_rate=0.01, least_steps=1),
        tune=False,
    ),
    text=TextConfig(model="tfidf", dimensions=32),
)
# Attributes say much of a taste, so that what is learned of cold items stands clear of luck.
_WORLD = PlantedConfig(
    users=150, items=160, events=5_000, breeders=10, attributes=2.0, hidden=0.6, noise=0.2
)


@pytest.fixture(scope="session")
def quick_config() -> RecommenderConfig:
    """Every part, a small encoder of three epochs, the linear parts' settings not tuned."""
    return QUICK


@pytest.fixture(scope="session")
def planted_catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """150 users, 160 items of which 48 are cold, tastes that follow attributes, text and history."""
    folder = tmp_path_factory.mktemp("planted")
    made = generate_catalog(folder / "raw", config=_WORLD)
    return Catalog.ingest(list(made.inputs), made.schema, folder / "catalog")[0]


@pytest.fixture(scope="session")
def planted_split(planted_catalog: Catalog) -> Split:
    """The catalog's own split."""
    return make_split(planted_catalog.graph, "fixed")


@pytest.fixture(scope="session")
def planted_model(
    planted_catalog: Catalog, planted_split: Split, quick_config: RecommenderConfig
) -> Recommender:
    """Fitted once; a test that changes it must load `planted_checkpoint` instead."""
    return Recommender(quick_config, device="cpu").fit(planted_catalog, planted_split)


@pytest.fixture(scope="session")
def planted_checkpoint(
    planted_model: Recommender, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The fitted recommender, saved."""
    return planted_model.save(tmp_path_factory.mktemp("model"))


@pytest.fixture
def loaded(planted_checkpoint: Path, planted_catalog: Catalog) -> Callable[[], Recommender]:
    """Makes a recommender of the shared checkpoint that a test may change."""
    return lambda: Recommender.load(planted_checkpoint, planted_catalog, device="cpu")
