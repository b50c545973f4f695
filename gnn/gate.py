"""The gate: how much each part of the score counts, by what is known of the item and of the user."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .scorer_base import BoolArray, require, standardise

KINDS = ("cold", "rare", "common", "new-user")
RARE = 5  # items with fewer trained interactions than this, and at least one, are rare
_TOP = 10
_STEPS = (-0.5, -0.2, 0.2, 0.5)  # of a weight, in ascending NDCG
_PROGRESS = 0.001  # smallest relative gain for which a weight is moved
_BIASES = (-20.0, *(value / 2 for value in range(-16, 17)))  # -20 = below everything
_ENOUGH = 20  # users with something hidden; fewer teach nothing but accidents

Kind = npt.NDArray[np.int8]


@dataclass(frozen=True)
class GateConfig:
    """Settings of the gate and of the rehearsal it learns from.

    Attributes:
        keep_warm: items without interactions are lifted as far as common items keep this share of
            the best linear part's NDCG@10; 0 lifts them to the best NDCG@10 of all items together.
        hidden_share, thinned_share: of the trained items, hidden entirely, and cut to 1-4
            interactions, for the rehearsal.
        hidden_users: share of the users hidden for the rehearsal.
        max_users: most users the weights are learned from.
        penalty: on the squared weights' distance from equal weights, against one target pair's loss.
    """

    keep_warm: float = 0.98
    hidden_share: float = 0.1
    thinned_share: float = 0.05
    hidden_users: float = 0.03
    max_users: int = 1500
    penalty: float = 10.0

    def __post_init__(self) -> None:
        require(0 <= self.keep_warm <= 1, f"must be in 0..1, got {self.keep_warm}", "keep_warm")
        for name in ("hidden_share", "thinned_share", "hidden_users"):
            value = getattr(self, name)
            require(0 <= value <= 0.5, f"must be in 0..0.5, got {value}", name)


@dataclass(frozen=True)
class Gate:
    """score(u, i) = sum_p z_p (w_kp + v_kp d_i + q_kp d_u) + b_k.

    z_p is part p's score standardised over the items it knows for user u (0 where it does not know
    the item), k the kind of the pair (`KINDS`), and d the logarithms of the degrees.

    Attributes:
        weights: w, v and q, float32 (3, 4, P).
        bias: b, float32 (4,).
    """

    weights: FloatArray
    bias: FloatArray

    def combine(
        self, scores: Sequence[FloatArray], item_degree: IntArray, user_degree: IntArray
    ) -> FloatArray:
        """Scores (b, n_items) of the parts' scores, each (b, n_items); NaN where no part knows.

        Args:
            item_degree: (n_items,) trained interactions; user_degree: (b,).
        """
        known = np.zeros(scores[0].shape, bool)
        out = np.zeros(scores[0].shape, np.float32)
        for raw, share in zip(scores, self.shares(scores, item_degree, user_degree), strict=True):
            known |= ~np.isnan(raw)
            out += share
        out += np.where(
            (user_degree == 0)[:, None], self.bias[3], self.bias[kind_of(item_degree)][None, :]
        )
        out[~known] = np.nan
        return out

    def shares(
        self, scores: Sequence[FloatArray], item_degree: IntArray, user_degree: IntArray
    ) -> Iterator[FloatArray]:
        """What each part adds, (b, n_items), one part in memory at a time; arguments as `combine`."""
        kind, d_item, d_user = kind_of(item_degree), scaled(item_degree), scaled(user_degree)
        new_user = user_degree == 0
        w, v, q = self.weights
        for part, raw in enumerate(scores):
            factor = (w[kind, part] + v[kind, part] * d_item)[None, :]
            factor = factor + d_user[:, None] * q[kind, part][None, :]
            factor[new_user] = w[3, part] + v[3, part] * d_item
            yield np.nan_to_num(standardise(raw)) * factor

    def offset(self, item_degree: int, user_degree: int) -> float:
        """b of one pair."""
        kind = 3 if user_degree == 0 else int(kind_of(np.array([item_degree]))[0])
        return float(self.bias[kind])


def kind_of(item_degree: IntArray) -> Kind:
    """0 = cold, 1 = rare, 2 = common, by trained interactions."""
    return ((item_degree > 0).astype(np.int8) + (item_degree >= RARE)).astype(np.int8)


def scaled(degree: IntArray) -> FloatArray:
    """Logarithm of a degree, about -1 for none, 0 for 20, and 1 for 400."""
    return np.asarray(np.log1p(degree) / np.log(20.0) - 1.0, np.float32)


@dataclass(frozen=True)
class Lesson:
    """What the gate is learned from, for b users.

    Attributes:
        z: (P, b, n_items) standardised scores of the parts, NaN where unknown.
        truth: (b, n_items) what was hidden; known: (b, n_items) pairs that are no candidates.
        item_degree: (n_items,) and user_degree (b,) in the rehearsal.
        linear: positions of the linear baselines among the parts.
    """

    z: FloatArray
    truth: BoolArray
    known: BoolArray
    item_degree: IntArray
    user_degree: IntArray
    linear: tuple[int, ...]


def learn_gate(lesson: Lesson, config: GateConfig) -> Gate:
    """Weights within each kind, by softmax likelihood and then NDCG@10; then the kinds together.

    Cold items that were not hidden for the rehearsal can never be found in it. They take no part in
    learning what finds cold items, but they do press on the common ones.
    """
    kinds = kind_of(lesson.item_degree)
    new = lesson.user_degree == 0
    playing = (kinds > 0) | lesson.truth.any(axis=0)
    n_parts = len(lesson.z)
    weights = np.zeros((3, 4, n_parts), np.float32)
    weights[0] = 1.0 / n_parts
    for kind in range(4):
        users = np.flatnonzero(new if kind == 3 else ~new)
        items = np.flatnonzero(playing if kind == 3 else playing & (kinds == kind))
        rows = lesson.truth[np.ix_(users, items)].any(axis=1)
        if rows.sum() >= _ENOUGH and len(items) > 1:
            task = _Task.build(lesson, users[rows], items, user_degrees=kind < 3)
            weights[:, kind] = _ascend(task, _fit(task, config), config)
    return _merge(lesson, Gate(weights, np.zeros(4, np.float32)), kinds, playing, config)


@dataclass(frozen=True)
class _Task:
    """Find what was hidden of some items from some users: z (P, b, i), truth and masked (b, i)."""

    z: FloatArray
    truth: BoolArray
    masked: BoolArray
    d_item: FloatArray
    d_user: FloatArray

    @classmethod
    def build(
        cls, lesson: Lesson, users: IntArray, items: IntArray, *, user_degrees: bool
    ) -> _Task:
        truth = lesson.truth[np.ix_(users, items)]
        return cls(
            z=np.nan_to_num(lesson.z[:, users][:, :, items]),
            truth=truth,
            masked=lesson.known[np.ix_(users, items)] & ~truth,
            d_item=scaled(lesson.item_degree[items]),
            d_user=scaled(lesson.user_degree[users]) * np.float32(user_degrees),
        )

    def factor(self, row: int) -> FloatArray:
        """What multiplies z in row w, v or q of the weights: 1, d_i or d_u."""
        ones = np.ones((1, 1), np.float32)
        return np.asarray((ones, self.d_item[None, :], self.d_user[:, None])[row], np.float32)

    def scores(self, weights: FloatArray) -> FloatArray:
        """(b, i); minus infinity where masked."""
        out = np.zeros(self.truth.shape, np.float32)
        for part, z in enumerate(self.z):
            out += z * sum(weights[row, part] * self.factor(row) for row in range(3))
        out[self.masked] = -np.inf
        return out

    def level(self, scores: FloatArray) -> float:
        """NDCG@10 of scores (b, i)."""
        top = _top(scores)
        return _ndcg(np.take_along_axis(self.truth, top, 1), self.truth.sum(1))


def _ascend(task: _Task, start: FloatArray, config: GateConfig) -> FloatArray:
    """Coordinate ascent on NDCG@10 less the penalty, from the better of `start` and each part alone."""
    n_parts = len(task.z)
    equal = _equal(n_parts)

    def value(weights: FloatArray, scores: FloatArray) -> float:
        distance = float(np.square(weights - equal).sum())
        return task.level(scores) - config.penalty * distance / float(task.truth.sum())

    alone = np.zeros((n_parts, 3, n_parts), np.float32)
    alone[np.arange(n_parts), 0, np.arange(n_parts)] = 1.0
    best, _, weights = max(
        (value(found, task.scores(found)), -place, found)
        for place, found in enumerate([start, *alone])
    )
    scores = task.scores(weights)
    for row, part in np.ndindex(3, n_parts):
        direction = task.z[part] * task.factor(row)
        for step in _STEPS:
            trial, moved = weights.copy(), scores + np.float32(step) * direction
            trial[row, part] += step
            found = value(trial, moved)
            if found > best * (1 + _PROGRESS):
                best, weights, scores = found, trial, moved
    return np.asarray(weights, np.float32)


def _equal(n_parts: int) -> FloatArray:
    """Weights (3, P) by which every part counts the same, whatever the degrees."""
    out = np.zeros((3, n_parts), np.float32)
    out[0] = 1.0 / n_parts
    return out


def _top(scores: FloatArray) -> IntArray:
    """Columns of the ten best per row, best first; (b, <=10)."""
    k = min(_TOP, scores.shape[1])
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(top, order, 1), np.int64)


def _fit(task: _Task, config: GateConfig) -> FloatArray:
    """w, v and q (3, P) by the softmax likelihood, with L-BFGS."""
    z, d_item = torch.from_numpy(task.z), torch.from_numpy(task.d_item)
    target = torch.from_numpy(task.truth.astype(np.float32))
    masked, d_user = torch.from_numpy(task.masked), torch.from_numpy(task.d_user)
    theta = torch.zeros((3, len(z)), requires_grad=True)
    equal = torch.from_numpy(_equal(len(z)))
    optimiser = torch.optim.LBFGS([theta], max_iter=30, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        w, v, q = theta + equal
        by_item = torch.einsum("p,pbi->bi", w, z) + torch.einsum("p,pbi->bi", v, z) * d_item
        logits = by_item + torch.einsum("p,pbi->bi", q, z) * d_user[:, None]
        log_share = logits.masked_fill(masked, -1e9).log_softmax(1)
        fit = -(log_share * target).sum()
        value = (fit + config.penalty * theta.square().sum()) / target.sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = (theta + equal).detach().numpy().astype(np.float32)
    if len(np.unique(task.d_item)) == 1:
        found[1] = 0.0  # a degree that never varies teaches nothing about degrees
    return found


def _merge(lesson: Lesson, gate: Gate, kinds: Kind, playing: BoolArray, config: GateConfig) -> Gate:
    """Choose the biases of rare and cold items against common ones, both at once."""
    rows = np.flatnonzero((lesson.user_degree > 0) & lesson.truth.any(axis=1))
    if len(rows) < _ENOUGH or not (kinds == 2).any():
        return gate
    scores = gate.combine(
        [np.ascontiguousarray(part[rows]) for part in lesson.z],
        lesson.item_degree,
        lesson.user_degree[rows],
    )
    scores[lesson.known[rows] & ~lesson.truth[rows]] = -np.inf
    truth = lesson.truth[rows]
    crowd = [Shelf.of(scores, truth, np.flatnonzero(kinds == kind)) for kind in range(3)]
    found = Shelf.of(scores, truth, np.flatnonzero(playing & (kinds == 0)))
    floor = config.keep_warm * max(
        (_linear_level(lesson, part, rows, kinds) for part in lesson.linear), default=0.0
    )
    # A kind that the rehearsal lacks taught nothing; it is not to be buried when it turns up.
    choices = [_BIASES if len(shelf.items) else (0.0,) for shelf in (found, crowd[1])]
    tried = []
    for cold, rare in itertools.product(*choices):
        bias = np.array([cold, rare, 0.0, 0.0], np.float32)
        warm, _ = _levels(crowd, bias, truth)
        reached = warm >= floor
        _, everything = _levels([found, *crowd[1:]], bias, truth) if reached else (0.0, warm)
        # Of values that do equally well, those that interfere least.
        tried.append((reached, everything, -abs(cold) - abs(rare), cold, rare))
    *_, cold, rare = max(tried)
    return Gate(gate.weights, np.array([cold, rare, 0.0, 0.0], np.float32))


@dataclass(frozen=True)
class Shelf:
    """The best ten items of one kind per user: scores and whether each was hidden, (b, <=10)."""

    items: IntArray
    score: FloatArray
    hit: BoolArray

    @classmethod
    def of(cls, scores: FloatArray, truth: BoolArray, items: IntArray) -> Shelf:
        """The top of the columns `items`."""
        part = np.nan_to_num(scores[:, items], nan=-np.inf, neginf=-np.inf)
        if not len(items):
            return cls(items, part, truth[:, items])
        top = _top(part)
        score = np.take_along_axis(part, top, 1)
        return cls(items, score, np.take_along_axis(truth[:, items], top, 1))


def _levels(shelves: Sequence[Shelf], bias: FloatArray, truth: BoolArray) -> tuple[float, float]:
    """NDCG@10 of the common items, and of all, when the kinds are ranked together."""
    score = np.concatenate([shelf.score + bias[kind] for kind, shelf in enumerate(shelves)], axis=1)
    hit = np.concatenate([shelf.hit for shelf in shelves], axis=1)
    common = np.concatenate(
        [np.full(shelf.hit.shape, kind == 2) for kind, shelf in enumerate(shelves)], axis=1
    )
    top = _top(score)
    hit, common = np.take_along_axis(hit, top, 1), np.take_along_axis(common, top, 1)
    wanted = truth[:, shelves[2].items].sum(1)
    return _ndcg(hit & common, wanted), _ndcg(hit, truth.sum(1))


def _linear_level(lesson: Lesson, part: int, rows: IntArray, kinds: Kind) -> float:
    """NDCG@10 of the common items by one linear part alone, which ranks no cold ones."""
    items = np.flatnonzero(kinds > 0)
    scores = np.nan_to_num(lesson.z[part][np.ix_(rows, items)])
    scores[(lesson.known & ~lesson.truth)[np.ix_(rows, items)]] = -np.inf
    truth = lesson.truth[np.ix_(rows, items)]
    shelf = Shelf.of(scores, truth & (kinds[items] == 2), np.arange(len(items)))
    return _ndcg(shelf.hit, (truth & (kinds[items] == 2)).sum(1))


def _ndcg(hit: BoolArray, wanted: npt.NDArray[np.integer]) -> float:
    """Mean NDCG over the users who want something; hit (b, k) in rank order."""
    discount = 1.0 / np.log2(np.arange(_TOP) + 2.0)
    ideal = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(wanted, _TOP)]
    some = wanted > 0
    if not some.any():
        return 0.0
    gain = (hit * discount[: hit.shape[1]]).sum(1)
    return float((gain[some] / ideal[some]).mean())
