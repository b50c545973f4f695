"""Neighbour sampling: true neighbours only, uniform, and parts that say what the whole graph says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from coldframe.gnn import encoding
from coldframe.gnn.batches import Sampler
from coldframe.gnn.convolutions import CONVOLUTIONS
from coldframe.gnn.csc import CSC
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import Encoded, EncoderConfig, GraphEncoder, Hidden
from coldframe.gnn.encoding import encode, known_items
from coldframe.gnn.inputs import InputSpace
from coldframe.gnn.losses import softmax_loss
from coldframe.gnn.mapped import MappedGraph
from coldframe.gnn.propagation import Propagation
from coldframe.gnn.sampler import NeighbourSampler, NeighbourSteps
from coldframe.gnn.trainer import EncoderScorer, _users_apart
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.view import GraphView
from coldframe.kg.errors import IntegrityError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_edges(
    n: int = 50, edges: int = 400, seed: int = 0
) -> tuple[CSC, dict[tuple[int, int], float]]:
    """A matrix by receiving node, and (source, receiver) -> weight."""
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, n, (edges, 2)), axis=0)
    weights = rng.random(len(pairs)).astype(np.float32)
    matrix = sp.csr_matrix((weights, (pairs[:, 1], pairs[:, 0])), (n, n))
    known = {(int(s), int(t)): float(w) for (s, t), w in zip(pairs, weights, strict=True)}
    return CSC.of(Propagation.from_scipy(matrix).forward), known


def world(seed: int = 0, n_users: int = 30, n_items: int = 40) -> TrainingData:
    """Items with two kinds of attributes, links among items and among attributes, texts and dislikes."""
    rng = np.random.default_rng(seed)
    sizes = {"user": n_users, "item": n_items, "tag": 12, "place": 7}

    def edges(source: str, target: str, count: int) -> EdgeSet:
        ends = rng.integers(0, (sizes[source], sizes[target]), (count, 2))
        return EdgeSet(np.unique(ends, axis=0).T.astype(np.int64))

    nodes = {kind: NodeSet(Vocabulary(f"{kind}{k}" for k in range(n))) for kind, n in sizes.items()}
    nodes["item"] = replace(nodes["item"], numbers={"price": rng.random(n_items, np.float32)})
    graph = Graph(
        nodes,
        {
            ("item", "has", "tag"): edges("item", "tag", 90),
            ("item", "from", "place"): edges("item", "place", 50),
            ("item", "like", "item"): edges("item", "item", 30),
            ("tag", "in", "place"): edges("tag", "place", 15),
            ("user", "lives", "place"): edges("user", "place", 20),
        },
        Interactions.empty(),
    )
    users, items = np.nonzero(rng.random((n_users, n_items - 5)) < 0.2)
    train = Interactions.build(users, items, label=(rng.random(len(users)) < 0.8).astype(np.int8))
    text = {kind: rng.normal(size=(sizes[kind], 6)).astype(np.float32) for kind in ("item", "tag")}
    return TrainingData(graph, train, text)


def built(data: TrainingData, **settings: object) -> tuple[GraphEncoder, GraphView, MappedGraph]:
    space = InputSpace.fit(data.graph, data.text, 8, seed=0)
    view = GraphView.build(data, space)
    torch.manual_seed(0)
    model = GraphEncoder(EncoderConfig(dimensions=8, **settings), view).eval()
    with torch.no_grad():
        for value in (*model.ids.values(), model.bias):
            value.normal_()
        for kind in ("user", "item"):
            model.layer_weights[f"of:{kind}"].uniform_(0.5, 1.5)
    return model, view, MappedGraph.build(data, space, None)


def assert_same(one: Encoded, other: Encoded) -> None:
    for name in ("users", "items", "bias", "graph", "text"):
        torch.testing.assert_close(getattr(one, name), getattr(other, name), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("fanout", [0, 1, 3, 100, -1])
def test_samples_are_true_distinct_neighbours_in_the_right_number(fanout: int) -> None:
    edges, known = random_edges()
    nodes = torch.randperm(50, generator=generator())[:30]
    found, owner, weight = edges.sample(nodes, fanout, generator())
    got = list(zip(found.tolist(), nodes[owner].tolist(), strict=True))
    assert set(got) <= known.keys()
    assert len(set(got)) == len(got)
    degree = np.diff(edges.pointers)[nodes.numpy()]
    expected = degree if fanout < 0 else np.minimum(degree, fanout)
    np.testing.assert_array_equal(np.bincount(owner.numpy(), minlength=30), expected)
    share = degree[owner.numpy()] / expected[owner.numpy()]
    np.testing.assert_allclose(weight, [known[pair] for pair in got] * share, rtol=1e-6)


def test_every_neighbour_is_equally_likely() -> None:
    matrix = sp.csr_matrix(np.ones((1, 10), np.float32))
    edges = CSC.of(Propagation.from_scipy(matrix).forward)
    rng, counts = generator(), np.zeros(10)
    for _ in range(3000):
        counts[edges.sample(torch.tensor([0]), 3, rng)[0].numpy()] += 1
    assert np.abs(counts / 900 - 1).max() < 0.12  # four standard deviations


def test_sampled_messages_add_up_to_all_of_them_on_average() -> None:
    edges, known = random_edges()
    rng, total = generator(), np.zeros(50)
    nodes = torch.arange(50)
    for _ in range(2000):
        _, owner, weight = edges.sample(nodes, 3, rng)
        total += np.bincount(owner.numpy(), weight.numpy(), 50)
    expected = np.zeros(50)
    for (_, receiver), weight in known.items():
        expected[receiver] += weight
    np.testing.assert_allclose(total / 2000, expected, rtol=0.05)


def test_mapped_from_disk_it_samples_the_same(tmp_path: Path) -> None:
    edges, _ = random_edges()
    edges.save(tmp_path / "csc")
    mapped = CSC.open(tmp_path / "csc")
    assert isinstance(mapped.neighbours, np.memmap)
    nodes = torch.tensor([1, 2, 3])
    for one, two in zip(
        edges.sample(nodes, 4, generator()), mapped.sample(nodes, 4, generator()), strict=True
    ):
        assert torch.equal(one, two)


@pytest.mark.parametrize("name", ["neighbours", "weights", "pointers"])
def test_damaged_files_are_named(tmp_path: Path, name: str) -> None:
    edges, _ = random_edges()
    edges.save(tmp_path / "csc")
    part = tmp_path / "csc" / name
    whole = part.read_bytes()
    for content, what in ((whole[:-8], "fit"), (whole[:-1], "cut short"), (b"", "fit")):
        part.write_bytes(content)
        with pytest.raises(IntegrityError, match=what):
            CSC.open(tmp_path / "csc")
    part.unlink()
    with pytest.raises(IntegrityError, match="missing"):
        CSC.open(tmp_path / "csc")


def test_no_fewer_than_all_neighbours_can_be_asked_for() -> None:
    with pytest.raises(UsageError, match="neighbours"):
        TrainingConfig(neighbours=-2)


@pytest.mark.parametrize("convolution", sorted(CONVOLUTIONS))
@pytest.mark.parametrize("depth, hops", [(0, 1), (1, 1), (2, 1), (1, 2), (2, 2)])
def test_with_all_neighbours_a_part_says_what_the_whole_does(
    convolution: str, depth: int, hops: int
) -> None:
    data = world()
    model, view, graph = built(data, convolution=convolution, depth=depth, hops=hops, user_ids=True)
    users, items = torch.tensor([4, 1, 20]), torch.tensor([39, 0, 7, 33])
    sampler = NeighbourSampler.of(graph, model.config, -1)
    part = sampler.around(users, items, generator())
    hidden = torch.rand(data.n_items, generator=generator()) < 0.3
    place_users = torch.searchsorted(part.rows["user"], users)
    place_items = torch.searchsorted(part.rows["item"], items)
    with torch.no_grad():
        whole = model(view, Hidden(items=hidden))
        own = model(part, Hidden(items=hidden[part.rows["item"]]))
    torch.testing.assert_close(own.users[place_users], whole.users[users], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(own.items[place_items], whole.items[items], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(own.bias[place_items], whole.bias[items], atol=2e-5, rtol=1e-4)
    if depth < 2 and hops == 1:
        assert len(part.rows["user"]) == 3
        assert len(part.rows["item"]) < data.n_items


@pytest.mark.parametrize("depth, hops", [(1, 1), (2, 2)])
def test_block_by_block_a_graph_encodes_as_at_once(
    depth: int, hops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_BLOCK", 7)
    data = world(seed=1)
    model, view, graph = built(data, depth=depth, hops=hops, user_ids=True)
    assert_same(encode(model, graph), encode(model, view))
    np.testing.assert_array_equal(known_items(model, graph), known_items(model, view))


def test_a_pair_held_out_passes_no_message() -> None:
    data = world(seed=2)
    model, _, graph = built(data, hops=2, user_ids=True)
    user = int(data.positives.indices.size and np.diff(data.positives.indptr).argmax())
    liked = torch.from_numpy(data.positives[user].indices.astype(np.int64))
    sampler = NeighbourSampler.of(graph, model.config, -1)
    part = sampler.around(
        torch.tensor([user]), liked, generator(), user * data.n_items + liked[1:].sort().values
    )
    row = torch.searchsorted(part.rows["user"], torch.tensor([user]))
    left = part.liked.forward.to_dense()[row].squeeze(0)
    assert part.rows["item"][left > 0].tolist() == [int(liked[0])]


def test_sampled_likes_add_up_to_all_that_a_user_has() -> None:
    data = world(seed=4)
    model, _, graph = built(data)
    part = NeighbourSampler.of(graph, model.config, 2).around(
        torch.arange(data.n_users), torch.tensor([0]), generator()
    )
    degree = torch.from_numpy(np.diff(data.positives.indptr)).float()
    torch.testing.assert_close(part.liked.row_sums(), degree)
    assert (part.liked.forward.crow_indices().diff() <= 2).all()


def steps_of(
    data: TrainingData, graph: MappedGraph, fanout: int, user_dropout: float = 0.1, *,
    rated: bool = False,
) -> NeighbourSteps:  # fmt: skip
    drawn = Sampler.build(
        data, graph.outline, rated=rated, batch_size=8, item_dropout=0.3, history_dropout=0.3,
        user_dropout=user_dropout, negatives=10,
    )  # fmt: skip
    return NeighbourSteps(drawn, NeighbourSampler.of(graph, EncoderConfig(), fanout))


@pytest.mark.parametrize("fanout", [-1, 2])
def test_steps_ask_every_user_once_about_their_own_items_only(fanout: int) -> None:
    data = world(seed=3)
    _, _, graph = built(data)
    likes = data.positives.toarray() > 0
    seen: list[int] = []
    for step in steps_of(data, graph, fanout).steps(generator()):
        assert step.view is not None
        users = step.view.rows["user"][step.users]
        seen += users.tolist()
        items = step.view.rows["item"]
        assert likes[users[step.owner], items[step.target]].all()
        assert (data.catalog_degree[items[step.candidates]] > 0).all()
        known = likes[users][:, items[step.candidates]]
        assert (step.known.numpy() == known).all()
        # A target is never heard of: neither by its pair nor, where the item is hidden, at all.
        heard = step.view.liked.forward.to_dense()
        hidden = step.hidden.items
        assert hidden is not None
        assert ((heard[step.users[step.owner], step.target] == 0) | hidden[step.target]).all()
        assert (likes[users][:, items] | (heard[step.users] == 0).numpy()).all()
    assert sorted(seen) == np.flatnonzero(likes.any(1)).tolist()


@pytest.mark.parametrize("rated", [False, True])
def test_a_user_without_history_shows_neither_likes_nor_dislikes(*, rated: bool) -> None:
    data = world(seed=3)
    some = np.where(np.arange(len(data.train)) % 2, 4.0, np.nan)  # ratings; other likes have none
    data = data.with_train(replace(data.train, rating=some.astype(np.float32)))
    _, view, graph = built(data)
    steps = steps_of(data, graph, -1, user_dropout=1.0, rated=rated)
    for step in steps.steps(generator()):
        assert step.view is not None
        for matrix in (step.view.liked, step.view.unliked):
            assert not matrix.row_sums()[step.users].any()
    for step in replace(steps.drawn, view=view).steps(generator()):
        assert not step.hidden.liked.any()
        assert not step.hidden.unliked.any()
        assert len(step.hidden.unliked) == data.negatives.nnz > 0


def test_log_q_is_how_often_a_candidate_is_drawn() -> None:
    data = world(seed=6)
    _, _, graph = built(data)
    drawn, draws = steps_of(data, graph, -1).drawn, generator()
    seen, told = np.zeros(data.n_items), np.full(data.n_items, np.nan)
    for _ in range(2000):
        items, log_q = drawn.candidates(draws)
        assert log_q is not None
        seen[items] += 1
        told[items] = log_q.exp()
    assert np.nanmax(told) > 2 * np.nanmin(told)
    np.testing.assert_allclose(seen[seen > 0] / 2000, told[seen > 0], atol=0.05)


@pytest.mark.parametrize("hops, depth, apart", [(1, 1, True), (1, 2, False), (2, 1, False)])
def test_users_stand_apart_where_nothing_hears_them(hops: int, depth: int, apart: bool) -> None:
    """Places hear who lives there, which items hear from the second layer on."""
    model, view, _ = built(world(), hops=hops, depth=depth)
    assert _users_apart(view, model.config) == apart


def test_a_step_without_the_other_users_has_the_same_loss_and_gradients() -> None:
    data = world(seed=5)
    model, view, _ = built(data, user_ids=True)
    whole = Sampler.build(
        data, view, rated=False, batch_size=8, item_dropout=0.3, history_dropout=0.3,
        user_dropout=0.1, negatives=10,
    )  # fmt: skip
    cut = replace(whole, users_apart=True)
    for one, other in zip(whole.steps(generator()), cut.steps(generator()), strict=True):
        assert other.view is not None
        assert torch.equal(other.view.rows["user"][other.users], one.users)
        losses, gradients = [], []
        for step in (one, other):
            model.zero_grad()
            encoded = model(step.view or view, step.hidden)
            losses.append(softmax_loss(step.batch(encoded, generator())))
            losses[-1].backward()
            gradients.append([w.grad for w in model.parameters() if w.grad is not None])
        torch.testing.assert_close(losses[0], losses[1])
        for left, right in zip(*gradients, strict=True):
            torch.testing.assert_close(left, right, atol=1e-6, rtol=1e-4)


def test_trained_from_files_it_ends_in_the_same_bits_and_leaves_none(tmp_path: Path) -> None:
    data = world(seed=4)
    config = EncoderConfig(dimensions=8, profile_dimensions=8)
    training = TrainingConfig(epochs=3, neighbours=3)
    users = np.arange(data.n_users)
    killed = tmp_path / "a" / "mapped-0"
    killed.mkdir(parents=True)
    (killed / "left").write_text("by a training that was killed")
    first = EncoderScorer(config, training, checkpoints=tmp_path / "a").fit(data).score(users)
    again = EncoderScorer(config, training).fit(data).score(users)
    np.testing.assert_array_equal(first, again)
    assert not list((tmp_path / "a").glob("mapped-*"))
    whole = EncoderScorer(config, replace(training, neighbours=0)).fit(data).score(users)
    assert not np.array_equal(first, whole)
