"""`acquire`: a table of questions by IRI, whatever the numbering, within all limits."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.acquire import AskConfig, View, acquire, ask_state
from coldframe.active.coverage import COVERS
from coldframe.active.criteria import CRITERIA, evaluate_pairs
from coldframe.gnn.data import TrainingData
from coldframe.gnn.kg_prior import KGPrior, KGPriorConfig
from coldframe.kg.errors import UnknownIdError, UsageError

COLUMNS = ["round", "user", "item", "utility", "gain", "coverage", "answer_chance"]


@pytest.fixture
def view(tiny_graph) -> View:
    model = KGPrior(KGPriorConfig(dimension=3)).fit(
        TrainingData(tiny_graph, tiny_graph.interactions)
    )
    events = tiny_graph.interactions
    known = sp.csr_matrix(
        (np.ones(len(events)), (events.user, events.item)),
        (tiny_graph.n_users, tiny_graph.n_items),
    )
    return View(model.posterior, tiny_graph, known)


def pairs(table) -> list[tuple[str, str]]:
    return list(zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True))


def test_gives_the_columns_and_no_known_pair(view):
    table = acquire(view, 10, round=4)
    assert table.column_names == COLUMNS
    assert table.num_rows == 10
    assert set(table["round"].to_pylist()) == {4}
    users, items = view.graph.users.vocabulary, view.graph.items.vocabulary
    for user, item in pairs(table):
        assert view.known[users.find(user), items.find(item)] == 0
    assert len(set(pairs(table))) == 10


def test_the_same_seed_and_round_give_the_same_questions_and_others_do_not(view):
    first = acquire(view, 8, seed=3)
    assert acquire(view, 8, seed=3).equals(first)
    assert pairs(acquire(view, 8, seed=4)) != pairs(first)
    assert pairs(acquire(view, 8, seed=3, round=2)) != pairs(first)


def test_panel_items_exclusions_and_forbidden_items_are_kept(view):
    config = AskConfig(users=["0", "1", "2"], items=["6", "7", "3"], item_weight={"3": 0})
    taken = [("0", "6"), ("1", "6"), ("2", "6")]
    table = acquire(view, 100, config=config, exclude=taken)
    assert {user.rsplit("/", 1)[1] for user, _ in pairs(table)} <= {"0", "1", "2"}
    assert {item.rsplit("/", 1)[1] for _, item in pairs(table)} == {"7"}


@pytest.mark.parametrize("name", sorted(CRITERIA))
def test_each_criterion_can_be_looked_at(view, name):
    table = acquire(view, 9, config=AskConfig(criteria=(name,)))
    assert table.column_names == [*COLUMNS, f"criterion.{name}"]
    plain = acquire(view, 9)
    assert table.select(COLUMNS).equals(plain)
    state = ask_state(view, 9, AskConfig())
    vocabularies = view.graph.users.vocabulary, view.graph.items.vocabulary
    for user, item, value in zip(
        table["user"].to_pylist(), table["item"].to_pylist(),
        table[f"criterion.{name}"].to_pylist(), strict=True,
    ):  # fmt: skip
        place = np.array([vocabularies[0].find(user)]), np.array([vocabularies[1].find(item)])
        assert value == pytest.approx(float(evaluate_pairs(CRITERIA[name], state, *place)[0]))
        assert value >= 0


def test_criteria_of_no_questions_are_empty_columns(view):
    config = AskConfig(users=["0"], items=["6"], criteria=("bald",))
    table = acquire(view, 9, config=config, exclude=[("0", "6")])
    assert table.column_names == [*COLUMNS, "criterion.bald"]
    assert table.num_rows == 0


@pytest.mark.parametrize("coverage", COVERS)
@pytest.mark.parametrize("strategy", ["coverage", "sharp-coverage"])
def test_each_kind_of_coverage_can_be_asked_by(view, coverage, strategy):
    config = AskConfig(coverage=coverage)
    table = acquire(view, 9, strategy=strategy, config=config)
    assert len(set(pairs(table))) == 9
    state = ask_state(view, 9, config)
    assert state.cover is not None
    assert state.cover.form == ("saturate" if coverage == "pagerank" else "max")
    width = state.cover.reach.shape[1]
    items = len(state.pool.items)
    assert (width == items) == (coverage != "attributes")


def test_unknown_criteria_and_coverages_name_the_nearest():
    with pytest.raises(UsageError, match="entropi") as caught:
        AskConfig(criteria=("entropi",))
    assert "entropy" in str(caught.value.hint)
    with pytest.raises(UsageError, match="pagerang") as caught:
        AskConfig(coverage="pagerang")
    assert "pagerank" in str(caught.value.hint)


@pytest.mark.parametrize("budget", [0, -3, float("nan"), float("inf")])
def test_an_impossible_budget_is_refused(view, budget):
    with pytest.raises(UsageError, match="budget"):
        acquire(view, budget)


def test_unknown_names_are_refused(view):
    with pytest.raises(UnknownIdError, match="nobody"):
        acquire(view, 3, config=AskConfig(users=["nobody"]))
    with pytest.raises(UsageError, match="auto"):
        acquire(view, 3, strategy="autos")
