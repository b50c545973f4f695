"""The schema graph: node types and relations with counts, as a networkx graph and as a drawing."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from .graph import Graph


def schema_graph(graph: Graph) -> Any:
    """The catalog's types as a networkx MultiDiGraph.

    Nodes are node types with `count`; edges are relations with `relation` and `count`. Interactions
    are an edge from users to items, named "interactions", where there are any.
    """
    import networkx as nx

    out = nx.MultiDiGraph(name=graph.name)
    for name, nodes in graph.nodes.items():
        out.add_node(name, count=len(nodes))
    for (source, relation, target), edges in graph.edges.items():
        out.add_edge(source, target, key=relation, relation=relation, count=len(edges))
    if len(graph.interactions):
        ends = (graph.user_type, graph.item_type)
        out.add_edge(
            *ends, key="interactions", relation="interactions", count=len(graph.interactions)
        )
    return out


def draw_schema(graph: Graph, *, width: int = 900, height: int = 600) -> str:
    """The schema graph as a standalone SVG: types with counts, relations with counts on arrows.

    Needs no display and no fonts; every name is escaped. The same graph gives the same drawing.
    """
    types = schema_graph(graph)
    height = max(height, 44 * len(types))
    at = _places(list(types), graph.item_type, width, height)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" role="img">',
        f"<title>{_text(graph.name)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0,0L10,5L0,10z" fill="#667"/>'
        "</marker></defs>",
    ]
    parts += _arrows(types, at, graph.item_type)
    for name in types:
        parts += _box(name, types.nodes[name]["count"], at[name], graph)
    return "\n".join([*parts, "</svg>\n"])


def _places(
    names: list[str], centre: str, width: int, height: int
) -> dict[str, tuple[float, float]]:
    """Items in the middle, the others on an ellipse around them, from the top on."""
    around = [name for name in names if name != centre]
    at = {centre: (width / 2, height / 2)}
    for k, name in enumerate(around):
        angle = 2 * np.pi * k / len(around) - np.pi / 2
        across, down = float(np.cos(angle)) * 0.42, float(np.sin(angle)) * 0.43
        at[name] = (width * (0.5 + across), height * (0.5 + down))
    return at


def _text(name: str) -> str:
    """Escaped, without the control characters that XML does not know."""
    return escape("".join(sign for sign in name if sign.isprintable()), {'"': "&quot;"})


def _box(name: str, count: int, at: tuple[float, float], graph: Graph) -> list[str]:
    x, y = at
    colour = {graph.user_type: "#dbe9f6", graph.item_type: "#dcefdc"}.get(name, "#f2f0e6")
    wide = max(90, 9 * len(name) + 24)
    return [
        f'<rect x="{x - wide / 2:.1f}" y="{y - 22:.1f}" width="{wide}" height="44" rx="8" '
        f'fill="{colour}" stroke="#445"/>',
        f'<text x="{x:.1f}" y="{y - 3:.1f}" text-anchor="middle" font-size="14" '
        f'font-weight="bold">{_text(name)}</text>',
        f'<text x="{x:.1f}" y="{y + 14:.1f}" text-anchor="middle" font-size="12" '
        f'fill="#445">{count:,}</text>',
    ]


def _arrows(types: Any, at: dict[str, tuple[float, float]], centre: str) -> list[str]:
    parts: list[str] = []
    drawn: dict[tuple[str, str], int] = {}
    for source, target, data in types.edges(data=True):
        ends = (min(source, target), max(source, target))
        turn = drawn.get(ends, 0)
        drawn[ends] = turn + 1
        if source == target:
            path, middle = _loop(at[source], turn)
        else:
            side = (1 if turn % 2 else -1) * (1 if source < target else -1)
            share = {source: 0.62, target: 0.38}.get(centre, 0.5)  # labels crowd at the centre
            bend = 28.0 * ((turn + 1) // 2) * side
            path, middle = _curve(at[source], at[target], bend, share)
        parts.append(
            f'<path d="{path}" fill="none" stroke="#667" stroke-width="1.3" '
            'marker-end="url(#arrow)"/>'
        )
        parts.append(
            f'<text x="{middle[0]:.1f}" y="{middle[1]:.1f}" text-anchor="middle" font-size="11" '
            'paint-order="stroke" stroke="white" stroke-width="3">'
            f"{_text(data['relation'])} ({data['count']:,})</text>"
        )
    return parts


def _loop(at: tuple[float, float], turn: int) -> tuple[str, tuple[float, float]]:
    """A loop above a type's box, and the place of its label."""
    (x, y), lift = at, 60 + 22 * turn
    top = y - 22
    path = (
        f"M{x - 25:.1f},{top:.1f} C{x - 50:.1f},{top - lift:.1f} "
        f"{x + 50:.1f},{top - lift:.1f} {x + 25:.1f},{top:.1f}"
    )
    return path, (x, top - lift * 0.8)


def _curve(
    start: tuple[float, float], end: tuple[float, float], bend: float, share: float
) -> tuple[str, tuple[float, float]]:
    """A quadratic curve that stops short of the target's box, and its label's place."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy)) or 1.0
    short = min(60.0 * abs(dx) / length + 26.0, length / 3)
    tip = (end[0] - dx / length * short, end[1] - dy / length * short)
    control = (
        (start[0] + end[0]) / 2 - dy / length * 2 * bend,
        (start[1] + end[1]) / 2 + dx / length * 2 * bend,
    )
    near, middle, far = (1 - share) ** 2, 2 * share * (1 - share), share**2
    label = (
        near * start[0] + middle * control[0] + far * tip[0],
        near * start[1] + middle * control[1] + far * tip[1],
    )
    path = (
        f"M{start[0]:.1f},{start[1]:.1f} Q{control[0]:.1f},{control[1]:.1f} "
        f"{tip[0]:.1f},{tip[1]:.1f}"
    )
    return path, label
