"""HeteroData: shapes, inverses, masks, loaders, the way back, and torch only when asked."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.loader import DataLoader, NeighborLoader, RandomNodeLoader
from torch_geometric.loader.utils import filter_hetero_data
from torch_geometric.transforms import NormalizeFeatures, RandomLinkSplit, ToUndirected

from coldframe.kg.append import append
from coldframe.kg.cache import graph_hash
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.hetero import from_hetero, to_hetero
from coldframe.kg.vocabulary import Vocabulary


def test_torch_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys; from coldframe.kg import read, to_hetero, infer_schema, Catalog; "
        "print('torch' in sys.modules, 'rdflib' in sys.modules, 'networkx' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.split() == ["False", "False", "False"]


def test_shapes_ids_masks_and_inverses(tiny_graph: Graph) -> None:
    data = to_hetero(tiny_graph)
    data.validate(raise_on_error=True)
    item = data["item"]
    assert item.num_nodes == len(item.iri) == 8
    assert item.iri[7] == tiny_graph.items.vocabulary[7]
    assert item.x.shape == item.x_mask.shape == (8, 1)
    assert item.x_mask[:, 0].tolist() == [True, True, False, *[True] * 5]
    assert item.x[2, 0] == 0
    assert data["user"].category_city.tolist() == [0, 0, 1, 1, -1, 0]
    assert list(item.text_title) == list(tiny_graph.items.texts["title"])
    for source, relation, target in tiny_graph.edges:
        forward = data[source, relation, target].edge_index
        backward = data[target, "rev_" + relation, source].edge_index
        assert torch.equal(forward.flip(0), backward)
    events = data["user", "interacts", "item"]
    assert events.edge_attr.shape == (len(tiny_graph.interactions), 1)
    assert events.edge_index.dtype == torch.int64
    assert torch.equal(events.time, data["item", "rev_interacts", "user"].time)
    bare = to_hetero(tiny_graph, Interactions.empty(), inverses=False)
    assert bare["user", "interacts", "item"].edge_index.shape == (2, 0)
    assert not any(relation.startswith("rev_") for _, relation, _ in bare.edge_types)


def test_there_and_back_again(tiny_graph: Graph) -> None:
    assert graph_hash(from_hetero(to_hetero(tiny_graph))) == graph_hash(tiny_graph)
    assert graph_hash(from_hetero(to_hetero(tiny_graph, inverses=False))) == graph_hash(tiny_graph)


def test_nothing_is_shared_with_the_graph(tiny_graph: Graph) -> None:
    before = graph_hash(tiny_graph)
    data = to_hetero(tiny_graph)
    data["item"].x += 1
    data["user", "interacts", "item"].edge_attr *= 0
    data["item", "genre", "genre"].edge_index += 1
    assert graph_hash(tiny_graph) == before


def test_pyg_transforms_and_devices_accept_it(tiny_graph: Graph) -> None:
    data = to_hetero(tiny_graph, inverses=False).to("cpu")
    split = RandomLinkSplit(num_val=0.1, num_test=0.2, edge_types=("user", "interacts", "item"))
    train, valid, test = split(data)
    n = len(tiny_graph.interactions)
    assert train["user", "interacts", "item"].edge_index.shape[1] < n
    assert valid is not None
    assert test["item"].iri[0] == tiny_graph.items.vocabulary[0]
    part = data.subgraph({"item": torch.tensor([6, 7])})
    assert list(part["item"].iri) == [tiny_graph.items.vocabulary[k] for k in (6, 7)]


def test_loaders_batch_it_and_keep_the_ids(tiny_graph: Graph) -> None:
    data = ToUndirected()(NormalizeFeatures(["x"])(to_hetero(tiny_graph, inverses=False)))
    assert data["genre", "rev_genre", "item"].edge_index.shape[1] == 8
    parts = list(RandomNodeLoader(data, num_parts=3))
    seen = [iri for part in parts for iri in part["item"].iri]
    assert sorted(seen) == sorted(tiny_graph.items.vocabulary)
    batch = next(iter(DataLoader([to_hetero(tiny_graph)] * 2, batch_size=2)))
    assert batch["item"].num_nodes == 16
    assert batch["user", "interacts", "item"].edge_index.max() < 16
    alone = data.subgraph({"item": torch.tensor([6])})["item"]
    assert list(alone.iri) == [tiny_graph.items.vocabulary[6]]
    assert list(alone.text_title) == ["Red Peony"]


def test_without_strings_neighbours_can_be_sampled(tiny_graph: Graph) -> None:
    data = to_hetero(tiny_graph, strings=False)
    for store in data.node_stores:
        assert all(isinstance(store[key], torch.Tensor) for key in store.node_attrs())
    part = filter_hetero_data(
        data,
        {name: torch.tensor([0]) for name in data.node_types},
        {key: torch.tensor([0]) for key in data.edge_types},
        {key: torch.tensor([0]) for key in data.edge_types},
        {key: torch.tensor([0]) for key in data.edge_types},
    )
    assert part["item"].x.shape == (1, 1)
    try:
        loader = NeighborLoader(data, [2, 2], input_nodes=("item", torch.tensor([0, 7])))
        batch = next(iter(loader))
    except ImportError:
        return  # PyG's samplers need pyg-lib, which is not on the package index
    assert set(batch["item"].n_id.tolist()) <= set(range(8))


def test_a_foreign_heterodata_is_an_error(tiny_graph: Graph) -> None:
    with pytest.raises(DataError, match="to_hetero"):
        from_hetero(HeteroData())
    clash = dict(tiny_graph.edges)
    clash["user", "interacts", "item"] = EdgeSet(np.zeros((2, 0), np.int64))
    with pytest.raises(DataError, match="interacts"):
        to_hetero(Graph(tiny_graph.nodes, clash, tiny_graph.interactions))


@pytest.mark.parametrize(
    "key",
    [("user", "interacts", "item"), ("item", "rev_interacts", "user"), ("tag", "rev_r", "item")],
)
def test_a_relation_must_not_be_called_as_a_reverse_is(
    tiny_graph: Graph, key: tuple[str, str, str]
) -> None:
    one = EdgeSet(np.zeros((2, 1), np.int64))
    tag = NodeSet(Vocabulary(["urn:t"]))
    edges = {("item", "r", "tag"): one, key: one}
    graph = replace(tiny_graph, nodes={**tiny_graph.nodes, "tag": tag}, edges=edges)
    with pytest.raises(DataError, match=key[1]):
        to_hetero(graph)


def test_appending_renumbers_nothing_and_fills_only_what_was_missing(tiny_graph: Graph) -> None:
    base = "https://example.org/"
    more = Graph(
        {
            "item": NodeSet(
                Vocabulary([base + "item/99", base + "item/2"]),
                numbers={"price": np.float32([9, 3]), "depth": np.float32([1, np.nan])},
                texts={"title": ("New", "Other name")},
            ),
            "user": NodeSet(Vocabulary([base + "user/77"])),
            "genre": NodeSet(Vocabulary([base + "genre/1"])),
        },
        {("item", "genre", "genre"): EdgeSet(np.array([[0, 1], [0, 0]]))},
        Interactions.build([0], [1], rating=[4.0], round=3, split=[0], split_names=("later",)),
    )
    graph = append(tiny_graph, more)
    items = graph.items
    assert items.vocabulary[:8] == tiny_graph.items.vocabulary[:8]
    assert items.vocabulary[8] == base + "item/99"
    assert items.numbers["price"][[2, 8]].tolist() == [3, 9]
    assert items.texts["title"][2] == tiny_graph.items.texts["title"][2]
    assert items.texts["title"][8] == "New"
    assert items.numbers["depth"][8] == 1
    assert np.isnan(items.numbers["depth"][:8]).all()
    added = {tuple(e) for e in graph.edges["item", "genre", "genre"].index.T.tolist()}
    old = {tuple(e) for e in tiny_graph.edges["item", "genre", "genre"].index.T.tolist()}
    assert added == old | {(8, 1), (2, 1)}
    last = graph.interactions.select(np.array([len(graph.interactions) - 1]))
    assert (last.user[0], last.item[0], last.round[0]) == (6, 2, 3)
    assert graph.interactions.split_names[last.split[0]] == "later"
    assert graph_hash(append(tiny_graph, tiny_graph.with_interactions(Interactions.empty()))) == (
        graph_hash(tiny_graph)
    )


def foreign() -> HeteroData:
    """As PyG's own data sets are: features, no names."""
    data = HeteroData()
    data["user"].num_nodes = 3
    data["movie"].x = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    data["genre"].num_nodes = 2
    data["user", "rates", "movie"].edge_index = torch.tensor([[0, 1, 2], [0, 1, 1]])
    data["user", "rates", "movie"].edge_label = torch.tensor([5, 2, 4])
    data["user", "rates", "movie"].time = torch.tensor([1, 2, 3])
    data["movie", "has", "genre"].edge_index = torch.tensor([[0, 1], [1, 1]])
    return ToUndirected()(data)


