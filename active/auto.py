"""The strategies that choose themselves, and the finding of any strategy by its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..kg.errors import UsageError, nearest
from .bandit import arms, auto_bandit, shares, trust
from .policy import ARMS, Policy, learned, shipped
from .state import AskState
from .strategies import STRATEGIES, Strategy

OWN = "learned:"  # before the path of a policy's file

# `auto` is the bandit: on six fresh seeds of ml-1m it is ahead of the learned policy and level with the best
# single strategy (area of NDCG@10 over random +22.9 % against +20.2 % and +22.7 %), which it need not be told.
BANDITS = ("auto", "auto-bandit")
ADAPTIVE: dict[str, Strategy] = {
    "auto": auto_bandit,
    "auto-bandit": auto_bandit,
    "learned": learned,
}
KNOWN = ADAPTIVE | STRATEGIES


def find_strategy(name: str) -> Strategy:
    """The strategy of that name; `learned:FILE` is the policy of a file.

    Raises:
        UsageError: there is none of that name; the nearest is named.
        DataError: the file holds no policy that fits.
    """
    if not isinstance(name, str):
        raise UsageError(
            f"got {name!r:.60}, expected a strategy's name, or a function", where="strategy"
        )
    if name.startswith(OWN):
        return Policy.load(name.removeprefix(OWN))
    if name not in KNOWN:
        raise UsageError(f"unknown strategy {name!r}", hint=nearest(name, KNOWN))
    return KNOWN[name]


@dataclass(frozen=True)
class Arm:
    """A strategy that another one plays: how far it is trusted, and its share of the budget (0..1)."""

    name: str
    trust: float
    share: float


@dataclass(frozen=True)
class Plan:
    """What is behind a round's questions.

    Attributes:
        strategy: the name that was given. plays: the strategy that it comes to.
        arms: what that one chooses among; empty where it is none of `ADAPTIVE`.
    """

    strategy: str
    plays: str
    arms: tuple[Arm, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        listed = [{"arm": one.name, "trust": one.trust, "share": one.share} for one in self.arms]
        return {"strategy": self.strategy, "plays": self.plays, "arms": listed}


def plan(name: str, state: AskState, budget: float) -> Plan:
    """What a strategy will play in this state: of a bandit the probabilities of its arms' claims, of a
    policy the arms' chances, of which the likeliest plays."""
    if name in BANDITS:
        weights = trust(state)
        told = zip(arms(state), weights.tolist(), shares(weights).tolist(), strict=True)
        return Plan(name, "auto-bandit", tuple(Arm(*one) for one in told))
    if name == "learned" or name.startswith(OWN):
        policy = shipped() if name == "learned" else Policy.load(name.removeprefix(OWN))
        chances = policy.chances(state, budget)
        best = int(chances.argmax())
        ways = (Arm(arm, float(chances[k]), float(k == best)) for k, arm in enumerate(ARMS))
        return Plan(name, ARMS[best], tuple(ways))
    return Plan(name, name)
