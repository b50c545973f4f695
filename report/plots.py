"""Plots as SVG text, drawn by matplotlib without a display."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = ("#2e7d4f", "#c2703d", "#4a6fa5", "#8a5a9e", "#b0903a", "#5b6b62", "#c24d5e", "#3d9aa1")
GREY = "#9aa7a0"


@contextmanager
def new_figure(width: float, height: float, panels: int = 1) -> Iterator[tuple[Any, list[Any]]]:
    """A matplotlib figure of so many inches with its panels side by side, to be drawn on within."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # Names come from data: a "$" in them is no formula.
    quiet: Any = {"text.parse_math": False, "svg.fonttype": "none", "font.family": "sans-serif"}
    quiet |= {"axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "coldframe"}
    with mpl.rc_context(quiet):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, list(np.atleast_1d(figure.subplots(1, panels)))


def to_svg(figure: Any, salt: str) -> str:
    """The figure as SVG text; `salt` keeps the ids of several drawings on one page apart."""
    import matplotlib as mpl

    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def save(figure: Any, path: Path) -> None:
    """The figure as a file; PNG or SVG by its suffix."""
    from ..kg.files import atomic_write

    kind = path.suffix.lstrip(".").lower() or "svg"
    atomic_write(path, lambda out: figure.savefig(out, format=kind, dpi=150))


def overview(
    rows: Sequence[Mapping[str, Any]], loop: Mapping[str, Any], models: Sequence[str]
) -> Any:
    """Two panels: NDCG@10 of some models by segment, and the curves of the strategies of asking."""
    with new_figure(12, 3.6, 2) as (figure, axes):
        kept = [row for row in rows if row["model"] in models]
        kept.sort(key=lambda row: models.index(row["model"]))
        _bars(axes[0], kept, "ndcg@10", ("all", "hot", "cold", "cold-only"))
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.1)}
        axes[0].legend(frameon=False, fontsize=8, ncols=len(models), columnspacing=1, **below)
        axes[0].set_title("held-out interactions", fontsize=10)
        _curves(axes[1], loop, "ndcg@10")
        axes[1].legend(frameon=False, fontsize=8)
        axes[1].set_title("simulated questions about cold items", fontsize=10)
    return figure


def learning_curves(loop: Mapping[str, Any]) -> Any:
    """Mean over seeds per strategy against the labels asked for, bands = standard error.

    Args:
        loop: what `coldframe loop --json` prints: strategies -> curve -> metric -> [seed][budget].
    """
    strategies: Mapping[str, Any] = loop["strategies"]
    metrics = list(next(iter(strategies.values()))["curve"]) if strategies else []
    with new_figure(5.2 * max(len(metrics), 1), 3.6, max(len(metrics), 1)) as (figure, axes):
        for axis, metric in zip(axes, metrics, strict=False):
            _curves(axis, loop, metric)
        if metrics:
            axes[0].legend(frameon=False, fontsize=8)
    return figure


def _curves(axis: Any, loop: Mapping[str, Any], metric: str) -> None:
    strategies, budgets = loop["strategies"], np.asarray(loop["budgets"], float)
    for name, colour in zip(strategies, _colours(strategies), strict=True):
        values = np.asarray(strategies[name]["curve"][metric], float)
        mean = values.mean(axis=0)
        axis.plot(budgets, mean, marker="o", ms=3, color=colour, label=short(name))
        if len(values) > 1:
            error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
            axis.fill_between(budgets, mean - error, mean + error, color=colour, alpha=0.15)
    ceiling = (loop.get("ceiling") or {}).get(metric)
    if ceiling is not None:
        axis.axhline(ceiling, color=GREY, ls="--", lw=1, label="every pair asked")
    axis.set_xscale("log")
    axis.set_xticks(budgets, [f"{b:,.0f}" for b in budgets])
    axis.minorticks_off()
    axis.set(xlabel="labels", ylabel=metric)


