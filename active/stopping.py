"""When to stop asking: the budget is spent, the target is reached, or nothing more is learned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gnn.runs import Run
from ..gnn.statistics import Difference, paired_t
from ..kg.errors import UsageError, nearest
from ..kg.files import read_table
from ..kg.table_files import unseal
from .cycle import curve, rounds_of
from .measure import METRICS, PER_USER
from .rounds import Rounds, batch_sizes


@dataclass(frozen=True)
class StopConfig:
    """Rules of stopping; None = a rule is off. Any one of them stops.

    Attributes:
        total: questions in all rounds together.
        target: value of `metric` (a mean over all test users) that is enough.
        plateau: least relative gain of `metric` over the last `patience` rounds; stop when the upper
            end of the gain's paired 95 % interval over the test users is below it.
        metric: a name of `METRICS`.
    """

    total: int | None = None
    target: float | None = None
    plateau: float | None = None
    patience: int = 2
    metric: str = "ndcg@10"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UsageError(
                f"metric {self.metric!r} is not measured after rounds",
                hint=nearest(self.metric, METRICS),
            )
        if self.patience < 1:
            raise UsageError(f"patience is {self.patience}, expected at least 1")
        for name in ("total", "target", "plateau"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UsageError(f"{name} is {value}, expected a number above 0")


def stop_reason(run: Run, config: StopConfig) -> str | None:
    """Why to ask no more, in words; None = go on. Rounds that were not measured stop nothing."""
    asked = questions_asked(rounds_of(run))
    if config.total is not None and asked >= config.total:
        return f"budget: {asked:,} of {config.total:,} questions are asked"
    measured = curve(run)
    if not measured:
        return None
    now = [row for row in measured[-1]["rows"] if row["segment"] == "all"]
    if config.target is not None and now and (now[0][config.metric] or 0.0) >= config.target:
        return f"target: {config.metric} is {now[0][config.metric]:.4f}, wanted {config.target:g}"
    if config.plateau is not None and len(measured) > config.patience:
        return _plateau(run, measured[-1]["round"], measured[-1 - config.patience]["round"], config)
    return None


def questions_asked(rounds: Rounds) -> int:
    """Questions of all rounds so far."""
    return sum(len(rounds.questions(number)) for number in range(1, rounds.current + 1))


def next_batch(total: int, asked: int) -> int:
    """Questions of the next round where rounds grow geometrically up to `total`; 0 = all asked."""
    for end in np.cumsum(batch_sizes(total)).tolist():
        if end > asked:
            return int(end - asked)
    return 0


def _plateau(run: Run, last: int, before: int, config: StopConfig) -> str | None:
    found = _gain(run, last, before, config.metric)
    if found is None:
        return None
    gap, base = found
    least = config.plateau or 0.0
    if not base > 0 or gap.high >= least * base:
        return None
    return (
        f"plateau: since round {before} {config.metric} changed by {gap.low / base:+.1%} to "
        f"{gap.high / base:+.1%} (95 % interval), less than {least:.1%}"
    )


def _gain(run: Run, last: int, before: int, metric: str) -> tuple[Difference, float] | None:
    """Paired difference of two rounds over the test users, and the earlier mean."""
    paths = [run.round_folder(number) / PER_USER for number in (last, before)]
    if not all(path.exists() for path in paths):
        return None
    now, then = (unseal(read_table(path), path)[metric].to_numpy() for path in paths)
    if len(now) != len(then):
        return None  # a user was forgotten in between
    both = np.isfinite(now) & np.isfinite(then)
    if both.sum() < 2:
        return None
    return paired_t(now[both], then[both]), float(then[both].mean())
