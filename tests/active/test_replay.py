"""Taking answers back: the journal keeps them, and the model is that of a run never told of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.active import influence, replay
from coldframe.active.cycle import ask, curve, learn, rounds_of, tell
from coldframe.active.fold import fold
from coldframe.active.influence import influences
from coldframe.active.journal import Journal
from coldframe.active.replay import relearn, roll_back
from coldframe.active.stopping import StopConfig, stop_reason
from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import StateError
from coldframe.kg.graph import Graph, Interactions
from coldframe.kg.provenance import recorded_rounds

RUNNER = CliRunner()
CONFIG = RecommenderConfig(
    hybrid=HybridConfig(
        parts=("popularity", "rp3beta", "kg-prior", "encoder"),
        encoder=EncoderConfig(dimensions=8, profile_dimensions=16),
        training=TrainingConfig(epochs=2, warm_epochs=1),
        tune=False,
    ),
    text=TextConfig(model="tfidf", dimensions=16),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a catalog and a run that has learned from two annotators, in two rounds."""
    base = tmp_path_factory.mktemp("replay")
    made = generate_catalog(base / "data", size="tiny")
    catalog, _ = Catalog.ingest(list(made.inputs), made.schema, base / "catalog")
    split = make_split(catalog.graph, "default")
    model = Recommender(CONFIG, device="cpu").fit(catalog, split)
    run = Run.create(base / "run", catalog, split, model)
    run = tell_and_learn(run, [("ann", k, k % 3 > 0) for k in range(12)])
    tell_and_learn(run, [("mal", k, k % 3 == 0) for k in range(6, 18)])
    return base


