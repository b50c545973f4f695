"""The schema graph as a picture of pixels; `kg.drawing` makes the SVG, which needs no library."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kg.drawing import schema_graph
from ..kg.graph import Graph
from .plots import COLOURS, GREY, new_figure, short

_SIZE = 9.0  # inches
_BEND = 0.12  # of arrows between the same two types, so that they do not lie on each other


def schema_figure(graph: Graph) -> Any:
    """Node types and relations with counts, the items in the middle; a matplotlib figure."""
    types = schema_graph(graph)
    others = [name for name in types if name != graph.item_type]
    angle = 2 * np.pi * np.arange(len(others)) / max(len(others), 1) + np.pi / 2
    at = dict(zip(others, np.stack([np.cos(angle), np.sin(angle)], 1), strict=True))
    at[graph.item_type] = np.zeros(2)
    colour = {graph.user_type: COLOURS[2], graph.item_type: COLOURS[0]}
    with new_figure(_SIZE, 0.7 * _SIZE) as (figure, (axis,)):
        axis.set_axis_off()
        axis.set_xlim(-1.35, 1.35)
        axis.set_ylim(-1.25, 1.35)
        drawn: dict[frozenset[str], int] = {}
        for source, target, data in types.edges(data=True):
            turn = drawn.get(frozenset((source, target)), 0)
            drawn[frozenset((source, target))] = turn + 1
            text = f"{short(data['relation'])} ({data['count']:,})"
            _arrow(axis, at[source], at[target], turn, text)
        for name in types:
            text = f"{short(name)}\n{types.nodes[name]['count']:,}"
            edge = {"boxstyle": "round,pad=0.5", "fc": "white", "ec": colour.get(name, GREY)}
            axis.text(*at[name], text, ha="center", va="center", fontsize=10, bbox=edge, zorder=3)
    return figure


def _arrow(axis: Any, start: Any, end: Any, turn: int, text: str) -> None:
    """An arrow with its label; a relation of a type with itself is a label above the box."""
    if (start == end).all():
        middle = start + np.array([0.0, 0.16 + 0.07 * turn])
        text = f"↻ {text}"
    else:
        bend = _BEND * ((turn + 1) // 2) * (1 if turn % 2 else -1)
        style = {"arrowstyle": "-|>", "color": GREY, "connectionstyle": f"arc3,rad={bend}"}
        axis.annotate("", end, start, arrowprops={**style, "shrinkA": 24, "shrinkB": 26}, zorder=1)
        across = np.array([end[1] - start[1], start[0] - end[0]])
        # Labels crowd at the centre, and half-way between two outer types.
        share = 0.6 if not start.any() else 0.4 if not end.any() else 0.72
        middle = start + share * (end - start) + (bend / 2 + 0.05 * turn) * across
    paint = {"fc": "white", "ec": "none", "pad": 0.5}
    axis.text(*middle, text, ha="center", va="center", fontsize=8, bbox=paint, zorder=2)
