"""What every encoder must be, whatever its convolution: it learns, and it hears its neighbours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch_geometric.nn import GATConv

from coldframe.gnn.auxiliary import Auxiliary
from coldframe.gnn.batches import Sampler
from coldframe.gnn.convolutions import CONVOLUTIONS, hetero_layer
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import Encoded, EncoderConfig, GraphEncoder, Hidden
from coldframe.gnn.inputs import InputSpace
from coldframe.gnn.randomness import generator_for
from coldframe.gnn.trainer import EncoderScorer
from coldframe.gnn.training import Training, TrainingConfig
from coldframe.gnn.view import GraphView
from coldframe.kg.graph import Category, EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

KINDS = sorted(CONVOLUTIONS)


def planted(n_users: int = 12, n_items: int = 10, n_tags: int = 4, seed: int = 0) -> TrainingData:
    """Users of one taste each, who like the items of that tag; item 0 has no interaction."""
    rng = np.random.default_rng(seed)
    tag = np.arange(n_items) % n_tags
    taste = np.arange(n_users) % n_tags
    likes = (tag[None] == taste[:, None]) | (rng.random((n_users, n_items)) < 0.05)
    likes[:, 0] = False
    users, items = np.nonzero(likes)
    prices = rng.random(n_items).astype(np.float32)
    prices[1] = np.nan
    nodes = {
        "user": NodeSet(
            Vocabulary(f"u{k}" for k in range(n_users)),
            categories={"age": Category((taste % 2).astype(np.int32), ("old", "young"))},
        ),
        "item": NodeSet(Vocabulary(f"i{k}" for k in range(n_items)), numbers={"price": prices}),
        "values": NodeSet(Vocabulary(f"t{k}" for k in range(n_tags))),
    }
    edges = {("item", "has.tag", "values"): EdgeSet(np.stack([np.arange(n_items), tag]))}
    text = {"item": np.eye(n_tags, dtype=np.float32)[tag]}
    graph = Graph(nodes, edges, Interactions.empty())
    return TrainingData(graph, Interactions.build(users, items), text)


def permuted(
    data: TrainingData, rng: np.random.Generator
) -> tuple[TrainingData, dict[str, np.ndarray]]:
    """The same data with nodes renumbered; order[kind][new] = old."""
    graph = data.graph
    order = {kind: rng.permutation(len(nodes)) for kind, nodes in graph.nodes.items()}
    place = {kind: np.argsort(one) for kind, one in order.items()}
    nodes = {
        kind: NodeSet(
            Vocabulary(some.vocabulary[k] for k in order[kind]),
            {name: values[order[kind]] for name, values in some.numbers.items()},
            {name: Category(c.codes[order[kind]], c.names) for name, c in some.categories.items()},
        )
        for kind, some in graph.nodes.items()
    }
    edges = {
        (s, r, t): EdgeSet(np.stack([place[s][e.index[0]], place[t][e.index[1]]]))
        for (s, r, t), e in graph.edges.items()
    }
    train = replace(
        data.train, user=place["user"][data.train.user], item=place["item"][data.train.item]
    )
    text = {kind: rows[order[kind]] for kind, rows in data.text.items()}
    return TrainingData(Graph(nodes, edges, Interactions.empty()), train, text), order


def built(data: TrainingData, **settings: object) -> tuple[GraphEncoder, GraphView, InputSpace]:
    space = InputSpace.fit(data.graph, data.text, 8, seed=0)
    view = GraphView.build(data, space)
    torch.manual_seed(0)
    model = GraphEncoder(EncoderConfig(dimensions=8, **settings), view).eval()
    with torch.no_grad():  # attributes start at zero, through which nothing would be heard
        for table in model.ids.values():
            table.normal_()
    return model, view, space


def scores(encoded: Encoded) -> torch.Tensor:
    return encoded.users @ encoded.items.T + encoded.bias


@pytest.mark.R(17)
@pytest.mark.parametrize("convolution", KINDS)
@pytest.mark.parametrize("hops", [1, 2])
def test_permuting_nodes_permutes_outputs(convolution: str, hops: int) -> None:
    data = planted()
    model, view, space = built(data, convolution=convolution, depth=2, hops=hops, user_ids=True)
    moved, order = permuted(data, np.random.default_rng(1))
    # The same singular directions, with the features of the profile in their new places.
    profile = space.profiles["item"]
    (block,) = [name for name in profile.idf if name[-1] == "out"]
    assert list(profile.idf) == [block], "one block, so its rows are the components' rows"
    shuffled = replace(
        profile,
        idf={block: profile.idf[block][order["values"]]},
        components=profile.components[order["values"]],
    )
    attributes = space.profiles["values"]
    (back,) = attributes.idf
    others = replace(attributes, idf={back: attributes.idf[back][order["item"]]})
    moved_space = replace(space, profiles={**space.profiles, "item": shuffled, "values": others})
    moved_view = GraphView.build(moved, moved_space)
    other = GraphEncoder(model.config, moved_view).eval()
    state = dict(model.state_dict())
    for kind in ("user", "item", "values"):
        state[f"ids.of:{kind}"] = state[f"ids.of:{kind}"][order[kind]]
    for name, kind in (("bias", "item"), ("trained_items", "item"), ("trained_users", "user")):
        state[name] = state[name][order[kind]]
    other.load_state_dict(state)
    with torch.no_grad():
        before, after = scores(model(view)), scores(other(moved_view))
    torch.testing.assert_close(after, before[order["user"]][:, order["item"]], atol=2e-5, rtol=1e-4)


@pytest.mark.R(17)
@pytest.mark.parametrize("convolution", KINDS)
def test_messages_pass_both_ways(convolution: str) -> None:
    """Items hear users (two hops) and tags; tags hear items (two layers); users hear items."""
    model, view, _ = built(planted(), convolution=convolution, depth=2, hops=2, user_ids=True)

    def heard(kind: str, node: int) -> tuple[set[int], set[int]]:
        model.zero_grad()
        table = model.ids[f"of:{kind}"]
        users, items = set(), set()
        encoded = model(view)
        for side, rows in ((users, encoded.users), (items, encoded.items)):
            for row in range(len(rows)):
                (gradient,) = torch.autograd.grad(
                    rows[row].square().sum(), table, retain_graph=True, allow_unused=True
                )
                if gradient is not None and gradient[node].abs().max() > 0:
                    side.add(row)
        return users, items

    liked = view.liked.forward.to_dense()
    users, _ = heard("item", 5)
    assert set(torch.nonzero(liked[:, 5]).flatten().tolist()) <= users
    _, items = heard("user", 3)
    assert set(torch.nonzero(liked[3]).flatten().tolist()) <= items
    _, items = heard("values", 1)
    assert {1, 5, 9} <= items
    _, items = heard("item", 5)
    assert {1, 9} <= items, "through the tag that they share"


@pytest.mark.parametrize("convolution", KINDS)
def test_guessing_attributes_teaches_every_convolution(convolution: str) -> None:
    model, view, _ = built(planted(n_items=60), convolution=convolution)
    guess = Auxiliary(completion=1.0, views=0.0, text=0.0)
    loss = guess(model, view, model(view), Hidden(), generator_for(0, "completion"))
    assert float(loss.detach()) > 0
    loss.backward()
    tags = model.ids["of:values"].grad
    assert tags is not None
    assert tags.abs().max() > 0


@pytest.mark.R(17)
@pytest.mark.parametrize("convolution", KINDS)
def test_overfits_a_few_edges(convolution: str) -> None:
    data = planted()
    scorer = EncoderScorer(
        EncoderConfig(dimensions=16, convolution=convolution, profile_dimensions=4),
        TrainingConfig(epochs=120, item_dropout=0.1, history_dropout=0.3, learning_rate=0.02),
    ).fit(data)
    got = scorer.score(np.arange(data.n_users))
    liked = data.positives.toarray() > 0
    wrong = np.where(liked | (np.arange(data.n_items) == 0), -np.inf, got).max(1)
    right = np.where(liked, got, np.inf).min(1)
    assert (right > wrong).mean() > 0.9
    # Item 0 was never liked by anybody; its tag and text say who would.
    fans = np.arange(data.n_users) % 4 == 0
    assert got[fans, 0].mean() > got[~fans, 0].mean() + 1.0


@pytest.mark.R(17)
def test_gradients_are_zeroed_between_steps() -> None:
    data = planted()
    model, view, _ = built(data)
    config = TrainingConfig(learning_rate=1e-12, average=0.0, clip=1e9)
    sampler = Sampler.build(
        data,
        view,
        rated=False,
        batch_size=64,
        item_dropout=0.2,
        history_dropout=0.3,
        user_dropout=0.1,
        negatives=99,
    )
    run = Training(model, view, sampler, config, seed=0, epochs=1)
    (step,) = sampler.steps(generator_for(0, "steps"))
    norms = []
    for _ in range(2):
        run._step(step, generator_for(0, "noise"))
        norms.append(float(model.out.weight.grad.norm()))  # type: ignore[union-attr]
    assert norms[0] > 0
    assert norms[1] == pytest.approx(norms[0], rel=1e-4), "a second step adds to the first"


def test_same_seed_same_bits_other_seed_others() -> None:
    data = planted()
    training = TrainingConfig(epochs=3, batch_size=5, negatives=4)
    config = EncoderConfig(dimensions=8, dropout=0.2)
    torch.manual_seed(1)
    first = EncoderScorer(config, training, seed=7).fit(data).score(np.arange(5))
    torch.manual_seed(2)
    np.testing.assert_array_equal(
        EncoderScorer(config, training, seed=7).fit(data).score(np.arange(5)), first
    )
    assert not np.array_equal(
        EncoderScorer(config, training, seed=8).fit(data).score(np.arange(5)), first
    )


def test_training_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    EncoderScorer(EncoderConfig(dimensions=4), TrainingConfig(epochs=1)).fit(planted())
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("hops", [1, 2])
def test_hidden_items_lose_their_id_and_their_interactions(hops: int) -> None:
    data = planted()
    model, view, _ = built(data, hops=hops)
    hidden = Hidden(items=torch.arange(data.n_items) == 5)
    with torch.no_grad():
        before = model(view, hidden)
        model.ids["of:item"][5] += 10
        model.bias[5] += 10
        after = model(view, hidden)
    torch.testing.assert_close(scores(after), scores(before))
    without = data.with_train(data.train.select(data.train.item != 5))
    bare = GraphView.build(without, InputSpace.fit(data.graph, data.text, 8, seed=0))
    with torch.no_grad():
        model.ids["of:item"][5] = 0
        model.bias[5] = 0
        torch.testing.assert_close(scores(model(bare)), scores(before), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("switch", ["text", "kg", "ids"])
def test_each_input_can_be_switched_off(switch: str) -> None:
    data = planted()
    model, view, _ = built(data, **{switch: False})
    with torch.no_grad():
        before = scores(model(view))
        if switch == "ids":
            assert "of:item" not in model.ids
            return
        kinds = {"text": ("text",), "kg": ("profile",)}[switch]
        features = {
            kind: {name: rows * (name not in kinds) for name, rows in blocks.items()}
            for kind, blocks in view.features.items()
        }
        relations = {} if switch == "kg" else view.relations
        stripped = replace(view, features=features, relations=relations)
        torch.testing.assert_close(scores(model(stripped)), before)


def test_a_convolution_of_ones_own_learns_and_hears_as_ours_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = hetero_layer(lambda d: GATConv((d, d), d, add_self_loops=False))
    monkeypatch.setitem(CONVOLUTIONS, "gat", own)
    test_messages_pass_both_ways("gat")
    test_overfits_a_few_edges("gat")
    test_permuting_nodes_permutes_outputs("gat", 1)
