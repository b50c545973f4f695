"""Strategies of one's own: what they pick is held to the contract of `strategies`."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..kg.errors import UsageError
from .pool import Pool
from .state import AskState
from .strategies import Picks, Strategy

_SLACK = 1e-6  # of the budget, as costs are decimals


def name_of(strategy: str | Strategy) -> str:
    """The name of a strategy, of one's own function as Python calls it."""
    if isinstance(strategy, str):
        return strategy
    return str(getattr(strategy, "__name__", type(strategy).__name__))


def held_to_contract(strategy: Strategy, name: str) -> Strategy:
    """The strategy, which raises UsageError where it breaks the contract."""

    def play(state: AskState, budget: float, rng: np.random.Generator) -> Picks:
        picks = strategy(state, budget, rng)
        if fault := _fault(picks, state.pool, budget):
            raise UsageError(
                f"strategy {name} {fault}",
                hint="a strategy is a function of state, budget and generator that gives Picks: distinct "
                "open pairs of state.pool, within budget and caps",
            )
        # Narrower integers would wrap where pairs are numbered user x items + item.
        user, item = (each.astype(np.int64) for each in (picks.user, picks.item))
        return replace(picks, user=user, item=item)

    return play


def _fault(picks: Any, pool: Pool, budget: float) -> str:
    """What is wrong, in words; "" where nothing is."""
    if not isinstance(picks, Picks):
        return f"gave {type(picks).__name__}, expected Picks"
    columns = [getattr(picks, field.name) for field in fields(Picks)]
    if not all(isinstance(each, np.ndarray) and each.ndim == 1 for each in columns):
        return "gave Picks with something else than arrays of one dimension"
    if len({len(each) for each in columns}) > 1:
        return f"gave Picks of different lengths, {', '.join(str(len(each)) for each in columns)}"
    user, item = picks.user, picks.item
    if not len(picks):
        return ""
    if not all(np.issubdtype(each.dtype, np.integer) for each in (user, item)):
        return "gave users or items that are no catalog indices"
    user, item = user.astype(np.int64), item.astype(np.int64)
    if not (np.isin(user, pool.users).all() and np.isin(item, pool.items).all()):
        return "picked a user or an item that is not in the pool"
    if pool.is_known(user, item).any():
        return "picked a pair that must not be asked"
    if len(np.unique(user * pool.known.shape[1] + item)) < len(picks):
        return "picked a pair twice"
    for kind, chosen, asked, cap in (
        ("user", user, pool.asked_user, pool.user_cap),
        ("item", item, pool.asked_item, pool.item_cap),
    ):
        most = (asked + np.bincount(chosen, minlength=len(asked)))[chosen].max()
        if most > cap:
            return f"asks {most} questions of one {kind}, and the cap is {cap}"
    if (cost := picks.cost(pool)) > budget + _SLACK:
        return f"spent {cost:g} of a budget of {budget:g}"
    return ""
