"""The figures of simulated seeds together: curves, areas against random, labels saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..gnn.statistics import paired_t
from ..kg.errors import DataError
from .verdict import SIMPLE, verdict

if TYPE_CHECKING:
    from .simulate import SimulationConfig

CEILING_SHARE = 0.9  # of what answers to every pair would give


def summarise(
    config: SimulationConfig, names: Sequence[str], outcomes: list[dict[str, Any]]
) -> dict[str, Any]:
    """The figures of all seeds together, but for those in which nothing could be measured.

    Raises:
        DataError: there is no other seed.
    """
    budgets = sorted(config.budgets)
    played = list(zip(config.seeds, outcomes, strict=True))
    outcomes = [outcome for _, outcome in played if _is_measured(outcome)]
    if not outcomes:
        raise DataError(
            "no seed holds out a like to measure by",
            hint="take more seeds, or a catalog with more interactions",
        )
    metrics = list(outcomes[0]["ceiling"])
    labels, reference = _mean_reference([outcome["reference"] for outcome in outcomes], metrics)
    strategies: dict[str, Any] = {}
    for name in names:
        curve = {m: [outcome["curves"][name][m] for outcome in outcomes] for m in metrics}
        saved = {
            metric: labels_saved(np.mean(curve[metric], axis=0), budgets, labels, reference[metric])
            if name != "random"
            # Its longer curve is another draw: read from it, random would not be its own equal.
            else ({str(b): 1.0 for b in budgets}, {str(b): False for b in budgets})
            for metric in metrics
        }
        strategies[name] = {
            "curve": curve,
            "aulc_gain": {
                m: _aulc_gain(curve[m], [o["curves"]["random"][m] for o in outcomes], budgets)
                for m in metrics
            },
            "labels_saved": saved["ndcg@10"][0],
            "labels_saved_by": {metric: saved[metric][0] for metric in metrics},
            "saved_at_least": {metric: saved[metric][1] for metric in metrics},
        }
    result = {
        "protocol": config.protocol,
        "budgets": budgets,
        "seeds": [seed for seed, outcome in played if _is_measured(outcome)],
        "left_out": [seed for seed, outcome in played if not _is_measured(outcome)],
        "ceiling": {m: float(np.mean([o["ceiling"][m] for o in outcomes])) for m in metrics},
        "prior": {m: float(np.mean([o["prior"][m] for o in outcomes])) for m in metrics},
        "strategies": strategies,
        "reference": {"labels": labels, **reference},
    }
    _add_against_simple(result)
    _add_reach(result)
    result["verdict"] = verdict(result)
    return result


def _is_measured(outcome: dict[str, Any]) -> bool:
    """Whether its split holds out what every metric needs; a kept outcome has null for NaN."""
    return not any(value is None or np.isnan(value) for value in outcome["prior"].values())


def _mean_reference(
    curves: Sequence[dict[str, Any]], metrics: Sequence[str]
) -> tuple[list[int], dict[str, list[float]]]:
    """Labels, and the mean of the seeds' curves there, each read linearly over log(labels)."""
    labels: list[int] = min((curve["labels"] for curve in curves), key=lambda cuts: cuts[-1])
    x = np.log(np.asarray(labels, np.float64))
    mean = {}
    for metric in metrics:
        read = [np.interp(x, np.log(curve["labels"]), curve[metric]) for curve in curves]
        mean[metric] = np.mean(read, axis=0).tolist()
    return labels, mean


def _add_against_simple(result: dict[str, Any]) -> None:
    """Per strategy: its gain over each simple one that was played, paired by seed."""
    found = result["strategies"]
    for name, own in found.items():
        own["aulc_against"] = {
            other: {
                metric: _aulc_gain(curves, found[other]["curve"][metric], result["budgets"])
                for metric, curves in own["curve"].items()
            }
            for other in SIMPLE
            if other in found and name not in ("random", other)
        }


def _add_reach(result: dict[str, Any]) -> None:
    """Per strategy: the labels with which it has most of the ceiling, and popularity's last value."""
    found = result["strategies"]
    goals = {"reaches_ceiling": {m: CEILING_SHARE * v for m, v in result["ceiling"].items()}}
    if "popularity" in found:
        last = {m: np.mean(v, axis=0)[-1] for m, v in found["popularity"]["curve"].items()}
        goals["reaches_popularity"] = last
    for name, own in found.items():
        labels, curves = result["budgets"], {m: np.mean(v, axis=0) for m, v in own["curve"].items()}
        if name == "random":
            labels, curves = result["reference"]["labels"], result["reference"]
        for goal, values in goals.items():
            own[goal] = {
                metric: _crossing(
                    [0, *labels], [result["prior"][metric], *curves[metric]], float(value)
                )
                for metric, value in values.items()
            }


def _crossing(budgets: Sequence[int], values: Sequence[float], goal: float) -> float | None:
    """Where a curve first gets to `goal`, read linearly between budgets; None where it never does."""
    above = np.flatnonzero(np.asarray(values) >= goal)
    if not len(above):
        return None
    at = int(above[0])
    if at == 0:
        return float(budgets[0])
    share = (goal - values[at - 1]) / max(values[at] - values[at - 1], 1e-12)
    return float(budgets[at - 1] + share * (budgets[at] - budgets[at - 1]))


def area(values: Sequence[float], budgets: Sequence[int]) -> float:
    """Area under a curve over log(budget), divided by the width; the value itself for one budget."""
    if len(budgets) == 1:
        return float(values[0])
    x = np.log(np.asarray(budgets, np.float64))
    return float(np.trapezoid(values, x) / (x[-1] - x[0]))


def _aulc_gain(
    curves: list[list[float]], others: list[list[float]], budgets: list[int]
) -> dict[str, float | None]:
    """The relative gain of the area over the second curves' with its interval, None with one seed."""
    base = np.array([area(curve, budgets) for curve in others])
    own = np.array([area(curve, budgets) for curve in curves])
    gap = paired_t(own, base)
    scale = max(float(base.mean()), 1e-12)
    mean, low, high = (float(np.clip(v / scale, -1e6, 1e6)) for v in (gap.mean, gap.low, gap.high))
    if gap.n == 1:
        return {"mean": mean, "low": None, "high": None}
    return {"mean": mean, "low": low, "high": high}


def labels_saved(
    own: Any, budgets: list[int], labels: list[int], reference: list[float]
) -> tuple[dict[str, float | None], dict[str, bool]]:
    """Labels random needs for the same value / labels used, and whether it is only a lower bound.

    Args:
        own: a value per budget. labels, reference: random's curve.

    Random's curve is made monotone (its running maximum) and read linearly over log(labels). None
    where the value is below its first point: fewer labels than that, and nothing says how many.
    """
    rising = np.maximum.accumulate(np.asarray(reference))
    x = np.log(np.asarray(labels, np.float64))
    saved: dict[str, float | None] = {}
    bound: dict[str, bool] = {}
    for budget, value in zip(budgets, own, strict=True):
        first = int(np.searchsorted(rising, value))
        if first == 0:
            needed = float(labels[0]) if value == rising[0] else None
        elif first == len(rising):
            needed = float(labels[-1])
        else:
            low, high = rising[first - 1], rising[first]
            share = (value - low) / max(high - low, 1e-12)
            needed = float(np.exp(x[first - 1] + share * (x[first] - x[first - 1])))
        saved[str(budget)] = None if needed is None else needed / budget
        bound[str(budget)] = first == len(rising)
    return saved, bound
