"""The gate: how much each part of the score counts, by what is known of the item and of the user."""

from __future__ import annotations

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

    keep_warm: float = 1.0
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
        z: (P, b, n_items) standardised scores of the parts, 0 where unknown.
        truth: (b, n_items) what was hidden; known: (b, n_items) pairs that are no candidates.
        item_degree: (n_items,) and user_degree (b,) in the rehearsal.
        linear: positions of the parts that know trained items alone.
    """

    z: FloatArray
    truth: BoolArray
    known: BoolArray
    item_degree: IntArray
    user_degree: IntArray
    linear: tuple[int, ...]


def learn_gate(lesson: Lesson, config: GateConfig) -> Gate:
    """Weights by the softmax likelihood within each kind; then how the kinds are ranked together."""
    kinds = kind_of(lesson.item_degree)
    new = lesson.user_degree == 0
    n_parts = len(lesson.z)
    weights = np.zeros((3, 4, n_parts), np.float32)
    weights[0] = 1.0 / n_parts
    for kind in range(3):
        found = _fit(
            lesson, np.flatnonzero(~new), np.flatnonzero(kinds == kind), config, user_degrees=True
        )
        if found is not None:
            weights[:, kind] = found
    found = _fit(lesson, np.flatnonzero(new), np.arange(len(kinds)), config, user_degrees=False)
    if found is not None:
        weights[:, 3] = found
    return _merge(lesson, Gate(weights, np.zeros(4, np.float32)), kinds, config)


def _fit(
    lesson: Lesson, users: IntArray, items: IntArray, config: GateConfig, *, user_degrees: bool
) -> FloatArray | None:
    """w, v and q (3, P) of one kind by L-BFGS; None where there is nothing to learn from."""
    truth = lesson.truth[np.ix_(users, items)]
    rows = truth.any(axis=1)
    if rows.sum() < _ENOUGH or len(items) < 2:
        return None
    users, truth = users[rows], truth[rows]
    z = torch.from_numpy(lesson.z[:, users][:, :, items])
    target = torch.from_numpy(truth.astype(np.float32))
    masked = torch.from_numpy(lesson.known[np.ix_(users, items)] & ~truth)
    d_item = torch.from_numpy(scaled(lesson.item_degree[items]))
    d_user = torch.from_numpy(scaled(lesson.user_degree[users]) * user_degrees)
    theta = torch.zeros((3, len(z)), requires_grad=True)
    equal = torch.zeros((3, len(z)))
    equal[0] = 1.0 / len(z)
    optimiser = torch.optim.LBFGS([theta], max_iter=60, line_search_fn="strong_wolfe")

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
    if len(np.unique(lesson.item_degree[items])) == 1:
        found[1] = 0.0  # a degree that never varies teaches nothing about degrees
    return found


def _merge(lesson: Lesson, gate: Gate, kinds: Kind, config: GateConfig) -> Gate:
    """Choose the biases of rare and cold items against common ones."""
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
    shelves = [Shelf.of(scores, truth, np.flatnonzero(kinds == kind)) for kind in range(3)]
    floor = config.keep_warm * max(
        (_linear_level(lesson, part, rows, kinds) for part in lesson.linear), default=0.0
    )
    bias = np.zeros(4, np.float32)
    for kind in (0, 1):
        # A kind that the rehearsal lacks taught nothing; it is not to be buried when it turns up.
        bias[kind] = -20.0 if len(shelves[kind].items) else 0.0
    for kind in (1, 0, 1, 0):
        if not len(shelves[kind].items):
            continue
        tried = []
        for value in np.arange(-20.0, 12.01, 0.25):
            trial = bias.copy()
            trial[kind] = value
            warm, everything = _levels(shelves, trial, truth)
            reached = warm >= floor
            # Of values that do equally well, the one that interferes least.
            tried.append((reached, everything if reached else warm, -abs(value), value))
        bias[kind] = max(tried)[-1]
    return Gate(gate.weights, bias)


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
        top = np.argsort(-part, axis=1, kind="stable")[:, :_TOP]
        score = np.take_along_axis(part, top, 1)
        return cls(items, score, np.take_along_axis(truth[:, items], top, 1))


def _levels(shelves: Sequence[Shelf], bias: FloatArray, truth: BoolArray) -> tuple[float, float]:
    """NDCG@10 of the common items, and of all, when the kinds are ranked together."""
    score = np.concatenate([shelf.score + bias[kind] for kind, shelf in enumerate(shelves)], axis=1)
    hit = np.concatenate([shelf.hit for shelf in shelves], axis=1)
    common = np.concatenate(
        [np.full(shelf.hit.shape, kind == 2) for kind, shelf in enumerate(shelves)], axis=1
    )
    top = np.argsort(-score, axis=1, kind="stable")[:, :_TOP]
    hit, common = np.take_along_axis(hit, top, 1), np.take_along_axis(common, top, 1)
    wanted = truth[:, shelves[2].items].sum(1)
    return _ndcg(hit & common, wanted), _ndcg(hit, truth.sum(1))


def _linear_level(lesson: Lesson, part: int, rows: IntArray, kinds: Kind) -> float:
    """NDCG@10 of the common items by one linear part alone, which ranks no cold ones."""
    items = np.flatnonzero(kinds > 0)
    scores = lesson.z[part][np.ix_(rows, items)].copy()
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
