"""The pool: never materialised, limits kept, costs and chances as stated."""

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.pool import AnswerChance, Pool
from coldframe.kg.errors import UsageError


def empty(users: int, items: int) -> sp.csr_matrix:
    return sp.csr_matrix((users, items), dtype=np.float32)


def test_a_small_pool_is_looked_at_whole_and_a_large_one_is_sampled():
    pool = Pool.build(empty(50, 20))
    rng = np.random.default_rng(0)
    whole = pool.candidates(1000, rng)
    assert whole.users.shape == (20, 50)
    assert whole.open.all()
    part = pool.candidates(100, rng)
    assert part.users.shape == (20, 5)
    for row, open_ in zip(part.users, part.open, strict=True):
        assert len(np.unique(row[open_])) == open_.sum()


def test_where_most_pairs_are_closed_the_others_are_drawn():
    known = np.ones((500, 4), np.float32)
    for item, left in enumerate((0, 3, 40, 500)):
        known[500 - left :, item] = 0
    candidates = Pool.build(sp.csr_matrix(known)).candidates(40, np.random.default_rng(0))
    assert candidates.open.sum(axis=1)[:3].tolist() == [0, 3, 10]
    for item in range(4):
        chosen = candidates.users[item][candidates.open[item]]
        assert len(np.unique(chosen)) == len(chosen)
        assert not known[chosen, item].any()


def test_ten_to_the_eleven_pairs_cost_only_what_is_looked_at():
    pool = Pool.build(empty(1_000_000, 100_000))
    assert pool.size == 10**11
    candidates = pool.candidates(200_000, np.random.default_rng(0))
    assert candidates.users.size == 200_000


def test_known_pairs_are_closed():
    known = sp.csr_matrix(np.eye(4, dtype=np.float32))
    pool = Pool.build(known)
    candidates = pool.candidates(100, np.random.default_rng(0))
    assert np.array_equal(~candidates.open, np.eye(4, dtype=bool))
    assert pool.is_known(np.array([0, 0]), np.array([0, 1])).tolist() == [True, False]


def test_only_some_pairs_may_be_asked():
    known = sp.csr_matrix(np.eye(4, dtype=np.float32))
    pool = Pool.build(known, only=(np.array([2, 0, 3]), np.array([1, 0, 2])))
    candidates = pool.candidates(100, np.random.default_rng(0))
    asked = {(u, i) for i, u in zip(*np.nonzero(candidates.open), strict=True)}
    assert asked == {(2, 1), (3, 2)}
    after = pool.after(np.array([2]), np.array([1]))
    assert after.is_known(np.array([2, 3]), np.array([1, 2])).tolist() == [True, False]


def test_asked_pairs_become_known_and_count_towards_the_caps():
    pool = Pool.build(empty(3, 3), user_cap=1)
    after = pool.after(np.array([0]), np.array([2]))
    assert after.is_known(np.array([0]), np.array([2]))[0]
    candidates = after.candidates(100, np.random.default_rng(0))
    assert not np.isin(candidates.users, [0]).any()
    assert not pool.is_known(np.array([0]), np.array([2]))[0]


def test_costs_multiply():
    pool = Pool.build(empty(2, 2), user_cost=[1, 3], item_cost=[2, 0.5])
    assert pool.cost(np.array([1, 1]), np.array([0, 1])).tolist() == [6.0, 1.5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": [0, 0]},
        {"users": [9]},
        {"items": [-1]},
        {"user_cap": 0},
        {"item_cost": [1, 0]},
        {"item_weight": [1, -1]},
        {"user_cost": [1, np.nan, 1]},
        {"item_cost": [1]},
    ],
)
def test_impossible_pools_are_refused(wrong):
    with pytest.raises(UsageError):
        Pool.build(empty(3, 2), **wrong)


def test_answer_chance_learns_who_answers_and_what_is_known():
    users = np.repeat([0, 1], 50)
    items = np.tile([0, 1], 50)
    answered = (users == 0) & (items == 0)
    chance = AnswerChance.from_history(users, items, answered, 3, 2)
    best = chance.of(np.array([0]), np.array([0]))
    others = chance.of(np.array([0, 1, 1]), np.array([1, 0, 1]))
    assert (best > 2 * others).all()
    unknown = chance.of(np.array([2]), np.array([0]))
    assert others.min() < unknown < best
    nothing = np.zeros(0, np.int64)
    assert (
        AnswerChance.from_history(nothing, nothing, nothing == 1, 3, 2).of(users, items).min() == 1
    )
