"""Graph -> PyG HeteroData, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .catalog import Catalog, graph_of
from .errors import DataError, UsageError
from .foreign_hetero import REVERSE, adopted, ends_of, is_reverse, take_edges
from .graph import Category, EdgeSet, EdgeType, Graph, Interactions, NodeSet, Texts
from .graph_checks import check_graph, check_rows
from .vocabulary import TEXT, Vocabulary

if TYPE_CHECKING:
    from torch_geometric.data import HeteroData

INTERACTS = "interacts"


class Strings(np.ndarray):
    """Strings of the nodes of a type, (n,), which a tensor of indices cuts like any node attribute.

    NumPy alone takes a tensor of one index for a number, and gives a bare string back.
    """

    def __getitem__(self, index: Any) -> Any:
        return super().__getitem__(np.asarray(index) if hasattr(index, "numpy") else index)


def to_hetero(
    catalog: Catalog | Graph,
    interactions: Interactions | None = None,
    *,
    inverses: bool = True,
    strings: bool = True,
) -> HeteroData:
    """A catalog's graph as `torch_geometric.data.HeteroData`; nothing shares memory with the graph.

    Shapes, for a node type of n nodes with f numeric features:
        iri: object array (n,), the identifiers; position = node index.
        x, x_mask: float32 and bool (n, f), numbers in the schema's order, 0 where the mask is False;
            absent where f = 0.
        category_<name>: int64 (n,), -1 = missing.
        text_<name>: object array (n,) of strings, "" = missing.
    Of an edge type: edge_index int64 (2, m). Of (user, "interacts", item) also edge_attr float32
    (m, 1), the rating (NaN = none); label int64 (m,), 1 = positive; time float64 (m,), seconds since
    1970 (NaN = unknown); round int64 (m,); split int64 (m,), -1 = none; and, where the events were RDF
    nodes, iri, an object array (m,), "" = none. `catalog` holds names: of the
    graph, of the user and item types, of features, category values, splits and events.

    Args:
        interactions: the events to use; None = the graph's own.
        inverses: add "rev_<relation>" for every edge type, interactions included (with the same
            attributes).
        strings: False leaves every iri and text_<name> out, for PyG's NeighborLoader and its like, which cut
            nothing but tensors; `n_id` of their batches indexes `graph.nodes[type].vocabulary`.

    Raises:
        DataError: a relation has the name of the interactions or of another one's reverse, or the
            interactions are of another graph.
    """
    from torch_geometric.data import HeteroData

    graph = graph_of(catalog)
    check_graph(graph)
    events = (graph.user_type, INTERACTS, graph.item_type)
    _check_names(graph, events)
    data = HeteroData()
    data.catalog = _about(graph)
    for name, nodes in graph.nodes.items():
        _put_nodes(data[name], nodes, strings)
    for (source, relation, target), edges in graph.edges.items():
        index = np.array(edges.index, np.int64)
        _put_edges(data, (source, relation, target), index, {}, inverses)
    rows = graph.interactions if interactions is None else interactions
    if not isinstance(rows, Interactions):
        raise UsageError(
            f"got {type(rows).__name__}, expected interactions",
            where="interactions",
            hint="split.train",
        )
    check_rows(graph, rows, "the interactions")
    data.catalog["splits"] = list(rows.split_names)
    attributes: dict[str, npt.NDArray[Any]] = {
        "edge_attr": rows.rating.astype(np.float32).reshape(-1, 1),
        "label": rows.label.astype(np.int64),
        "time": rows.time.astype(np.float64),
        "round": rows.round.astype(np.int64),
        "split": rows.split.astype(np.int64),
    }
    if rows.event is not None:
        attributes["event"] = rows.event.astype(np.int64)
        data.catalog["events"] = list(rows.event_names)
    index = np.stack([rows.user, rows.item]).astype(np.int64, copy=False)
    _put_edges(data, events, index, attributes, inverses)
    if strings and rows.iri is not None:
        named = np.full(len(rows), "", object)
        named[np.asarray(rows.iri.is_valid(), bool)] = rows.iri.drop_null().to_pylist()
        data[events].iri = named.view(Strings)
    return data


def from_hetero(
    data: HeteroData,
    events: EdgeType | None = None,
    *,
    rating: str = "edge_attr",
    time: str = "time",
    positive: float | None = None,
    name: str = "hetero",
) -> Graph:
    """The graph that `to_hetero` was given, or one made elsewhere; "rev_" edge types are left out.

    Of ours: edges and nodes may have been added since; features of the names in `catalog` are read.
    Of another: node k of a type is called urn:NAME:TYPE:k, unless there are `iri`; the columns of x are the
    numbers x0, x1, ...; every other edge type is a relation.

    Args:
        events: of a graph made elsewhere, the edge type from users to items that holds the interactions.
        rating, time: its attributes, if it has them, of one value per edge.
        positive: ratings from here on are likes, others dislikes, and what has none (NaN) is left out;
            None = all are likes.
        name: of the graph made elsewhere.

    Raises:
        UsageError: it is no HeteroData, or has no such events. DataError: it was made elsewhere and no
        events are named, or what it holds does not fit together.
    """
    from torch_geometric.data import HeteroData

    if not isinstance(data, HeteroData):
        raise UsageError(f"got {type(data).__name__}, expected a HeteroData", where="data")
    if events is not None:
        graph = adopted(data, events, rating, time, positive, name)
        check_graph(graph)
        return graph
    about = getattr(data, "catalog", None)
    if not isinstance(about, dict):
        raise DataError(
            "this HeteroData was not made by to_hetero: it has no `catalog`",
            hint="name the edges from users to items: events=('user', 'rates', 'movie')",
        )
    nodes = {
        name: _take_nodes(data[name], name, about["features"].get(name, {}))
        for name in data.node_types
    }
    interacts: EdgeType = (about["users"], INTERACTS, about["items"])
    edges: dict[EdgeType, EdgeSet] = {}
    for key in data.edge_types:
        if key == interacts or is_reverse(key, data.edge_types):
            continue
        edges[key] = take_edges(data[key], key, nodes)
    graph = Graph(
        nodes,
        edges,
        _take_events(data, interacts, about),
        about["users"],
        about["items"],
        about["name"],
    )
    check_graph(graph)
    return graph


def _check_names(graph: Graph, events: EdgeType) -> None:
    """Refuse a relation that would fall together with the interactions or with a reverse."""
    known = [*graph.edges, events]
    for key in graph.edges:
        if key == events or is_reverse(key, known):
            source, relation, target = key
            raise DataError(
                f"the relation {relation!r} from {source!r} to {target!r} has a name that HeteroData needs",
                hint=f"rename it in the schema: {INTERACTS!r} are the interactions, and {REVERSE!r} before "
                "a relation's name means its reverse",
            )


def _about(graph: Graph) -> dict[str, Any]:
    features = {
        name: {
            "numbers": list(nodes.numbers),
            "categories": {key: list(c.names) for key, c in nodes.categories.items()},
            "texts": list(nodes.texts),
        }
        for name, nodes in graph.nodes.items()
    }
    return {
        "name": graph.name,
        "users": graph.user_type,
        "items": graph.item_type,
        "features": features,
    }


def _put_nodes(store: Any, nodes: NodeSet, strings: bool) -> None:
    import torch

    store.num_nodes = len(nodes)
    if strings:
        store.iri = _objects(nodes.vocabulary)
        for name, texts in nodes.texts.items():
            store[f"text_{name}"] = _objects(texts)
    if nodes.numbers:
        numbers = np.stack(list(nodes.numbers.values()), axis=1)
        known = ~np.isnan(numbers)
        store.x = torch.from_numpy(np.where(known, numbers, np.float32(0)))
        store.x_mask = torch.from_numpy(known)
    for name, category in nodes.categories.items():
        store[f"category_{name}"] = torch.from_numpy(category.codes.astype(np.int64))


def _put_edges(
    data: Any,
    key: EdgeType,
    index: npt.NDArray[np.int64],
    attributes: dict[str, npt.NDArray[Any]],
    inverses: bool,
) -> None:
    """Takes over the arrays: the caller has copied them."""
    import torch

    source, relation, target = key
    data[key].edge_index = torch.from_numpy(index)
    if inverses:
        reverse = (target, REVERSE + relation, source)
        data[reverse].edge_index = torch.from_numpy(np.ascontiguousarray(index[::-1]))
    for name, values in attributes.items():
        data[key][name] = torch.from_numpy(values)
        if inverses:
            data[reverse][name] = data[key][name]


def _take_nodes(store: Any, name: str, about: dict[str, Any]) -> NodeSet:
    if "iri" not in store:
        raise DataError(f"node type {name!r} has no `iri`")
    missing = _missing(store, about)
    if missing:
        raise DataError(
            f"node type {name!r} has lost {', '.join(missing)}",
            hint="take the features out of data.catalog['features'] as well",
        )
    numbers = {}
    for column, feature in enumerate(about.get("numbers", ())):
        values = store.x[:, column].cpu().numpy().astype(np.float32)
        numbers[feature] = np.where(
            store.x_mask[:, column].cpu().numpy(), values, np.float32("nan")
        )
    categories = {
        feature: Category(store[f"category_{feature}"].cpu().numpy().astype(np.int32), tuple(names))
        for feature, names in about.get("categories", {}).items()
    }
    texts = {
        feature: pa.array(list(store[f"text_{feature}"]), TEXT)
        for feature in about.get("texts", ())
    }
    return NodeSet(Vocabulary(store.iri.tolist()), numbers, categories, Texts(texts))


def _missing(store: Any, about: dict[str, Any]) -> list[str]:
    """Attributes that hold the features of a node type, and that it does not have."""
    wanted = ["x", "x_mask"] if about.get("numbers") else []
    wanted += [f"category_{feature}" for feature in about.get("categories", ())]
    wanted += [f"text_{feature}" for feature in about.get("texts", ())]
    return [attribute for attribute in wanted if attribute not in store]


def _take_events(data: Any, key: EdgeType, about: dict[str, Any]) -> Interactions:
    if key not in data.edge_types:
        return Interactions.empty()
    store = data[key]
    user, item = ends_of(store, key)
    return Interactions.build(
        user,
        item,
        label=store.label.cpu().numpy(),
        rating=store.edge_attr[:, 0].cpu().numpy(),
        time=store.time.cpu().numpy(),
        round=store["round"].cpu().numpy(),
        split=store["split"].cpu().numpy(),
        split_names=tuple(about["splits"]),
        iri=_take_iris(store, len(user)),
        event=store["event"].cpu().numpy().astype(np.int16) if "event" in store else None,
        event_names=tuple(about.get("events", ())),
    )


def _take_iris(store: Any, n: int) -> pa.Array | None:
    """IRIs of event nodes; None where there are none, or edges were added without any."""
    if "iri" not in store or len(store.iri) != n:
        return None
    iris = pa.array(list(store.iri), TEXT)
    return pc.if_else(pc.equal(iris, ""), pa.scalar(None, TEXT), iris)


def _objects(texts: Any) -> Strings:
    """Strings as an object array, which devices leave alone."""
    out = np.empty(len(texts), object)
    out[:] = list(texts)
    return out.view(Strings)