RATES = ("user", "rates", "movie")


def test_a_graph_made_elsewhere_is_taken_by_its_events() -> None:
    graph = from_hetero(foreign(), RATES, rating="edge_label", positive=4)
    assert (graph.user_type, graph.item_type) == ("user", "movie")
    assert list(graph.items.vocabulary) == ["urn:hetero:movie:0", "urn:hetero:movie:1"]
    assert graph.items.numbers["x1"].tolist() == [0, 1]
    assert set(graph.edges) == {("movie", "has", "genre")}
    rows = graph.interactions
    assert rows.label.tolist() == [1, 0, 1]
    assert rows.rating.tolist() == [5, 2, 4]
    assert rows.time.tolist() == [1, 2, 3]
    assert from_hetero(foreign(), RATES).interactions.label.tolist() == [1, 1, 1]


def test_what_is_missing_of_a_graph_made_elsewhere_is_named() -> None:
    with pytest.raises(UsageError, match=r"no edge type .*did you mean"):
        from_hetero(foreign(), ("user", "rate", "movie"))
    with pytest.raises(UsageError, match="'edge_attr' to compare"):
        from_hetero(foreign(), RATES, positive=4)
    with pytest.raises(UsageError, match="expected a HeteroData"):
        from_hetero(foreign().to_homogeneous())
    with pytest.raises(DataError, match="events="):
        from_hetero(foreign())
    data = foreign()
    data["user", "rates", "movie"].edge_label = torch.tensor([[1, 2]])
    with pytest.raises(DataError, match="expected 3 values"):
        from_hetero(data, RATES, rating="edge_label")
    data = foreign()
    data["movie", "has", "genre"].edge_index[1, 0] = 9
    with pytest.raises(DataError, match="indices of genre run from 1 to 9, but it has 2 nodes"):
        from_hetero(data, RATES)


