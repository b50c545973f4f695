"""What people look at: the schema graph with counts, its drawing, and why an item fits a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np

from .errors import UnknownIdError
from .graph import Graph, Interactions
from .vocabulary import IntArray

MAX_FAN_OUT = 10_000  # items of one shared entity that are looked through; more says nothing anyway


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
    import networkx as nx

    types = schema_graph(graph)
    place = nx.circular_layout(types) if len(types) > 2 else nx.spring_layout(types, seed=0)
    names = list(types)
    if len(names) <= 2:
        place = {name: (-0.6 + 1.2 * k, 0.0) for k, name in enumerate(names)}
    at = {
        name: (
            width / 2 + place[name][0] * width * 0.36,
            height / 2 + place[name][1] * height * 0.36,
        )
        for name in names
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" role="img">',
        f"<title>{_text(graph.name)}</title>",
        '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0,0L10,5L0,10z" fill="#667"/>'
        "</marker></defs>",
    ]
    parts += _arrows(types, at)
    for name in names:
        parts += _box(name, types.nodes[name]["count"], at[name], graph)
    return "\n".join([*parts, "</svg>\n"])


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


def _arrows(types: Any, at: dict[str, tuple[float, float]]) -> list[str]:
    parts, drawn = [], dict[tuple[str, str], int]()
    for source, target, data in types.edges(data=True):
        ends = (min(source, target), max(source, target))
        turn = drawn.get(ends, 0)
        drawn[ends] = turn + 1
        (x1, y1), (x2, y2) = at[source], at[target]
        label = f"{_text(data['relation'])} ({data['count']:,})"
        if source == target:
            lift = 60 + 22 * turn
            path = f"M{x1 - 25:.1f},{y1 - 22:.1f} C{x1 - 50:.1f},{y1 - 22 - lift:.1f} {x1 + 50:.1f},{y1 - 22 - lift:.1f} {x1 + 25:.1f},{y1 - 22:.1f}"
            middle = (x1, y1 - 22 - lift * 0.8)
        else:
            bend = (
                28.0 * ((turn + 1) // 2) * (1 if turn % 2 else -1) * (1 if source < target else -1)
            )
            path, middle = _curve((x1, y1), (x2, y2), bend)
        parts.append(
            f'<path d="{path}" fill="none" stroke="#667" stroke-width="1.3" marker-end="url(#arrow)"/>'
        )
        parts.append(
            f'<text x="{middle[0]:.1f}" y="{middle[1]:.1f}" text-anchor="middle" font-size="11" '
            f'paint-order="stroke" stroke="white" stroke-width="3">{label}</text>'
        )
    return parts


def _curve(
    start: tuple[float, float], end: tuple[float, float], bend: float
) -> tuple[str, tuple[float, float]]:
    """A quadratic curve that stops short of the target's box, and the place of its label."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy)) or 1.0
    short = min(60.0 * abs(dx) / length + 26.0, length / 3)
    tip = (end[0] - dx / length * short, end[1] - dy / length * short)
    control = (
        (start[0] + end[0]) / 2 - dy / length * 2 * bend,
        (start[1] + end[1]) / 2 + dx / length * 2 * bend,
    )
    label = (control[0] / 2 + (start[0] + tip[0]) / 4, control[1] / 2 + (start[1] + tip[1]) / 4)
    path = f"M{start[0]:.1f},{start[1]:.1f} Q{control[0]:.1f},{control[1]:.1f} {tip[0]:.1f},{tip[1]:.1f}"
    return path, label


@dataclass(frozen=True)
class Path:
    """One reason: user - liked item - relation - shared entity - relation - the item.

    Attributes:
        liked, entity, item: IRIs.
        relation: name of the relation that both items have to the entity.
        score: idf of the entity among the items, times the share of the user's liked items that have
            it; higher = says more.
        support: how many of the user's liked items share the entity.
        text: the reason as a sentence.
    """

    liked: str
    relation: str
    entity: str
    item: str
    score: float
    support: int
    text: str


def explain_paths(
    graph: Graph, user: str | int, item: str | int, interactions: Interactions, k: int = 5
) -> list[Path]:
    """The k best two-hop paths from what a user liked to an item, best first, one per entity.

    score = ln(n_items / items that have the entity) * support / liked items, so that what everything
    has explains nothing. Looks through the edges of the two items' types only: O(edges at items).

    Args:
        user, item: IRI (or original id), or index.
        interactions: what may be used as a reason: the training rows, never held-out ones.

    Returns:
        at most k paths; none where nothing is shared (a direct item-item edge counts as shared).

    Raises:
        UnknownIdError: no such user or item.
    """
    who = _index(graph.users.vocabulary, user, "user")
    what = _index(graph.items.vocabulary, item, "item")
    mine = (interactions.user == who) & (interactions.label == 1) & (interactions.item != what)
    liked = np.unique(interactions.item[mine])
    if not len(liked):
        return []
    found: list[Path] = []
    for (source, relation, target), edges in graph.edges.items():
        if source == graph.item_type:
            found += _shared(graph, edges.index, relation, target, liked, what)
        elif target == graph.item_type:
            found += _shared(graph, edges.index[::-1], relation, source, liked, what)
    return sorted(found, key=lambda path: (-path.score, path.relation, path.entity))[:k]


def _index(vocabulary: Any, name: str | int, kind: str) -> int:
    if isinstance(name, str):
        return int(vocabulary.indices([name], kind=kind)[0])
    if not 0 <= name < len(vocabulary):
        raise UnknownIdError(f"no {kind} of index {name}; there are {len(vocabulary)}")
    return int(name)


def _shared(
    graph: Graph, index: IntArray, relation: str, entity_type: str, liked: IntArray, item: int
) -> list[Path]:
    """Paths through one relation; `index` has items in row 0 and entities in row 1."""
    entities = np.unique(index[1][index[0] == item])
    out = []
    if entity_type == graph.item_type:
        for other in np.intersect1d(entities, liked):
            out.append(
                _path(graph, relation, entity_type, int(other), int(other), item, 1, len(liked), 1)
            )
    rows = np.isin(index[1], entities)
    pairs = np.unique(index[:, rows], axis=1)
    has = np.isin(pairs[0], liked)
    for entity in np.unique(pairs[1][has]):
        among = pairs[0][pairs[1] == entity]
        mine = np.intersect1d(among, liked)
        if len(among) <= MAX_FAN_OUT:
            out.append(
                _path(
                    graph,
                    relation,
                    entity_type,
                    int(entity),
                    int(mine[0]),
                    item,
                    len(mine),
                    len(liked),
                    len(among),
                )
            )
    return [path for path in out if path.score > 0]


def _path(
    graph: Graph,
    relation: str,
    entity_type: str,
    entity: int,
    liked: int,
    item: int,
    support: int,
    n_liked: int,
    n_items: int,
) -> Path:
    nodes, items = graph.nodes[entity_type], graph.items
    score = float(np.log(graph.n_items / n_items)) * support / n_liked
    more = f" and {support - 1} more liked" if support > 1 else ""
    if entity_type == graph.item_type and entity == liked:
        text = f"{items.titles[item]} is linked to {items.titles[liked]}, which was liked ({relation})."
    else:
        text = (
            f"{items.titles[item]} shares {relation} {nodes.titles[entity]!r} with "
            f"{items.titles[liked]}{more}."
        )
    return Path(
        liked=items.vocabulary[liked],
        relation=relation,
        entity=nodes.vocabulary[entity],
        item=items.vocabulary[item],
        score=score,
        support=support,
        text=text,
    )
