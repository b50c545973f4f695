"""Copies of a run folder beside one catalog: each writes its rounds under a name of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from coldframe.active import recording
from coldframe.active.cycle import learn, tell
from coldframe.active.recording import own
from coldframe.active.replay import roll_back
from coldframe.gnn.runs import Run
from coldframe.kg.provenance import recorded_rounds, round_graph


@pytest.fixture
def base(asking_base: Path, tmp_path: Path) -> Path:
    """A folder with a catalog and its run."""
    for name in ("catalog", "run"):
        shutil.copytree(asking_base / name, tmp_path / name)
    return tmp_path


def taught(folder: Path, users: range) -> Run:
    """A round in which these users like the first cold item."""
    run = Run.open(folder, device="cpu")
    graph = run.catalog.graph
    item = graph.items.vocabulary[int(run.split.cold_items[0])]
    names = [graph.users.vocabulary[k] for k in users]
    tell(run, [{"user": user, "item": item, "answer": "like"} for user in names])
    return learn(run, measure=False).run


def told(run: Run, number: int) -> set[int]:
    """Positions of the users whose answers stand in a round's graph."""
    with run.catalog.store() as store:
        found = store.select(
            f"SELECT ?u {{ GRAPH <{round_graph(run.name, number)}> {{ ?x <urn:coldframe:ns#user> ?u }} }}"
        )
    return {run.catalog.graph.users.vocabulary.find(one) for one in found["u"].to_pylist()}


def rounds(run: Run) -> list[int]:
    with run.catalog.store() as store:
        return recorded_rounds(store, run=run.name)


def test_a_copy_and_its_original_do_not_mix_their_rounds(base: Path) -> None:
    shutil.copytree(base / "run", base / "b")
    first, second = taught(base / "run", range(3)), taught(base / "b", range(5, 9))
    assert first.name != second.name == Run.open(base / "b").name
    assert (told(first, 1), told(second, 1)) == ({0, 1, 2}, {5, 6, 7, 8})
    again = taught(base / "b", range(10, 12))
    assert again.name == second.name
    assert (rounds(first), rounds(again)) == ([1], [1, 2])


def test_a_copy_takes_the_rounds_before_along(base: Path) -> None:
    taught(base / "run", range(3))
    shutil.copytree(base / "run", base / "b")
    copy = taught(base / "b", range(5, 7))
    assert (told(copy, 1), told(copy, 2)) == ({0, 1, 2}, {5, 6})
    assert rounds(Run.open(base / "run")) == [1]
    roll_back(Run.open(base / "b"), round=1)
    assert told(Run.open(base / "run"), 1) == {0, 1, 2}
    assert rounds(Run.open(base / "b")) == [2]


def test_a_copy_that_only_rolls_back_leaves_the_original(base: Path) -> None:
    taught(base / "run", range(3))
    shutil.copytree(base / "run", base / "b")
    roll_back(Run.open(base / "b"), round=1)
    assert told(Run.open(base / "run"), 1) == {0, 1, 2}


def test_a_moved_run_keeps_its_name(base: Path) -> None:
    name = taught(base / "run", range(3)).name
    shutil.move(base / "run", base / "b")
    moved = taught(base / "b", range(5, 7))
    assert moved.name == name
    assert rounds(moved) == [1, 2]


def test_copied_together_with_the_catalog_it_keeps_its_name(base: Path) -> None:
    name = taught(base / "run", range(3)).name
    for part in ("catalog", "run"):
        shutil.copytree(base / part, base / "elsewhere" / part)
    assert taught(base / "elsewhere" / "run", range(5, 7)).name == name
    assert rounds(Run.open(base / "run")) == [1]


def test_what_a_vanished_original_went_on_with_is_not_taken_over(base: Path) -> None:
    taught(base / "run", range(3))
    shutil.copytree(base / "run", base / "b")
    taught(base / "run", range(20, 30))
    shutil.rmtree(base / "run")
    left = taught(base / "b", range(5, 7))
    assert (told(left, 1), told(left, 2)) == ({0, 1, 2}, {5, 6})


def test_trained_again_in_the_same_place_it_is_another_run(base: Path) -> None:
    old = taught(base / "run", range(3))
    catalog, split, model = old.catalog, old.split, old.model
    shutil.rmtree(base / "run")
    assert Run.create(base / "run", catalog, split, model).name != old.name
    assert told(taught(base / "run", range(5, 7)), 1) == {5, 6}


@pytest.mark.R(3)
@pytest.mark.parametrize("moment", ["_record", "claim"])
def test_killed_while_it_gets_its_name_the_next_call_completes_it(
    base: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def kill(*_args: object) -> None:
        raise KeyboardInterrupt

    taught(base / "run", range(3))
    shutil.copytree(base / "run", base / "b")
    with monkeypatch.context() as patch:
        patch.setattr(recording, moment, kill)
        with pytest.raises(KeyboardInterrupt):
            own(Run.open(base / "b"))
    copy = taught(base / "b", range(5, 7))
    assert copy.name != Run.open(base / "run").name
    assert (told(copy, 1), told(copy, 2)) == ({0, 1, 2}, {5, 6})
    assert told(Run.open(base / "run"), 1) == {0, 1, 2}
    np.testing.assert_array_equal(rounds(copy), [1, 2])
