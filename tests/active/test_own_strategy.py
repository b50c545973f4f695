"""Strategies of one's own: played, simulated beside ours, and held to the contract."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active.acquire import acquire
from coldframe.active.beliefs import View
from coldframe.active.own_strategy import held_to_contract
from coldframe.active.pool import Pool
from coldframe.active.simulate import SimulationConfig, simulate
from coldframe.active.state import AskState
from coldframe.active.strategies import Picks, best_of, described
from coldframe.gnn.posterior import Posterior
from coldframe.kg.errors import UsageError
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


@pytest.fixture
def view(tiny_graph: Graph) -> View:
    """Two coefficients per item, all unknown."""
    vectors = np.random.default_rng(0).normal(size=(tiny_graph.n_users, 2))
    posterior = Posterior.from_prior(vectors, np.zeros((tiny_graph.n_items, 2)), np.eye(2))
    known = tiny_graph.interactions.matrix(tiny_graph.n_users, tiny_graph.n_items)
    return View(posterior, tiny_graph, known)


def first_pairs(users: list[int], items: list[int]) -> Any:
    def strategy(state: Any, *_: Any) -> Any:
        return described(state, users, items, np.ones(len(users)))

    return strategy


def test_pairs_that_a_function_picks_are_asked(view: View) -> None:
    table = acquire(view, 5, strategy=first_pairs([0, 1], [6, 7]))
    assert [name[-1] for name in table["item"].to_pylist()] == ["6", "7"]
    assert (table["gain"].to_numpy() > 0).all()


def test_narrow_integers_do_not_wrap() -> None:
    """Numbered in 32 bits, the known pair would be another one, and so would what is picked."""
    known = sp.csr_matrix((np.ones(1), ([60_000], [50_000])), (60_001, 60_000))
    pool = Pool.build(known, users=[60_000], items=[40_000, 50_000])
    state = cast(AskState, SimpleNamespace(pool=pool))

    def narrow(item: int) -> Picks:
        one = np.ones(1)
        user, items = np.array([60_000], np.int32), np.array([item], np.int32)
        picks = Picks(user, items, one, one, one, one)
        return held_to_contract(lambda *_: picks, "mine")(state, 5, np.random.default_rng(0))

    picked = narrow(40_000)
    assert pool.after(picked.user, picked.item).is_known(picked.user, picked.item).all()
    with pytest.raises(UsageError, match="must not be asked"):
        narrow(50_000)


def liked_by_chance() -> Graph:
    rng = np.random.default_rng(0)
    user, item = np.nonzero(rng.random((60, 40)) < 0.3)
    nodes = {
        kind: NodeSet(Vocabulary(f"urn:{kind}:{k}" for k in range(n)))
        for kind, n in (("user", 60), ("item", 40))
    }
    return Graph(nodes, {}, Interactions.build(user, item))


CONFIG = SimulationConfig(strategies=("popularity",), budgets=(20, 40), seeds=(0,), at_least=5)


def test_a_function_is_simulated_beside_ours() -> None:
    graph = liked_by_chance()
    found = simulate(graph, CONFIG, own={"mine": best_of(lambda block: block.spread)})
    assert list(found["strategies"]) == ["random", "popularity", "mine"]
    ours = simulate(graph, replace(CONFIG, strategies=("variance",)))
    assert (
        found["strategies"]["mine"]["curve"]["ndcg@10"]
        == ours["strategies"]["variance"]["curve"]["ndcg@10"]
    )


@pytest.mark.parametrize(
    ("own", "options", "words"),
    [
        ({"random": first_pairs([], [])}, {}, "already"),
        ({"mine": 5}, {}, "expected a function"),
        ({"mine": first_pairs([], [])}, {"workers": 2}, "in this process"),
        ({"mine": first_pairs([], [])}, {"folder": "kept"}, "not kept"),
        ({"mine": first_pairs([0, 0], [0, 0])}, {}, "strategy mine"),
    ],
)
def test_what_cannot_be_simulated_is_named(own: Any, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        simulate(liked_by_chance(), CONFIG, own=own, **options)
