"""Training of the `learned` policy: REINFORCE on simulated rounds in many small worlds.

An episode asks a world's rounds with a strategy drawn anew each round; its return after a round is the
later area under NDCG@10 over log(budget), as a share of the world's ceiling. Several episodes of the
same world and seed are each other's baseline (leave one out; Kool, van Hoof and Welling 2019), so the
luck of a world does not count. Gradient steps by Adam, with a small bonus on entropy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from ..kg.errors import UsageError
from ..kg.graph import Graph
from ..kg.split import rng_for
from .policy import ARMS, FEATURES, features
from .state import AskState
from .strategies import STRATEGIES, Picks, Strategy
from .world import World, build_world, play

Array = npt.NDArray[np.float64]
METRIC = "ndcg@10"


@dataclass(frozen=True)
class PolicyTraining:
    """How the policy is trained.

    Attributes:
        updates: gradient steps. worlds, episodes: worlds per step and episodes of each.
        rate: of Adam. entropy: weight of the bonus. budgets: cumulative questions after each round.
        at_least: positives an item needs to be made cold.
    """

    updates: int = 150
    worlds: int = 4
    episodes: int = 4
    rate: float = 0.05
    entropy: float = 0.002
    budgets: tuple[int, ...] = (50, 100, 200, 400, 800)
    at_least: int = 5

    def __post_init__(self) -> None:
        if self.updates < 1 or self.worlds < 1 or self.episodes < 2 or not self.rate > 0:
            raise UsageError("updates and worlds must be at least 1, episodes 2, the rate above 0")
        rising = list(self.budgets) == sorted(set(self.budgets))
        if len(self.budgets) < 2 or not rising or self.budgets[0] < 1:
            raise UsageError(
                f"budgets are {self.budgets}, expected at least two increasing numbers above 0"
            )


@dataclass
class Explorer:
    """A strategy that draws each round's arm from the policy and remembers what it saw and did."""

    weights: Array
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.seen: list[Array] = []
        self.chances: list[Array] = []
        self.arms: list[int] = []

    def __call__(self, state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        x = features(state, budget)
        chance = softmax(self.weights @ x)
        arm = int(self.rng.choice(len(ARMS), p=chance))
        self.seen.append(x)
        self.chances.append(chance)
        self.arms.append(arm)
        return STRATEGIES[ARMS[arm]](state, budget, rng)

    def gradient(self, advantage: Array, entropy: float) -> Array:
        """Of sum_t advantage_t log pi(arm_t) + entropy H(pi_t), (ARMS, FEATURES)."""
        total = np.zeros((len(ARMS), len(FEATURES)))
        for x, chance, arm, worth in zip(
            self.seen, self.chances, self.arms, advantage, strict=True
        ):
            score = np.eye(len(ARMS))[arm] - chance
            log = np.log(np.maximum(chance, 1e-12))
            flat = -chance * (log - chance @ log)
            total += np.outer(worth * score + entropy * flat, x)
        return total


def practice_worlds(graphs: Sequence[Graph], config: PolicyTraining, seed: int) -> list[World]:
    """One world per catalog; of every third four in five items are cold, else one in five."""
    return [
        build_world(
            graph,
            "kg-coldstart-open-80" if number % 3 == 2 else "kg-coldstart-open",
            seed + number,
            at_least=config.at_least,
        )
        for number, graph in enumerate(graphs)
    ]


def train_policy(
    worlds: Sequence[World],
    config: PolicyTraining | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Weights of the policy, (ARMS, FEATURES); starts from an even draw."""
    config = config or PolicyTraining()
    rng = rng_for(seed, "policy training")
    ceilings = [world.ceiling()[METRIC] for world in worlds]
    weights = np.zeros((len(ARMS), len(FEATURES)))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for update in range(1, config.updates + 1):
        gradient = np.zeros_like(weights)
        for number in rng.choice(len(worlds), config.worlds):
            found = _episodes(worlds[number], weights, config, rng)
            gradient += found / max(ceilings[number], 1e-12)
        gradient /= config.worlds * config.episodes
        first = 0.9 * first + 0.1 * gradient
        second = 0.99 * second + 0.01 * gradient**2
        step = first / (1 - 0.9**update) / (np.sqrt(second / (1 - 0.99**update)) + 1e-8)
        weights = weights + config.rate * step
        if progress:
            progress(update, config.updates)
    return weights


def returns(world: World, strategy: Strategy, config: PolicyTraining, seed: int) -> Array:
    """What is still to come after each round: its share of the area and all later ones', (rounds,)."""
    cuts = list(config.budgets)
    asked = replace(world, seed=seed)
    value = np.array(play(asked, strategy, cuts, cuts)[METRIC])
    x = np.log(np.array(cuts, np.float64))
    share = np.gradient(x) * np.where(np.isin(x, x[[0, -1]]), 0.5, 1.0)
    return np.asarray(np.cumsum((share * value)[::-1])[::-1] / (x[-1] - x[0]))


def _episodes(
    world: World, weights: Array, config: PolicyTraining, rng: np.random.Generator
) -> Array:
    """Summed gradient of several episodes of a world, each against the others' mean."""
    played, found, seed = [], [], int(rng.integers(2**31))
    for _ in range(config.episodes):
        explorer = Explorer(weights, rng)
        found.append(returns(world, explorer, config, seed))
        played.append(explorer)
    value = np.array(found)
    others = (value.sum(axis=0) - value) / (len(value) - 1)
    total = np.zeros_like(weights)
    for explorer, advantage in zip(played, value - others, strict=True):
        total += explorer.gradient(advantage, config.entropy)
    return total


def compare(
    worlds: Sequence[World], strategies: Mapping[str, Strategy], config: PolicyTraining, seed: int
) -> dict[str, list[float]]:
    """Each strategy's area above random's in each world, as a share of the world's ceiling."""
    base = [returns(world, STRATEGIES["random"], config, seed)[0] for world in worlds]
    scale = [world.ceiling()[METRIC] for world in worlds]
    return {
        name: [
            (returns(world, strategy, config, seed)[0] - own) / max(top, 1e-12)
            for world, own, top in zip(worlds, base, scale, strict=True)
        ]
        for name, strategy in strategies.items()
    }