def segment_bars(
    rows: Sequence[Mapping[str, Any]],
    metric: str,
    segments: Sequence[str] = ("hot", "warm", "cold"),
) -> Any:
    """One group of bars per segment, one bar per model; a segment nobody has is left out."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    with new_figure(max(5.0, 2.0 + 0.45 * len(models) * len(segments)), 3.6) as (figure, axes):
        _bars(axes[0], rows, metric, segments)
        axes[0].legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _bars(
    axis: Any, rows: Sequence[Mapping[str, Any]], metric: str, segments: Sequence[str]
) -> None:
    have = {(row["model"], row["segment"]): row.get(metric) for row in rows}
    shown = [s for s in segments if any(k[1] == s and v is not None for k, v in have.items())]
    models = list(dict.fromkeys(row["model"] for row in rows))
    width = 0.8 / max(len(models), 1)
    for place, (model, colour) in enumerate(zip(models, _colours(models), strict=True)):
        heights = [have.get((model, segment)) for segment in shown]
        heights = [np.nan if height is None else height for height in heights]
        x = np.arange(len(shown)) - 0.4 + width * (place + 0.5)
        axis.bar(x, heights, width * 0.92, color=colour, label=short(model))
    axis.set_xticks(np.arange(len(shown)), shown)
    axis.set_ylabel(metric)


def reliability_diagram(bins: Sequence[Mapping[str, Any]]) -> Any:
    """Share of positives found against the mean chance told, both on a logarithmic scale.

    Args:
        bins: "predicted", "observed" and "pairs"; where nothing was found, it is drawn at the bottom.
    """
    x = np.array([each["predicted"] for each in bins], float)
    y = np.array([each["observed"] for each in bins], float)
    low = 0.5 * min([*x[x > 0], *y[y > 0], 0.5])
    with new_figure(4.4, 3.8) as (figure, axes):
        axes[0].plot([low, 1], [low, 1], color=GREY, ls="--", lw=1, label="right")
        shown = np.maximum(x, low), np.maximum(y, low)
        axes[0].plot(*shown, marker="o", ms=4, color=COLOURS[0], label="coldframe")
        axes[0].set(xscale="log", yscale="log", xlabel="chance told", ylabel="share positive")
        axes[0].legend(frameon=False, fontsize=8)
    return figure


def round_curves(
    rounds: Sequence[Mapping[str, Any]], metric: str, segments: Sequence[str] = ("all", "cold-only")
) -> Any:
    """A metric after each round, one line per segment: those whose items stay the same ones."""
    with new_figure(5.2, 3.4) as (figure, axes):
        names = [s for s in segments if any(row["segment"] == s for row in rows_of(rounds))]
        for segment, colour in zip(names, _colours(names), strict=True):
            line = [row for row in rows_of(rounds) if row["segment"] == segment]
            x = [row["labels"] for row in line]
            y = [np.nan if row.get(metric) is None else row[metric] for row in line]
            axes[0].plot(x, y, marker="o", ms=4, color=colour, label=short(segment))
        axes[0].set(xlabel="labels told", ylabel=metric)
        axes[0].legend(frameon=False, fontsize=8)
    return figure


def rows_of(rounds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The evaluation rows of all rounds, each with the labels told until then."""
    return [{**row, "labels": each["labels"]} for each in rounds for row in each.get("rows", ())]


def shares(values: Mapping[str, float], label: str) -> Any:
    """Horizontal bars of shares between 0 and 1."""
    with new_figure(6.2, 0.7 + 0.32 * max(len(values), 1)) as (figure, axes):
        names = list(values)[::-1]
        # By place: names that are alike once shortened would share a row.
        axes[0].barh(range(len(names)), [values[name] for name in names], color=COLOURS[0])
        axes[0].set_yticks(range(len(names)), [short(name) for name in names])
        axes[0].set_xlim(0, 1)
        axes[0].set_xlabel(label)
        for place, name in enumerate(names):
            axes[0].text(min(values[name] + 0.01, 0.93), place, f"{values[name]:.0%}", va="center")
    return figure


def short(name: str, width: int = 28) -> str:
    """A name that fits a legend."""
    return name if len(name) <= width else name[: width - 1] + "…"


def _colours(names: Sequence[str] | Mapping[str, Any]) -> list[str]:
    """Ours in green, random in grey, the rest in turn."""
    rest = iter(COLOURS[1:] * (len(names) // (len(COLOURS) - 1) + 1))
    return [
        COLOURS[0] if name in ("coldframe", "auto") else GREY if name == "random" else next(rest)
        for name in names
    ]
