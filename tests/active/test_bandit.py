"""Probes are an even sample that is found again, and what they say decides whom the budget goes to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit

from coldframe.active.bandit import SLOPES, auto_bandit, trust
from coldframe.active.pool import SET_ASIDE, Pool
from coldframe.active.probes import (
    draw_probes,
    evidence,
    held_back_logits,
    probe_answers,
)
from coldframe.active.state import AskState
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


def test_one_pair_in_64_is_set_aside_and_probes_are_such_pairs():
    state = make_state()
    grid = state.pool.set_aside(np.arange(USERS)[None], np.arange(ITEMS)[:, None])
    assert grid.mean() == pytest.approx(1 / SET_ASIDE, rel=0.25)
    basket = draw_probes(state, 30, np.random.default_rng(0))
    assert len(basket) == 30
    assert grid[basket.items, basket.users].all()
    assert len(draw_probes(state, 10_000, np.random.default_rng(0))) == grid.sum()


def test_no_other_question_is_set_aside_so_probes_stay_an_even_sample():
    state = told(make_state(), lambda users, _: np.zeros(len(users)), rounds=2)
    probes = probe_answers(state)
    answers = state.posterior.answers
    assert 0.03 < probes.mean() < 0.08
    # probes scatter over the items as an even draw does, the other questions do not
    assert dispersion(answers.item[probes]) < 1.6
    assert dispersion(answers.item[~probes]) > 2


def test_held_back_beliefs_have_not_seen_the_probes():
    state = make_state()
    basket = draw_probes(state, 50, np.random.default_rng(1))
    users, items, _ = basket.arrays()
    before = state.posterior.pair_logits(users, items)
    after = replace(state, posterior=state.posterior.update(users, items, np.ones(50)))
    eta, labels = held_back_logits(after)
    assert (labels == 1).all()
    assert (np.abs(eta) <= np.abs(before) + 1e-5).all()
    assert np.array_equal(np.sign(eta), np.sign(before))
    assert (after.posterior.pair_logits(users, items) > before).mean() > 0.9


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
