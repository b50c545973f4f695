"""A round's named graph says what was asked and answered: how, by whom, and nothing that was changed since."""

from __future__ import annotations

import pytest

from coldframe.active.cycle import ask, learn, tell
from coldframe.active.forgetting import forget
from coldframe.active.replay import roll_back
from coldframe.active.strategies import STRATEGIES
from coldframe.gnn.checkpoint import checkpoint_name
from coldframe.gnn.runs import Run
from coldframe.kg.files import sha256_file

NAMES = "PREFIX cf: <urn:coldframe:ns#> PREFIX prov: <http://www.w3.org/ns/prov#> "


def pairs(run: Run, n: int = 2) -> list[dict[str, str]]:
    """Users 3, 4, ... and as many cold items."""
    graph = run.catalog.graph
    return [
        {
            "user": graph.users.vocabulary[3 + k],
            "item": graph.items.vocabulary[int(run.split.cold_items[k])],
        }
        for k in range(n)
    ]


def found(run: Run, pattern: str, round: int = 1) -> list[tuple[str, ...]]:
    """Rows of ?a ?b in the graph of a round."""
    graph = f"urn:coldframe:run:{run.name}:round:{round}"
    with run.catalog.store() as store:
        rows = store.select(f"{NAMES} SELECT ?a ?b {{ GRAPH <{graph}> {{ {pattern} }} }}")
    return sorted((str(row["a"]), str(row["b"])) for row in rows.to_pylist())


GIVEN = "?e cf:user ?a ; cf:answer ?b"
GIVEN_BY = "?e cf:user ?a ; prov:wasAttributedTo ?b"


@pytest.mark.R(3)
def test_an_answer_changed_after_a_killed_retrain_stands_there_once(
    asking_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_args: object) -> None:
        raise KeyboardInterrupt

    (row, other) = pairs(asking_run)
    tell(asking_run, [row | {"answer": "like"}, other | {"answer": "like"}])
    with monkeypatch.context() as patch:
        patch.setattr(Run, "finish_round", kill)
        with pytest.raises(KeyboardInterrupt):
            learn(asking_run, measure=False)
    tell(asking_run, [row | {"answer": "dislike"}])
    run = learn(Run.open(asking_run.path, device="cpu"), measure=False).run
    assert found(run, GIVEN) == [(row["user"], "dislike"), (other["user"], "like")]


def test_the_graph_says_what_picked_the_questions(asking_run: Run) -> None:
    model = sha256_file(asking_run.path / "checkpoints" / checkpoint_name(0) / "manifest.json")
    questions, _ = ask(asking_run, 2, strategy="popularity", seed=5)
    tell(asking_run, [row | {"answer": "like"} for row in questions.to_pylist()])
    run = learn(asking_run, measure=False).run
    tell(run, [row | {"answer": "dislike"} for row in pairs(run)])
    run = learn(run, measure=False).run
    how = "?act cf:strategy ?a ; cf:seed ?b"
    assert found(run, how) == [("popularity", "5")]
    assert found(run, "?act cf:model ?a ; cf:model ?b") == [(model, model)]
    assert found(run, how, round=2) == []  # nobody was asked


def test_a_function_of_ones_own_is_named_as_well(asking_run: Run) -> None:
    def ours(state, budget, rng):
        return STRATEGIES["random"](state, budget, rng)

    questions, _ = ask(asking_run, 2, strategy=ours)
    tell(asking_run, [row | {"answer": "like"} for row in questions.to_pylist()])
    run = learn(asking_run, measure=False).run
    assert found(run, "?act cf:strategy ?a ; cf:seed ?b") == [("ours", "0")]


def test_everybody_whose_answer_was_counted_is_named_until_it_no_longer_counts(
    asking_run: Run,
) -> None:
    (one, two) = pairs(asking_run)
    ada, bob = "urn:coldframe:annotator:Ada", "urn:coldframe:annotator:Bob"
    told = [one | {"annotator": "Ada"}, one | {"annotator": "Bob"}, two]
    tell(asking_run, [row | {"answer": "like"} for row in told])
    run = learn(asking_run, measure=False).run
    assert found(run, GIVEN_BY) == [(one["user"], ada), (one["user"], bob)]
    back = roll_back(run, annotator="Bob")
    assert (back.answers, back.labels, back.run.stale) == (1, 0, "")
    assert found(back.run, GIVEN_BY) == [(one["user"], ada)]
    assert found(back.run, GIVEN) == [(one["user"], "like"), (two["user"], "like")]
    times = "?e prov:generatedAtTime ?a . BIND('' AS ?b)"
    assert len(found(back.run, times)) == 2


@pytest.mark.R(26)
def test_what_another_annotator_said_too_stays_when_one_is_forgotten(asking_run: Run) -> None:
    (row,) = pairs(asking_run, 1)
    her = asking_run.catalog.graph.users.vocabulary[9]
    tell(asking_run, [row | {"answer": "like", "annotator": who} for who in (her, "Bob")])
    run = learn(asking_run, measure=False).run
    assert len(found(run, GIVEN_BY)) == 2
    assert forget(run, her).scan.hits == ()
    left = Run.open(run.path, device="cpu")
    assert len(left.labels(1)) == 1
    assert found(left, GIVEN_BY) == [(row["user"], "urn:coldframe:annotator:Bob")]
