"""The Laplace posterior: right mode, right covariance, the same in any order."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import expit, logit

from coldframe.gnn.laplace import fit_dense, fit_pairs
from coldframe.gnn.posterior import Posterior, moderated
from coldframe.kg.errors import DataError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def _random_posterior(rng: np.random.Generator, users: int = 40, items: int = 6, d: int = 4):
    x = rng.normal(size=(users, d)).astype(np.float32)
    root = rng.normal(size=(items, d, d))
    covariance = root @ root.transpose(0, 2, 1) / d + np.eye(d) * 0.2
    return Posterior.from_prior(x, rng.normal(size=(items, d)), covariance)


def test_dense_fit_finds_the_mode_that_an_optimiser_finds(rng):
    x = rng.normal(size=(60, 3))
    ones = sp.csc_matrix(rng.random((60, 2)) < 0.3, dtype=np.float64)
    mean, precision = rng.normal(size=(2, 3)), np.tile(np.diag([1.0, 2.0, 0.5]), (2, 1, 1))
    got = fit_dense(x, ones, mean, precision, tolerance=1e-7, iterations=30)
    for i in range(2):
        y = ones[:, [i]].toarray()[:, 0]

        def loss(q, i=i, y=y):
            eta = x @ q
            d = q - mean[i]
            return np.logaddexp(0, eta).sum() - y @ eta + 0.5 * d @ precision[i] @ d

        best = minimize(loss, mean[i], method="BFGS", options={"gtol": 1e-8}).x
        assert got.mean[i] == pytest.approx(best, abs=2e-4)
        p = expit(x @ best)
        hessian = precision[i] + (x * (p * (1 - p))[:, None]).T @ x
        assert got.covariance[i] == pytest.approx(np.linalg.inv(hessian), abs=1e-4)


def test_a_start_far_off_comes_to_the_same_mode(rng):
    """Newton's full step would jump to and fro from where every chance is almost 0 or 1."""
    x = rng.normal(size=(200, 3))
    ones = sp.csc_matrix(rng.random((200, 5)) < 0.3, dtype=np.float64)
    given = np.zeros((5, 3)), np.tile(0.01 * np.eye(3), (5, 1, 1))
    near = fit_dense(x, ones, *given, tolerance=1e-7, iterations=40)
    start = rng.choice([-15.0, 15.0], size=(5, 3))
    far = fit_dense(x, ones, *given, start=start, tolerance=1e-7, iterations=40)
    assert far.mean == pytest.approx(near.mean, abs=1e-3)
    assert far.covariance == pytest.approx(near.covariance, abs=1e-3)


def test_pairs_and_dense_agree_where_every_pair_is_answered(rng):
    x = rng.normal(size=(30, 3))
    answers = (rng.random((30, 4)) < 0.4).astype(float)
    mean, precision = np.zeros((4, 3)), np.tile(np.eye(3), (4, 1, 1))
    users, items = np.divmod(np.arange(120), 4)
    pairs = fit_pairs(x, users, items, answers.ravel(), mean, precision)
    dense = fit_dense(x, sp.csc_matrix(answers), mean, precision, tolerance=1e-8, iterations=30)
    assert pairs.mean == pytest.approx(dense.mean, abs=1e-4)
    assert pairs.covariance == pytest.approx(dense.covariance, abs=1e-4)


def test_a_users_sample_with_weights_estimates_the_whole(rng):
    x = rng.normal(size=(4000, 2))
    ones = sp.csc_matrix(rng.random((4000, 3)) < 0.1, dtype=np.float64)
    mean, precision = np.zeros((3, 2)), np.tile(np.eye(2), (3, 1, 1))
    whole = fit_dense(x, ones, mean, precision)
    sample = rng.choice(4000, 2000, replace=False)
    part = fit_dense(x, ones, mean, precision, sample=sample, weight=2.0)
    assert part.mean == pytest.approx(whole.mean, abs=0.15)


