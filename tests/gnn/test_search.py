"""The search of settings: what it varies, and that it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from coldframe.gnn import search
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.search import search_space
from coldframe.kg.catalog import Catalog
from coldframe.kg.split import Split

pytest.importorskip("optuna")


def test_the_space_is_read_from_the_settings() -> None:
    space = search_space(RecommenderConfig)
    assert space["hybrid.training.learning_rate"] == (0.001, 0.01)
    assert space["hybrid.encoder.depth"] == (1, 2)


def test_an_interrupted_search_is_the_same_search(
    planted_catalog: Catalog,
    planted_split: Split,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No setting is tried twice for having been stopped; nothing is trained here."""
    model = SimpleNamespace(fit=lambda *_: None, scorer=object(), data=None)
    monkeypatch.setattr(search, "Recommender", lambda *_, **__: model)
    value = SimpleNamespace(value=lambda *_: 0.5)
    monkeypatch.setattr(search, "evaluate", lambda *_, **__: value)

    def tried(folder: str, *counts: int) -> list[dict[str, object]]:
        for count in counts:
            found = search.search(planted_catalog, planted_split, count, tmp_path / folder)
        return sorted(map(dict, found.trials), key=str)

    whole, parts = tried("whole", 6), tried("parts", 3, 6)
    assert whole == parts
    assert len({str(row) for row in parts}) == 6
