"""Answers that correct earlier ones, say nothing, or cannot be read; rounds that lead nowhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldframe.active.acquire import AskConfig
from coldframe.active.cycle import ask, learn, rounds_of, tell, told
from coldframe.active.measure import AT_ONCE, POSTERIOR, RETRAINED
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.posterior import Posterior
from coldframe.gnn.runs import Run
from coldframe.kg.errors import StateError


@pytest.fixture
def run(asking_run: Run) -> Run:
    return asking_run


def say(run: Run, answer: object, **more: object) -> object:
    """An answer of user 3 about the first cold item."""
    graph = run.catalog.graph
    item = graph.items.vocabulary[int(run.split.cold_items[0])]
    return tell(run, [{"user": graph.users.vocabulary[3], "item": item, "answer": answer, **more}])


def test_a_changed_answer_takes_the_place_of_the_first(run: Run) -> None:
    item = int(run.split.cold_items[0])
    say(run, "dislike")
    run = learn(run, measure=False).run
    say(run, "like")
    run = learn(run, measure=False).run
    data, beliefs = run.model.data, run.model.posterior
    assert (data.positives[3, item], data.negatives[3, item]) == (1, 0)
    assert beliefs.answers.label.tolist() == [1.0]
    assert told(run) == 1
    opened = Run.open(run.path, device="cpu").model
    assert len(opened.data.train) == len(data.train) == len(opened.scorer.trained)
    assert (opened.data.positives[3, item], opened.data.negatives[3, item]) == (1, 0)
    everybody = np.arange(10)
    np.testing.assert_array_equal(opened.scorer.score(everybody), run.model.scorer.score(everybody))


def test_a_later_cannot_tell_takes_nothing_back(run: Run) -> None:
    say(run, "like")
    run = learn(run, measure=False).run
    say(run, "cannot tell")
    assert rounds_of(run).answers()["label"].to_pylist() == [1]
    with pytest.raises(StateError, match="no new likes"):
        learn(run, measure=False)


def test_a_round_of_nothing_but_cannot_tell_is_closed_and_not_asked_again(run: Run) -> None:
    before = run.model.scorer.score(np.arange(5))
    questions, _ = ask(run, 6, strategy="random")
    tell(run, [row | {"answer": "cannot tell"} for row in questions.to_pylist()])
    done = learn(run, measure=False)
    assert (done.labels, done.told, done.graph_iri, done.run.round) == (0, 0, "", 1)
    np.testing.assert_array_equal(done.run.model.scorer.score(np.arange(5)), before)
    again, fresh = ask(done.run, 6, strategy="random")
    assert fresh
    pairs = [
        set(zip(t["user"].to_pylist(), t["item"].to_pylist(), strict=True))
        for t in (questions, again)
    ]
    assert not pairs[0] & pairs[1]


def test_a_round_without_questions_is_not_opened(run: Run) -> None:
    with pytest.raises(StateError, match="nothing to ask"):
        ask(run, 0.5)
    user = run.catalog.graph.users.vocabulary[0]
    ask(run, 1, config=AskConfig(users=[user]))
    assert rounds_of(run).current == 1


def test_answers_of_rounds_to_come_are_refused_by_line(run: Run) -> None:
    report = say(run, "like", round=99)
    assert report.accepted == 0
    assert "yet to come" in report.rejected[0][1]


def test_ratings_that_no_threshold_reads_are_refused_by_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coldframe.active.cycle.positive_from", lambda _: None)
    report = say(run, 9)
    assert report.accepted == 0
    assert "rating 9" in report.rejected[0][1]
    # One star of five, as the catalog's own ratings say, is no like.
    assert "rating 1" in say(run, 1).rejected[0][1]


def test_one_and_zero_are_yes_and_no_where_no_other_rating_occurs(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = run.catalog.graph.interactions
    bare = replace(
        run.catalog.graph, interactions=replace(events, rating=np.full_like(events.rating, np.nan))
    )
    monkeypatch.setattr("coldframe.active.cycle.positive_from", lambda _: None)
    run.__dict__["catalog"] = replace(run.catalog, graph=bare)
    user = bare.users.vocabulary[0]
    rows = [{"user": user, "item": bare.items.vocabulary[k], "answer": str(k)} for k in (0, 1)]
    stars = [{"user": user, "item": bare.items.vocabulary[k], "answer": str(k)} for k in (1, 5)]
    assert tell(run, stars).accepted == 0, "with a five beside it a one is the least of all"
    assert tell(run, rows).accepted == 2


def test_what_is_known_to_be_disliked_is_neither_offered_nor_asked(run: Run) -> None:
    events = run.catalog.graph.interactions
    low = events.select(events.label == 0)
    assert len(low)
    known = run.model.known
    assert (np.asarray(known[low.user, low.item]) > 0).all()
    test = run.split.test
    open_ = np.asarray(known[test.user, test.item]).ravel() == 0
    assert open_.mean() > 0.9


def test_beliefs_without_some_answers_are_those_before_them() -> None:
    rng = np.random.default_rng(0)
    vectors = np.column_stack([np.ones(8), rng.normal(size=(8, 2))])
    start = Posterior.from_prior(
        vectors, rng.normal(size=(4, 3)), np.eye(3), np.array([False, False, True, True])
    )
    first = start.update([0, 1, 2], [2, 0, 3], [1.0, 0.0, 1.0])
    back = first.update([5, 6], [3, 0], [0.0, 1.0]).without([5, 6], [3, 0])
    np.testing.assert_allclose(back.mean, first.mean, atol=1e-6)
    np.testing.assert_allclose(back.covariance, first.covariance, atol=1e-6)
    np.testing.assert_array_equal(first.without([0, 1, 2], [2, 0, 3]).mean, start.mean)


def test_a_round_is_measured_at_once_and_retrained_on_validation_pairs(run: Run) -> None:
    questions, _ = ask(run, 60, strategy="random")
    tell(run, [row | {"answer": "like"} for row in questions.to_pylist()])
    at_once = Run.open(run.path, device="cpu").model
    at_once.tell(rounds_of(run).answers())
    expected = evaluate(
        {"x": at_once.scorer.parts["kg-prior"]}, at_once.data, run.split, part="valid"
    )
    done = learn(run)
    found = {(row["model"], row["segment"]): row for row in done.compared}
    assert {model for model, _ in found} == {POSTERIOR, AT_ONCE, RETRAINED}
    want = expected.value("x", "all", "ndcg@10")
    assert found[POSTERIOR, "all"]["ndcg@10"] == pytest.approx(want, abs=1e-6)
    again = evaluate({"x": done.run.model.scorer}, done.run.model.data, run.split, part="valid")
    want = again.value("x", "all", "ndcg@10")
    assert found[RETRAINED, "all"]["ndcg@10"] == pytest.approx(want, abs=1e-6)
    assert rounds_of(done.run).metrics(1)["compared"] == done.compared
