"""Strategies that spread their picks in a space rather than rank them: BADGE, k-centre, coverage."""

from __future__ import annotations

import heapq

import numpy as np
from scipy.special import expit

from ..kg.errors import DataError
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .picking import Basket, worth
from .pool import Candidates
from .state import AskState

_SPREAD = 8_000  # candidates that are compared with each other, where the budget wants no more


def badge(state: AskState, budget: float, rng: np.random.Generator) -> Basket:
    """k-means++ seeding in the space of expected gradients (Ash et al. 2020).

    The gradient of a pair's loss under its likelier label is |p - y| x in the block of its item, so
    pairs of different items are at right angles. Users of whom nothing is known are all alike: where every
    gradient has been taken once, the seeding begins again with the pairs that are left.
    """
    candidates, cells = _sample(state, budget, rng)
    users, items = candidates.users.ravel()[cells], candidates.item_grid.ravel()[cells]
    chance = expit(state.posterior.pair_logits(users, items))
    gradient = np.minimum(chance, 1 - chance)[:, None] * state.posterior.user_vectors[users]
    square = (gradient**2).sum(axis=1).astype(np.float64)
    value = worth(np.ones(candidates.users.shape, np.float32), candidates, state.pool).ravel()[
        cells
    ]
    basket = Basket(state.pool, budget)
    distance, left = square.copy(), value > 0
    while not basket.full and left.any():
        weight = np.where(left, distance * value, 0.0)
        if not weight.any():
            distance, weight = square.copy(), np.where(left, square * value, 0.0)
            if not weight.any():
                break
        pick = int(np.searchsorted(np.cumsum(weight), rng.random() * weight.sum()))
        pick = min(pick, len(weight) - 1)
        if basket.take(int(users[pick]), int(items[pick]), float(weight[pick])):
            same = items == items[pick]
            away = square + square[pick]
            away[same] = ((gradient[same] - gradient[pick]) ** 2).sum(axis=1)
            distance = np.minimum(distance, away)
        left[pick] = False
    return basket


def k_centre(state: AskState, budget: float, rng: np.random.Generator) -> Basket:
    """Farthest-first traversal of pairs described by [user vector, item mean] (Sener, Savarese 2018).

    Both halves are standardised to the same average norm.
    """
    candidates, cells = _sample(state, budget, rng)
    users, items = candidates.users.ravel()[cells], candidates.item_grid.ravel()[cells]
    basket = Basket(state.pool, budget)
    if not len(cells):
        return basket
    x = _scaled(state.posterior.user_vectors[users])
    points = np.hstack([x, _scaled(state.posterior.mean[items].astype(np.float32))])
    distance = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    while not basket.full and distance.max() > -1:
        pick = int(distance.argmax())
        if basket.take(int(users[pick]), int(items[pick]), max(float(distance[pick]), 0.0)):
            distance = np.minimum(distance, ((points - points[pick]) ** 2).sum(axis=1))
        distance[pick] = -1.0
    return basket


def coverage_only(state: AskState, budget: float, rng: np.random.Generator) -> Basket:
    """Items by lazy greedy (Minoux 1978) over the graph's coverage, a random user for each question.

    Where an item is asked about once at most and questions are worth and cost the same, what is covered
    is at least (1 - 1/e) of the most that can be (Nemhauser, Wolsey and Fisher 1978).

    Raises DataError where the catalog has no KG profile.
    """
    cover = state.cover
    if cover is None:
        raise DataError(
            "strategy 'coverage' needs attributes of the items in the graph",
            hint="choose another strategy, such as gain-proportional",
        )
    candidates = state.pool.candidates(state.pool.enough(budget, _SPREAD * 8), rng)
    if not candidates.open.any():
        return Basket(state.pool, budget)
    rows = state.rows_of(candidates.items)
    queues = [rng.permutation(np.flatnonzero(line)).tolist() for line in candidates.open]
    counts, basket = state.label_counts.copy(), Basket(state.pool, budget)
    # What a question about an item is worth, whichever of its candidates will be asked.
    each = worth(np.ones(candidates.users.shape, np.float32), candidates, state.pool)
    unit = each.sum(axis=1) / np.maximum(candidates.open.sum(axis=1), 1)
    gains = cover.marginal(counts)[rows] * unit
    heap = [(-float(g), k, 0) for k, g in enumerate(gains)]
    heapq.heapify(heap)
    covered, round_number = cover.covered(counts), 0
    while heap and not basket.full:
        bound, k, seen = heapq.heappop(heap)
        if not queues[k]:
            continue
        if seen < round_number:
            targets, after = cover.step(covered, int(rows[k]), int(counts[rows[k]]))
            fresh = float(cover.weights[targets] @ (after - covered[targets]) * unit[k])
            heapq.heappush(heap, (-fresh, k, round_number))
            continue
        column = queues[k].pop()
        if basket.take(int(candidates.users[k, column]), int(candidates.items[k]), -bound):
            targets, after = cover.step(covered, int(rows[k]), int(counts[rows[k]]))
            covered[targets] = after
            counts[rows[k]] += 1
            round_number += 1
        heapq.heappush(heap, (bound, k, -1))
    return basket


def _sample(
    state: AskState, budget: float, rng: np.random.Generator
) -> tuple[Candidates, IntArray]:
    """Open cells drawn evenly from the pool: up to _SPREAD, or two for each question."""
    most = state.pool.enough(budget, _SPREAD)
    candidates = state.pool.candidates(max(most, len(state.pool.items)) * 4, rng)
    cells = np.flatnonzero(candidates.open)
    if len(cells) > most:
        cells = np.sort(rng.choice(cells, most, replace=False))
    return candidates, cells


def _scaled(points: FloatArray) -> FloatArray:
    centred = points - points.mean(axis=0)
    return np.asarray(centred / max(float(np.sqrt((centred**2).sum(axis=1).mean())), 1e-9))
