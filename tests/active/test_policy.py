"""The learned policy: its file is checked, its features are what they say, and training learns."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from coldframe.active import policy_training
from coldframe.active.auto import find_strategy
from coldframe.active.policy import ARMS, FEATURES, SHIPPED, Policy, features, shipped
from coldframe.active.policy_training import Explorer, PolicyTraining, train_policy
from coldframe.active.pool import Pool
from coldframe.active.state import AskState
from coldframe.active.strategies import STRATEGIES
from coldframe.active.summary import area
from coldframe.gnn.posterior import Posterior
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.files import write_json

USERS, ITEMS, D = 30, 12, 3


def make_state(cold: bool = True, spread: float = 1.0) -> AskState:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(USERS, D)).astype(np.float32)
    x[:, 0] = 1
    mean = spread * rng.normal(size=(ITEMS, D)) - np.array([2.0, 0, 0])
    posterior = Posterior.from_prior(x, mean, 0.3 * np.eye(D), np.full(ITEMS, cold))
    pool = Pool.build(sp.csr_matrix((USERS, ITEMS), dtype=np.float32))
    return AskState(posterior, pool, np.arange(USERS), profile=sp.csr_matrix(np.eye(ITEMS)))


def seen(state: AskState, budget: float = 20) -> dict[str, float]:
    return dict(zip(FEATURES, features(state, budget), strict=True))


def test_the_shipped_policy_loads_and_says_how_it_was_made():
    made = shipped().provenance
    assert made["command"].startswith("coldframe train-policy ")
    assert made["above_random"]["learned"]["mean"] > 0
    assert {*made["above_random"]} == {*ARMS[1:], "learned"}
    assert json.loads(SHIPPED.read_text("utf-8"))["provenance"] == made


def test_features_say_what_they_are_named_after():
    assert seen(make_state(cold=True))["cold-share"] == 1
    assert seen(make_state(cold=False))["cold-share"] == 0
    assert seen(make_state(spread=0.0))["confidence"] == pytest.approx(0)
    assert seen(make_state(spread=3.0))["confidence"] > seen(make_state())["confidence"] > 0
    assert seen(make_state(), 120)["batch-per-item"] == pytest.approx(1)
    assert seen(replace(make_state(), profile=None))["graph-density"] == -1


def test_an_answer_the_graph_foresaw_speaks_for_it():
    state = make_state(spread=3.0)
    users, items = np.divmod(np.arange(200), ITEMS)
    logits = state.posterior.pair_logits(users, items)
    for sign, labels in ((1, logits > 0), (-1, logits < 0)):
        told = state.posterior.update(users, items, labels.astype(float))
        assert np.sign(seen(replace(state, posterior=told))["graph-agrees"]) == sign
    assert seen(state)["graph-agrees"] == 0


def test_the_likeliest_arm_asks():
    weights = np.zeros((len(ARMS), len(FEATURES)))
    weights[ARMS.index("sharp-gain"), FEATURES.index("cold-share")] = 2
    weights[ARMS.index("greedy"), 0] = 1
    policy = Policy(weights, {})
    for cold, name in ((True, "sharp-gain"), (False, "greedy")):
        state = make_state(cold=cold)
        picks = policy(state, 10, np.random.default_rng(2))
        expected = STRATEGIES[name](state, 10, np.random.default_rng(2))
        assert np.array_equal(picks.user, expected.user)
        assert np.array_equal(picks.item, expected.item)


def test_a_policy_file_is_a_strategy(tmp_path):
    weights = np.random.default_rng(0).normal(size=(len(ARMS), len(FEATURES)))
    path = tmp_path / "own.json"
    write_json(path, Policy(weights, {"seed": 3}).as_dict())
    policy = find_strategy(f"learned:{path}")
    assert isinstance(policy, Policy)
    assert np.array_equal(policy.weights, weights)
    assert policy.provenance == {"seed": 3}


@pytest.mark.parametrize(
    "change, says",
    [
        ({"format": "coldframe-policy/0"}, "format"),
        ({"arms": ["random"]}, "arms"),
        ({"features": None}, "features"),
        ({"weights": [[1.0]]}, "weights"),
        ({"weights": [[1.0], [1.0, 2.0]]}, "weights"),
        ({"weights": "abc"}, "weights"),
        ({"weights": None}, "weights"),
    ],
)
def test_a_wrong_policy_file_is_refused(tmp_path, change, says):
    content = Policy(np.zeros((len(ARMS), len(FEATURES))), {}).as_dict()
    write_json(tmp_path / "p.json", {**content, **change})
    with pytest.raises(DataError, match=says):
        Policy.load(tmp_path / "p.json")
    write_json(tmp_path / "odd.json", {**content, "provenance": 5})
    assert Policy.load(tmp_path / "odd.json").provenance == {}
    write_json(tmp_path / "list.json", [1])
    with pytest.raises(DataError, match="format"):
        Policy.load(tmp_path / "list.json")


def test_the_gradient_is_that_of_the_expected_worth():
    """Against differences of the expectation over all arms, one round, entropy included."""
    rng = np.random.default_rng(1)
    state, weights = make_state(), rng.normal(size=(len(ARMS), len(FEATURES))) * 0.3
    worth, bonus = rng.normal(size=len(ARMS)), 0.2
    x = features(state, 5)

    def value(at: np.ndarray) -> float:
        chance = np.exp(at @ x) / np.exp(at @ x).sum()
        return float(chance @ worth - bonus * chance @ np.log(chance))

    expected = np.zeros_like(weights)
    chance = Policy(weights, {}).chances(state, 5)
    for arm in range(len(ARMS)):
        explorer = Explorer(weights, rng)
        explorer.seen, explorer.chances, explorer.arms = [x], [chance], [arm]
        expected += chance[arm] * explorer.gradient(worth[[arm]], bonus)
    for place in ((0, 0), (3, 2), (6, 8)):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        slope = (value(weights + step) - value(weights - step)) / 2e-5
        assert expected[place] == pytest.approx(slope, abs=1e-6)


class FakeWorld:
    """A world in which one arm is worth 1 in every round, the others nothing."""

    def __init__(self, cold: bool, best: str) -> None:
        self.state, self.best = make_state(cold), best

    def ceiling(self) -> dict[str, float]:
        return {"ndcg@10": 1.0}


def fake_play(world, strategy, cuts, _):
    values = []
    for number, _ in enumerate(cuts):
        strategy(world.state, 5, np.random.default_rng(number))
        values.append(float(ARMS[strategy.arms[-1]] == world.best))
    return {"ndcg@10": values}


def test_training_finds_the_best_arm_of_each_kind_of_world(monkeypatch):
    monkeypatch.setattr(policy_training, "play", fake_play)
    monkeypatch.setattr(policy_training, "replace", lambda world, **_: world)
    monkeypatch.setattr(policy_training, "STRATEGIES", dict.fromkeys(ARMS, lambda *_: None))
    worlds = [FakeWorld(True, "sharp-coverage"), FakeWorld(False, "random")]
    config = PolicyTraining(updates=100, worlds=2, episodes=4, rate=0.1, budgets=(10, 20))
    weights = train_policy(worlds, config, seed=1)
    for world in worlds:
        chance = Policy(weights, {}).chances(world.state, 5)
        assert ARMS[int(chance.argmax())] == world.best
        assert chance.max() > 0.5
    few = replace(config, updates=3)
    assert np.array_equal(train_policy(worlds, few, seed=1), train_policy(worlds, few, seed=1))


@pytest.mark.parametrize("wrong", [{"updates": 0}, {"episodes": 1}, {"budgets": (100,)}, {"budgets": (9, 5)}, {"budgets": (0, 10)}])  # fmt: skip
def test_wrong_training_settings_are_refused(wrong):
    with pytest.raises(UsageError):
        PolicyTraining(**wrong)


def test_a_return_is_the_area_that_is_still_to_come(monkeypatch):
    budgets, values = (10, 20, 80, 100), [0.2, 0.4, 0.3, 0.9]
    monkeypatch.setattr(policy_training, "play", lambda *_: {"ndcg@10": values})
    monkeypatch.setattr(policy_training, "replace", lambda world, **_: world)
    config = PolicyTraining(budgets=budgets)
    found = policy_training.returns(None, STRATEGIES["random"], config, 0)
    assert found[0] == pytest.approx(area(values, budgets))
    x = np.log(budgets)
    assert found[-1] == pytest.approx(0.9 * (x[3] - x[2]) / 2 / (x[3] - x[0]))
    assert found[-2] - found[-1] == pytest.approx(0.3 * (x[3] - x[1]) / 2 / (x[3] - x[0]))


def test_episodes_that_end_alike_teach_nothing(monkeypatch):
    """Each is measured against the others, so a world in which all goes well says nothing of an arm."""
    world = FakeWorld(True, "random")
    monkeypatch.setattr(policy_training, "play", fake_play)
    monkeypatch.setattr(policy_training, "replace", lambda world, **_: world)
    monkeypatch.setattr(policy_training, "STRATEGIES", dict.fromkeys(ARMS, lambda *_: None))
    config = PolicyTraining(entropy=0.0, budgets=(10, 20))
    rng = np.random.default_rng(0)
    sure = np.zeros((len(ARMS), len(FEATURES)))
    sure[ARMS.index("random"), FEATURES.index("cold-share")] = 5.0
    assert Policy(sure, {}).chances(world.state, 5).max() < 0.999
    assert not policy_training._episodes(world, sure, config, rng).any()
