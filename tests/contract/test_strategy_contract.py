"""Every strategy keeps the contract: seeded, blind to numbering, within budget, caps and panel."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.auto import ADAPTIVE, find_strategy
from coldframe.active.pool import AnswerChance, Pool
from coldframe.active.state import AskState
from coldframe.active.strategies import STRATEGIES
from coldframe.gnn.posterior import Posterior
from coldframe.kg.errors import UsageError

USERS, ITEMS, D = 30, 14, 4


def make_state(seed: int = 0, by_user=None, by_item=None, **limits) -> AskState:
    """A small random catalog; `by_user`, `by_item` renumber it: new index k is old index by_...[k]."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(USERS, D)).astype(np.float32)
    x[:, 0] = 1
    mean = rng.normal(size=(ITEMS, D)) - np.array([1.0, 0, 0, 0])
    root = rng.normal(size=(ITEMS, D, D))
    covariance = root @ root.transpose(0, 2, 1) / D + 0.1 * np.eye(D)
    known = (rng.random((USERS, ITEMS)) < 0.1).astype(np.float32)
    profile = (rng.random((ITEMS, 6)) < 0.5) * rng.random((ITEMS, 6)) + 0.01
    profile /= np.linalg.norm(profile, axis=1, keepdims=True)
    popularity = rng.integers(0, 20, ITEMS).astype(float)
    by_user = np.arange(USERS) if by_user is None else by_user
    by_item = np.arange(ITEMS) if by_item is None else by_item
    for name, order in (("user_cost", by_user), ("item_cost", by_item), ("item_weight", by_item)):
        if name in limits:
            limits[name] = np.asarray(limits[name])[order]
    pool = Pool.build(
        sp.csr_matrix(known[by_user][:, by_item]),
        user_keys=[f"u{u:03d}" for u in by_user],
        item_keys=[f"i{i:03d}" for i in by_item],
        **limits,
    )
    targets = np.argsort(by_user, kind="stable")[::2]
    return AskState(
        Posterior.from_prior(x[by_user], mean[by_item], covariance[by_item]),
        pool,
        targets,
        profile=sp.csr_matrix(profile[by_item]),
        popularity=popularity[by_item],
    )


def picks_of(name: str, state: AskState, budget: float = 25, seed: int = 1):
    return find_strategy(name)(state, budget, np.random.default_rng(seed))


@pytest.mark.parametrize("name", [*sorted(ADAPTIVE), *sorted(STRATEGIES)])
class TestStrategy:
    def test_spends_the_budget_and_says_what_is_behind_each_pick(self, name):
        picks = picks_of(name, make_state())
        assert len(picks) == 25
        for column in (picks.utility, picks.gain, picks.coverage, picks.answer_chance):
            assert column.shape == (25,)
            assert np.isfinite(column).all()
            assert (column >= 0).all()

    def test_picks_no_pair_twice_and_no_known_one(self, name):
        state = make_state()
        picks = picks_of(name, state, 10_000)
        codes = picks.user * ITEMS + picks.item
        assert len(np.unique(codes)) == len(codes)
        assert not np.asarray(state.pool.known[picks.user, picks.item]).any()

    def test_the_same_seed_gives_the_same_picks(self, name):
        first, second = picks_of(name, make_state()), picks_of(name, make_state())
        assert np.array_equal(first.user, second.user)
        assert np.array_equal(first.item, second.item)

    def test_renumbering_the_catalog_changes_nothing(self, name):
        rng = np.random.default_rng(3)
        by_user, by_item = rng.permutation(USERS), rng.permutation(ITEMS)
        plain = picks_of(name, make_state())
        other = picks_of(name, make_state(by_user=by_user, by_item=by_item))
        assert np.array_equal(by_user[other.user], plain.user)
        assert np.array_equal(by_item[other.item], plain.item)
        assert other.utility == pytest.approx(plain.utility, rel=1e-3, abs=1e-6)

    def test_keeps_the_caps_counting_what_was_asked_before(self, name):
        asked = np.zeros(USERS, np.int64)
        asked[3] = 2
        asked[4] = 1
        picks = picks_of(name, make_state(user_cap=2, item_cap=5, asked_user=asked), 200)
        assert (np.bincount(picks.user, minlength=USERS) + asked).max() <= 2
        assert np.bincount(picks.item).max() <= 5
        assert len(picks) > 30

    def test_keeps_the_panel_and_the_items_offered(self, name):
        users, items = np.array([1, 5, 9, 20]), np.array([0, 3, 7])
        picks = picks_of(name, make_state(users=users, items=items), 6)
        assert len(picks) == 6
        assert np.isin(picks.user, users).all()
        assert np.isin(picks.item, items).all()

    def test_keeps_the_budget_in_cost(self, name):
        cost = np.random.default_rng(0).choice([0.5, 1.0, 3.0], ITEMS)
        state = make_state(item_cost=cost)
        picks = picks_of(name, state, 20)
        spent = state.pool.cost(picks.user, picks.item).sum()
        assert 17 <= spent <= 20 + 1e-6

    def test_never_asks_about_a_forbidden_item(self, name):
        weight = np.ones(ITEMS)
        weight[[2, 8]] = 0
        picks = picks_of(name, make_state(item_weight=weight), 10_000)
        assert not np.isin(picks.item, [2, 8]).any()

    def test_nothing_left_to_ask_gives_no_picks(self, name):
        state = make_state(asked_user=np.full(USERS, 5), user_cap=5)
        assert len(picks_of(name, state)) == 0

    def test_spends_the_budget_where_users_are_alike(self, name):
        """As those are of whom nothing is known."""
        state = make_state()
        alike = np.ones_like(state.posterior.user_vectors)
        beliefs = Posterior.from_prior(alike, state.posterior.mean, state.posterior.covariance)
        picks = picks_of(name, replace(state, posterior=beliefs), 40)
        assert len(picks) == 40

    def test_finds_the_open_pairs_of_a_pool_that_is_mostly_closed(self, name):
        open_pairs = np.random.default_rng(5).permutation(USERS * ITEMS)[:60]
        known = np.ones(USERS * ITEMS, np.float32)
        known[open_pairs] = 0
        state = make_state()
        pool = Pool.build(sp.csr_matrix(known.reshape(USERS, ITEMS)))
        assert len(picks_of(name, replace(state, pool=pool), 14)) == 14

    def test_one_user_and_one_item(self, name):
        state = make_state(users=[2], items=[3])
        assert len(picks_of(name, state)) <= 1


@pytest.mark.parametrize("name", ["gain-proportional", "greedy", "highest-score"])
def test_pairs_that_are_likely_answered_are_preferred(name):
    by_user = np.full(USERS, 1.0)
    by_user[::2] = 0.02
    chance = AnswerChance(by_user, np.ones(ITEMS))
    picks = picks_of(name, make_state(chance=chance), 40)
    assert (picks.answer_chance == 1.0).mean() > 0.8


@pytest.mark.parametrize("name", ["greedy", "d-optimal", "sharp-gain"])
def test_the_currency_of_costs_changes_no_pick(name):
    plain = picks_of(name, make_state())
    dear = picks_of(name, make_state(item_cost=np.full(ITEMS, 1000.0)), 25_000)
    assert np.array_equal(dear.user, plain.user)
    assert np.array_equal(dear.item, plain.item)


def test_unknown_strategy_names_the_nearest():
    with pytest.raises(UsageError, match="gain-proportional"):
        find_strategy("gain-proportionel")
