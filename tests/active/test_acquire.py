"""`acquire`: a table of questions by IRI, whatever the numbering, within all limits."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active import diverse, strategies
from coldframe.active.acquire import AskConfig, View, acquire, ask_state, plan_of
from coldframe.active.auto import ADAPTIVE
from coldframe.active.coverage import COVERS
from coldframe.active.criteria import CRITERIA, evaluate_pairs
from coldframe.active.pool import Pool
from coldframe.active.state import AskState
from coldframe.active.strategies import STRATEGIES, Picks
from coldframe.gnn.data import TrainingData
from coldframe.gnn.kg_prior import KGPrior, KGPriorConfig
from coldframe.gnn.posterior import Posterior
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


def test_what_was_asked_counts_towards_the_caps_answered_or_not(view):
    before = [("0", "6"), ("0", "7"), ("1", "6")]
    config = AskConfig(user_cap=2, item_cap=3)
    table = acquire(view, 99, config=config, asked=before)
    users = [user.rsplit("/", 1)[1] for user, _ in pairs(table)]
    assert (users.count("0"), users.count("1"), users.count("2")) == (0, 1, 2)
    told = dict(view.__dict__, posterior=view.posterior.update(*np.array([[0], [6], [1]])))
    state = ask_state(View(**told), 99, config, asked=before)
    assert state.pool.asked_user.tolist() == [2, 1, 0, 0, 0, 0]  # the learned one counts once
    assert state.pool.asked_item.tolist() == [0, 0, 0, 0, 0, 0, 2, 1]


def test_a_pair_that_was_left_out_was_not_asked(view):
    state = ask_state(view, 9, AskConfig(), exclude=[("0", "6")])
    assert state.pool.asked_user.sum() == 0


def test_popularity_counts_known_likes_and_no_dislike(view):
    events = view.graph.interactions
    hidden = (events.user == 0) & (events.item == 0)
    known = view.known.tolil()
    known[0, 0], known[5, 7], known[4, 6] = 0, 1, 1
    posterior = view.posterior.update(*np.array([[5, 4], [7, 6], [1, 0]]))
    state = ask_state(View(posterior, view.graph, known.tocsr()), 9, AskConfig())
    likes = events.select((events.label == 1) & ~hidden)
    expected = np.bincount(likes.item, minlength=8)
    expected[7] += 1
    assert state.popularity.tolist() == expected.tolist()


@pytest.mark.parametrize("strategy", [*sorted(ADAPTIVE), *sorted(STRATEGIES)])
@pytest.mark.parametrize(
    "limits", [{"item_weight": dict.fromkeys("01234567", 0.0)}, {"items": []}, {"users": ()}]
)
def test_an_empty_pool_gives_no_questions(view, strategy, limits):
    config = AskConfig(**limits, criteria=("bald",))
    table = acquire(view, 5, strategy=strategy, config=config)
    assert (table.num_rows, table.column_names) == (0, [*COLUMNS, "criterion.bald"])


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_a_budget_beyond_the_usual_candidates_is_asked_in_full(strategy, monkeypatch):
    monkeypatch.setattr(strategies, "USUAL", 50)
    monkeypatch.setattr(diverse, "_SPREAD", 5)
    rng = np.random.default_rng(0)
    vectors = np.hstack([np.ones((40, 1)), rng.normal(size=(40, 2))])
    posterior = Posterior.from_prior(vectors, rng.normal(size=(20, 3)), np.eye(3))
    profile = sp.csr_matrix((rng.random((20, 6)) < 0.4).astype(np.float32))
    state = AskState(posterior, Pool.build(sp.csr_matrix((40, 20))), np.arange(40), profile)
    for budget in (200, 1e300):
        picks = STRATEGIES[strategy](state, budget, np.random.default_rng(0))
        assert len(picks) == min(budget, 40 * 20)


def test_a_criterion_is_told_once(view):
    table = acquire(view, 3, config=AskConfig(criteria=("bald", "bald")))
    assert table.column_names.count("criterion.bald") == 1


def test_names_that_can_be_read_once_are_read_once(view):
    listed = {"users": ["0", "1"], "items": ["6", "7"], "targets": ["2", "3"]}
    once = {kind: (name for name in names) for kind, names in listed.items()}
    config = AskConfig(**once)
    for _ in range(2):
        assert acquire(view, 3, config=config).equals(acquire(view, 3, config=AskConfig(**listed)))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"user_cap": 0}, "user_cap: must be at least 1, got 0"),
        ({"user_cap": 1.5}, "user_cap: expected a whole number"),
        ({"users": "12"}, "'12' stands where several users are expected"),
        ({"criteria": "entropy"}, "criteria: got 'entropy', expected several names"),
        ({"user_cost": {"0": "dear"}}, "user_cost: got {'0': 'dear'}, expected numbers by id"),
        ({"item_cap": -1}, "item_cap: must be at least 1, got -1"),
        ({"targets": []}, "targets"),
        ({"user_cost": {"0": float("nan")}}, "user '0' has nan"),
        ({"item_cost": {"6": -2.0}}, "item '6' has -2"),
        ({"item_cost": {"6": 0.0}}, "item '6' has 0"),
        ({"item_cost": {"6": 1e-12}}, "item_cost holds 1e-12"),
        ({"item_weight": {"6": -1.0}}, "item '6' has -1"),
        ({"item_cost": {"6": 2.0, "https://example.org/item/6": 3.0}}, "twice"),
    ],
)
def test_limits_that_are_none_are_named(view, wrong, named):
    with pytest.raises(UsageError, match=named):
        acquire(view, 3, config=AskConfig(**wrong))


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": -1}, {"seed": 1.5}, {"budget": "5"}, {"round": "a"}, {"config": {"user_cap": 1}},
        {"chance": 0.5}, {"strategy": None}, {"asked": [(1,)]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_argument_is_named(view, wrong):
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("asked", "pairs")):
        acquire(view, **({"budget": 3} | wrong))


def test_only_a_model_can_be_asked_with(view):
    with pytest.raises(UsageError, match="a posterior, a graph and known pairs"):
        acquire(view.graph, 3)


def test_questions_can_be_excluded_as_the_table_that_they_came_in(view):
    first = acquire(view, 3)
    again = acquire(view, 3, exclude=first)
    asked = set(zip(first["user"].to_pylist(), first["item"].to_pylist(), strict=True))
    assert asked.isdisjoint(zip(again["user"].to_pylist(), again["item"].to_pylist(), strict=True))


def test_a_function_of_ones_own_is_played_and_named(view):
    def last_items(state, budget, rng):
        return STRATEGIES["random"](state, min(budget, 2), rng)

    table = acquire(view, 5, strategy=last_items)
    assert table.num_rows == 2
    assert plan_of(table) == {"strategy": "last_items", "plays": "last_items", "arms": []}
    with pytest.raises(UsageError, match="expected Picks"):
        acquire(view, 5, strategy=lambda *_: [(0, 6)])


def given(users, items, *, n=None):
    """A strategy that gives these pairs, whatever the pool says."""
    user, item = np.array(users, np.int64), np.array(items, np.int64)
    figures = np.ones(len(user) if n is None else n)
    return lambda *_: Picks(user, item, figures, figures, figures, figures)


@pytest.mark.parametrize(
    ("strategy", "fault"),
    [
        (given([0, 0], [6, 6]), "a pair twice"),
        (given([0], [0]), "must not be asked"),
        (given([0], [99]), "not in the pool"),
        (given([0, 1], [7, 7]), "2 questions of one item"),
        (given([0, 0, 1, 1], [6, 7, 6, 7]), "spent 4 of a budget of 3"),
        (given([0, 1], [6, 7], n=1), "different lengths"),
        (lambda *_: Picks([0], [6], [1.0], [1.0], [1.0], [1.0]), "arrays"),
    ],
)
def test_a_function_of_ones_own_that_breaks_the_contract_is_named(view, strategy, fault):
    config = AskConfig(item_cap=1) if "one item" in fault else None
    known = [("0", "0")] if "asked" in fault else []
    with pytest.raises(UsageError, match=fault):
        acquire(view, 3, strategy=strategy, config=config, exclude=known)


def test_a_function_of_ones_own_may_pick_nothing(view):
    nothing = np.array([])
    picks = Picks(nothing, nothing, nothing, nothing, nothing, nothing)
    assert acquire(view, 3, strategy=lambda *_: picks).num_rows == 0
