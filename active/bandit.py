"""`auto-bandit`: shares the budget among a cautious, a middling and a bold strategy by what probes say.

Every strategy stands for a claim about the beliefs: they tell nothing apart (ask at random), they are
half as sharp as they say (draw firmly by the gain), they are right (draw sharply). All three
claims predict every probe, so this is a bandit with full information: Hedge with learning rate 1
(Freund and Schapire 1997), whose weights under log loss are the claims' posterior probabilities.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .probes import draw_probes, evidence, held_back_logits
from .state import AskState
from .strategies import STRATEGIES, Picks, describe

Array = npt.NDArray[np.float64]
SLOPES = np.array([0.0, 0.5, 1.0])
START = np.array([0.02, 0.4, 0.58])  # probabilities of the claims before any probe
PROBES = 0.05  # of each round's budget
LEAST = 0.1  # a strategy with a smaller share sits out


def trust(state: AskState) -> Array:
    """Probability of each of SLOPES given the probes so far, (3,)."""
    log = np.log(START) + evidence(*held_back_logits(state), SLOPES)
    weight = np.exp(log - log.max())
    return np.asarray(weight / weight.sum())


def arms(state: AskState) -> tuple[str, str, str]:
    """The strategy that each claim calls for; coverage takes part where a graph is known."""
    if state.cover is None:
        return "random", "firm-gain", "sharp-gain"
    return "random", "firm-coverage", "sharp-coverage"


def shares(weights: Array) -> Array:
    """Shares of the budget by the claims' probabilities: a small one sits out, (3,)."""
    kept = np.where(weights < LEAST, 0.0, weights)
    return np.asarray(kept / kept.sum())


def auto_bandit(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
    """Probes, then each strategy its share, from cautious to bold; what is left at random.

    The picks stand in the opposite order, the boldest first; each utility is in its strategy's unit.
    """
    share = shares(trust(state))
    due = np.cumsum(share)
    names = arms(state)
    parts = [describe(state, draw_probes(state, PROBES * budget, rng))]
    pool = replace(state.pool.after(parts[0].user, parts[0].item), sparing=True)
    spent = first = parts[0].cost(pool)
    for name, part, until in zip(names, share, due, strict=True):
        if part:
            wanted = first + until * (budget - first) - spent
            parts.append(STRATEGIES[name](state.with_pool(pool), wanted, rng))
            pool = pool.after(parts[-1].user, parts[-1].item)
            spent += parts[-1].cost(pool)
    if spent < budget - 1e-9:
        rest = state.with_pool(replace(pool, sparing=False))
        parts.insert(0, STRATEGIES["random"](rest, budget - spent, rng))
    return Picks.join(parts[::-1])
