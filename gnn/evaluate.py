"""Full-ranking evaluation of scorers, side by side, by hot, warm, cold and degree segments.

Candidates of a user are all items but those of the user's known pairs (training, and validation when
testing). An item that a scorer gives NaN is never recommended. Equal scores are ordered by a seeded
hash of user and item. A user with no relevant item in a segment takes no part in its means; a user
for whom a scorer knows nothing does, with 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import FloatArray, Interactions
from ..kg.split import Split
from ..kg.vocabulary import IntArray
from . import metrics
from .data import TrainingData
from .metrics import Float64, Ranking
from .ranking import BLOCK_ENTRIES
from .scorer_base import BoolArray, Scorer, check_users
from .segments import cold_candidates, pair_segments
from .ties import U32, U64, UNRANKED, items_of, rank_keys, salts

_LOG = logging.getLogger(__name__)


Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Ranked:
    """One scorer's outcome: the ranks of the relevant items, and lists (q, k), -1 = empty slot."""

    ranking: Ranking
    lists: IntArray


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` found: ranks and lists; metrics are derived when asked for.

    Attributes:
        data: what the scorers were fitted on.
        users: (q,) the users evaluated; per-user values follow this order.
        models: model -> its outcome among all candidates.
        cold_models: the same among the cold items alone.
        segments: segment -> mask over the relevant pairs; "cold-only" is apart.
        cold_items: the items ranked in "cold-only".
        ks: cut-offs of the default metrics.
    """

    data: TrainingData
    users: IntArray
    models: Mapping[str, Ranked]
    cold_models: Mapping[str, Ranked]
    segments: Mapping[str, BoolArray]
    cold_items: IntArray
    ks: tuple[int, ...]

    @property
    def segment_names(self) -> tuple[str, ...]:
        """The segments that have at least one relevant pair, in the order of the table."""
        names = [name for name, pairs in self.segments.items() if pairs.any()]
        if any(len(ranked.ranking.owner) for ranked in self.cold_models.values()):
            names.insert(names.index("cold") + 1 if "cold" in names else len(names), "cold-only")
        return tuple(names)

    def ranking(self, model: str, segment: str = "all") -> Ranking:
        """Ranks of the segment's relevant items. UsageError for an unknown model or segment."""
        for got, valid in ((model, self.models), (segment, {**self.segments, "cold-only": None})):
            if got not in valid:
                raise UsageError(f"{got!r} was not evaluated", hint=nearest(got, valid))
        if segment == "cold-only":
            return self.cold_models[model].ranking
        return self.models[model].ranking.restrict(self.segments[segment])

    def per_user(self, model: str, segment: str, metric: str) -> Float64:
        """(q,) values of e.g. "ndcg@10"; NaN for users without a relevant item in the segment."""
        return metrics.measure(self.ranking(model, segment), metric)

    def value(self, model: str, segment: str, metric: str) -> float:
        """The mean over the users that have a value; NaN if none has."""
        return metrics.mean(self.per_user(model, segment, metric))

    def default_metrics(self) -> tuple[str, ...]:
        """The ranking metrics of the table, in its order."""
        bases = ("recall", "ndcg", "mrr", "precision", "hit", "capped_recall")
        return (*(f"{base}@{k}" for k in self.ks for base in bases), "map", "auc")

    def rows(self, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """One JSON-ready dict per model and segment: model, segment, users, pairs, metrics.

        "all" and "cold-only" also have the metrics of the lists: coverage, gini, novelty,
        diversity and cold_share at each cut-off. None stands for an undefined value.
        """
        chosen = tuple(names) if names is not None else self.default_metrics()
        rows = []
        for model in self.models:
            for segment in self.segment_names:
                ranking = self.ranking(model, segment)
                row: dict[str, Any] = {"model": model, "segment": segment}
                row["users"] = len(np.unique(ranking.owner))
                row["pairs"] = len(ranking.owner)
                for name in chosen:
                    row[name] = _json(metrics.mean(metrics.measure(ranking, name)))
                if segment in ("all", "cold-only"):
                    row |= {name: _json(x) for name, x in self.list_metrics(model, segment).items()}
                rows.append(row)
        return rows

    def list_metrics(self, model: str, segment: str = "all") -> dict[str, float]:
        """coverage, gini, novelty (bits), diversity and cold_share of the lists at each cut-off."""
        only_cold = segment == "cold-only"
        whole = (self.cold_models if only_cold else self.models)[model].lists
        catalog = self.cold_items if only_cold else np.arange(self.data.n_items)
        n_items, degree = self.data.n_items, self.data.item_degree
        out: dict[str, float] = {}
        for k in self.ks:
            lists = whole[:, :k]
            filled = lists[lists >= 0]
            out[f"coverage@{k}"] = metrics.coverage(lists, catalog, n_items)
            out[f"gini@{k}"] = metrics.gini(lists, catalog, n_items)
            out[f"novelty@{k}"] = metrics.mean(metrics.novelty(lists, degree, self.data.n_users))
            out[f"diversity@{k}"] = metrics.mean(metrics.diversity(lists, self.data.profile))
            cold = (degree[filled] == 0).mean() if len(filled) else np.nan
            out[f"cold_share@{k}"] = float(cold)
        return out


def evaluate(
    scorers: Mapping[str, Scorer],
    data: TrainingData,
    split: Split,
    *,
    part: Literal["test", "valid"] = "test",
    ks: Sequence[int] = (10, 20),
    users: IntArray | None = None,
    groups: Mapping[str, IntArray] | None = None,
    block: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank all items for every user with positives in `part`, by each fitted scorer.

    Args:
        scorers: model name -> scorer fitted on `data`.
        data: decides what is hot or cold, by `data.train`; its pairs are never candidates.
        split: where the relevant pairs come from; `split.train` (and `split.valid` for the test
            part) are not candidates either.
        users: only these; None = all.
        groups: name -> user indices: one more segment each.
        block: users scored at a time; None = as many as `BLOCK_ENTRIES` allows.
        seed: of the order of ties.
        progress: called with (model, users done, users in all).

    Memory: one block of scores and keys, about 40 bytes per entry, and the ranks.

    Raises:
        UsageError: no cut-offs, or one below 1. UnknownIdError: a user that there is not.
        DataError: no positive pair to evaluate, or a scorer returned a wrong shape.
    """
    if not ks or min(ks) < 1:
        raise UsageError(f"got cut-offs {tuple(ks)}, expected numbers from 1", where="ks")
    task = _Task.build(data, split, part, users)
    step = block or max(1, BLOCK_ENTRIES // max(data.n_items, 1))
    models, cold_models = {}, {}
    for name, scorer in scorers.items():
        models[name], cold_models[name] = _rank(name, scorer, task, max(ks), step, seed, progress)
    return Evaluation(
        data=data,
        users=task.users,
        models=models,
        cold_models=cold_models,
        segments=pair_segments(task.users[task.owner], task.item, data, task.seen, groups),
        cold_items=task.cold_items,
        ks=tuple(ks),
    )


@dataclass(frozen=True)
class _Task:
    """What is to be ranked: q users, their known pairs (q, n_items), n relevant pairs by owner."""

    users: IntArray
    known: sp.csr_matrix
    owner: IntArray
    item: IntArray
    seen: BoolArray
    cold_items: IntArray
    is_cold: BoolArray

    @classmethod
    def build(cls, data: TrainingData, split: Split, part: str, users: IntArray | None) -> _Task:
        parts = [data.train, split.train] + ([split.valid] if part == "test" else [])
        known = sp.csr_matrix(sum(_pairs(rows, data) for rows in parts))
        wanted = getattr(split, part).matrix(data.n_users, data.n_items)
        # A pair that is known already is no candidate, so it cannot be found either.
        wanted = sp.csr_matrix(wanted - wanted.multiply(known > 0))
        wanted.eliminate_zeros()
        wanted.sort_indices()
        everybody = np.arange(data.n_users)
        chosen = everybody if users is None else np.unique(check_users(users, data.n_users))
        chosen = chosen[np.diff(wanted.indptr)[chosen] > 0]
        if len(chosen) == 0:
            raise DataError(
                f"split {split.name!r}: no positive pair to evaluate in {part}",
                hint="choose another protocol or seed",
            )
        wanted = wanted[chosen]
        cold_items = cold_candidates(data, split)
        is_cold = np.zeros(data.n_items, bool)
        is_cold[cold_items] = True
        return cls(
            users=chosen,
            known=known[chosen],
            owner=np.repeat(np.arange(len(chosen)), np.diff(wanted.indptr)),
            item=wanted.indices.astype(np.int64),
            seen=np.diff(known.tocsc().indptr) > 0,
            cold_items=cold_items,
            is_cold=is_cold,
        )


def _pairs(rows: Interactions, data: TrainingData) -> sp.csr_matrix:
    """Counts of the rows of any label, (n_users, n_items)."""
    ones = np.ones(len(rows), np.float32)
    return sp.csr_matrix((ones, (rows.user, rows.item)), (data.n_users, data.n_items))


def _rank(
    name: str,
    scorer: Scorer,
    task: _Task,
    k: int,
    step: int,
    seed: int,
    progress: Progress | None,
) -> tuple[Ranked, Ranked]:
    """One scorer's outcome among all items and among the cold ones, block by block."""
    everything, cold = Collector(k), Collector(k)
    every_item = np.arange(task.known.shape[1])
    for start in range(0, len(task.users), step):
        stop = min(start + step, len(task.users))
        users, known = task.users[start:stop], task.known[start:stop]
        scores = np.array(scorer.score(users), np.float32)
        if scores.shape != known.shape:
            raise DataError(
                f"scorer {name!r} returned shape {scores.shape}, expected {known.shape}"
            )
        scores[known.nonzero()] = np.nan
        salt = salts(users, seed)
        first, last = np.searchsorted(task.owner, [start, stop])
        owner, item = task.owner[first:last] - start, task.item[first:last]
        everything.add(scores, every_item, np.diff(known.indptr), owner, item, salt)
        if len(task.cold_items):
            pairs = task.is_cold[item]
            column = np.searchsorted(task.cold_items, item[pairs])
            known_cold = np.diff(known[:, task.cold_items].indptr)
            part = scores[:, task.cold_items]
            cold.add(part, task.cold_items, known_cold, owner[pairs], column, salt)
        if progress is not None:
            progress(name, stop, len(task.users))
    _LOG.debug("ranked %d users by %s", len(task.users), name)
    return everything.result(len(task.users)), cold.result(len(task.users))


class Collector:
    """Gathers the ranks and lists of consecutive blocks of users."""

    def __init__(self, k: int) -> None:
        self.k = k
        self._done = 0
        self._blocks: list[tuple[IntArray, IntArray, Float64, IntArray, IntArray]] = []

    def add(
        self,
        scores: FloatArray,
        items: IntArray,
        known: IntArray,
        owner: IntArray,
        column: IntArray,
        salt: U32,
    ) -> None:
        """One block: scores (b, n) of `items` (n,), of which `known` (b,) are masked per user.

        `owner` (sorted) and `column` give the relevant entries.
        """
        keys = rank_keys(scores, items, salt)
        own = keys[owner, column]
        keys.sort(axis=1)
        candidates = keys.shape[1] - np.asarray(known, np.int64)
        floor = own & UNRANKED
        # Just before and after the keys of equal score; the one after NaN would overflow.
        wanted = np.stack([own, floor, floor | np.uint64(0xFFFFFFFF)])
        place = np.zeros(wanted.shape, np.int64)
        bounds = np.searchsorted(owner, np.arange(len(keys) + 1))
        for row in np.flatnonzero(np.diff(bounds)):
            part = slice(bounds[row], bounds[row + 1])
            place[:, part] = np.searchsorted(keys[row], wanted[:, part])
        scored = own < UNRANKED
        last = np.where(scored, _past(keys, owner, wanted[2], place[2]), candidates[owner])
        rank = np.where(scored, place[0] + 1, 0)
        lists = np.full((len(keys), self.k), -1, np.int64)
        top = keys[:, : self.k]
        lists[:, : top.shape[1]] = items_of(top, salt)
        midrank = (place[1] + 1 + last) / 2.0
        self._blocks.append((owner + self._done, rank, midrank, candidates, lists))
        self._done += len(keys)

    def result(self, n_users: int) -> Ranked:
        """Everything in one; without any block, a ranking of nothing."""
        if not self._blocks:
            none, nobody = np.zeros(0, np.int64), np.zeros(n_users, np.int64)
            lists = np.full((n_users, self.k), -1, np.int64)
            return Ranked(Ranking(none, none, none.astype(np.float64), nobody), lists)
        owner, rank, midrank, candidates, lists = (
            np.concatenate(column) for column in zip(*self._blocks, strict=True)
        )
        return Ranked(Ranking(owner, rank, midrank, candidates), lists)


def _past(keys: U64, owner: IntArray, upper: U64, place: IntArray) -> IntArray:
    """How many keys of the owner's row are <= upper, given how many are < upper."""
    inside = np.minimum(place, keys.shape[1] - 1)
    found: IntArray = place + ((place < keys.shape[1]) & (keys[owner, inside] == upper))
    return found


def _json(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
