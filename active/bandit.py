"""`auto-bandit`: shares the budget among a cautious, a middling and a bold strategy by held-back answers.

Every strategy stands for a claim about the beliefs: they tell nothing apart (ask at random), they are
half as sharp as they say (draw firmly by the gain), they are right (draw sharply). All three
claims predict every answer, so this is a bandit with full information: Hedge with learning rate 1
(Freund and Schapire 1997), whose weights under log loss are the claims' posterior probabilities.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .state import AskState
from .strategies import STRATEGIES, Picks
from .trust import evidence, held_back_logits

Array = npt.NDArray[np.float64]
SLOPES = np.array([0.0, 0.5, 1.0])
START = np.array([0.02, 0.4, 0.58])  # probabilities of the claims before any answer
LEAST = 0.1  # a strategy with a smaller share sits out


def trust(state: AskState) -> Array:
    """Probability of each of SLOPES given the answers so far, (3,)."""
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
    """Each strategy its share of the budget, from cautious to bold; what is left at random.

    The picks stand in the opposite order, the boldest first; each utility is in its strategy's unit.
    """
    share = shares(trust(state))
    due = np.cumsum(share)
    parts: list[Picks] = []
    pool, spent = state.pool, 0.0
    for name, part, until in zip(arms(state), share, due, strict=True):
        if part:
            parts.append(STRATEGIES[name](state.with_pool(pool), until * budget - spent, rng))
            pool = pool.after(parts[-1].user, parts[-1].item)
            spent += parts[-1].cost(pool)
    if spent < budget - 1e-9:
        parts.insert(0, STRATEGIES["random"](state.with_pool(pool), budget - spent, rng))
    return Picks.join(parts[::-1])
