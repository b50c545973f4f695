"""The chance of a useful answer, learned from the run's own rounds."""

from __future__ import annotations

import numpy as np

from coldframe.active.cycle import ask, learn, rounds_of, tell
from coldframe.active.history import answer_chance
from coldframe.gnn.runs import Run


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
