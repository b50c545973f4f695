"""The pool: user x item pairs one may ask about, kept as two factors and never materialised.

Users and items stand in a canonical order (by their keys: IRIs, or else indices), and candidates are
drawn from that order, so no strategy's picks depend on how the catalog happens to be numbered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..kg.errors import UsageError
from ..kg.ids import places_among, sorted_distinct
from ..kg.vocabulary import IntArray

Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
_CHEAPEST = 1e-9  # cost of a user or an item: what rounding may take from a budget


@dataclass(frozen=True)
class AnswerChance:
    """Chance that a user can answer about an item: by_user[u] * by_item[i], clipped to [.01, 1].

    A user may not know an item; such an answer ("cannot tell") costs a question and teaches nothing.
    """

    by_user: Array
    by_item: Array

    @classmethod
    def certain(cls, n_users: int, n_items: int) -> AnswerChance:
        """Every question is answered."""
        return cls(np.ones(n_users), np.ones(n_items))

    @classmethod
    def from_history(
        cls, users: IntArray, items: IntArray, answered: BoolArray, n_users: int, n_items: int
    ) -> AnswerChance:
        """Rates of usable answers by user and item, each shrunk to the overall rate by 5 questions."""
        if not len(users):
            return cls.certain(n_users, n_items)
        overall = (float(answered.sum()) + 1.0) / (len(answered) + 1.0)

        def rate(index: IntArray, n: int) -> Array:
            asked = np.bincount(index, minlength=n)
            got = np.bincount(index, weights=answered.astype(np.float64), minlength=n)
            return np.asarray((got + 5.0 * overall) / (asked + 5.0))

        return cls(rate(users, n_users), rate(items, n_items) / overall)

    def of(self, users: IntArray, items: IntArray) -> Array:
        """Chances pair by pair (arrays broadcast against each other)."""
        return np.asarray(np.clip(self.by_user[users] * self.by_item[items], 0.01, 1.0))


@dataclass(frozen=True)
class Candidates:
    """A rectangle of candidate pairs: row k holds users asked about `items[k]`.

    Attributes:
        items: (C,). users: (C, r). open: (C, r), False where the pair must not be asked.
    """

    items: IntArray
    users: IntArray
    open: BoolArray

    @property
    def item_grid(self) -> IntArray:
        """Item of each cell, (C, r), without copying."""
        return np.broadcast_to(self.items[:, None], self.users.shape)


@dataclass(frozen=True)
class Pool:
    """Pairs that may be asked, and under which limits.

    Attributes:
        users, items: catalog indices in canonical order, (U,) and (C,).
        known: CSR (n_users, n_items); pairs in it are never asked.
        user_cap, item_cap: most questions per user and per item in all, `asked_*` counted.
        asked_user, asked_item: questions so far, (n_users,) and (n_items,).
        user_cost, item_cost: cost of a query is their product; the budget is spent in it.
        item_weight: (n_items,) priority of an item; 0 forbids it.
        chance: chance of an answer.
    """

    users: IntArray
    items: IntArray
    known: sp.csr_matrix
    user_cap: int
    item_cap: int
    asked_user: IntArray
    asked_item: IntArray
    user_cost: Array
    item_cost: Array
    item_weight: Array
    chance: AnswerChance
    _codes: IntArray = field(repr=False)  # of the pairs never asked, sorted
    _only: IntArray | None = field(default=None, repr=False)  # of the only ones ever asked

    @classmethod
    def build(
        cls,
        known: sp.csr_matrix,
        *,
        users: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
        user_keys: Sequence[str] | None = None,
        item_keys: Sequence[str] | None = None,
        user_cap: int | None = None,
        item_cap: int | None = None,
        asked_user: IntArray | None = None,
        asked_item: IntArray | None = None,
        user_cost: npt.ArrayLike | None = None,
        item_cost: npt.ArrayLike | None = None,
        item_weight: npt.ArrayLike | None = None,
        chance: AnswerChance | None = None,
        only: tuple[IntArray, IntArray] | None = None,
    ) -> Pool:
        """Fill what is not given: all users, all items, no caps, cost 1, weight 1, sure answers.

        Args:
            known: (n_users, n_items) sparse, any nonzero = known.
            users, items: catalog indices of the panel and of the items to ask about.
            user_keys, item_keys: names by which to order, of all users and items of the catalog.
            only: users and items of the only pairs that may be asked.

        Raises:
            UsageError: an index out of range, a repeated one, a cap below 1, a cost below 1e-9.
        """
        known = sp.csr_matrix(known)
        n_users, n_items = known.shape
        weight = _column(item_weight, n_items, "item_weight", lowest=0.0)
        chosen_users = _members(users, n_users, "user")
        chosen_items = _members(items, n_items, "item")
        chosen_items = chosen_items[weight[chosen_items] > 0]
        for name, cap in (("user_cap", user_cap), ("item_cap", item_cap)):
            if cap is not None and cap < 1:
                raise UsageError(f"{name} is {cap}, expected at least 1")
        pairs = known.tocoo()
        unlimited = n_users * n_items + 1
        return cls(
            users=_ordered(chosen_users, user_keys),
            items=_ordered(chosen_items, item_keys),
            known=known,
            user_cap=unlimited if user_cap is None else user_cap,
            item_cap=unlimited if item_cap is None else item_cap,
            asked_user=np.zeros(n_users, np.int64) if asked_user is None else asked_user,
            asked_item=np.zeros(n_items, np.int64) if asked_item is None else asked_item,
            user_cost=_column(user_cost, n_users, "user_cost", lowest=_CHEAPEST),
            item_cost=_column(item_cost, n_items, "item_cost", lowest=_CHEAPEST),
            item_weight=weight,
            chance=chance or AnswerChance.certain(n_users, n_items),
            _codes=sorted_distinct(pairs.row.astype(np.int64) * n_items + pairs.col),
            _only=None if only is None else sorted_distinct(only[0] * n_items + only[1]),
        )

    @property
    def size(self) -> int:
        """Pairs of the rectangle, known ones included."""
        return len(self.users) * len(self.items)

    def is_known(self, users: IntArray, items: IntArray) -> BoolArray:
        """Mask of the pairs that must not be asked, in the arrays' broadcast shape."""
        codes = users * self.known.shape[1] + items
        closed = places_among(self._codes, codes) >= 0
        return closed if self._only is None else closed | (places_among(self._only, codes) < 0)

    def cost(self, users: IntArray, items: IntArray) -> Array:
        """Costs pair by pair."""
        return np.asarray(self.user_cost[users] * self.item_cost[items])

    def questions(self, budget: float) -> float:
        """About how many questions a budget pays, by the mean cost of a pair; at most all pairs."""
        if not self.size:
            return 0.0
        cost = self.user_cost[self.users].mean() * self.item_cost[self.items].mean()
        return min(float(budget / cost), float(self.size))

    def enough(self, budget: float, usual: int) -> int:
        """How many candidates to look at: `usual`, or two for each question that the budget pays."""
        return max(usual, 2 * math.ceil(self.questions(budget)))

    def candidates(self, limit: int, rng: np.random.Generator) -> Candidates:
        """The whole pool where it has at most `limit` pairs, else as many users per item at random.

        Users at their cap and items at theirs take no part. Every item keeps at least one user. Where
        most of the users drawn for an item must not be asked, they are drawn among the others.
        """
        users = self.users[self.asked_user[self.users] < self.user_cap]
        items = self.items[self.asked_item[self.items] < self.item_cap]
        if not len(users) or not len(items):
            empty = np.zeros((len(items), 0), np.int64)
            return Candidates(items, empty, np.zeros(empty.shape, bool))
        width = max(1, limit // len(items))
        if width >= len(users):
            grid = np.broadcast_to(users, (len(items), len(users)))
            unique = np.ones(grid.shape, bool)
        else:
            grid = np.sort(rng.integers(len(users), size=(len(items), width)), axis=1)
            unique = np.ones(grid.shape, bool)
            unique[:, 1:] = grid[:, 1:] != grid[:, :-1]
            grid = users[grid]
        is_open = unique & ~self.is_known(grid, items[:, None])
        if width < len(users):
            for row in np.flatnonzero(is_open.sum(axis=1) < unique.sum(axis=1) / 2):
                left = users[~self.is_known(users, items[row])]
                drawn = np.sort(rng.permutation(len(left))[:width])
                grid[row, : len(drawn)] = left[drawn]
                is_open[row] = np.arange(width) < len(drawn)
        return Candidates(items, grid, is_open)

    def after(self, users: IntArray, items: IntArray) -> Pool:
        """The pool when these pairs have been asked: they are known and count towards the caps."""
        n_users, n_items = self.known.shape
        # An insertion copies once; a union would sort all known pairs anew.
        codes = sorted_distinct((users * n_items + items)[~self.is_known(users, items)])
        return replace(
            self,
            asked_user=self.asked_user + np.bincount(users, minlength=n_users),
            asked_item=self.asked_item + np.bincount(items, minlength=n_items),
            _codes=np.insert(self._codes, np.searchsorted(self._codes, codes), codes),
        )


def _column(values: npt.ArrayLike | None, n: int, name: str, *, lowest: float) -> Array:
    if values is None:
        return np.ones(n)
    column = np.asarray(values, np.float64)
    if column.shape != (n,):
        raise UsageError(f"{name} has the shape {column.shape}, expected ({n},)")
    wrong = ~(np.isfinite(column) & (column >= lowest))
    if wrong.any():
        raise UsageError(
            f"{name} holds {column[wrong][0]:g}, expected finite numbers of at least {lowest:g}"
        )
    return column


def _members(chosen: npt.ArrayLike | None, n: int, kind: str) -> IntArray:
    if chosen is None:
        return np.arange(n, dtype=np.int64)
    members = np.asarray(chosen, np.int64)
    if len(members) and (members.min() < 0 or members.max() >= n):
        raise UsageError(f"a {kind} of the pool is outside 0 ... {n - 1}")
    if len(np.unique(members)) != len(members):
        raise UsageError(f"a {kind} stands twice in the pool")
    return members


def _ordered(members: IntArray, keys: Sequence[str] | None) -> IntArray:
    if keys is None:
        return np.sort(members)
    return np.array(sorted(members.tolist(), key=lambda index: keys[index]), np.int64)