def test_variance_and_logits_match_the_formula(rng):
    p = _random_posterior(rng)
    users, items = np.array([3, 7]), np.array([1, 4, 5])
    for a, u in enumerate(users):
        for b, i in enumerate(items):
            x = p.user_vectors[u].astype(float)
            assert p.logits(users, items)[a, b] == pytest.approx(x @ p.mean[i], rel=1e-4)
            assert p.variance(users, items)[a, b] == pytest.approx(
                x @ p.covariance[i] @ x, rel=1e-4
            )
            pair = np.array([u]), np.array([i])
            assert p.pair_variance(*pair)[0] == pytest.approx(p.variance(*pair)[0, 0], rel=1e-5)
            assert p.pair_logits(*pair)[0] == pytest.approx(p.logits(*pair)[0, 0], rel=1e-5)


def test_variances_of_many_pairs_are_looked_up_in_blocks(rng, monkeypatch):
    p = _random_posterior(rng)
    users, items = rng.integers(len(p.user_vectors), size=50), rng.integers(len(p.mean), size=50)
    at_once = p.pair_variance(users, items)
    monkeypatch.setattr("coldframe.gnn.posterior._PAIRS", 8)
    np.testing.assert_allclose(p.pair_variance(users, items), at_once, rtol=1e-6)
    assert p.pair_variance(users[:0], items[:0]).shape == (0,)