def test_ratings_made_elsewhere_are_compared_as_our_own() -> None:
    data = foreign()
    data[RATES].edge_label = torch.tensor([0.7, float("nan"), 0.6])
    rows = from_hetero(data, RATES, rating="edge_label", positive=0.7).interactions
    assert (rows.user.tolist(), rows.label.tolist(), rows.time.tolist()) == ([0, 2], [1, 0], [1, 3])
    assert len(from_hetero(data, RATES, rating="edge_label").interactions) == 3


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64])
def test_numbers_made_elsewhere_may_be_of_any_width_and_sparse(kind: torch.dtype) -> None:
    data = foreign()
    data["movie"].x = torch.tensor([[1, 0], [0, 2]], dtype=kind)
    data["genre"].x = torch.eye(2).to_sparse()
    data["tag"].num_nodes, data["tag"].x = 0, torch.empty(0, 3)
    graph = from_hetero(data, RATES)
    assert graph.items.numbers["x1"].tolist() == [0, 2]
    assert graph.nodes["genre"].numbers["x0"].tolist() == [1, 0]
    assert list(graph.nodes["tag"].numbers) == ["x0", "x1", "x2"]


@pytest.mark.parametrize(
    ("place", "name", "value", "said"),
    [
        ("movie", "x", torch.zeros(3, 4), r"x of movie has 3 rows, expected .* 2 nodes"),
        ("movie", "iri", ["urn:a"], r"iri of movie has 1 rows"),
        (RATES, "edge_index", torch.zeros(3, 2, dtype=torch.long), r"shape \(3, 2\), expected"),
        (RATES, "edge_index", torch.full((2, 3), 0.5), r"float32 of shape"),
    ],
)
def test_what_does_not_fit_of_a_graph_made_elsewhere_is_told(
    place: Any, name: str, value: Any, said: str
) -> None:
    data = foreign()
    data["movie"].num_nodes = 2
    data[place][name] = value
    with pytest.raises(DataError, match=said):
        from_hetero(data, RATES)


def test_interactions_of_another_graph_are_refused(tiny_graph: Graph) -> None:
    rows = Interactions.build(np.array([99]), np.array([0]))
    with pytest.raises(DataError, match="the interactions"):
        to_hetero(tiny_graph, rows)


def test_an_edge_that_leads_nowhere_is_no_other_edge(tiny_graph: Graph) -> None:
    data = to_hetero(tiny_graph)
    data["item", "genre", "genre"].edge_index[1, 0] = (
        3  # there are three: it was item 1 and genre 0
    )
    with pytest.raises(DataError, match="indices of genre run from 0 to 3"):
        from_hetero(data)


def test_features_that_were_lost_on_the_way_are_named(tiny_graph: Graph) -> None:
    data = to_hetero(tiny_graph)
    del data["item"].x, data["item"].text_note
    with pytest.raises(DataError, match="node type 'item' has lost x, text_note"):
        from_hetero(data)
    with pytest.raises(UsageError, match="expected interactions"):
        to_hetero(tiny_graph, tiny_graph)  # type: ignore[arg-type]
