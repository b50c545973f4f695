"""What the criteria say against what they stand for, computed the long way."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit

from coldframe.active.criteria import Block, bald, d_optimal, gain, top_gain
from coldframe.active.pool import Pool
from coldframe.active.state import AskState
from coldframe.gnn.posterior import Posterior


@pytest.fixture(params=[-4.5, -1.0, 1.0])
def block(request: pytest.FixtureRequest) -> Block:
    """Likes are rare, usual or frequent."""
    return made(request.param)


def made(logit: float) -> Block:
    """Two items of the same mean logit, the second little known, and six users."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.ones((6, 1)), rng.normal(size=(6, 2))], axis=1)
    mean = np.array([[logit, 0.3, -0.2], [logit, -0.4, 0.5]])
    covariance = np.stack([np.eye(3) * 0.05, np.eye(3) * 0.7])
    posterior = Posterior.from_prior(x, mean, covariance)
    state = AskState(posterior, Pool.build(sp.csr_matrix((6, 2))), np.arange(6))
    users = np.tile(np.arange(6), (2, 1))
    return Block(state, np.arange(2), users, covariance.astype(np.float32))


def draws(block: Block) -> np.ndarray:
    """Logits of every pair under 40,000 draws of the coefficients, (40,000, 2, 6)."""
    rng, beliefs = np.random.default_rng(1), block.state.posterior
    root = np.linalg.cholesky(beliefs.covariance)
    noise = rng.normal(size=(40_000, 2, 3))
    q = beliefs.mean + np.einsum("cij,ncj->nci", root, noise)
    return np.einsum("rd,ncd->ncr", beliefs.user_vectors.astype(np.float64), q)


def test_the_chance_is_the_mean_over_what_beliefs_hold_possible(block):
    expected = expit(draws(block)).mean(axis=0)
    assert np.allclose(block.chance, expected, rtol=0.15, atol=0.005)


def test_bald_is_the_information_between_answer_and_coefficients(block):
    p = expit(draws(block))

    def entropy(p):
        return -(p * np.log(p) + (1 - p) * np.log1p(-p))

    information = entropy(p.mean(axis=0)) - entropy(p).mean(axis=0)
    assert np.allclose(bald(block), information, rtol=0.06, atol=2e-4)


@pytest.mark.parametrize(("criterion", "power"), [(gain, 2), (top_gain, 1)])
def test_the_gain_is_the_weighted_variance_that_an_answer_takes_away(block, criterion, power):
    x = block.state.posterior.user_vectors.astype(np.float64)
    weights = block.top_chance.astype(np.float64) ** power
    for row, covariance in enumerate(block.state.posterior.covariance):
        for place, user in enumerate(block.users[row]):
            p = float(block.chance[row, place])
            after = np.linalg.inv(
                np.linalg.inv(covariance) + p * (1 - p) * np.outer(x[user], x[user])
            )
            drop = np.einsum("ti,ij,tj->t", x, covariance - after, x)
            assert criterion(block)[row, place] == pytest.approx(weights[row] @ drop, rel=1e-4)


def test_a_rarely_liked_item_nobody_knows_is_worth_asking_about():
    """Per unit of variance too, since its likes are likelier than its mean logit says."""
    block = made(-4.5)
    worth = d_optimal(block) / block.spread
    assert worth[1].mean() > 1.2 * worth[0].mean()
