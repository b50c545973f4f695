"""The search of settings: what it varies, and that it goes on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from coldframe.gnn import search
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.search import search_space
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import UsageError
from coldframe.kg.split import Split

pytest.importorskip("optuna")


def test_the_space_is_read_from_the_settings() -> None:
    space = search_space(RecommenderConfig)
    assert space["hybrid.training.learning_rate"] == (0.001, 0.01)
    assert space["hybrid.encoder.depth"] == (1, 2)


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What was fitted, one entry per trial; nothing is trained."""
    seen: list[object] = []
    model = SimpleNamespace(fit=lambda *given: seen.append(given), scorer=object(), data=None)
    monkeypatch.setattr(search, "Recommender", lambda *_, **__: model)
    value = SimpleNamespace(value=lambda *_: 0.5)
    monkeypatch.setattr(search, "evaluate", lambda *_, **__: value)
    return seen


@pytest.mark.usefixtures("fits")
def test_an_interrupted_search_is_the_same_search(
    planted_catalog: Catalog, planted_split: Split, tmp_path: Path
) -> None:
    """No setting is tried twice for having been stopped."""

    def tried(folder: str, *counts: int) -> list[dict[str, object]]:
        for count in counts:
            found = search.search(planted_catalog, planted_split, count, tmp_path / folder)
        return sorted(map(dict, found.trials), key=str)

    whole, parts = tried("whole", 6), tried("parts", 3, 6)
    assert whole == parts
    assert len({str(row) for row in parts}) == 6


def test_only_trials_of_the_same_data_and_settings_count(
    planted_catalog: Catalog, planted_split: Split, tmp_path: Path, fits: list[object]
) -> None:
    schema = replace(planted_catalog.schema, text='name = "other"')
    thinner = replace(planted_split, train=planted_split.train.select(np.arange(100)))
    config = RecommenderConfig(text=TextConfig("none"))
    plans = [
        (planted_catalog, planted_split, None),
        (replace(planted_catalog, schema=schema), planted_split, None),
        (planted_catalog, thinner, None),
        (planted_catalog, planted_split, config),
    ]
    for _ in range(2):
        for catalog, split, base in plans:
            search.search(catalog, split, 2, tmp_path, base=base)
    assert len(fits) == 2 * len(plans)


@pytest.mark.parametrize("stop, same", [(KeyboardInterrupt, True), (MemoryError, False)])
def test_settings_that_fail_are_not_drawn_again(
    planted_catalog: Catalog,
    planted_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: type[BaseException],
    same: bool,
) -> None:
    seen: list[RecommenderConfig] = []

    def recommender(config: RecommenderConfig, **_: object) -> None:
        seen.append(config)
        raise stop

    monkeypatch.setattr(search, "Recommender", recommender)
    for _ in range(2):
        with pytest.raises(stop):
            search.search(planted_catalog, planted_split, 1, tmp_path)
    assert (seen[0] == seen[1]) == same


def test_settings_may_depend_on_each_other(
    planted_catalog: Catalog, planted_split: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[RecommenderConfig] = []

    def made(config: RecommenderConfig, **_: object) -> SimpleNamespace:
        tried.append(config)
        return SimpleNamespace(fit=lambda *_: None, scorer=object(), data=None)

    monkeypatch.setattr(search, "Recommender", made)
    asked = SimpleNamespace(value=lambda *what: float(what[-1] == "recall@20"))
    monkeypatch.setattr(search, "evaluate", lambda *_, **__: asked)

    def space(trial: Any) -> dict[str, object]:
        depth = trial.suggest_int("how deep", 0, 1)
        more = {"hybrid.encoder.hops": trial.suggest_int("hops", 1, 2)} if depth else {}
        return {"hybrid.encoder.depth": depth, **more}

    found = search.search(
        planted_catalog, planted_split, 8, str(tmp_path), space=space, metric="recall@20"
    )
    assert found.value == 1.0
    assert {len(row) for row in found.trials} == {2, 3}
    assert {one.hybrid.encoder.depth for one in tried} == {0, 1}
    assert found.config.hybrid.encoder.depth == found.trials[0]["hybrid.encoder.depth"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 2.5},
        {"metric": "ndg@10"},
        {"space": {"hybrid.trainin.epochs": (1, 2)}},
        {"space": {"hybrid.encoder.depth": (1.5, 2.5)}},
        {"space": {"hybrid.encoder.depth": ()}},
        {"space": {"hybrid.encoder.depth": 2}},
        {"space": {"hybrid.encoder.convolution": "sage"}},
        {"space": {"hybrid.training.learning_rate": (0.1, 0.001)}},
        {"space": {"hybrid.training.learning_rate": (0.001, "high")}},
    ],
)
def test_what_cannot_be_searched_is_named(
    planted_catalog: Catalog, planted_split: Split, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        search.search(planted_catalog, planted_split, **({"trials": 1, "folder": tmp_path} | wrong))