@pytest.mark.parametrize(
    "variance, off", [(0.1, 0.02), (0.5, 0.04), (1.0, 0.08), (2.0, 0.17), (4.0, 0.35)]
)
def test_the_moderated_logit_is_that_of_the_expected_chance(variance, off):
    """Against the integral, by Gauss and Hermite; at -7 MacKay's formula is off by .6 at a variance of 1."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    logits = np.linspace(-12, 12, 97)
    chance = expit(logits[:, None] + np.sqrt(variance) * nodes) @ (weights / weights.sum())
    np.testing.assert_allclose(moderated(logits, variance), logit(chance), atol=off)
    rare = logits[logits < 0]
    assert (expit(moderated(rare, variance)) < np.exp(rare + variance / 2)).all()
    assert moderated(np.float32(rare), np.float32(variance)).dtype == np.float32


def test_an_answer_moves_its_item_alone_and_shrinks_its_variance(rng):
    p = _random_posterior(rng)
    after = p.update([2], [3], [1.0])
    pair = np.array([2]), np.array([3])
    assert after.pair_logits(*pair) > p.pair_logits(*pair)
    assert after.pair_variance(*pair) < p.pair_variance(*pair)
    others = np.array([0, 1, 2, 4, 5])
    assert np.array_equal(after.mean[others], p.mean[others])
    assert np.array_equal(after.covariance[others], p.covariance[others])


def test_updates_give_the_same_in_any_order_and_in_any_steps(rng):
    p = _random_posterior(rng)
    users, items = rng.integers(40, size=30), rng.integers(6, size=30)
    labels = (rng.random(30) < 0.5).astype(float)
    at_once = p.update(users, items, labels)
    order = rng.permutation(30)
    stepwise = p
    for part in np.array_split(order, 5):
        stepwise = stepwise.update(users[part], items[part], labels[part])
    assert stepwise.mean == pytest.approx(at_once.mean, abs=1e-5)
    assert stepwise.covariance == pytest.approx(at_once.covariance, abs=1e-5)


def test_no_answers_change_nothing(rng):
    p = _random_posterior(rng)
    assert p.update([], [], []) is p


@pytest.mark.parametrize(
    "bad", [([99], [0], [1]), ([0], [99], [1]), ([0], [0], [2]), ([-1], [0], [1])]
)
def test_impossible_answers_are_refused(rng, bad):
    with pytest.raises(DataError):
        _random_posterior(rng).update(*bad)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="shapes"):
        Posterior.from_prior(np.zeros((3, 2)), np.zeros((4, 3)), np.eye(3))


def _cohort(rng: np.random.Generator, offset: float, scale: float):
    """True coefficients drawn around a prior that is `offset` too low and 1 / `scale` too wide."""
    users, items, d = 300, 60, 4
    x = rng.normal(size=(users, d)).astype(np.float32)
    x[:, 0] = 1
    mean = rng.normal(size=(items, d)) * 0.5 - np.array([4.0, 0, 0, 0])
    q = mean + rng.normal(size=(items, d)) * np.sqrt(0.5 * scale)
    q[:, 0] += offset
    cohort = np.ones(items, bool)
    cohort[:5] = False
    prior = Posterior.from_prior(x, mean, np.eye(d) * 0.5, cohort=cohort)
    u, i = rng.integers(users, size=4000), rng.integers(5, items, size=4000)
    labels = (rng.random(4000) < expit((x[u] * q[i]).sum(1))).astype(float)
    return prior, q, (u, i, labels)


def test_a_cohort_learns_its_offset_and_scale_from_all_answers(rng):
    prior, q, answers = _cohort(rng, 2.0, 1.4)
    after = prior.update(*answers)
    assert after.offset == pytest.approx(2.0, abs=0.5)
    assert after.scale >= 1.0
    narrow, _, answers = _cohort(rng, 0.0, 0.05)
    assert narrow.update(*answers).scale <= 0.35
    assert np.array_equal(after.mean[:5], prior.mean[:5])
    assert np.abs(after.mean[5:, 0] - q[5:, 0]).mean() < np.abs(prior.mean[5:, 0] - q[5:, 0]).mean()


def test_few_answers_move_the_cohorts_unasked_items_too(rng):
    prior, _, (u, i, labels) = _cohort(rng, 3.0, 1.0)
    chosen = i < 20
    after = prior.update(u[chosen], i[chosen], labels[chosen])
    assert (after.mean[20:, 0] - prior.mean[20:, 0]).min() > 1.0


def test_the_joint_mode_is_the_one_an_optimiser_finds(rng):
    prior, _, (u, i, labels) = _cohort(rng, 1.0, 1.0)
    u, i, labels = u[:60], i[:60] % 3 + 5, labels[:60]
    after = prior.update(u, i, labels)
    precision = np.linalg.inv(after.scale * prior.prior_covariance[5])
    x = prior.user_vectors.astype(float)

    def loss(flat):
        offset, delta = flat[0], flat[1:].reshape(3, 4)
        eta = ((prior.prior_mean[5:8] + delta)[i - 5] * x[u]).sum(1) + offset
        fit = np.logaddexp(0, eta).sum() - labels @ eta
        return fit + 0.5 * np.einsum("ni,ij,nj->", delta, precision, delta) + offset**2 / 8

    best = minimize(loss, np.zeros(13), method="BFGS", options={"gtol": 1e-8}).x
    assert after.offset == pytest.approx(best[0], abs=1e-3)
    expected = prior.prior_mean[5:8] + best[1:].reshape(3, 4)
    expected[:, 0] += best[0]
    assert after.mean[5:8] == pytest.approx(expected, abs=1e-3)


def test_an_answer_about_a_cohort_makes_nobody_less_sure_of_it(rng):
    prior, _, (u, i, labels) = _cohort(rng, 1.0, 1.0)
    everything = np.arange(prior.n_items)
    before = prior.deviation(np.zeros_like(everything), everything)
    np.testing.assert_allclose(before[:5] ** 2, prior.pair_variance(0 * everything, everything)[:5])
    for count in (1, 4, len(u)):
        after = prior.update(u[:count], i[:count], labels[:count])
        now = after.deviation(np.zeros_like(everything), everything)
        # How wide the cohort's prior is, is learned too; beside the offset that is little.
        assert (now[5:] <= before[5:] * 1.1).all()
    assert (now[5:] < 0.7 * before[5:]).all()


def test_a_cohort_needs_a_constant_feature(rng):
    with pytest.raises(DataError, match="cohort"):
        Posterior.from_prior(
            rng.normal(size=(3, 2)), np.zeros((4, 2)), np.eye(2), cohort=[True] * 4
        )
