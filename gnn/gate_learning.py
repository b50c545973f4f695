"""Learning the gate: weights within each kind of pair, then the kinds against each other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .gate import KINDS, RARE, Gate, GateConfig, damped, scaled
from .lesson import Lesson, Shortlist
from .scorer_base import BoolArray

_TOP = 10
_BURIED = -20.0  # a bias below everything
_BIASES = (_BURIED, *map(float, range(-6, 7)))
_SCALES = (0.7, 1.0, 1.4)  # of the cold items' scores, against those of common ones
_SLOPES = (-0.5, 0.0, 0.5)  # of the cold items' bias, by the user's degree
_JUDGES = 2000  # users by whom the kinds are set against each other, up to twice as many
_ENOUGH = 20  # users with something hidden; fewer teach nothing but accidents
_PLENTY = 100  # users with rare items to be found; with fewer, thinned items stand in for those
_PLAYED = 0.3  # of the common items, those that play items known by answers alone
_COLD, _RARE, _COMMON, _TOLD = map(KINDS.index, ("cold", "rare", "common", "told"))


def learn_gate(lesson: Lesson, config: GateConfig) -> Gate:
    """Weights within each kind by softmax likelihood; then the kinds together by NDCG@10.

    Climbing on NDCG@10 within a kind as well was tried, and finds items that the rehearsal did not hide
    no better: it learns the hidden items, of which there are few, by heart.

    Cold items that were not hidden for the rehearsal can never be found in it. They take no part in
    learning what finds cold items, but they do press on the common ones.
    """
    n_parts = len(lesson.common.z)
    weights = np.repeat(_equal(n_parts)[:, None], len(KINDS), axis=1)
    if lesson.popular is not None:
        # All but popularity guess at who has done nothing, and have yet to show that they know better.
        weights[0, KINDS.index("new-user")] = np.arange(n_parts) == lesson.popular
    # Items made rare are unlike those that few came to: what finds the ones misses the others.
    natural = bool(lesson.own_rare.truth.any(axis=1).sum() >= _PLENTY)
    rare = lesson.own_rare if natural else lesson.rare
    lists = (lesson.hidden, rare, lesson.common, lesson.new)
    for kind, (name, found) in enumerate(zip(KINDS, lists, strict=False)):
        useful = found.rows(np.flatnonzero(found.truth.any(axis=1)))
        if len(useful) >= _ENOUGH and useful.item.shape[1] > 1:
            task = _Task.build(useful, lesson.item_degree, user_degrees=name != "new-user")
            weights[:, kind] = _fit(task, config.penalty)
        if len(found):
            # A part that was silent has not shown what it is worth, should it ever speak.
            weights[:, kind, ~found.z.any(axis=(1, 2))] = 0.0
    gate = Gate(weights, np.zeros((2, len(KINDS)), np.float32))
    gate = _merge(lesson, gate, config, natural=natural)
    return _with_told(gate, lesson)


@dataclass(frozen=True)
class _Task:
    """Put what was hidden first.

    z is (P, b, c); truth, masked and d_item (b, c); d_user (b, 1).
    """

    z: FloatArray
    truth: BoolArray
    masked: BoolArray
    d_item: FloatArray
    d_user: FloatArray

    @classmethod
    def build(cls, found: Shortlist, item_degree: IntArray, *, user_degrees: bool) -> _Task:
        d_user = scaled(found.user_degree)[:, None] * np.float32(user_degrees)
        d_item = scaled(item_degree)[found.item]
        return cls(found.z, found.truth, found.item < 0, d_item, d_user)

    def scores(self, weights: FloatArray) -> FloatArray:
        """(b, c) by weights (4, P); minus infinity where masked."""
        out = np.zeros(self.truth.shape, np.float32)
        for z, (w, v, q, r) in zip(self.z, weights.T, strict=True):
            out += z * (w + v * self.d_item + q * self.d_user) + r * damped(z)
        out[self.masked] = -np.inf
        return out


def _equal(n_parts: int) -> FloatArray:
    """Weights (4, P) by which every part counts the same, whatever the degrees."""
    out = np.zeros((4, n_parts), np.float32)
    out[0] = 1.0 / n_parts
    return out


def _fit(task: _Task, penalty: float) -> FloatArray:
    """The weights (4, P) by the softmax likelihood; v is 0 where the items' degree never varies."""
    varied = len(np.unique(task.d_item[~task.masked])) > 1
    z, d_item = torch.from_numpy(task.z), torch.from_numpy(task.d_item * np.float32(varied))
    flat = torch.from_numpy(damped(task.z))
    target = torch.from_numpy(task.truth.astype(np.float32))
    masked, d_user = torch.from_numpy(task.masked), torch.from_numpy(task.d_user)
    theta = torch.zeros((4, len(z)), requires_grad=True)
    equal = torch.from_numpy(_equal(len(z)))

    def loss() -> Tensor:
        w, v, q, r = theta + equal
        by_item = torch.einsum("p,pbi->bi", w, z) + torch.einsum("p,pbi->bi", v, z) * d_item
        logits = by_item + torch.einsum("p,pbi->bi", q, z) * d_user
        logits = logits + torch.einsum("p,pbi->bi", r, flat)
        log_share = logits.masked_fill(masked, -1e9).log_softmax(1)
        fit = -(log_share * target).sum()
        return fit / target.sum() + penalty * theta.square().sum()

    _minimise(loss, theta)
    return np.asarray((theta + equal).detach().numpy(), np.float32)


