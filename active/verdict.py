"""What a simulation says in plain words: is a strategy better than random, and than the simple ones?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# As easy to ask with as random, and often enough: a strategy has to beat these as well.
SIMPLE = ("popularity", "predicted-popularity", "score-proportional")
Gain = Mapping[str, float | None]


def verdict(result: Mapping[str, Any], metric: str = "ndcg@10") -> list[str]:
    """One plain sentence per strategy: whether it beats random, and the strong simple ones."""
    found = result["strategies"]
    return [
        _sentence(name, own, metric, result["budgets"][-1])
        for name, own in found.items()
        if name != "random"
    ] + [f"Seed {seed} holds out no like to measure by: left out." for seed in result["left_out"]]


def _sentence(name: str, own: Mapping[str, Any], metric: str, budget: int) -> str:
    gain = own["aulc_gain"][metric]
    area = f"area under {metric.upper()} "
    text = f"{name} {_outcome(gain, 'random')} ({area}{_size(gain)})"
    for other, gains in own["aulc_against"].items():
        text += f"; {_outcome(gains[metric], other)} ({_size(gains[metric])})"
    reached = own.get("reaches_popularity", {}).get(metric)
    if reached is not None and name != "popularity":
        labels = f"with {reached:,.0f} labels" if reached else "without any label"
        text += f"; as good {labels} as popularity with {budget:,}"
    return text + "."


def _outcome(gain: Gain, other: str) -> str:
    """Better, worse, or not to be told apart: by the interval alone."""
    low, high = gain["low"], gain["high"]
    if low is None or high is None:
        return f"cannot be told apart from {other}"
    if low > 0:
        return f"beats {other}"
    return f"LOSES to {other}" if high < 0 else f"is not told apart from {other}"


def _size(gain: Gain) -> str:
    """The gain with its interval, which one seed does not give."""
    mean, low, high = gain["mean"] or 0.0, gain["low"], gain["high"]
    if low is None or high is None:
        return f"{100 * mean:+.1f} %, and one seed gives no interval"
    return f"{100 * mean:+.1f} %, 95 % interval {100 * low:+.1f} to {100 * high:+.1f}"
