"""What a graph made by hand must be, before anything is learned from it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .errors import DataError
from .graph import AUXILIARY, Graph, Interactions
from .vocabulary import IntArray


def check_graph(graph: Graph) -> None:
    """Refuse a graph whose columns do not fit together; front ends make none such.

    Raises:
        DataError: there are no users or items, a feature has not one value per node, an index is no
            node of its type, or a label is neither 1 nor 0, nor AUXILIARY.
    """
    for kind in (graph.user_type, graph.item_type):
        if kind not in graph.nodes:
            known = ", ".join(graph.nodes)
            raise _fault(graph, f"there is no node type {kind!r} among {known}",
                         "name yours: Graph(..., user_type=, item_type=)")  # fmt: skip
    for kind, feature, n in _columns(graph):
        if n != len(graph.nodes[kind]):
            raise _fault(
                graph, f"{feature} of {kind} has {n} values, expected {len(graph.nodes[kind])}"
            )
    for source, relation, target in graph.edges:
        index = graph.edges[source, relation, target].index
        if index.ndim != 2 or len(index) != 2:
            raise _fault(
                graph, f"the edges of {relation!r} have shape {index.shape}, expected (2, n)"
            )
        for kind, ends in ((source, index[0]), (target, index[1])):
            _in_range(graph, kind, ends, f"the edges of {relation!r}")
    check_rows(graph, graph.interactions, "the interactions")


def check_rows(graph: Graph, rows: Interactions, what: str) -> None:
    """Refuse interactions that are not of this graph, such as those of a split of another one.

    Raises:
        DataError: an index is no user or item of the graph, or a label is neither 1 nor 0, nor AUXILIARY.
    """
    _in_range(graph, graph.user_type, rows.user, what)
    _in_range(graph, graph.item_type, rows.item, what)
    if not np.isin(rows.label, (0, 1, AUXILIARY)).all():
        raise _fault(graph, f"a label of {what} is neither 1 nor 0, nor {AUXILIARY} (auxiliary)")


def _columns(graph: Graph) -> Iterator[tuple[str, str, int]]:
    """Node type, feature and number of values of every feature."""
    for kind, nodes in graph.nodes.items():
        for feature, numbers in nodes.numbers.items():
            yield kind, feature, len(numbers)
        for feature, category in nodes.categories.items():
            yield kind, feature, len(category.codes)
        for feature in nodes.texts:
            columns = getattr(nodes.texts, "columns", nodes.texts)  # without making tuples of them
            yield kind, feature, len(columns[feature])


def _in_range(graph: Graph, kind: str, index: IntArray, what: str) -> None:
    if kind not in graph.nodes:
        raise _fault(graph, f"{what} lead to the node type {kind!r}, which there is not")
    n = len(graph.nodes[kind])
    if len(index) and not (index.min() >= 0 and index.max() < n):
        raise _fault(
            graph,
            f"indices of {kind} run from {index.min()} to {index.max()} in {what}, expected 0 to {n - 1}",
            f"graph.nodes[{kind!r}].vocabulary.indices(ids) gives them",
        )


def _fault(graph: Graph, what: str, hint: str = "") -> DataError:
    return DataError(what, where=f"graph {graph.name!r}", hint=hint)
