"""Metrics of full rankings, of recommended lists, of ratings and of probabilities: pure functions.

A ranking metric sees only at which rank each relevant item stands among the query's candidates.
Equal scores must have been ordered beforehand; `evaluate` does it by a seeded hash of user and item
(see `ties`). AUC alone needs no such order: it counts a tied pair as one half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..kg.errors import DataError, UsageError, nearest
from ..kg.vocabulary import IntArray

Float64 = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ranking:
    """Where the relevant items of q queries (users) stand among the candidates.

    Attributes:
        owner: (n,) int64, the query of each relevant item, 0 <= owner < len(candidates).
        rank: (n,) int64, its rank from 1; 0 = it was not ranked (the scorer gave no score).
        midrank: (n,) float64, the mean rank over the candidates of equal score; those without a
            score are tied behind all others.
        candidates: (q,) int64, items that could have been ranked, relevant ones included.
    """

    owner: IntArray
    rank: IntArray
    midrank: Float64
    candidates: IntArray

    def __len__(self) -> int:
        return len(self.candidates)

    @property
    def relevant(self) -> Float64:
        """(q,) relevant items per query; NaN where there are none, so that metrics become NaN too."""
        count = np.bincount(self.owner, minlength=len(self)).astype(np.float64)
        return np.where(count > 0, count, np.nan)

    def restrict(self, pairs: BoolArray) -> Ranking:
        """Only some of the relevant items count as relevant; ranks among all candidates stay."""
        return replace(
            self, owner=self.owner[pairs], rank=self.rank[pairs], midrank=self.midrank[pairs]
        )

    def total(self, values: npt.ArrayLike, pairs: BoolArray) -> Float64:
        """(q,) sums of per-pair values over the chosen relevant items."""
        chosen = np.broadcast_to(np.asarray(values, np.float64), self.rank.shape)[pairs]
        return np.bincount(self.owner[pairs], chosen, minlength=len(self)).astype(np.float64)

    def within(self, k: int) -> BoolArray:
        """(n,) the relevant items in the first k; k = 0 is no limit."""
        return (self.rank > 0) & ((self.rank <= k) if k else True)


def hits(ranking: Ranking, k: int) -> Float64:
    """(q,) relevant items among the first k; NaN without relevant items."""
    return ranking.total(1.0, ranking.within(k)) + 0.0 * ranking.relevant


def recall(ranking: Ranking, k: int) -> Float64:
    """hits / relevant. (q,); NaN without relevant items, as in all that follow."""
    return hits(ranking, k) / ranking.relevant


def capped_recall(ranking: Ranking, k: int) -> Float64:
    """hits / min(k, relevant): 1 can be reached whatever k is."""
    return hits(ranking, k) / np.minimum(k or np.inf, ranking.relevant)


def precision(ranking: Ranking, k: int) -> Float64:
    """hits / k, also where there are fewer than k candidates."""
    return hits(ranking, k) / k


def hit(ranking: Ranking, k: int) -> Float64:
    """1 if any relevant item is among the first k, else 0."""
    return np.minimum(hits(ranking, k), 1.0)


def mrr(ranking: Ranking, k: int) -> Float64:
    """1 / rank of the first relevant item, 0 if it is not among the first k."""
    inside = ranking.within(k)
    best = np.zeros(len(ranking))
    np.maximum.at(best, ranking.owner[inside], 1.0 / ranking.rank[inside])
    return best + 0.0 * ranking.relevant


def ndcg(ranking: Ranking, k: int) -> Float64:
    """DCG with binary gain and log2 discount over that of the best list: min(k, relevant) hits.

    Source: Jarvelin and Kekalainen, TOIS 2002, with the discount 1 / log2(rank + 1).
    """
    inside = ranking.within(k)
    gain = 1.0 / np.log2(np.maximum(ranking.rank, 1) + 1.0)
    count = ranking.relevant
    most = int(np.nanmax(count, initial=1.0))
    ideal = np.cumsum(1.0 / np.log2(np.arange(min(k or most, most)) + 2.0))
    position = np.minimum(np.nan_to_num(count, nan=1.0), len(ideal)).astype(np.int64) - 1
    value: Float64 = ranking.total(gain, inside) / ideal[position]
    return np.where(np.isnan(count), np.nan, value)


def average_precision(ranking: Ranking, k: int) -> Float64:
    """Sum over the hits in the first k of (hits so far / rank), over the number of relevant items."""
    inside = np.flatnonzero(ranking.within(k))
    order = inside[np.lexsort((ranking.rank[inside], ranking.owner[inside]))]
    owner = ranking.owner[order]
    so_far = np.arange(len(order)) - np.searchsorted(owner, owner, side="left") + 1.0
    values = np.zeros(len(ranking.rank))
    values[order] = so_far / ranking.rank[order]
    return ranking.total(values, ranking.within(k)) / ranking.relevant


def auc(ranking: Ranking, k: int = 0) -> Float64:  # noqa: ARG001 - one signature for all
    """Chance that a relevant item stands before another candidate; ties one half. k is not used.

    NaN where every candidate is relevant. (Mann-Whitney: from the sum of mid-ranks.)
    """
    count = ranking.relevant
    others = ranking.candidates - count
    behind = ranking.total(ranking.midrank, np.ones(len(ranking.rank), bool))
    before = behind - count * (count + 1) / 2
    return 1.0 - before / (count * np.where(others > 0, others, np.nan))


Metric = str | Callable[[Ranking], npt.ArrayLike]

METRICS: dict[str, Callable[[Ranking, int], Float64]] = {
    "recall": recall,
    "capped_recall": capped_recall,
    "precision": precision,
    "hit": hit,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": average_precision,
    "auc": auc,
}


def parse_metric(name: str) -> tuple[str, int]:
    """("ndcg", 10) of "ndcg@10"; k = 0 where there is no cut-off. UsageError names the nearest."""
    base, at, cut = name.partition("@")
    if base not in METRICS:
        raise UsageError(f"unknown metric {name!r}", hint=nearest(base, METRICS))
    if (at and not (cut.isdecimal() and int(cut) > 0)) or (not at and base == "precision"):
        raise UsageError(f"metric {name!r}: expected a cut-off above 0, as in {base}@10")
    return base, int(cut) if at else 0


def measure(ranking: Ranking, metric: Metric) -> Float64:
    """(q,) the metric called e.g. "recall@20" or "auc"; NaN for queries without relevant items.

    Args:
        metric: its name, or a function of your own of the ranking.

    Raises:
        UsageError: an unknown name, or a function whose values are not one number per query.
    """
    if isinstance(metric, str):
        base, k = parse_metric(metric)
        return METRICS[base](ranking, k)
    if not callable(metric):
        raise UsageError(f"got {metric!r:.60}, expected a metric's name, as ndcg@10, or a function")
    values = np.asarray(metric(ranking), np.float64)
    if values.shape != (len(ranking),):
        raise UsageError(
            f"metric {metric_name(metric)} gave shape {values.shape}, expected ({len(ranking)},)",
            hint="one number per user; NaN where it has no relevant item",
        )
    return values


def metric_name(metric: Metric) -> str:
    """What tables call it: of one's own function its `__name__`."""
    return metric if isinstance(metric, str) else getattr(metric, "__name__", repr(metric))


