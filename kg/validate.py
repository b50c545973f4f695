"""`check`: what is wrong with a catalog, and what in it gives the answers away.

Three groups of findings: statements (`schema_checks`, where quads are given), the graph's own
faults (below), and leaks (`leaks`). Everything is vectorised.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .finding_places import Places
from .graph import Graph
from .leaks import find_leaks
from .problems import Problem
from .quads import Quads
from .report import LISTED_PER_KIND, Findings
from .schema import Schema
from .schema_checks import check_statements
from .vocabulary import IntArray


def check(graph: Graph, schema: Schema | None, quads: Quads | None = None) -> list[Problem]:
    """All findings, grouped by kind; at most `report.LISTED_PER_KIND` of each kind and property.

    Kinds from the graph: `isolated-item` (no edge, no text, no interaction: nothing can be learned
    of it or said about it), `duplicate-event`, `same-text` (items that read alike), `type-clash`
    (one IRI is user and item). From statements: see `check_statements`. Leaks: see `find_leaks`.

    Args:
        schema, quads: what the graph was made from. Without them only the graph is looked at, and
            no finding names a source file.
    """
    found = Findings()
    places = Places(schema, quads)
    if schema is not None and quads is not None:
        check_statements(quads, schema, found)
    _isolated_items(graph, places, found)
    _duplicate_events(graph, places, found)
    _same_text(graph, places, found)
    _users_that_are_items(graph, places, found)
    find_leaks(graph, places, found)
    return list(found.problems())


def _isolated_items(graph: Graph, places: Places, found: Findings) -> None:
    known = np.zeros(graph.n_items, bool)
    known[graph.interactions.item] = True
    for (source, _, target), edges in graph.edges.items():
        for end, row in ((source, 0), (target, 1)):
            if end == graph.item_type:
                known[edges.index[row]] = True
    if graph.items.texts:
        known |= np.array([bool(text) for text in graph.items.documents], bool)
    lost = np.flatnonzero(~known)
    property = places.typing(graph.item_type)
    message = "has no edge, no text and no interaction"
    _items(graph, places, found, "isolated-item", property, lost, lambda _: message)


def _duplicate_events(graph: Graph, places: Places, found: Findings) -> None:
    events = graph.interactions
    if not len(events):
        return
    keys = np.stack([events.user, events.item, np.nan_to_num(events.time, nan=-1).astype(np.int64)])
    order = np.lexsort(keys)
    same = (np.diff(keys[:, order]) == 0).all(axis=0)
    again = order[1:][same]
    kind = "duplicate-event"
    for row in again[:LISTED_PER_KIND]:
        user = graph.users.vocabulary[int(events.user[row])]
        item = graph.items.vocabulary[int(events.item[row])]
        property, where, node = places.event(user, item)
        message = f"more than one event with {item} at the same time"
        message += f", such as {node}" if node else ""
        found.add(kind, property, 1, [Problem(kind, user, property, where, message)])
    found.add(kind, "", max(0, len(again) - LISTED_PER_KIND), [])


def _same_text(graph: Graph, places: Places, found: Findings) -> None:
    if not graph.items.texts:
        return
    texts = np.array(graph.items.documents, object)
    order = np.argsort(texts, kind="stable")
    ordered = texts[order]
    same = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != ""))
    names = graph.items.vocabulary
    _items(
        graph,
        places,
        found,
        "same-text",
        places.texts(graph.item_type),
        order[same + 1],
        lambda k: f"reads exactly like {names[int(order[same[k]])]}: one item twice?",
    )


def _users_that_are_items(graph: Graph, places: Places, found: Findings) -> None:
    if graph.user_type == graph.item_type or graph.user_type not in graph.nodes:
        return
    users = set(graph.users.vocabulary)
    both = np.array([k for k, iri in enumerate(graph.items.vocabulary) if iri in users], np.int64)
    message = f"is both {graph.user_type} and {graph.item_type}"
    property = places.typing(graph.item_type)
    _items(graph, places, found, "type-clash", property, both, lambda _: message)


def _items(
    graph: Graph,
    places: Places,
    found: Findings,
    kind: str,
    property: str,
    items: IntArray,
    message: Callable[[int], str],
) -> None:
    """One finding per item; `message` takes its position among `items`."""
    iris = graph.items.vocabulary.take(items[: found.room(kind, property)])
    where = places.nodes(graph.item_type, iris)
    listed = [
        Problem(kind, iri, property, place, message(k))
        for k, (iri, place) in enumerate(zip(iris, where, strict=True))
    ]
    found.add(kind, property, len(items), listed)
