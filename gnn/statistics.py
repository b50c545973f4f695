"""Is one model really better than another? Paired intervals and Holm's correction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..kg.errors import DataError
from .evaluate import Evaluation
from .metrics import Float64

# Draws of one chunk of the bootstrap: 80 MB.
_CHUNK = 10_000_000


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
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
) -> Difference:
    """Percentile interval of the mean of first - second, resampling the pairs (users).

    Pairs with a NaN on either side are left out. p = twice the smaller share of resampled means on
    one side of 0, with one added to both counts, at most 1: it is never 0.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 13.3 and 15.

    Raises:
        DataError: the shapes differ, or no pair is left.
    """
    gaps = _gaps(first, second)
    means = np.empty(resamples)
    step = max(1, _CHUNK // len(gaps))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        means[start : start + count] = gaps[rng.integers(len(gaps), size=(count, len(gaps)))].mean(
            1
        )
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    side = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (side + 1) / (resamples + 1)) if len(gaps) > 1 else float("nan")
    return Difference(float(gaps.mean()), float(low), float(high), p, len(gaps))


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
    metrics: Mapping[str, tuple[str, ...]],
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
) -> list[dict[str, Any]]:
    """The model against every other one: one row per other model, segment and metric.

    Args:
        metrics: segment -> metrics, e.g. {"hot": ("ndcg@10",), "cold-only": ("ndcg@10",)}.

    Returns:
        JSON-ready rows: model, against, segment, metric, mean, low, high, p, n, p_holm; the last is
        corrected over all rows. Segments without a pair are left out.
    """
    rows: list[dict[str, Any]] = []
    for segment, names in metrics.items():
        if segment not in evaluation.segment_names:
            continue
        for name in names:
            own = evaluation.per_user(model, segment, name)
            for other in evaluation.models:
                if other == model:
                    continue
                theirs = evaluation.per_user(other, segment, name)
                found = paired_bootstrap(own, theirs, rng, resamples=resamples)
                head = {"model": model, "against": other, "segment": segment, "metric": name}
                rows.append(head | asdict(found))
    for row, adjusted in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = float(adjusted)
    return rows


def _gaps(first: npt.ArrayLike, second: npt.ArrayLike) -> Float64:
    one, two = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if one.shape != two.shape or one.ndim != 1:
        raise DataError(f"paired values differ in shape: {one.shape} and {two.shape}")
    gaps = one - two
    gaps = gaps[~np.isnan(gaps)]
    if len(gaps) == 0:
        raise DataError("no pair of values is known on both sides")
    return gaps
