"""`auto`: the default strategy, chosen by what the catalog and the answers so far look like."""

from __future__ import annotations

import numpy as np

from ..kg.errors import UsageError, nearest
from .state import AskState
from .strategies import STRATEGIES, Picks, Strategy


def auto(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
    """Draws in proportion to gain times coverage of the graph; without a graph, to gain alone."""
    name = "gain-proportional" if state.cover is None else "gain-coverage"
    return STRATEGIES[name](state, budget, rng)


def find_strategy(name: str) -> Strategy:
    """The strategy of that name; UsageError naming the nearest where there is none."""
    if name == "auto":
        return auto
    if name not in STRATEGIES:
        raise UsageError(f"unknown strategy {name!r}", hint=nearest(name, ("auto", *STRATEGIES)))
    return STRATEGIES[name]
