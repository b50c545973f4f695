"""The protocol user-cold: nothing asked is measured, every answer is the truth, and asking well pays."""

import json
from dataclasses import replace

import numpy as np
import pytest

from coldframe.active import user_cold
from coldframe.active.simulate import SimulationConfig, simulate
from coldframe.active.user_cold import STRATEGIES, build_town, interview_all
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def graph() -> Graph:
    """Planted: four tastes of which each user has one; the most popular items say nothing of it."""
    rng = np.random.default_rng(0)
    users, items, genres = 300, 120, 4
    genre, taste = rng.integers(genres, size=items), rng.integers(genres, size=users)
    bland = np.arange(items) < 20
    match = (taste[:, None] == genre[None]) & ~bland[None]
    chance = np.where(bland[None], 0.25, np.where(match, 0.5, 0.03))
    u, i = np.nonzero(rng.random((users, items)) < chance)
    nodes = {
        kind: NodeSet(Vocabulary(f"https://e.org/{kind}/{k}" for k in range(n)))
        for kind, n in (("user", users), ("item", items), ("genre", genres))
    }
    edges = {("item", "genre", "genre"): EdgeSet(np.stack([np.arange(items), genre]))}
    return Graph(nodes, edges, Interactions.build(u, i), name="tastes")


def test_hidden_users_are_unseen_and_the_halves_are_apart(graph):
    town = build_town(graph, 0, at_least=5)
    assert not np.intersect1d(town.asked, town.ranked).size
    assert len(town.asked) + len(town.ranked) == graph.n_items
    events = graph.interactions
    assert town.popularity.sum() + town.likes.sum() == len(events)
    assert (town.likes[:, town.ranked].sum(axis=1) > 0).all()
    assert len(town.likes) == pytest.approx(0.2 * graph.n_users, abs=2)


def test_interviewing_beats_popularity_and_random_on_planted_tastes(graph):
    town = build_town(graph, 0, at_least=5)
    curves = {name: interview_all(town, name, [4, 8])["ndcg@10"] for name in STRATEGIES}
    assert curves["interview"][1] > 1.1 * curves["popularity"][1]
    assert curves["interview"][1] > 1.1 * curves["random"][1]
    assert (
        curves["interview"][1]
        > town.measure([town.population.newcomer()] * len(town.likes))["ndcg@10"]
    )
    assert town.ceiling()["ndcg@10"] >= curves["interview"][1] - 0.02


def test_an_interview_asks_each_item_once_and_only_such_as_may_be_asked(graph, monkeypatch):
    town, asked = build_town(graph, 0, at_least=5), []
    answers = user_cold._answers

    def recorded(items, likes):
        asked.extend(items.tolist())
        return answers(items, likes)

    monkeypatch.setattr(user_cold, "_answers", recorded)
    few = replace(town, asked=town.asked[:10])
    user_cold._adaptive(few, few.population.newcomer(), few.likes[0], [10])
    assert sorted(asked) == few.asked.tolist()


def test_the_loop_gives_the_same_json_as_the_other_protocols(graph, tmp_path):
    config = SimulationConfig(protocol="user-cold", budgets=(6, 12), seeds=(0, 1), at_least=5)
    result = simulate(graph, config, folder=tmp_path)
    json.dumps(result, allow_nan=False)
    assert set(result["strategies"]) == {"random", "popularity", "interview"}
    found = result["strategies"]["interview"]
    assert np.array(found["curve"]["ndcg@10"]).shape == (2, 2)
    assert set(found["labels_saved"]) == {"6", "12"}
    assert 0 < found["reaches_popularity"]["ndcg@10"] <= 12
    assert result["strategies"]["popularity"]["reaches_popularity"]["ndcg@10"] <= 12
    assert any("labels as popularity with 12" in sentence for sentence in result["verdict"])
    assert simulate(graph, config, folder=tmp_path) == result


def test_what_cannot_be_played_is_refused(graph):
    with pytest.raises(UsageError, match="interview"):
        SimulationConfig(protocol="user-cold", strategies=("intervieww",))
    with pytest.raises(UsageError):
        SimulationConfig(strategies=("interview",))
    with pytest.raises(UsageError, match="items to ask"):
        simulate(graph, SimulationConfig(protocol="user-cold", budgets=(61,), at_least=5))
    with pytest.raises(DataError, match="at_least"):
        build_town(graph, 0, at_least=119)
