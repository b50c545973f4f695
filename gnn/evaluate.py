"""Full-ranking evaluation of scorers, side by side, by hot, warm, cold and degree segments.

Candidates of a user are all items but those of the user's known pairs (training, and validation when
testing). An item that a scorer gives NaN is never recommended. Equal scores are ordered by a seeded
hash of user and item. A user with no relevant item in a segment takes no part in its means; a user
for whom a scorer knows nothing does, with 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Interactions
from ..kg.graph_checks import check_rows
from ..kg.in_memory import whole
from ..kg.split import PARTS, Split, check_split
from ..kg.vocabulary import IntArray
from . import metrics
from .data import TrainingData
from .given import Given, Scores, scores_of
from .metrics import Float64, Metric, Ranking
from .ranking import BLOCK_ENTRIES
from .ranks import Collector, Ranked
from .scorer_base import BoolArray, check_users
from .segments import cold_candidates, pair_segments
from .ties import salts

_LOG = logging.getLogger(__name__)


Progress = Callable[[str, int, int], None]


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
        self._known("model", model, self.models)
        self._known("segment", segment, (*self.segments, "cold-only"))
        if segment == "cold-only":
            return self.cold_models[model].ranking
        return self.models[model].ranking.restrict(self.segments[segment])

    def _known(self, kind: str, name: str, valid: Iterable[str]) -> None:
        names = list(valid)
        if name not in names:
            raise UsageError(f"no {kind} {name!r} was evaluated", hint=nearest(str(name), names))

    def per_user(self, model: str, segment: str, metric: Metric) -> Float64:
        """(q,) values of e.g. "ndcg@10"; NaN for users without a relevant item in the segment.

        Args:
            metric: a name, or a function of your own: of a `Ranking` of q users to q values.
        """
        return metrics.measure(self.ranking(model, segment), metric)

    def value(self, model: str, segment: str, metric: Metric) -> float:
        """The mean over the users that have a value; NaN if none has."""
        return metrics.mean(self.per_user(model, segment, metric))

    def default_metrics(self) -> tuple[str, ...]:
        """The ranking metrics of the table, in its order."""
        bases = ("recall", "ndcg", "mrr", "precision", "hit", "capped_recall")
        return (*(f"{base}@{k}" for k in self.ks for base in bases), "map", "auc")

    def user_table(
        self, names: Metric | Sequence[Metric] | None = None, segment: str = "all"
    ) -> pa.Table:
        """One row per model and user with a relevant item in the segment: model, user (IRI), metrics."""
        chosen = self.default_metrics() if names is None else metrics.listed(names)
        iris = self.data.graph.users.vocabulary
        tables = []
        for model in self.models:
            ranking = self.ranking(model, segment)
            there = ~np.isnan(ranking.relevant)
            columns: dict[str, Any] = {
                "model": pa.array([model] * int(there.sum()), pa.string()),
                "user": pa.array(iris.take(self.users[there]), pa.string()),
            }
            for metric in chosen:
                columns[metrics.metric_name(metric)] = metrics.measure(ranking, metric)[there]
            tables.append(pa.table(columns))
        return pa.concat_tables(tables)

    def rows(self, names: Metric | Sequence[Metric] | None = None) -> list[dict[str, Any]]:
        """One JSON-ready dict per model and segment: model, segment, users, pairs, metrics.

        "all" and "cold-only" also have the metrics of the lists: coverage, gini, novelty,
        diversity and cold_share at each cut-off. None stands for an undefined value.
        """
        chosen = self.default_metrics() if names is None else metrics.listed(names)
        rows = []
        for model in self.models:
            for segment in self.segment_names:
                ranking = self.ranking(model, segment)
                row: dict[str, Any] = {"model": model, "segment": segment}
                row["users"] = len(np.unique(ranking.owner))
                row["pairs"] = len(ranking.owner)
                for metric in chosen:
                    value = metrics.mean(metrics.measure(ranking, metric))
                    row[metrics.metric_name(metric)] = _json(value)
                if segment in ("all", "cold-only"):
                    row |= {name: _json(x) for name, x in self.list_metrics(model, segment).items()}
                rows.append(row)
        return rows

    def list_metrics(self, model: str, segment: str = "all") -> dict[str, float]:
        """coverage, gini, novelty (bits), diversity and cold_share of the lists at each cut-off.

        Args:
            segment: "all" or "cold-only": there is one list per user among all items, and one among the
                cold ones.
        """
        self._known("model", model, self.models)
        self._known("segment", segment, ("all", "cold-only"))
        only_cold = segment == "cold-only"
        complete = (self.cold_models if only_cold else self.models)[model].lists
        catalog = self.cold_items if only_cold else np.arange(self.data.n_items)
        n_items, degree = self.data.n_items, self.data.item_degree
        out: dict[str, float] = {}
        for k in self.ks:
            lists = complete[:, :k]
            filled = lists[lists >= 0]
            out[f"coverage@{k}"] = metrics.coverage(lists, catalog, n_items)
            out[f"gini@{k}"] = metrics.gini(lists, catalog, n_items)
            out[f"novelty@{k}"] = metrics.mean(metrics.novelty(lists, degree, self.data.n_users))
            out[f"diversity@{k}"] = metrics.mean(metrics.diversity(lists, self.data.profile))
            cold = (degree[filled] == 0).mean() if len(filled) else np.nan
            out[f"cold_share@{k}"] = float(cold)
        return out


def evaluate(
    scorers: Mapping[str, Scores | npt.ArrayLike],
    data: TrainingData,
    split: Split,
    *,
    part: Literal["test", "valid"] = "test",
    ks: int | Sequence[int] = (10, 20),
    users: npt.ArrayLike | None = None,
    groups: Mapping[str, npt.ArrayLike] | None = None,
    block: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Rank all items for every user with positives in `part`, by each fitted scorer.

    Args:
        scorers: model name -> scorer fitted on `data`, or scores made elsewhere, (n_users, n_items).
        data: decides what is hot or cold, by `data.train`; its pairs are never candidates.
        split: where the relevant pairs come from; `split.train` (and `split.valid` for the test
            part) are not candidates either.
        ks: cut-offs of the metrics.
        users: only these; None = all.
        groups: name -> users: one more segment each. Users, here and above, are indices:
            `graph.users.vocabulary.indices(ids)`.
        block: users scored at a time; None = as many as `BLOCK_ENTRIES` allows.
        seed: of the order of ties.
        progress: called with (model, users done, users in all).

    Memory: one block of scores and keys, about 40 bytes per entry, and the ranks.

    Raises:
        UsageError: an argument is not what it should be, which is named.
        DataError: no positive pair to evaluate, a split of another graph, or a scorer returned a wrong
            shape.
    """
    cuts, seed = _checked(scorers, data, split, part, ks), whole(seed, "seed", 0)
    chosen = None if users is None else _users(users, data, "users")
    members = {name: _users(some, data, f"groups: {name}") for name, some in (groups or {}).items()}
    task = _Task.build(data, split, part, chosen)
    usual = max(1, BLOCK_ENTRIES // max(data.n_items, 1))
    step = usual if block is None else whole(block, "block")
    models, cold_models = {}, {}
    for name, scorer in scorers.items():
        ready = scorer if isinstance(scorer, Scores) else Given(name, scorer, data)
        models[name], cold_models[name] = _rank(name, ready, task, max(cuts), step, seed, progress)
    return Evaluation(
        data=data,
        users=task.users,
        models=models,
        cold_models=cold_models,
        segments=pair_segments(task.users[task.owner], task.item, data, task.seen, members),
        cold_items=task.cold_items,
        ks=cuts,
    )


def _checked(scorers: Any, data: Any, split: Any, part: str, ks: Any) -> tuple[int, ...]:
    """The cut-offs, if these are what `evaluate` takes."""
    check_split(split)
    if not isinstance(data, TrainingData):
        raise UsageError(
            f"got {type(data).__name__}, expected TrainingData",
            where="data",
            hint="give model.data, or TrainingData(graph, split.train)",
        )
    for name in PARTS:
        check_rows(data.graph, getattr(split, name), f"the split's part {name}")
    if not isinstance(scorers, Mapping):
        raise UsageError(
            f"got {type(scorers).__name__}, expected models by name",
            where="scorers",
            hint="{'coldframe': model.scorer}",
        )
    if part not in ("test", "valid"):
        raise UsageError(f"got {part!r}, expected test or valid", where="part")
    cuts = ks if isinstance(ks, Iterable) and not isinstance(ks, str) else (ks,)
    found = tuple(whole(cut, "ks") for cut in cuts)
    if not found:
        raise UsageError("no cut-offs are given", where="ks", hint="ks=(10, 20)")
    return found


def _users(users: npt.ArrayLike, data: TrainingData, where: str) -> IntArray:
    """Sorted distinct indices of users."""
    given = np.asarray(users).reshape(-1)
    if given.size and not np.issubdtype(given.dtype, np.integer):
        raise UsageError(
            f"got {given[0]!r:.60}, expected indices of users",
            where=where,
            hint="graph.users.vocabulary.indices(ids) gives them",
        )
    return np.unique(check_users(given.astype(np.int64), data.n_users))


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
        parts = [data.train] if split.train is data.train else [data.train, split.train]
        parts += [split.valid] if part == "test" else []
        known = sp.csr_matrix(sum(_pairs(rows, data) for rows in parts))
        wanted = getattr(split, part).matrix(data.n_users, data.n_items)
        # A pair that is known already is no candidate, so it cannot be found either.
        wanted = sp.csr_matrix(wanted - wanted.multiply(known > 0))
        wanted.eliminate_zeros()
        wanted.sort_indices()
        chosen = np.arange(data.n_users) if users is None else users
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
    scorer: Scores,
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
        scores = scores_of(scorer, users, len(every_item), name)
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


def _json(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)
