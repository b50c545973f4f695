"""Gold questions: asked among the others, scored, and never learned from."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.active.acquire import AskConfig
from coldframe.active.cycle import ask, learn, rounds_of, tell
from coldframe.active.gold import GoldPair, draw_gold, mixed
from coldframe.active.quality import gold_scores
from coldframe.gnn.runs import Run
from coldframe.kg.errors import IntegrityError, UsageError
from coldframe.kg.person import Person


def pairs(table) -> list[tuple[str, str]]:
    return list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))


def test_gold_questions_are_known_pairs_that_nothing_marks(asking_run: Run) -> None:
    table, _ = ask(asking_run, 40, gold=8)
    annotators = rounds_of(asking_run).annotators()
    asked, gold = annotators.asked, annotators.gold
    assert len(table) == 40
    assert len(asked) == 8
    assert asked <= set(pairs(table))
    graph, known = asking_run.catalog.graph, asking_run.model.known
    users, items = graph.users.vocabulary, graph.items.vocabulary
    for user, item in pairs(table):
        is_known = known[users.find(user), items.find(item)] > 0
        assert is_known == ((user, item) in asked)
    assert sorted(gold[pair] for pair in asked) == [0, 0, 0, 0, 1, 1, 1, 1]
    events = asking_run.catalog.graph.interactions
    told = {
        (users[int(u)], items[int(i)]): int(label)
        for u, i, label in zip(events.user, events.item, events.label, strict=True)
    }
    assert all(told[pair] == gold[pair] for pair in asked)
    place = [k for k, pair in enumerate(pairs(table)) if pair in asked]
    assert place != list(range(min(place), min(place) + 8))
    for name in ("utility", "gain"):  # longer digits would mark them
        values = table[name].to_numpy()
        assert np.isfinite(values).all()
        assert np.array_equal(values, values.astype(np.float32))
    assert "gold" not in table.column_names


def test_answers_to_gold_are_scored_and_never_become_edges(asking_run: Run) -> None:
    run = asking_run
    table, _ = ask(run, 30, gold=10)
    asked, gold = rounds_of(run).annotators().asked, rounds_of(run).annotators().gold
    rows = []
    for user, item in pairs(table):
        truth = gold.get((user, item), 1)
        for who, label in (("careful", truth), ("liar", 1 - truth)):
            row = {"user": user, "item": item, "answer": "like" if label else "dislike"}
            rows.append(row | {"annotator": who, "round": 1})
    tell(run, rows)
    rounds = rounds_of(run)
    scores = gold_scores(rounds.journal.records(), gold)
    assert scores == {"careful": (10, 10), "liar": (10, 0)}
    verdicts = rounds.answers()
    assert not set(pairs(verdicts)) & asked
    assert set(verdicts["label"].to_pylist()) == {1}  # the liar is left out
    before = len(run.model.data.train)
    done = learn(run, measure=False)
    assert done.labels == 20
    assert len(done.run.model.data.train) == before + 20
    again, _ = ask(done.run, 30, gold=10)
    assert not set(pairs(again)) & set(pairs(table))
    assert len(rounds_of(done.run).annotators().asked) == 20


def test_a_round_with_answers_to_gold_alone_is_closed_without_labels(asking_run: Run) -> None:
    ask(asking_run, 20, gold=5)
    asked = rounds_of(asking_run).annotators().asked
    tell(asking_run, [{"user": u, "item": i, "answer": "like"} for u, i in sorted(asked)])
    done = learn(asking_run, measure=False)
    assert (done.labels, done.run.round) == (0, 1)


def test_only_those_who_may_be_asked_get_gold_questions(asking_run: Run) -> None:
    users = asking_run.catalog.graph.users.vocabulary
    few = [users[k] for k in range(4)]
    table, _ = ask(asking_run, 12, gold=4, config=AskConfig(users=few))
    assert set(table["user"].to_pylist()) <= set(few)
    rng = np.random.default_rng(0)
    with pytest.raises(UsageError, match="known"):
        draw_gold(asking_run.model, 10_000, rng, users=few)


def test_gold_may_not_take_the_whole_budget_and_counts_its_cost(asking_run: Run) -> None:
    with pytest.raises(UsageError, match="budget"):
        ask(asking_run, 5, gold=5)
    users = asking_run.catalog.graph.users.vocabulary
    config = AskConfig(user_cost={users[k]: 3.0 for k in range(len(users))})
    table, _ = ask(asking_run, 30, gold=4, config=config)
    assert len(table) == 10
    assert table["cost"].to_pylist() == [3.0] * 10


def test_a_forgotten_users_gold_goes(asking_run: Run) -> None:
    ask(asking_run, 20, gold=5)
    rounds = rounds_of(asking_run)
    user = sorted(rounds.annotators().asked)[0][0]
    rounds.forget_gold(Person.of([user]))
    assert user not in json.dumps(sorted(rounds.annotators().asked))
    assert user not in (asking_run.path / "annotators.json").read_text()


def test_a_damaged_file_of_annotators_or_panel_is_named(asking_run: Run) -> None:
    for name in ("annotators.json", "panel.json"):
        for text in ("[]", '{"gold": [], "quota": 1, "asked": [1], "users": 3}'):
            path = asking_run.path / name
            path.write_text(text)
            with pytest.raises(IntegrityError) as caught:
                ask(asking_run, 5)
            assert name in caught.value.where
            path.unlink()


@given(
    st.lists(st.floats(0.0, 9.0), min_size=1, max_size=12),
    st.integers(1, 6),
    st.integers(0, 2**16),
)
def test_gold_questions_break_no_order_of_utilities(values, count, seed) -> None:
    falling = sorted(values, reverse=True)
    n = len(values)
    table = pa.table(
        {
            "round": [1] * n,
            "user": [f"u{k}" for k in range(n)],
            "item": ["i"] * n,
            "utility": falling,
            "gain": values,
        }
    )
    gold = [GoldPair("g", str(k), 1) for k in range(count)]
    mixture = mixed(table, gold, [1.0] * count, np.random.default_rng(seed))
    utilities = mixture["utility"].to_numpy()
    assert (np.diff(utilities) <= 1e-12).all()
    assert [user for user in mixture["user"].to_pylist() if user != "g"] == table[
        "user"
    ].to_pylist()
    assert min(values) - 1e-12 <= mixture["gain"].to_numpy().min()
    assert mixture["gain"].to_numpy().max() <= max(values) + 1e-12


def test_a_dislike_of_what_is_liked_as_well_is_no_gold(asking_run: Run) -> None:
    """Also where the like is held out for testing."""
    graph, split = asking_run.model.graph, asking_run.split
    events, tested = graph.interactions, split.test.select(split.test.label == 1)
    dislikes = replace(tested, label=np.zeros_like(tested.label))
    both = graph.with_interactions(events.concat(dislikes))
    model = SimpleNamespace(graph=both, data=SimpleNamespace(train=split.train))
    users, items = graph.users.vocabulary, graph.items.vocabulary
    hidden = {(users[int(u)], items[int(i)]) for u, i in zip(tested.user, tested.item, strict=True)}
    rng = np.random.default_rng(0)
    found = draw_gold(model, int((events.label == 0).sum()), rng)
    assert not {(one.user, one.item) for one in found} & hidden


def test_gold_of_a_round_that_never_came_is_not_asked(
    asking_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("coldframe.active.rounds.write_table", kill)
        with pytest.raises(KeyboardInterrupt):
            ask(asking_run, 20, gold=5, seed=1)
    assert len(rounds_of(asking_run).annotators().asked) == 5
    table, _ = ask(asking_run, 20, seed=2)
    assert rounds_of(asking_run).annotators().asked == set()
    assert len(table) == 20