@pytest.fixture
def base(trained: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    for name in ("catalog", "run"):
        shutil.copytree(trained / name, tmp_path / name)
    return tmp_path


def tell_and_learn(run: Run, answers: list[tuple[str, int, bool]]) -> Run:
    graph = run.catalog.graph
    cold = run.split.cold_items if len(run.split.cold_items) else np.arange(graph.n_items)
    rows = [
        {
            "user": graph.users.vocabulary[k],
            "item": graph.items.vocabulary[int(cold[k % 5])],
            "answer": "like" if liked else "dislike",
            "annotator": who,
        }
        for who, k, liked in answers
    ]
    tell(run, rows)
    return learn(run, measure=False).run


def opened(base: Path) -> Run:
    return Run.open(base / "run", device="cpu")


def scores(run: Run) -> np.ndarray:
    return run.model.scorer.score(np.arange(run.catalog.graph.n_users))


def recorded(run: Run) -> list[int]:
    with run.catalog.store() as store:
        return recorded_rounds(store, run=run.name)


def test_a_run_and_its_catalog_are_found_where_both_were_moved_to(base: Path) -> None:
    assert opened(base).catalog.path == base / "catalog"
    moved = base / "deeper"
    moved.mkdir()
    for name in ("catalog", "run"):
        shutil.move(base / name, moved / name)
    assert opened(moved).catalog.path.resolve() == moved / "catalog"
    assert opened(moved).round == 2


@pytest.mark.R(27)
@pytest.mark.parametrize("by", [{"round": 2}, {"annotator": "mal"}])
def test_rolled_back_is_as_if_it_had_never_been_told(base: Path, by: dict) -> None:
    run = opened(base)
    before = Journal(run.journal_path).history()
    found = roll_back(run, **by)
    assert (found.answers, found.labels, found.rounds[-1]) == (12, len(opened_labels(found, 2)), 2)
    journal = Journal(run.journal_path)
    assert [one.answer for one in journal.history()[:-1]] == [one.answer for one in before]
    assert {one.answer.annotator for one in journal.records()} == {"ann"}
    assert len(opened(base).labels(2)) == 0
    for use in (lambda: opened(base).model, lambda: ask(opened(base), 5)):
        with pytest.raises(StateError, match="rolled back"):
            use()
    done = relearn(opened(base), measure=False)
    assert (done.run.round, done.labels) == (2, 0)
    clean = fresh_run(base)
    assert clean.round == 1
    np.testing.assert_array_equal(scores(opened(base)), scores(clean))
    again = roll_back(opened(base), **by)
    assert (again.answers, again.labels, again.run.stale) == (0, 0, "")


def test_the_rounds_figures_are_those_of_the_models_that_are_left(base: Path) -> None:
    run = opened(base)
    rounds_of(run).close(2, {"labels": 24, "rows": [{"segment": "all", "ndcg@10": 0.99}]})
    done = relearn(roll_back(run, annotator="mal").run)
    measured = curve(done.run)
    assert [(row["round"], row["labels"]) for row in measured] == [(0, 0), (1, 12), (2, 12)]
    assert measured[2]["rows"] == measured[1]["rows"] == done.rows
    assert stop_reason(done.run, StopConfig(target=0.98)) is None


def opened_labels(found: replay.RolledBack, number: int) -> np.ndarray:
    return np.zeros(12) if number in found.rounds else np.zeros(0)


def fresh_run(base: Path) -> Run:
    """The same training on the first annotator's answers alone."""
    catalog = Catalog.open(base / "catalog")
    split = make_split(catalog.graph, "default")
    model = Recommender(CONFIG, device="cpu").fit(catalog, split)
    run = Run.create(base / "clean", catalog, split, model)
    return tell_and_learn(run, [("ann", k, k % 3 > 0) for k in range(12)])


@pytest.mark.R(3)
@pytest.mark.parametrize("moment", ["drop_model", "graph_again", "set_labels"])
def test_killed_within_a_roll_back_the_same_call_completes_it(
    base: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_args: object, **_more: object) -> None:
        raise Killed

    where = replay if moment == "graph_again" else Run
    with monkeypatch.context() as patch:
        patch.setattr(where, moment, kill)
        with pytest.raises(Killed):
            roll_back(opened(base), annotator="mal")
    done = roll_back(opened(base), annotator="mal")
    assert done.answers == 0
    assert done.run.stale
    assert len(done.run.labels(2)) == 0
    assert len(Journal(done.run.journal_path).history()) == 25
    run = opened(base)
    assert 2 not in recorded(run)
    assert (
        fold(rounds_of(run).journal.records())["label"].to_pylist() == run.labels(1).label.tolist()
    )


def test_what_nobody_told_cannot_be_rolled_back(base: Path) -> None:
    with pytest.raises(StateError, match="'mall'") as caught:
        roll_back(opened(base), annotator="mall")
    assert "did you mean 'mal'" in caught.value.hint
    with pytest.raises(StateError, match="round 7") as caught:
        roll_back(opened(base), round=7)
    assert caught.value.hint.endswith("1, 2")


def test_a_round_that_nobody_answered_is_dropped_and_its_number_asked_again(base: Path) -> None:
    run = opened(base)
    ask(run, 4, strategy="random", seed=1)
    assert ask(run, 9)[0].num_rows == 4, "the open round's questions, whatever is asked for"
    found = roll_back(run, round=3)
    assert (found.answers, found.rounds, found.run.stale) == (0, (), run.stale)
    second, fresh = ask(run, 9, strategy="random", seed=1)
    assert fresh
    assert second["round"].to_pylist() == [3] * 9
    tell(run, [{**row, "answer": "like"} for row in second.slice(0, 1).to_pylist()])
    assert roll_back(run, round=3).answers == 1, "answered, it is rolled back and stays"
    assert not ask(run, 5)[1]


def test_an_answer_told_again_stays_rolled_back_and_a_new_one_counts(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    row = {"user": "u", "item": "i", "answer": "like", "annotator": "mal"}
    journal.tell([row], round=1)
    assert journal.roll_back(annotator="mal") == 1
    assert journal.roll_back(annotator="mal") == 0
    assert journal.tell([row], round=1).repeated == 1
    assert journal.records() == []
    assert journal.tell([{**row, "item": "j"}], round=1).accepted == 1
    assert [record.answer.item for record in journal.records()] == ["j"]
    note = json.loads(journal.path.read_text().splitlines()[1])
    assert {"seq", "prev", "crc", "round", "user", "item", "answer", "annotator", "time"} <= set(
        note
    )


def test_influence_is_zero_for_who_agrees_and_large_for_who_decides(base: Path) -> None:
    run = opened(base)
    rows = {one.annotator: one for one in influences(run)}
    assert set(rows) == {"ann", "mal"}
    assert rows["mal"].labels > 0
    assert 0 < rows["mal"].replaced <= 1
    tell(run, [{**answer, "annotator": "echo"} for answer in said(run, "ann")[:1]])
    (echo,) = influences(opened(base), ["echo"])
    assert (echo.answers, echo.labels, echo.replaced, echo.users) == (1, 0, 0.0, 0.0)


def test_who_leaves_a_pair_undecided_has_influence(asking_run: Run) -> None:
    """A veto against most likes: without it all of them would have been learned."""
    answers = [("ann", k, True) for k in range(20)] + [("mal", k, False) for k in range(2, 20)]
    rows = {one.annotator: one for one in influences(tell_and_learn(asking_run, answers))}
    assert (rows["mal"].labels, rows["ann"].labels) == (18, 2 + 18)
    assert rows["mal"].replaced > 0


def test_influence_leaves_alone_what_the_catalog_says_of_a_pair_that_was_answered(
    tiny_graph: Graph,
) -> None:
    own = tiny_graph.interactions
    user, item, label = int(own.user[-1]), int(own.item[-1]), int(own.label[-1])
    told = Interactions.build([user], [item], label=[label], round=[1])
    edge = tiny_graph.users.vocabulary[user], tiny_graph.items.vocabulary[item]
    data = TrainingData(tiny_graph, own.concat(told))
    rows, changed = influence._relabelled(data, {edge: 1 - label})
    assert changed == 1
    assert rows.label[:-1].tolist() == own.label.tolist()


def said(run: Run, annotator: str) -> list[dict[str, str]]:
    answers = [record.answer for record in rounds_of(run).journal.records()]
    return [
        {"user": one.user, "item": one.item, "answer": one.answer, "round": one.round}
        for one in map(replace, answers)
        if one.annotator == annotator
    ]


def command(*words: object, code: int = 0) -> dict:
    done = RUNNER.invoke(cli.app, [*map(str, words), "--json"])
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)


def test_the_commands_say_what_they_did_and_what_is_left_to_do(base: Path) -> None:
    run = base / "run"
    assert {row["annotator"] for row in command("influence", run)["influence"]} == {"ann", "mal"}
    assert command("rollback", run, code=2)["error"]["kind"] == "usage"
    assert command("rollback", run, "--round", 2, "--annotator", "mal", code=2)
    assert "'mal'" in command("rollback", run, "--annotator", "mall", code=4)["error"]["hint"]
    told = command("rollback", run, "--annotator", "mal")
    assert (told["answers"], told["rounds"][-1], told["stale"]) == (12, 2, True)
    error = command("recommend", run, code=4)["error"]
    assert "coldframe retrain" in error["hint"]
    again = command("retrain", run, "--no-measure")
    assert (again["round"], again["labels"], again["graph"]) == (2, 0, "")
    assert command("recommend", run, "-k", 1)["recommendations"]
    assert command("verify", run)["ok"] is True


def test_a_model_trained_anew_is_shown_as_it_was_measured_and_may_end_the_asking(
    base: Path,
) -> None:
    run = base / "run"
    command("rollback", run, "--annotator", "mal")
    shown = RUNNER.invoke(cli.app, ["retrain", str(run), "--target", "ndcg@10=0.000001"])
    assert shown.exit_code == 0, shown.output
    for words in ("trained anew on what is left", "test pairs", "stop asking: target"):
        assert words in shown.stdout