def listed(metrics: Metric | Iterable[Metric]) -> tuple[Metric, ...]:
    """Several metrics, where one may stand alone."""
    return (metrics,) if isinstance(metrics, str) or callable(metrics) else tuple(metrics)


def mean(values: Float64) -> float:
    """Mean over the queries that have a value; NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


# --- lists -------------------------------------------------------------------------------------


def exposure(lists: IntArray, n_items: int) -> IntArray:
    """(n_items,) how many of the lists, shape (q, k) with -1 = empty slot, hold each item."""
    return np.bincount(lists[lists >= 0], minlength=n_items)


def coverage(lists: IntArray, catalog: IntArray, n_items: int) -> float:
    """Share of the catalog's items that stand in at least one list."""
    return float((exposure(lists, n_items)[catalog] > 0).mean()) if len(catalog) else float("nan")


def gini(lists: IntArray, catalog: IntArray, n_items: int) -> float:
    """Inequality of exposure over the catalog: 0 = all alike, towards 1 = one item has it all."""
    counts = np.sort(exposure(lists, n_items)[catalog]).astype(np.float64)
    if counts.sum() == 0:
        return float("nan")
    n = len(counts)
    weights = 2.0 * np.arange(1, n + 1) - n - 1
    return float((weights * counts).sum() / (n * counts.sum()))


