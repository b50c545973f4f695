"""Run folders: made whole, moved on in one step, and tied to their catalog."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.plain import from_plain
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import RUN_FILE, Run
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import ColdframeError, IntegrityError, StateError
from coldframe.kg.files import read_sealed, write_sealed
from coldframe.kg.graph import Interactions
from coldframe.kg.split import PARTS, Split


@pytest.fixture
def run(
    tmp_path: Path,
    planted_catalog: Catalog,
    planted_split: Split,
    loaded: Callable[[], Recommender],
) -> Run:
    return Run.create(tmp_path / "run", planted_catalog, planted_split, loaded())


def scores(run: Run) -> np.ndarray:
    return run.model.scorer.score(np.arange(run.catalog.graph.n_users))


def some_labels(run: Run, number: int = 1) -> Interactions:
    """The first 30 users say what they think of the first cold item."""
    item = np.full(30, run.split.cold_items[0])
    return Interactions.build(np.arange(30), item, label=np.arange(30) % 3 > 0, round=number)


def reopened(run: Run) -> Run:
    return Run.open(run.path, device="cpu")


def files(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}  # fmt: skip


def test_a_new_run_opens_as_it_was_made(
    run: Run, planted_model: Recommender, planted_split: Split
) -> None:
    again = reopened(run)
    assert again.round == 0
    assert again.about == run.about
    for part in PARTS:
        got, expected = getattr(again.split, part), getattr(planted_split, part)
        assert got.split_names == expected.split_names
        for column in ("user", "item", "label", "rating", "time", "round", "split"):
            np.testing.assert_array_equal(getattr(got, column), getattr(expected, column))
    np.testing.assert_array_equal(again.split.cold_items, planted_split.cold_items)
    assert (again.split.name, again.split.seed) == (planted_split.name, planted_split.seed)
    np.testing.assert_array_equal(
        scores(again), planted_model.scorer.score(np.arange(planted_model.graph.n_users))
    )
    again.split.check(again.catalog.graph)


def test_says_how_it_was_made(run: Run, planted_model: Recommender) -> None:
    plain = tomllib.loads((run.path / "config.toml").read_text("utf-8"))
    assert from_plain(RecommenderConfig, plain) == planted_model.config
    made_with = json.loads((run.path / "env.json").read_text())
    assert made_with["numpy"] == np.__version__
    events = [json.loads(line) for line in (run.path / "events.jsonl").read_bytes().splitlines()]
    assert [event["event"] for event in events] == ["trained"]


@pytest.mark.R(13)
def test_a_round_moves_the_run_on_and_is_there_when_opened_again(run: Run) -> None:
    labels = some_labels(run)
    model = run.model
    moved = run.finish_round(model.tell(labels).retrain(), labels)
    assert moved.round == 1
    assert run.round == 0
    again = reopened(run)
    assert again.round == 1
    np.testing.assert_array_equal(scores(again), scores(moved))
    assert len(again.model.data.train) == len(run.split.train) + 30
    np.testing.assert_array_equal(again.labels(1).label, labels.label)
    assert again.model.posterior.answers.item.tolist() == labels.item.tolist()


def test_two_rounds_add_up(run: Run) -> None:
    first, second = some_labels(run), some_labels(run, 2)
    second = replace(second, item=np.full(30, run.split.cold_items[1]))
    moved = run.finish_round(run.model.tell(first).retrain(), first)
    moved = moved.finish_round(moved.model.tell(second).retrain(), second)
    again = reopened(run)
    assert again.round == 2
    assert len(again.model.data.train) == len(run.split.train) + 60
    np.testing.assert_array_equal(scores(again), scores(moved))


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.mark.R(7)
@pytest.mark.parametrize("moment", ["write_table", "save", "write_sealed"])
def test_killed_within_a_round_the_old_run_is_left_and_the_round_can_be_done_again(
    run: Run, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before, labels = scores(reopened(run)), some_labels(run)
    with monkeypatch.context() as patch:
        kill_before(patch, moment)
        with pytest.raises(Killed):
            run.finish_round(run.model.tell(labels).retrain(), labels)
    left = reopened(run)
    assert left.round == 0
    np.testing.assert_array_equal(scores(left), before)
    done = left.finish_round(left.model.tell(labels).retrain(), labels)
    np.testing.assert_array_equal(scores(reopened(run)), scores(done))
    assert reopened(run).round == 1


def kill_before(patch: pytest.MonkeyPatch, moment: str) -> None:
    def kill(*_args: object, **_more: object) -> None:
        raise Killed

    where = "coldframe.gnn.recommender.Recommender" if moment == "save" else "coldframe.gnn.runs"
    patch.setattr(f"{where}.{moment}", kill)


@pytest.mark.R(7)
@pytest.mark.parametrize("moment", ["write_table", "save", "write_sealed"])
def test_killed_while_it_is_made_there_is_no_run(
    tmp_path: Path, planted_catalog: Catalog, planted_split: Split,
    loaded: Callable[[], Recommender], monkeypatch: pytest.MonkeyPatch, moment: str,
) -> None:  # fmt: skip
    with monkeypatch.context() as patch:
        kill_before(patch, moment)
        with pytest.raises(Killed):
            Run.create(tmp_path / "run", planted_catalog, planted_split, loaded())
    with pytest.raises(StateError, match="no run folder"):
        Run.open(tmp_path / "run")
    run = Run.create(tmp_path / "run", planted_catalog, planted_split, loaded())
    assert np.isfinite(scores(reopened(run))).any()


def test_a_used_folder_is_refused_and_untouched(
    run: Run, planted_split: Split, planted_model: Recommender
) -> None:
    before = files(run.path)
    with pytest.raises(StateError, match="a run already"):
        Run.create(run.path, run.catalog, planted_split, planted_model)
    assert files(run.path) == before


def test_a_catalog_in_memory_has_no_run(
    tmp_path: Path, planted_catalog: Catalog, planted_split: Split, planted_model: Recommender
) -> None:
    floating = Catalog(planted_catalog.graph, planted_catalog.schema, "x")
    with pytest.raises(StateError, match="memory"):
        Run.create(tmp_path / "run", floating, planted_split, planted_model)
    assert not (tmp_path / "run").exists()


def test_no_run_and_no_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(StateError, match="no run folder") as caught:
            Run.open(folder)
        assert "coldframe train" in caught.value.hint


@pytest.mark.parametrize("content", ["", "[]", '{"format": "coldframe run 99"}', '{"format"', "\0"])
def test_a_damaged_run_file_is_an_error_with_a_name(run: Run, content: str) -> None:
    (run.path / RUN_FILE).write_text(content)
    with pytest.raises(ColdframeError) as caught:
        reopened(run)
    assert RUN_FILE in str(caught.value)


def test_a_changed_catalog_is_refused(run: Run, planted_catalog: Catalog) -> None:
    about = read_sealed(run.path / RUN_FILE)
    about["content"] = "0" * 64
    write_sealed(run.path / RUN_FILE, about)
    with pytest.raises(IntegrityError, match="not the one this run was trained on") as caught:
        _ = reopened(run).model
    assert str(planted_catalog.path) in caught.value.where


def test_a_catalog_that_is_gone_is_named(run: Run, tmp_path: Path) -> None:
    about = read_sealed(run.path / RUN_FILE)
    about["catalog"] = str(tmp_path / "gone")
    about["catalog_from_run"] = "../gone"
    write_sealed(run.path / RUN_FILE, about)
    with pytest.raises(ColdframeError, match="gone"):
        _ = reopened(run).catalog


@pytest.mark.R(19)
def test_a_changed_split_is_found(run: Run) -> None:
    other = Split(
        run.split.test, run.split.valid, run.split.train, *[np.zeros(0, np.int64)] * 2, "fixed"
    )
    elsewhere = Run.create(run.path.with_name("other"), run.catalog, other, run.model)
    shutil.copy(elsewhere.path / "split.parquet", run.path / "split.parquet")
    with pytest.raises(IntegrityError, match="changed"):
        _ = reopened(run).split


def test_refitted_models_know_their_validation_pairs_when_opened_again(
    tmp_path: Path, planted_catalog: Catalog, planted_split: Split, quick_config: RecommenderConfig
) -> None:
    parts = replace(quick_config.hybrid, parts=("popularity", "ease"))
    config = replace(quick_config, hybrid=parts, refit=True)
    model = Recommender(config, device="cpu").fit(planted_catalog, planted_split)
    run = Run.create(tmp_path / "run", planted_catalog, planted_split, model)
    again = reopened(run)
    np.testing.assert_array_equal(scores(again), scores(run))
    assert len(again.split.valid) == len(planted_split.valid)
    assert len(again.model.data.train) == len(planted_split.train) + len(planted_split.valid)


def test_a_catalog_without_interactions_makes_a_run(
    tmp_path: Path, planted_catalog: Catalog, quick_config: RecommenderConfig
) -> None:
    none, nobody = Interactions.empty(), np.zeros(0, np.int64)
    split = Split(none, none, none, nobody, nobody, "none")
    model = Recommender(quick_config, device="cpu").fit(planted_catalog, split)
    run = Run.create(tmp_path / "run", planted_catalog, split, model)
    graph = planted_catalog.graph
    rows = pa.table(
        {
            "user": [graph.users.vocabulary[u] for u in (0, 0, 1)],
            "item": [graph.items.vocabulary[i] for i in (0, 1, 2)],
            "label": [1, 0, 1],
        }
    )
    again = reopened(run)
    labels = again.model.interactions(rows)
    moved = again.finish_round(again.model.tell(labels).retrain(), labels)
    np.testing.assert_array_equal(scores(reopened(run)), scores(moved))
