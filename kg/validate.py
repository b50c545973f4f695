"""`check`: what is wrong with a catalog, and what in it gives the answers away.

Three groups of findings: statements (`schema_checks`, where quads are given), the graph's own
faults (below), and leaks (`leaks`). Everything is vectorised.
"""

from __future__ import annotations

import numpy as np

from .graph import Graph
from .leaks import find_leaks
from .problems import Problem
from .quads import Quads
from .report import Findings
from .schema import Schema
from .schema_checks import check_statements


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
    if schema is not None and quads is not None:
        check_statements(quads, schema, found)
    _isolated_items(graph, found)
    _duplicate_events(graph, found)
    _same_text(graph, found)
    _users_that_are_items(graph, found)
    find_leaks(graph, schema, quads, found)
    return list(found.problems())


def _isolated_items(graph: Graph, found: Findings) -> None:
    known = np.zeros(graph.n_items, bool)
    known[graph.interactions.item] = True
    for (source, _, target), edges in graph.edges.items():
        for end, row in ((source, 0), (target, 1)):
            if end == graph.item_type:
                known[edges.index[row]] = True
    if graph.items.texts:
        known |= np.array([bool(text) for text in graph.items.documents], bool)
    lost = np.flatnonzero(~known)
    names = graph.items.vocabulary
    found.add(
        "isolated-item",
        "",
        len(lost),
        [
            Problem(
                "isolated-item", names[int(i)], "", "", "has no edge, no text and no interaction"
            )
            for i in lost[: found.room("isolated-item", "")]
        ],
    )


def _duplicate_events(graph: Graph, found: Findings) -> None:
    events = graph.interactions
    if not len(events):
        return
    keys = np.stack([events.user, events.item, np.nan_to_num(events.time, nan=-1).astype(np.int64)])
    order = np.lexsort(keys)
    same = (np.diff(keys[:, order]) == 0).all(axis=0)
    again = order[1:][same]
    users, items = graph.users.vocabulary, graph.items.vocabulary
    found.add(
        "duplicate-event",
        "",
        len(again),
        [
            Problem(
                "duplicate-event",
                users[int(events.user[row])],
                "",
                "",
                f"more than one event with {items[int(events.item[row])]} at the same time",
            )
            for row in again[: found.room("duplicate-event", "")]
        ],
    )


def _same_text(graph: Graph, found: Findings) -> None:
    if not graph.items.texts:
        return
    texts = np.array(graph.items.documents, object)
    order = np.argsort(texts, kind="stable")
    ordered = texts[order]
    same = (ordered[1:] == ordered[:-1]) & (ordered[1:] != "")
    names = graph.items.vocabulary
    found.add(
        "same-text",
        "",
        int(same.sum()),
        [
            Problem(
                "same-text",
                names[int(order[k + 1])],
                "",
                "",
                f"reads exactly like {names[int(order[k])]}: one item twice?",
            )
            for k in np.flatnonzero(same)[: found.room("same-text", "")]
        ],
    )


def _users_that_are_items(graph: Graph, found: Findings) -> None:
    if graph.user_type == graph.item_type or graph.user_type not in graph.nodes:
        return
    both = sorted(set(graph.users.vocabulary) & set(graph.items.vocabulary))
    message = f"is both {graph.user_type} and {graph.item_type}"
    found.add(
        "type-clash", "", len(both), [Problem("type-clash", iri, "", "", message) for iri in both]
    )
