"""A fit that was interrupted goes on where it was, and ends where an undisturbed one does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coldframe.gnn import text, tune
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.unfinished import UNFINISHED, unfinished_work
from coldframe.kg.catalog import Catalog
from coldframe.kg.split import Split


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.fixture
def config(quick_config: RecommenderConfig) -> RecommenderConfig:
    parts = ("popularity", "rp3beta", "encoder")
    return replace(quick_config, hybrid=replace(quick_config.hybrid, parts=parts, tune=True))


def scores(model: Recommender) -> np.ndarray:
    return model.scorer.score(np.arange(model.graph.n_users))


@pytest.mark.R(13)
def test_an_interrupted_fit_goes_on_and_ends_the_same(
    config: RecommenderConfig, planted_catalog: Catalog, planted_split: Split, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen: list[tuple[str, int]] = []

    def stop_at(epoch: int):
        def progress(what: str, done: int, _of: int) -> None:
            seen.append((what, done))
            if (what, done) == ("train encoder", epoch):
                raise Killed

        return progress

    for epoch in (2, 3):  # progress comes before the epoch is kept
        model = Recommender(config, device="cpu", progress=stop_at(epoch))
        with pytest.raises(Killed):
            model.fit(planted_catalog, planted_split, work=tmp_path)
    assert [done for what, done in seen if what == "train encoder"] == [1, 2, 2, 3]
    with monkeypatch.context() as patch:
        patch.setattr(tune, "tune", lambda *_args, **_more: pytest.fail("tuned again"))
        # With another number of threads its axes would be others than the encoder was trained on.
        patch.setattr(text, "space_of", lambda *_args: pytest.fail("fitted the texts again"))
        resumed = Recommender(config, device="cpu").fit(
            planted_catalog, planted_split, work=tmp_path
        )
    whole = Recommender(config, device="cpu").fit(planted_catalog, planted_split)
    assert resumed.scorer.settings == whole.scorer.settings
    np.testing.assert_array_equal(scores(resumed), scores(whole))


def test_another_plan_has_its_own_work_and_a_finished_run_has_none(
    config: RecommenderConfig, planted_catalog: Catalog, planted_split: Split, tmp_path: Path
) -> None:
    models = [Recommender(config, seed=seed, device="cpu") for seed in (0, 1)]
    swapped = replace(planted_split, train=planted_split.valid, valid=planted_split.train)
    plans = {
        unfinished_work(tmp_path, planted_catalog, split, model)
        for model in models
        for split in (planted_split, swapped)
    }
    assert len(plans) == 4
    assert unfinished_work(tmp_path, planted_catalog, planted_split, models[0]) in plans
    small = replace(config, hybrid=replace(config.hybrid, parts=("popularity",)))
    model = Recommender(small, device="cpu")
    work = unfinished_work(tmp_path, planted_catalog, planted_split, model)
    work.mkdir(parents=True)
    model.fit(planted_catalog, planted_split, work=work)
    Run.create(tmp_path, planted_catalog, planted_split, model)
    assert not (tmp_path / UNFINISHED).exists()