def novelty(lists: IntArray, degree: IntArray, n_users: int) -> Float64:
    """(q,) mean of -log2((degree + 1) / (n_users + 1)) over a list, in bits; NaN if it is empty."""
    bits = -np.log2((degree + 1.0) / (n_users + 1.0))
    present = lists >= 0
    count = np.where(present.any(1), present.sum(1), np.nan)
    return np.asarray(np.where(present, bits[lists], 0.0).sum(1) / count)


def diversity(lists: IntArray, profile: sp.csr_matrix) -> Float64:
    """(q,) intra-list diversity: 1 - mean cosine over the pairs of a list; NaN below two items.

    `profile` is (n_items, d) with rows of unit length, or zero rows, which differ from everything.
    """
    present = lists >= 0
    count = present.sum(1).astype(np.float64)
    rows = np.repeat(np.arange(len(lists)), present.sum(1))
    chosen = sp.csr_matrix(
        (np.ones(len(rows)), (rows, lists[present])), (len(lists), profile.shape[0])
    )
    summed = sp.csr_matrix(chosen @ profile.astype(np.float64))
    square = _row_squares(summed)
    own = chosen @ _row_squares(profile)
    pairs = np.where(count > 1, count * (count - 1), np.nan)
    value: Float64 = 1.0 - (square - own) / pairs
    return value


def _row_squares(matrix: sp.csr_matrix) -> Float64:
    """(n,) squared length of each row."""
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    squares = np.square(matrix.data, dtype=np.float64)
    return np.bincount(rows, squares, minlength=matrix.shape[0]).astype(np.float64)


# --- ratings and probabilities -----------------------------------------------------------------


def rmse(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root of the mean squared error. DataError if the shapes differ or nothing is given."""
    expected, got = _paired(truth, predicted)
    return float(np.sqrt(np.mean(np.square(expected - got))))


def mae(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean absolute error. DataError as `rmse`."""
    expected, got = _paired(truth, predicted)
    return float(np.mean(np.abs(expected - got)))


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: per bin the mean probability, the share of positives, and how many.

    Attributes (all (bins,)):
        predicted, observed: NaN where a bin is empty. count: pairs, or the sum of their weights.
    """

    predicted: Float64
    observed: Float64
    count: Float64

    @property
    def ece(self) -> float:
        """Expected calibration error: mean |predicted - observed|, weighted by count."""
        used = self.count > 0
        gap = np.abs(self.predicted[used] - self.observed[used])
        return float((gap * self.count[used]).sum() / self.count.sum())


def reliability(
    label: npt.ArrayLike,
    probability: npt.ArrayLike,
    bins: int = 10,
    *,
    equal_mass: bool = False,
    weight: npt.ArrayLike | None = None,
) -> Reliability:
    """Bin probabilities over [0, 1], in bins of equal width or of (about) equal count.

    Empty bins hold NaN. `weight` is how many pairs each stands for; None = one. Where bins are of
    equal count, it is the count without the weights. Source: Naeini et al., AAAI 2015, section 2.
    DataError outside [0, 1].
    """
    labels, given = _paired(label, probability)
    if given.min() < 0 or given.max() > 1:
        raise DataError(f"probabilities lie in {given.min():g}..{given.max():g}, expected 0..1")
    if equal_mass:
        edges = np.quantile(given, np.linspace(0, 1, bins + 1)[1:-1])
    else:
        edges = np.linspace(0, 1, bins + 1)[1:-1]
    place = np.searchsorted(edges, given, side="right")
    each = np.ones(len(given)) if weight is None else np.asarray(weight, np.float64)
    count = np.bincount(place, each, minlength=bins).astype(np.float64)
    divisor = np.where(count > 0, count, np.nan)
    return Reliability(
        predicted=np.bincount(place, each * given, minlength=bins) / divisor,
        observed=np.bincount(place, each * labels, minlength=bins) / divisor,
        count=count,
    )


def brier(label: npt.ArrayLike, probability: npt.ArrayLike, weight: Float64 | None = None) -> float:
    """Mean squared error of probabilities (Brier 1950). DataError as `rmse`."""
    labels, given = _paired(label, probability)
    return float(np.average(np.square(labels - given), weights=weight))


def _paired(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Float64, Float64]:
    expected, got = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if expected.shape != got.shape or expected.size == 0:
        raise DataError(f"got shapes {got.shape}, expected {expected.shape}, at least one value")
    if np.isnan(expected).any() or np.isnan(got).any():
        raise DataError("NaN among the values: leave unknown pairs out and report their share")
    return expected, got
