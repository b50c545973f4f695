"""The chance of a useful answer, learned from the run's own rounds."""

from __future__ import annotations

import numpy as np
import pytest

from coldframe.active.acquire import AskConfig
from coldframe.active.cycle import ask, learn, rounds_of, tell
from coldframe.active.history import answer_chance, asked_before
from coldframe.active.replay import roll_back
from coldframe.gnn.runs import Run
from coldframe.kg.errors import StateError


def answered(run: Run, silent: str) -> Run:
    """A round in which one user never can tell, and everybody else likes everything."""
    table, _ = ask(run, 60, strategy="random")
    rows = table.select(["round", "user", "item"]).to_pylist()
    tell(run, [row | {"answer": "skip" if row["user"] == silent else "like"} for row in rows])
    return learn(run, measure=False).run


def test_the_first_round_expects_every_answer(asking_run: Run) -> None:
    table, _ = ask(asking_run, 20)
    assert set(table["answer_chance"].to_pylist()) == {1.0}


def test_who_cannot_tell_is_expected_to_answer_less(asking_run: Run) -> None:
    first, _ = ask(asking_run, 60, strategy="random")
    users, counts = np.unique(first["user"].to_pylist(), return_counts=True)
    silent = str(users[counts.argmax()])
    run = answered(asking_run, silent)
    table, _ = ask(run, 400, strategy="random")
    chances = dict(zip(table["user"].to_pylist(), table["answer_chance"].to_pylist(), strict=True))
    others = [chance for user, chance in chances.items() if user != silent]
    assert silent not in chances or chances[silent] < 0.9 * np.median(others)
    graph = run.catalog.graph
    rounds = rounds_of(run)
    chance = answer_chance(rounds, rounds.journal.records(), graph)
    place = graph.users.vocabulary.find(silent)
    assert chance.by_user[place] == chance.by_user.min() < np.median(chance.by_user)


def test_a_useful_answer_outweighs_a_blank_one_to_the_same_edge(asking_run: Run) -> None:
    graph = asking_run.catalog.graph
    edge = {"user": graph.users.vocabulary[0], "item": graph.items.vocabulary[0]}
    tell(asking_run, [edge | {"answer": "cannot tell", "annotator": "a"}])
    rounds = rounds_of(asking_run)
    low = answer_chance(rounds, rounds.journal.records(), graph)
    assert low.by_user[0] < 1
    tell(asking_run, [edge | {"answer": "like", "annotator": "b"}])
    rounds = rounds_of(asking_run)
    high = answer_chance(rounds, rounds.journal.records(), graph)
    assert (high.by_user[0], high.by_item[0]) == (1, 1)


def pairs(table) -> set[tuple[str, str]]:
    return set(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))


def test_nobody_is_asked_beyond_the_cap_by_never_answering(asking_run: Run) -> None:
    run = asking_run
    config = AskConfig(users=[run.catalog.graph.users.vocabulary[0]], user_cap=3)
    asked = 0
    for due in (2, 1):
        table, _ = ask(run, 2, strategy="random", config=config)
        assert len(table) == due
        asked += due
        tell(run, [row | {"answer": "skip"} for row in table.to_pylist()])
        run = learn(run, measure=False).run
    with pytest.raises(StateError, match="nothing to ask"):
        ask(run, 2, strategy="random", config=config)


def test_where_every_item_is_forbidden_there_is_nothing_to_ask(asking_run: Run) -> None:
    items = asking_run.catalog.graph.items.vocabulary
    with pytest.raises(StateError, match="nothing to ask"):
        ask(asking_run, 5, config=AskConfig(item_weight=dict.fromkeys(items, 0.0)))


def test_what_was_answered_unasked_counts_as_asked(asking_run: Run) -> None:
    graph = asking_run.catalog.graph
    pair = graph.users.vocabulary[0], graph.items.vocabulary[0]
    tell(asking_run, [{"user": pair[0], "item": pair[1], "answer": "cannot tell"}])
    assert asked_before(rounds_of(asking_run)) == {pair}


def test_what_only_a_rolled_back_annotator_answered_is_open_again(asking_run: Run) -> None:
    table, _ = ask(asking_run, 6, strategy="random")
    asked = sorted(pairs(table))
    rows = [{"user": user, "item": item, "answer": "like"} for user, item in asked]
    tell(asking_run, [row | {"annotator": "bad"} for row in rows[:4]])
    tell(asking_run, [row | {"annotator": "good"} for row in rows[3:5]])
    roll_back(asking_run, annotator="bad")
    assert asked_before(rounds_of(asking_run)) == set(asked[3:])  # the last is still to be answered


def test_an_open_round_without_questions_is_asked(asking_run: Run, monkeypatch) -> None:
    """So a killed `retrain` of answers that nobody was asked for leaves it."""
    graph = asking_run.catalog.graph
    pair = {"user": graph.users.vocabulary[0], "item": graph.items.vocabulary[0]}
    tell(asking_run, [pair | {"answer": "like"}])
    with monkeypatch.context() as patch:
        patch.setattr("coldframe.active.cycle.record_answers", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            learn(asking_run, measure=False)
    rounds = rounds_of(asking_run)
    assert (rounds.current, rounds.state().questions) == (1, 0)
    table, fresh = ask(asking_run, 6, strategy="random")
    assert fresh
    assert set(table["round"].to_pylist()) == {1}
    again, fresh = ask(asking_run, 6, strategy="random")
    assert not fresh
    assert again.equals(table)
    assert learn(asking_run, measure=False).labels == 1
