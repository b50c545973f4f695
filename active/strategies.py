"""Strategies: which pairs to ask next. Plain functions behind one contract, in one dictionary.

`strategy(state, budget, rng) -> Picks`. One of your own is made of a criterion (`best_of`,
`in_proportion`, `greedy`), or says which pairs it picks (`described`); `own_strategy` holds it to the
contract. Every strategy is a function of its arguments alone, does not depend on how users and items are
numbered, never picks a pair twice nor a known one, and keeps the budget, the caps and the panel of
`state.pool`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from ..gnn.posterior import probit_shrinkage
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from . import criteria, diverse
from .criteria import Criterion, evaluate, evaluate_pairs
from .picking import Basket, take_best, take_in_proportion, worth
from .pool import Candidates, Pool
from .state import AskState

Array = npt.NDArray[np.float64]
USUAL = 250_000  # candidate pairs looked at; a larger pool is sampled by users
TOURNAMENT = 8  # random users of whom a greedy strategy takes the best
COVERAGE_POWER = 0.5
# Powers of the gain: between a draw in proportion and the best pairs, which are of ever the same users.
FIRM, SHARP = 3.0, 6.0
# Steps into which a drawn batch is cut, each seeing the effect of the last: few, or many where the same
# items are drawn again and again.
_PARTS = (4, 12)
_CROWDED = 1 / 8  # questions per item of the pool from which on it is many


@dataclass(frozen=True)
class Picks:
    """What was picked, in the order of picking, all (n,).

    Attributes:
        user, item: catalog indices. utility: what the strategy ranked by, times the chance of an
        answer and the item's priority, per cost. gain: expected drop of rank-weighted variance.
        coverage: coverage of the graph that an answer adds (mean 1 over items). answer_chance.
    """

    user: IntArray
    item: IntArray
    utility: Array
    gain: Array
    coverage: Array
    answer_chance: Array

    def __len__(self) -> int:
        return len(self.user)

    def cost(self, pool: Pool) -> float:
        """What asking them takes from the budget."""
        return float(pool.cost(self.user, self.item).sum())

    @classmethod
    def none(cls) -> Picks:
        """Nothing."""
        nobody, nothing = np.zeros(0, np.int64), np.zeros(0)
        return cls(nobody, nobody, nothing, nothing, nothing, nothing)

    @classmethod
    def join(cls, parts: Sequence[Picks]) -> Picks:
        """The picks of several strategies, one after the other."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


Strategy = Callable[[AskState, float, np.random.Generator], Picks]


