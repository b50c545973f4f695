"""Is one model really better than another? Paired intervals and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kg.errors import DataError, UsageError
from ..kg.in_memory import whole
from .evaluate import Evaluation
from .metrics import Float64, Metric, listed, metric_name

# Draws of one chunk of the bootstrap: twice 32 MB.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Difference:
    """A mean difference with its interval.

    Attributes:
        mean, low, high: of first - second, over `n` paired values.
        p: two-sided; NaN with fewer than two values.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def paired_bootstrap(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    rng: np.random.Generator | int,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Difference:
    """Percentile interval of the mean of first - second, resampling the pairs (users).

    Pairs with a NaN on either side are left out. p = twice the smaller share of resampled means on
    one side of 0, with one added to both counts, at most 1: it is never 0. `rng` may be a seed.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 13.3 and 15.

    Raises:
        DataError: the shapes differ, or no pair is left. UsageError: a level outside (0, 1), no
        resamples, or a seed that is none.
    """
    if not 0 < level < 1:
        raise UsageError(f"must be between 0 and 1, got {level}", where="level", hint="say 0.95")
    (found,) = _bootstrap(_gaps(first, second)[:, None], rng, resamples, level)
    return found


def _bootstrap(
    gaps: Float64, rng: np.random.Generator | int, resamples: int, level: float = 0.95
) -> list[Difference]:
    """Of each column of gaps (n, m), all from the same resamples of the rows."""
    n, rng, resamples = len(gaps), _generator(rng), whole(resamples, "resamples")
    means = np.empty((resamples, gaps.shape[1]))
    step = max(1, _CHUNK // n)
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * n).reshape(count, n)
        means[start : start + count] = times.astype(np.float64) @ gaps / n
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    side = np.minimum((means <= 0).sum(0), (means >= 0).sum(0))
    p = np.minimum(1.0, 2 * (side + 1) / (resamples + 1)) if n > 1 else np.full(len(side), np.nan)
    table = np.stack([gaps.mean(0), low, high, p], 1).tolist()
    return [Difference(mean, below, above, chance, n) for mean, below, above, chance in table]


def paired_t(first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = 0.95) -> Difference:
    """Student's paired interval of the mean of first - second: for a handful of seeds.

    With one pair the interval is infinite. Raises DataError as `paired_bootstrap`.
    """
    from scipy.stats import t

    gaps = _gaps(first, second)
    n, centre = len(gaps), float(gaps.mean())
    if n == 1:
        return Difference(centre, -np.inf, np.inf, float("nan"), 1)
    error = float(gaps.std(ddof=1) / np.sqrt(n))
    reach = float(t.ppf((1 + level) / 2, n - 1)) * error
    if error > 0:
        p = float(2 * t.sf(abs(centre) / error, n - 1))
    else:
        p = 1.0 if centre == 0 else 0.0
    return Difference(centre, centre - reach, centre + reach, p, n)


def holm(p_values: npt.ArrayLike) -> Float64:
    """Holm's step-down adjusted p-values, in the order given; NaN stays NaN and does not count.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 1979.
    """
    given = np.asarray(p_values, np.float64)
    out = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(given[order] * factors), 1.0)
    return out


def compare(
    evaluation: Evaluation,
    model: str,
    metrics: Mapping[str, Metric | Sequence[Metric]],
    rng: np.random.Generator | int,
    *,
    resamples: int = 10_000,
) -> list[dict[str, Any]]:
    """The model against every other one: one row per other model, segment and metric.

    The other models share the resamples of a segment's users. No p is below 2 / (resamples + 1), so
    that with few resamples nothing is left of many rows once Holm has corrected them.

    Args:
        metrics: segment -> metrics, e.g. {"hot": ("ndcg@10", "recall@20"), "cold-only": "ndcg@10"}.
        rng: of the resamples; or its seed.

    Returns:
        JSON-ready rows: model, against, segment, metric, mean, low, high, p, n, p_holm; the last is
        corrected over all rows. Segments without a pair are left out, and metrics of which no user
        has a value under every model.

    Raises:
        UsageError: a model, segment or metric that there is not.
    """
    if not isinstance(metrics, Mapping):
        raise UsageError(
            f"got {metrics!r:.60}, expected metrics by segment",
            where="metrics",
            hint="{'all': ('ndcg@10',)}",
        )
    rng = _generator(rng)
    rows: list[dict[str, Any]] = []
    others = [other for other in evaluation.models if other != model]
    for segment, names in metrics.items():
        evaluation.ranking(model, segment)  # refuses what was not evaluated
        if segment not in evaluation.segment_names or not others:
            continue
        for name in listed(names):
            own = evaluation.per_user(model, segment, name)
            theirs = [evaluation.per_user(other, segment, name) for other in others]
            gaps = own[:, None] - np.stack(theirs, 1)
            gaps = gaps[~np.isnan(gaps).any(1)]
            if not len(gaps):
                continue
            for other, found in zip(others, _bootstrap(gaps, rng, resamples), strict=True):
                head = {
                    "model": model,
                    "against": other,
                    "segment": segment,
                    "metric": metric_name(name),
                }
                rows.append(head | asdict(found))
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = float(adjusted)
    return rows


def _generator(rng: np.random.Generator | int) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    return np.random.default_rng(whole(rng, "rng", 0))


def _gaps(first: npt.ArrayLike, second: npt.ArrayLike) -> Float64:
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise DataError(f"paired values differ in shape: {one.shape} and {two.shape}")
    gaps = one - two
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) == 0:
        raise DataError("no pair of values is known on both sides")
    return gaps
