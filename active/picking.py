"""From utilities to picks: the best ones, or a draw in proportion, within budget and caps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .pool import Candidates, Pool

Array = npt.NDArray[np.float64]


@dataclass
class Basket:
    """The picks of a batch so far, and what budget and caps still allow.

    A user is taken while under `pool.user_cap` questions in all, an item likewise; the summed cost
    stays within the budget.

    Attributes:
        users, items, utilities: of the picks, one entry each, in the order in which they were made.
    """

    pool: Pool
    budget: float
    users: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    utilities: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = float(self.budget)
        self._user_count = self.pool.asked_user.copy()
        self._item_count = self.pool.asked_item.copy()
        self._taken: set[tuple[int, int]] = set()
        used = self.pool.users
        costs = self.pool.user_cost[used], self.pool.item_cost[self.pool.items]
        self._cheapest = float(costs[0].min() * costs[1].min()) if all(map(len, costs)) else np.inf

    def __len__(self) -> int:
        return len(self.users)

    @property
    def full(self) -> bool:
        """True when not even the cheapest pair fits."""
        return self.left < self._cheapest - 1e-9

    def take(self, user: int, item: int, utility: float) -> bool:
        """Add a pair; False where a cap, the budget or an earlier pick forbids it."""
        cost = float(self.pool.user_cost[user] * self.pool.item_cost[item])
        if (
            cost > self.left + 1e-9
            or self._user_count[user] >= self.pool.user_cap
            or self._item_count[item] >= self.pool.item_cap
            or (user, item) in self._taken
        ):
            return False
        self._user_count[user] += 1
        self._item_count[item] += 1
        self._taken.add((user, item))
        self.users.append(user)
        self.items.append(item)
        self.utilities.append(utility)
        self.left -= cost
        return True

    def arrays(self) -> tuple[IntArray, IntArray, Array]:
        """Users, items, utilities of the picks in the order they were taken."""
        return (
            np.array(self.users, np.int64),
            np.array(self.items, np.int64),
            np.array(self.utilities, np.float64),
        )


def worth(utility: FloatArray, candidates: Candidates, pool: Pool) -> FloatArray:
    """Utility x chance of an answer x priority of the item / cost, (C, r); 0 where not open."""
    factor = pool.item_weight[candidates.items] / pool.item_cost[candidates.items]
    by_user = 1.0 / pool.user_cost[candidates.users]
    chance = pool.chance.of(candidates.users, candidates.item_grid)
    value = utility * chance * by_user * factor[:, None]
    return np.where(candidates.open, value, 0.0).astype(np.float32)


def take_best(
    basket: Basket, candidates: Candidates, value: FloatArray, rng: np.random.Generator, most: int
) -> None:
    """Take up to `most` pairs by falling value; equal values in random order. Zeros come last."""
    noise = rng.random(value.shape, np.float32)
    _walk(basket, candidates, value.astype(np.float64), noise, value, most)


def take_in_proportion(
    basket: Basket,
    candidates: Candidates,
    value: FloatArray,
    rng: np.random.Generator,
    most: int,
    sharpness: float = 1.0,
) -> None:
    """Draw up to `most` pairs without replacement, chances in proportion to value ** sharpness.

    Gumbel-top-k (Kool, van Hoof and Welling 2019): the largest of sharpness * log(value) + Gumbel
    noise.
    """
    noise = rng.gumbel(size=value.shape)
    with np.errstate(divide="ignore"):
        keys = sharpness * np.log(value.astype(np.float64)) + noise
    _walk(basket, candidates, keys, noise, value, most)


def _walk(
    basket: Basket,
    candidates: Candidates,
    keys: Array,
    ties: npt.NDArray[np.floating],
    value: FloatArray,
    most: int,
) -> None:
    """Take open pairs by falling key, sorting only as deep as needed."""
    open_cells = np.flatnonzero(candidates.open)
    flat, tie = keys.ravel()[open_cells], np.asarray(ties).ravel()[open_cells]
    wanted, depth, done = len(basket) + most, 4 * most + 64, 0
    while done < len(flat) and len(basket) < wanted and not basket.full:
        depth = min(depth, len(flat))
        best = (
            np.argpartition(-flat, depth - 1)[:depth] if depth < len(flat) else np.arange(len(flat))
        )
        bound = flat[best].min()
        best = np.flatnonzero(flat >= bound) if depth < len(flat) else best
        order = best[np.lexsort((tie[best], -flat[best]))]
        for cell in open_cells[order[done:]]:
            if len(basket) >= wanted or basket.full:
                return
            row, column = divmod(int(cell), candidates.users.shape[1])
            basket.take(
                int(candidates.users[row, column]),
                int(candidates.items[row]),
                float(value[row, column]),
            )
        done, depth = len(order), 4 * depth