def _minimise(loss: Callable[[], Tensor], parameter: Tensor) -> None:
    """Move a parameter, in place, to where the loss is smallest, with L-BFGS."""
    optimiser = torch.optim.LBFGS([parameter], max_iter=30, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = loss()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(closure)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class _Shelf:
    """The best ten items of one kind per user.

    Attributes:
        score: (b, <=10). hit: (b, <=10), what finding the item counts: 0 if it was not hidden.
        d_user: (b, 1).
    """

    score: FloatArray
    hit: FloatArray
    d_user: FloatArray

    @classmethod
    def of(cls, gate: Gate, kind: int, lists: Sequence[Shortlist], degree: IntArray) -> _Shelf:
        """The top of all `lists`, which are of the same users, by the gate's weights of a kind."""
        tasks = [_Task.build(found, degree, user_degrees=True) for found in lists]
        score = np.concatenate([task.scores(gate.weights[:, kind]) for task in tasks], axis=1)
        hit = np.concatenate([task.truth for task in tasks], axis=1).astype(np.float32)
        top = _top(score)
        score, hit = np.take_along_axis(score, top, 1), np.take_along_axis(hit, top, 1)
        return cls(score, hit, tasks[0].d_user)

    def wrong(self) -> _Shelf:
        """The same items, none of which is to be found."""
        return replace(self, hit=np.zeros_like(self.hit))

    def moved(self, scale: float, bias: float, slope: float) -> _Shelf:
        """Scores times `scale`, plus what the gate adds to the kind."""
        score = np.float32(scale) * self.score + np.float32(bias) + np.float32(slope) * self.d_user
        return replace(self, score=score)


def _merge(lesson: Lesson, gate: Gate, config: GateConfig, *, natural: bool) -> Gate:
    """Choose how rare and cold items stand against common ones.

    Args:
        natural: the catalog's own rare items say how often such are to be found. The floor is of them as
            well, and each may cost as much as it is sought, against a common item. Else whatever is rare
            presses on common items, and counts as wrong.
    """
    kinds = (lesson.hidden, lesson.rare, lesson.common)
    wanted = np.sum([found.wanted for found in kinds], axis=0)
    rows = np.flatnonzero(wanted)
    rows = rows[:: max(1, len(rows) // _JUDGES)]
    hidden, rare, common, cold, own = (
        found.rows(rows) for found in (*kinds, lesson.cold, lesson.own_rare)
    )
    if len(rows) < _ENOUGH or not common.item.shape[1]:
        return gate
    degree = lesson.item_degree
    # What presses on trained items are the catalog's own cold items, where it has that many.
    crowd = [cold] if _distinct(cold) >= _distinct(hidden) else [cold, hidden]
    all_rare = _Shelf.of(gate, _RARE, [rare], degree)
    sought = own.wanted.sum() / max(common.wanted.sum(), 1) * (degree >= RARE).mean()
    rare_share = min(lesson.rare_share, sought) if natural else lesson.rare_share
    stand = _Stand(
        common=_Shelf.of(gate, _COMMON, [common], degree),
        rare=_Shelf.of(gate, _RARE, [own], degree) if natural else all_rare.wrong(),
        all_rare=all_rare,
        crowd=_Shelf.of(gate, _COLD, crowd, degree),
        found=_Shelf.of(gate, _COLD, [hidden], degree),
        wanted=(common.wanted + natural * own.wanted, wanted[rows]),
        rare_cost=config.cold_cost * rare_share,
        cold_cost=config.cold_cost * lesson.cold_share,
    )
    with_rare = rare.item.shape[1] > 0
    return stand.settled(gate, with_rare=with_rare, with_cold=bool(hidden.wanted.any()))


def _distinct(found: Shortlist) -> int:
    """How many items are listed."""
    return len(np.unique(found.item[found.item >= 0]))


@dataclass(frozen=True)
class _Stand:
    """The kinds side by side.

    Attributes:
        rare: rare items as the floor sees them. all_rare: with all that is to be found of them.
        crowd: cold items as they press on trained ones. found: cold items that can be found.
        wanted: (b,) hidden pairs per user, on trained items as the floor counts them, and on all.
        rare_cost, cold_cost: share of their NDCG@10 that trained items may lose, to rare and to cold ones.
    """

    common: _Shelf
    rare: _Shelf
    all_rare: _Shelf
    crowd: _Shelf
    found: _Shelf
    wanted: tuple[IntArray, IntArray]
    rare_cost: float
    cold_cost: float

    def settled(self, gate: Gate, *, with_rare: bool, with_cold: bool) -> Gate:
        """The gate with the best biases; a kind that the lesson lacks keeps 0, unburied."""
        none = self.crowd.moved(1.0, _BURIED, 0.0)
        best = max(self._warm(bias, none) for bias in _BIASES)
        rare = 0.0
        if with_rare:
            floor = (1.0 - self.rare_cost) * best
            rare = _lifted(lambda bias: self._worth(bias, none, none, floor))[-1]
            best = max(best, self._warm(rare, none))
        biases, weights = np.zeros_like(gate.bias), gate.weights.copy()
        biases[0, _RARE] = rare
        if with_cold:
            bias, scale, slope = self._cold(rare, (1.0 - self.rare_cost - self.cold_cost) * best)
            weights[:, _COLD] *= scale
            biases[:, _COLD] = bias, slope
        return Gate(weights, biases)

    def _cold(self, rare: float, floor: float) -> tuple[float, float, float]:
        """Bias, scale and slope of cold items; the plainest of those that do equally well."""
        tried = []
        for place, move in enumerate([(1.0, 0.0), *itertools.product(_SCALES, _SLOPES)]):
            *worth, bias = _lifted(partial(self._cold_worth, rare, floor, *move))
            tried.append((*worth, -place, bias, *move))
        *_, bias, scale, slope = max(tried)
        return bias, scale, slope

    def _cold_worth(
        self, rare: float, floor: float, scale: float, slope: float, bias: float
    ) -> tuple[bool, float]:
        found = self.found.moved(scale, bias, slope)
        crowd = self.crowd.moved(scale, bias, slope)
        return self._worth(rare, found, crowd, floor)

    def _worth(self, rare: float, found: _Shelf, crowd: _Shelf, floor: float) -> tuple[bool, float]:
        """Whether trained items keep their floor; then NDCG@10 of all items, else of the trained."""
        warm = self._warm(rare, crowd)
        if warm < floor:
            return False, warm
        rares = self.all_rare.moved(1.0, rare, 0.0)
        return True, _ndcg(_ranked([self.common, rares, found]), self.wanted[1])

    def _warm(self, rare: float, crowd: _Shelf) -> float:
        """NDCG@10 of trained items beside such cold ones, which count as wrong."""
        rares = self.rare.moved(1.0, rare, 0.0)
        return _ndcg(_ranked([self.common, rares, crowd.wrong()]), self.wanted[0])


def _lifted(worth: Callable[[float], tuple[bool, float]]) -> tuple[bool, float, float, float]:
    """The best bias: as high as the floor allows and all items profit.

    Returns:
        floor kept, value, -|bias| (of biases that do equally well, the one that interferes least is
        best), bias.
    """

    def tried(bias: float) -> tuple[bool, float, float, float]:
        return *worth(bias), -abs(bias), bias

    best = max(tried(bias) for bias in _BIASES)
    low, high = best[3], min((b for b in _BIASES if b > best[3]), default=best[3])
    # Between the best of the coarse steps and the next the floor is met by halving.
    for _ in range(6 * best[0]):
        middle = tried((low + high) / 2)
        best = max(best, middle)
        low, high = (middle[3], high) if middle[0] else (low, middle[3])
    return best


def _with_told(gate: Gate, lesson: Lesson) -> Gate:
    """How items stand of which only answers are known: by their posterior and by what finds cold ones.

    The rehearsal has no such items. A random part of the common ones takes their place: these are scored
    by c z + s m + b, with z of the posterior and m the score by the cold items' weights, among the others
    with the gate's own scores; c, s and b are those by which what was hidden is likeliest. With too little
    to learn from they stand as cold items do.
    """
    weights, bias = gate.weights.copy(), gate.bias.copy()
    weights[:, _TOLD], bias[:, _TOLD] = weights[:, _COLD], bias[:, _COLD]
    common = lesson.common.rows(np.flatnonzero(lesson.common.truth.any(axis=1)))
    if lesson.answering is None or len(common) < _ENOUGH:
        return Gate(weights, bias)
    task = _Task.build(common, lesson.item_degree, user_degrees=True)
    played = np.random.default_rng(0).random(len(lesson.item_degree)) < _PLAYED
    told = torch.from_numpy(played[common.item])
    score = torch.from_numpy(task.scores(gate.weights[:, _COMMON]) + gate.bias[0, _COMMON])
    mix = torch.from_numpy(np.where(task.masked, 0.0, task.scores(gate.weights[:, _COLD])))
    # Where nothing was hidden, the cold items' weights are equal: EASE would bury what was told.
    with_mix = float(lesson.hidden.truth.any(axis=1).sum() >= _ENOUGH)
    z, target = torch.from_numpy(task.z[lesson.answering]), torch.from_numpy(task.truth).float()
    masked = torch.from_numpy(task.masked)
    found = torch.tensor([1.0 - with_mix / 2, with_mix / 2, 0.0], requires_grad=True)

    def loss() -> Tensor:
        own = found[0] * z + with_mix * found[1] * mix + found[2]
        logits = torch.where(told, own, score).masked_fill(masked, -1e9)
        return -(logits.log_softmax(1) * target).sum() / target.sum()

    _minimise(loss, found)
    share, scale, intercept = found.detach().tolist()
    weights[:, _TOLD], bias[:, _TOLD] = max(scale, 0.0) * weights[:, _COLD], (intercept, 0.0)
    weights[0, _TOLD, lesson.answering] += max(share, 0.0)
    return Gate(weights, bias)


def _ranked(shelves: Sequence[_Shelf]) -> FloatArray:
    """Hits of the top ten of all shelves together, (b, 10)."""
    score = np.concatenate([shelf.score for shelf in shelves], axis=1)
    hit = np.concatenate([shelf.hit for shelf in shelves], axis=1)
    return np.take_along_axis(hit, _top(score), 1)


def _top(scores: FloatArray) -> IntArray:
    """Columns of the ten best per row, best first; (b, <=10)."""
    k = min(_TOP, scores.shape[1])
    if not k:
        return np.zeros((len(scores), 0), np.int64)
    top = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.asarray(np.take_along_axis(top, order, 1), np.int64)


def _ndcg(hit: BoolArray | FloatArray, wanted: npt.NDArray[np.integer]) -> float:
    """Mean NDCG over the users who want something; hit (b, k), 1 or less each, in rank order."""
    discount = 1.0 / np.log2(np.arange(_TOP) + 2.0)
    ideal = np.concatenate([[1.0], np.cumsum(discount)])[np.minimum(wanted, _TOP)]
    some = wanted > 0
    if not some.any():
        return 0.0
    gain = (hit * discount[: hit.shape[1]]).sum(1)
    return float((gain[some] / ideal[some]).mean())
