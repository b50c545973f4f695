"""Rounds on disk: asking, telling and closing are idempotent and survive a stop at any step."""

import pyarrow as pa
import pytest

from coldframe.active.rounds import Rounds, batch_sizes
from coldframe.kg.errors import LockedError, StateError


def questions(number: int) -> pa.Table:
    return pa.table({"user": [f"u{number}", "v"], "item": ["i", "j"]})


def refuse(_: int) -> pa.Table:
    raise AssertionError("asked anew although a round is open")


def test_a_round_from_question_to_close(tmp_path):
    rounds = Rounds(tmp_path)
    assert rounds.current == 0
    asked = rounds.ask(questions)
    assert rounds.state().questions == 2
    report = rounds.tell([{"user": "u1", "item": "i", "answer": "like"}])
    assert report.accepted == 1
    assert (rounds.state().answered, rounds.state().closed) == (1, False)
    assert rounds.ask(refuse).equals(asked)
    rounds.close(1, {"ndcg@10": 0.5})
    assert rounds.state().closed
    assert rounds.metrics(1) == {"ndcg@10": 0.5}
    assert rounds.ask(questions)["user"][0].as_py() == "u2"
    assert rounds.current == 2


@pytest.mark.R(3)
def test_a_new_process_goes_on_where_the_old_one_stopped(tmp_path):
    steps = [
        lambda r: r.ask(questions),
        lambda r: r.tell([{"user": "u1", "item": "i", "answer": "like"}]),
        lambda r: r.close(1, {"x": 1}),
        lambda r: r.ask(questions),
    ]
    for stop in range(len(steps)):
        folder = tmp_path / str(stop)
        for step in steps[: stop + 1]:
            step(Rounds(folder))
        for step in steps[stop:]:
            step(Rounds(folder))
        rounds = Rounds(folder)
        assert rounds.current == 2
        assert rounds.answers()["label"].to_pylist() == [1]


def test_a_failing_question_maker_leaves_no_round(tmp_path):
    rounds = Rounds(tmp_path)
    with pytest.raises(RuntimeError):
        rounds.ask(lambda _: (_ for _ in ()).throw(RuntimeError()))
    assert rounds.current == 0
    with pytest.raises(StateError, match="not asked"):
        rounds.state()


def test_two_callers_do_not_overwrite_each_others_questions(tmp_path):
    def meanwhile(number: int) -> pa.Table:
        with pytest.raises(LockedError, match="ask"):
            Rounds(tmp_path).ask(refuse)
        return questions(number)

    asked = Rounds(tmp_path).ask(meanwhile)
    assert Rounds(tmp_path).ask(refuse).equals(asked)
    assert [path.name for path in tmp_path.iterdir()] == ["rounds"]


def test_late_answers_of_an_earlier_round_are_taken_in(tmp_path):
    rounds = Rounds(tmp_path)
    rounds.ask(questions)
    rounds.close(1, {})
    rounds.ask(questions)
    rounds.tell([{"user": "v", "item": "j", "answer": "dislike"}], round=1)
    assert rounds.state(1).answered == 1
    assert rounds.state(2).answered == 0
    assert rounds.answers()["label"].to_pylist() == [0]


def test_closing_a_round_that_was_not_asked_is_refused(tmp_path):
    with pytest.raises(StateError):
        Rounds(tmp_path).close(3, {})


@pytest.mark.parametrize("budget", [0, 1, 99, 100, 101, 250, 1000, 8000])
def test_batches_grow_and_sum_to_the_budget(budget):
    sizes = batch_sizes(budget)
    assert sum(sizes) == budget
    assert all(size > 0 for size in sizes)
    assert sizes[:-1] == sorted(sizes[:-1])
