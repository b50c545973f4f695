"""What held-back answers say of the beliefs decides whom the budget goes to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit

from coldframe.active.bandit import SLOPES, auto_bandit, trust
from coldframe.active.pool import Pool
from coldframe.active.state import AskState
from coldframe.active.trust import evidence, held_back_logits
from coldframe.gnn.posterior import Posterior

USERS, ITEMS, D = 400, 60, 3


def make_state(seed: int = 0) -> AskState:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(USERS, D)).astype(np.float32)
    x[:, 0] = 1
    mean = rng.normal(size=(ITEMS, D)) * np.array([1.0, 1.5, 1.5]) - np.array([1.5, 0, 0])
    posterior = Posterior.from_prior(x, mean, 0.2 * np.eye(D))
    pool = Pool.build(sp.csr_matrix((USERS, ITEMS), dtype=np.float32))
    return AskState(posterior, pool, np.arange(0, USERS, 4), profile=sp.csr_matrix(np.eye(ITEMS)))


def told(state: AskState, answer, rounds: int = 4, budget: int = 400) -> AskState:
    """The state after some rounds of the bandit, `answer(users, items)` giving the labels."""
    for turn in range(rounds):
        picks = auto_bandit(state, budget, np.random.default_rng(turn))
        labels = answer(picks.user, picks.item)
        posterior = state.posterior.update(picks.user, picks.item, labels)
        state = replace(state, pool=state.pool.after(picks.user, picks.item), posterior=posterior)
    return state


def dispersion(items: np.ndarray) -> float:
    """Variance / mean of the questions per item: about 1 in an even draw."""
    counts = np.bincount(items, minlength=ITEMS)
    return float(counts.var() / counts.mean())


def test_every_answer_is_predicted_as_by_beliefs_that_have_not_seen_it():
    state, rng = make_state(), np.random.default_rng(3)
    users, items = np.arange(300), np.arange(300) % ITEMS
    labels = (rng.random(300) < expit(state.posterior.pair_logits(users, items))).astype(float)
    posterior = state.posterior.update(users, items, labels)
    alone, seen = held_back_logits(replace(state, posterior=posterior))
    assert np.array_equal(seen, labels)
    exact, own = np.empty(300), np.empty(300)
    for k in range(300):
        others = posterior.without(users[k : k + 1], items[k : k + 1])
        for found, beliefs in ((exact, others), (own, posterior)):
            spread = np.sqrt(
                1 + np.pi / 8 * beliefs.pair_variance(users[k : k + 1], items[k : k + 1])[0]
            )
            found[k] = beliefs.pair_logits(users[k : k + 1], items[k : k + 1])[0] / spread
    assert np.abs(alone - exact).max() < 0.25 * np.abs(own - exact).max()
    assert np.corrcoef(alone, exact)[0, 1] > 0.99


def test_evidence_finds_the_slope():
    rng = np.random.default_rng(0)
    eta = rng.normal(-2, 2, 4000)
    for slope in (0.0, 0.5, 1.0):
        labels = (rng.random(4000) < expit(-2 + slope * (eta + 2))).astype(float)
        found = evidence(eta, labels, SLOPES)
        assert SLOPES[found.argmax()] == slope
    assert not evidence(np.zeros(0), np.zeros(0), SLOPES).any()
    assert evidence(np.full(9, -1.0), np.ones(9), SLOPES) == pytest.approx(
        np.full(3, evidence(np.full(9, -1.0), np.ones(9), SLOPES)[0])
    )


def test_beliefs_that_are_too_high_throughout_still_tell_pairs_apart():
    """The level is integrated out: only how pairs stand to each other decides."""
    rng = np.random.default_rng(0)
    eta = rng.normal(-1, 1.5, 4000)
    for slope in (0.0, 0.5, 1.0):
        labels = (rng.random(4000) < expit(-3 + slope * (eta + 1))).astype(float)
        found = evidence(eta, labels, SLOPES)
        assert SLOPES[found.argmax()] == slope


def test_right_beliefs_are_trusted_and_empty_ones_lose_the_budget_to_random():
    state, coins = make_state(), np.random.default_rng(5)
    truth = state.posterior.logits(np.arange(USERS), np.arange(ITEMS))
    coin = told(state, lambda u, _: (coins.random(len(u)) < 0.3).astype(float))
    assert trust(coin)[0] > 0.9
    rng = np.random.default_rng(6)
    right = told(state, lambda u, i: (rng.random(len(u)) < expit(truth[u, i])).astype(float))
    assert trust(right)[2] > 0.9
    picks = [auto_bandit(one, 300, np.random.default_rng(9)) for one in (coin, right)]
    assert dispersion(picks[0].item) < 1.5
    assert dispersion(picks[1].item) > 2
