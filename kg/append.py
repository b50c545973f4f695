"""Adding to a graph: new nodes, edges, features and events, and no index that was given changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .edges import edge_set
from .errors import DataError
from .graph import Category, EdgeSet, EdgeType, FloatArray, Graph, Interactions, NodeSet, Texts
from .ids import positions
from .vocabulary import TEXT, Aliases, IntArray, Vocabulary


def append(graph: Graph, more: Graph) -> Graph:
    """The graph with another one's nodes, edges and events added.

    Nodes of `more` that are unknown get the next indices, in its order. Where both know a node,
    features of `graph` stay and only missing ones are filled. Edges of both stand once, events of both
    twice. But for that and the order of the nodes, the result is what building from all of the data
    would give; an ancestor that only both together reach (`closure`) is left out.

    Raises:
        DataError: the two name different node types as users or items.
    """
    if (graph.user_type, graph.item_type) != (more.user_type, more.item_type):
        raise DataError("the graphs name different node types as users or items")
    nodes: dict[str, NodeSet] = {}
    place: dict[str, IntArray] = {}
    for name in dict.fromkeys([*graph.nodes, *more.nodes]):
        old = graph.nodes.get(name, NodeSet(Vocabulary([])))
        new = more.nodes.get(name, NodeSet(Vocabulary([])))
        nodes[name], place[name] = _joined(old, new)
    edges = dict(graph.edges)
    for key, added in more.edges.items():
        edges[key] = _added(edges.get(key), key, added, place, nodes)
    rows = more.interactions
    events = _aligned(rows, graph.interactions, place[graph.user_type], place[graph.item_type])
    kept, added_rows = events
    return Graph(
        nodes,
        edges,
        kept.concat(added_rows),
        graph.user_type,
        graph.item_type,
        graph.name,
    )


def _joined(old: NodeSet, new: NodeSet) -> tuple[NodeSet, IntArray]:
    """Both sets of nodes, and the index in the result of every node of `new`."""
    known = positions(old.vocabulary.array, new.vocabulary.array)
    fresh = np.flatnonzero(known < 0)
    place = known.copy()
    place[fresh] = len(old) + np.arange(len(fresh))
    n = len(old) + len(fresh)
    ids = pa.concat_arrays([old.vocabulary.array, new.vocabulary.array.take(pa.array(fresh))])
    numbers = {
        name: _numbers(old.numbers, new.numbers, name, len(old), place, n)
        for name in dict.fromkeys([*old.numbers, *new.numbers])
    }
    categories = {
        name: _category(old.categories, new.categories, name, len(old), place, n)
        for name in dict.fromkeys([*old.categories, *new.categories])
    }
    texts = {
        name: _text(old, new, name, place, n) for name in dict.fromkeys([*old.texts, *new.texts])
    }
    read = old.texts_are_input and new.texts_are_input
    vocabulary = Vocabulary.trusted(ids, _aliases(old.vocabulary, new.vocabulary, place))
    return NodeSet(vocabulary, numbers, categories, Texts(texts), read), place


def _aliases(old: Vocabulary, new: Vocabulary, place: IntArray) -> Aliases:
    """Those of both; of a name that both have, the old one comes last and so counts."""
    names = pa.concat_arrays([new.aliases.names, old.aliases.names])
    return Aliases(names, np.concatenate([place[new.aliases.index], old.aliases.index]))


def _numbers(
    old: Mapping[str, FloatArray],
    new: Mapping[str, FloatArray],
    name: str,
    n_old: int,
    place: IntArray,
    n: int,
) -> FloatArray:
    out = np.full(n, np.nan, np.float32)
    if name in new:
        out[place] = new[name]
    if name in old:
        out[:n_old] = np.where(np.isnan(old[name]), out[:n_old], old[name])
    return out


def _category(
    old: Mapping[str, Category],
    new: Mapping[str, Category],
    name: str,
    n_old: int,
    place: IntArray,
    n: int,
) -> Category:
    names = tuple(
        dict.fromkeys(
            [*(old[name].names if name in old else ()), *(new[name].names if name in new else ())]
        )
    )
    code_of = {value: code for code, value in enumerate(names)}
    out = np.full(n, -1, np.int32)
    if name in new:
        renamed = np.array([*(code_of[value] for value in new[name].names), -1], np.int32)
        out[place] = renamed[new[name].codes]
    if name in old:
        out[:n_old] = np.where(old[name].codes < 0, out[:n_old], old[name].codes)
    return Category(out, names)


def _text(old: NodeSet, new: NodeSet, name: str, place: IntArray, n: int) -> pa.Array:
    source = np.full(n, -1, np.int64)
    if name in new.texts:
        source[place] = np.arange(len(place))
    added = _column(new, name).take(pa.array(source, mask=source < 0))
    first = pa.concat_arrays([_column(old, name), pa.array([""] * (n - len(old)), TEXT)])
    return pc.if_else(pc.equal(first, ""), pc.fill_null(added, ""), first)


def _column(nodes: NodeSet, name: str) -> pa.Array:
    return nodes.text_array(name) if name in nodes.texts else pa.array([""] * len(nodes), TEXT)


def _added(
    old: EdgeSet | None,
    key: EdgeType,
    new: EdgeSet,
    place: Mapping[str, IntArray],
    nodes: Mapping[str, NodeSet],
) -> EdgeSet:
    source, target = place[key[0]][new.index[0]], place[key[2]][new.index[1]]
    if old is not None:
        source = np.concatenate([old.index[0], source])
        target = np.concatenate([old.index[1], target])
    return edge_set(source, target, len(nodes[key[2]]))


def _aligned(
    rows: Interactions, first: Interactions, user: IntArray, item: IntArray
) -> tuple[Interactions, Interactions]:
    """The old rows and the new ones in the indices of the result, with one list of split names."""
    names = tuple(dict.fromkeys([*first.split_names, *rows.split_names]))
    code_of = np.array([*(names.index(name) for name in rows.split_names), -1], np.int8)
    moved = replace(
        rows,
        user=user[rows.user],
        item=item[rows.item],
        split=code_of[rows.split],
        split_names=names,
    )
    return replace(first, split_names=names), moved