def best_of(criterion: Criterion) -> Strategy:
    """The pairs with the largest value."""

    def strategy(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        candidates = state.pool.candidates(state.pool.enough(budget, USUAL), rng)
        basket = Basket(state.pool, budget)
        value = worth(evaluate(criterion, state, candidates), candidates, state.pool)
        take_best(basket, candidates, value, rng, state.pool.size)
        return describe(state, basket)

    return strategy


def in_proportion(
    criterion: Criterion, *, sharpness: float = 1.0, coverage_power: float = 0.0
) -> Strategy:
    """Pairs drawn in proportion to value ** sharpness, times coverage to a power.

    The batch is drawn in parts; before each the covariance is shrunk as the answers will shrink it.
    """

    def strategy(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        candidates = state.pool.candidates(state.pool.enough(budget, USUAL), rng)
        basket = Basket(state.pool, budget)
        covariance = state.posterior.covariance[candidates.items].astype(np.float32)
        rows = state.rows_of(candidates.items)
        place = np.zeros(len(state.pool.items), np.int64)  # among the candidates
        place[rows] = np.arange(len(rows))
        counts = state.label_counts.copy()
        seen = 0
        crowded = state.pool.questions(budget) >= _CROWDED * len(candidates.items)
        parts = _PARTS[int(crowded)]
        for part in range(parts):
            value = worth(
                evaluate(criterion, state, candidates, covariance), candidates, state.pool
            )
            if coverage_power and state.cover is not None:
                factor = state.cover.marginal(counts)
                factor = (factor / max(float(factor.mean()), 1e-12) + 0.01) ** (
                    coverage_power / sharpness
                )
                value = value * factor[rows][:, None].astype(np.float32)
            last = part == parts - 1
            share = max(1, round(state.pool.questions(basket.left) / (parts - part)))
            most = state.pool.size if last else share
            take_in_proportion(basket, candidates, value, rng, most, sharpness)
            users, items = np.array(basket.users[seen:]), np.array(basket.items[seen:])
            if not len(users) or basket.full or last:
                break
            seen, asked = len(basket), state.rows_of(items)
            np.add.at(counts, asked, 1)
            _shrink(state, covariance, place[asked], users, items)
        return describe(state, basket)

    return strategy


def greedy(criterion: Criterion) -> Strategy:
    """Best of a few random users per item, pair by pair, each pick shrinking its item's covariance.

    Items do not interact, so a heap of each item's best user suffices. O(C r D^2 + B r D^2).
    """

    def strategy(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        items = max(len(state.pool.items), 1)
        width = TOURNAMENT * max(1, int(np.ceil(state.pool.questions(budget) / items)))
        candidates = state.pool.candidates(width * items, rng)
        basket = Basket(state.pool, budget)
        covariance = state.posterior.covariance[candidates.items].astype(np.float32)
        value = worth(evaluate(criterion, state, candidates, covariance), candidates, state.pool)
        ties = rng.random(value.shape)
        heap = [(-float(row.max()), k) for k, row in enumerate(value) if row.size and row.max() > 0]
        heapq.heapify(heap)
        while heap and not basket.full:
            _, k = heapq.heappop(heap)
            best = np.lexsort((ties[k], -value[k]))[0]
            if value[k, best] <= 0:
                continue
            user, item = candidates.users[k, best], candidates.items[k]
            if basket.take(int(user), int(item), float(value[k, best])):
                _shrink(state, covariance, np.array([k]), user[None], item[None])
                one = Candidates(item[None], candidates.users[[k]], candidates.open[[k]])
                fresh = evaluate(criterion, state, one, covariance[[k]])
                keep = value[k] > 0
                value[k] = np.where(keep, worth(fresh, one, state.pool)[0], 0)
            value[k, best] = 0
            if value[k].max() > 0:
                heapq.heappush(heap, (-float(value[k].max()), k))
        return describe(state, basket)

    return strategy


def _shrink(
    state: AskState, covariance: FloatArray, rows: IntArray, users: IntArray, items: IntArray
) -> None:
    """Rank-one downdates S <- S - lam S x x'S / (1 + lam v), in place, one per pair.

    Args:
        covariance: (C, D, D). rows: of each pair's item in it, (n,), as are `users` and `items`.
    """
    vectors = state.posterior.user_vectors[users]
    logits = state.posterior.pair_logits(users, items)
    for row, x, logit in zip(rows, vectors, logits, strict=True):
        pulled = covariance[row] @ x
        spread = max(float(x @ pulled), 0.0)
        chance = expit(logit * probit_shrinkage(spread))
        lam = chance * (1 - chance)
        covariance[row] -= lam / (1 + lam * spread) * np.outer(pulled, pulled)


def describe(state: AskState, basket: Basket) -> Picks:
    """The picks with the criteria behind each, whatever strategy chose them."""
    return described(state, *basket.arrays())


def described(
    state: AskState, users: npt.ArrayLike, items: npt.ArrayLike, utility: npt.ArrayLike
) -> Picks:
    """Picks of these pairs of the pool, in this order, (n,) each: catalog indices, and their worth."""
    users, items = np.asarray(users, np.int64), np.asarray(items, np.int64)
    if not len(users):
        return Picks.none()
    return Picks(
        users,
        items,
        np.asarray(utility, np.float64),
        evaluate_pairs(criteria.gain, state, users, items).astype(np.float64),
        state.coverage_gain[state.rows_of(items)],
        state.pool.chance.of(users, items),
    )


def _described(spread: Callable[[AskState, float, np.random.Generator], Basket]) -> Strategy:
    def strategy(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        return describe(state, spread(state, budget, rng))

    return strategy


STRATEGIES: dict[str, Strategy] = {
    "random": in_proportion(criteria.uniform),
    "popularity": in_proportion(criteria.popularity),
    "predicted-popularity": in_proportion(criteria.predicted_popularity),
    "score-proportional": in_proportion(criteria.relevance),
    "highest-score": best_of(criteria.relevance),
    "entropy": best_of(criteria.entropy),
    "margin": best_of(criteria.margin),
    "variance": best_of(criteria.variance),
    "bald": best_of(criteria.bald),
    "d-optimal": greedy(criteria.d_optimal),
    "fisher": in_proportion(criteria.fisher),
    "badge": _described(diverse.badge),
    "k-centre": _described(diverse.k_centre),
    "coverage": _described(diverse.coverage_only),
    "gain-proportional": in_proportion(criteria.gain),
    "firm-gain": in_proportion(criteria.top_gain, sharpness=FIRM),
    "sharp-gain": in_proportion(criteria.top_gain, sharpness=SHARP),
    "greedy": greedy(criteria.gain),
    "gain-coverage": in_proportion(criteria.gain, coverage_power=COVERAGE_POWER),
    "firm-coverage": in_proportion(
        criteria.top_gain, sharpness=FIRM, coverage_power=COVERAGE_POWER
    ),
    "sharp-coverage": in_proportion(
        criteria.top_gain, sharpness=SHARP, coverage_power=COVERAGE_POWER
    ),
}
