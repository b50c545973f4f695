"""A HeteroData that was made elsewhere -> Graph: names are minted, columns of x are numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .edges import edge_set
from .errors import DataError, UsageError, nearest
from .graph import EdgeSet, EdgeType, FloatArray, Graph, Interactions, NodeSet
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

REVERSE = "rev_"


def adopted(
    data: HeteroData, events: EdgeType, rating: str, time: str, positive: float | None, name: str
) -> Graph:
    """See `hetero.from_hetero`."""
    if events not in data.edge_types:
        known = {"/".join(key) for key in data.edge_types}
        raise UsageError(
            f"there is no edge type {events!r}",
            where="events",
            hint=nearest("/".join(map(str, events)), known),
        )
    nodes = {kind: _nodes(data[kind], kind, name) for kind in data.node_types}
    edges: dict[EdgeType, EdgeSet] = {}
    for key in data.edge_types:
        if key != events and not is_reverse(key, data.edge_types):
            edges[key] = take_edges(data[key], key, nodes)
    return Graph(
        nodes,
        edges,
        _events(data[events], events, rating, time, positive),
        events[0],
        events[2],
        name,
    )


def take_edges(store: Any, key: EdgeType, nodes: Mapping[str, NodeSet]) -> EdgeSet:
    """The edges of a type, sorted and without repeats; DataError where an end is no node."""
    source, target = ends_of(store, key)
    for kind, ends in ((key[0], source), (key[2], target)):
        n = len(nodes[kind]) if kind in nodes else 0
        if len(ends) and not (ends.min() >= 0 and ends.max() < n):
            raise DataError(
                f"indices of {kind} run from {ends.min()} to {ends.max()}, but it has {n} nodes",
                where=f"edge_index of {key}",
            )
    return edge_set(source, target, len(nodes[key[2]]))


def is_reverse(key: EdgeType, known: list[EdgeType]) -> bool:
    """Whether an edge type says another one the other way round, as `ToUndirected` adds them."""
    source, relation, target = key
    forward = (target, relation.removeprefix(REVERSE), source)
    return relation.startswith(REVERSE) and forward in known


def _nodes(store: Any, kind: str, name: str) -> NodeSet:
    n = store.num_nodes
    if n is None:
        raise DataError(
            f"node type {kind!r} does not say how many nodes it has", hint="set num_nodes"
        )
    ids = [f"urn:{name}:{kind}:{k}" for k in range(n)]
    if "iri" in store:
        ids = [str(iri) for iri in store.iri]
        _check_rows(len(ids), n, f"iri of {kind}")
    numbers: dict[str, FloatArray] = {}
    if "x" in store and store.x is not None:
        values = _array(store.x, f"x of {kind}")
        _check_rows(len(values), n, f"x of {kind}")
        columns = values.reshape(n, math.prod(values.shape[1:])).T.astype(np.float32)
        numbers = {f"x{place}": column for place, column in enumerate(columns)}
    return NodeSet(Vocabulary(ids), numbers)


def _check_rows(got: int, n: int, what: str) -> None:
    if got != n:
        raise DataError(f"{what} has {got} rows, expected one for each of {n} nodes")


def ends_of(store: Any, key: EdgeType) -> npt.NDArray[np.int64]:
    """The edge_index of a type, (2, m)."""
    if "edge_index" not in store:
        raise DataError(
            f"the edges {key!r} have no edge_index", hint="ToSparseTensor takes it away"
        )
    index = _array(store.edge_index, f"edge_index of {key}")
    if index.ndim != 2 or len(index) != 2 or (index.size and index.dtype.kind not in "iu"):
        raise DataError(
            f"edge_index of {key} is {index.dtype} of shape {index.shape}, expected integers (2, m)"
        )
    return index.astype(np.int64)


def _events(
    store: Any, key: EdgeType, rating: str, time: str, positive: float | None
) -> Interactions:
    user, item = ends_of(store, key)
    columns: dict[str, Any] = {}
    for role, attribute in (("rating", rating), ("time", time)):
        if attribute in store:
            values = _array(store[attribute], f"{attribute} of {key}").astype(np.float64)
            if values.size != len(user):
                raise DataError(
                    f"{attribute} of {key} has shape {values.shape}, expected {len(user)} values"
                )
            columns[role] = values.reshape(-1)
    label = None
    if positive is not None:
        if "rating" not in columns:
            raise UsageError(f"the edges {key!r} have no {rating!r} to compare", where="positive")
        known = ~np.isnan(columns["rating"])  # what has none is no event, as in tables and RDF
        user, item = user[known], item[known]
        columns = {role: values[known] for role, values in columns.items()}
        label = columns["rating"].astype(np.float32) >= np.float32(positive)
    return Interactions.build(user, item, label=label, **columns)


def _array(tensor: Any, what: str) -> npt.NDArray[Any]:
    """A dense or sparse tensor as an array; floats of less than 32 bits, some of which NumPy lacks, as 32."""
    import torch

    try:
        here = tensor.detach().cpu()
        here = here if here.layout is torch.strided else here.to_dense()
        small = here.is_floating_point() and here.element_size() < 4
        return np.asarray((here.float() if small else here).numpy())
    except AttributeError:
        raise DataError(f"{what} is {type(tensor).__name__}, expected a tensor") from None
