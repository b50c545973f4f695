"""Strategies of one's own: what they pick is held to the contract of `strategies`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kg.errors import UsageError
from .state import AskState
from .strategies import Picks, Strategy

_SLACK = 1e-6  # of the budget, as costs are decimals


def name_of(strategy: str | Strategy) -> str:
    """The name of a strategy, of one's own function as Python calls it."""
    if isinstance(strategy, str):
        return strategy
    return str(getattr(strategy, "__name__", type(strategy).__name__))


def held_to_contract(strategy: Strategy, name: str = "") -> Strategy:
    """The strategy, which raises UsageError where it breaks the contract."""
    called = name or name_of(strategy)

    def play(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        picks = strategy(state, budget, rng)
        fault = _fault(picks, state, budget)
        if fault:
            raise UsageError(
                f"strategy {called} {fault}",
                hint="a strategy is a function of state, budget and generator that gives Picks: distinct "
                "open pairs of state.pool, within budget and caps",
            )
        return picks

    return play


def _fault(picks: Any, state: AskState, budget: float) -> str:
    """What is wrong with the picks; "" if nothing."""
    if not isinstance(picks, Picks):
        return f"gave {type(picks).__name__}, expected Picks"
    pool, user, item = state.pool, np.asarray(picks.user), np.asarray(picks.item)
    columns = (user, item, picks.utility, picks.gain, picks.coverage, picks.answer_chance)
    if len({np.shape(column) for column in columns}) > 1 or user.ndim != 1:
        return f"gave columns of shapes {[np.shape(column) for column in columns]}"
    for kind, index, known in (("user", user, pool.users), ("item", item, pool.items)):
        if not np.isin(index, known).all():
            return f"picked a {kind} that is not in the pool"
    if len(np.unique(np.stack([user, item]), axis=1).T) < len(user):
        return "picked a pair twice"
    if pool.is_known(user, item).any():
        return "picked a pair that is known or must not be asked"
    if picks.cost(pool) > budget + _SLACK:
        return f"spent {picks.cost(pool):g} of a budget of {budget:g}"
    for kind, index, asked, cap in (
        ("user", user, pool.asked_user, pool.user_cap),
        ("item", item, pool.asked_item, pool.item_cap),
    ):
        if (asked[index] + np.bincount(index, minlength=len(asked))[index] > cap).any():
            return f"asks a {kind} more often than the cap of {cap}"
    return ""
