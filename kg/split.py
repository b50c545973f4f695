"""What is trained on, tuned on and tested on, as rows of the interactions, with a leakage proof."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import DataError
from .graph import Graph, Interactions
from .vocabulary import IntArray


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of interactions, and the items that have none in training on purpose.

    Attributes:
        train, valid, test: no (user, item) pair stands in two of them.
        cold_items: item indices hidden from `train` and `valid` (planted cold items), sorted.
        cold_users: user indices hidden from `train` and `valid`, sorted.
        name: the protocol that made it.
        seed: its seed; 0 for a fixed split.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    cold_items: IntArray
    cold_users: IntArray
    name: str
    seed: int = 0

    def check(self, graph: Graph) -> Split:
        """Prove that nothing leaks; raises DataError that names the first pair or item that does."""
        n_items = graph.n_items
        codes = {
            part: np.unique(getattr(self, part).user * n_items + getattr(self, part).item)
            for part in ("train", "valid", "test")
        }
        for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
            both = np.intersect1d(codes[first], codes[second], assume_unique=True)
            if len(both):
                user, item = divmod(int(both[0]), n_items)
                raise DataError(
                    f"split {self.name!r}: {len(both)} pairs stand in both {first} and {second}",
                    where=f"{graph.users.vocabulary[user]} {graph.items.vocabulary[item]}",
                )
        for part in ("train", "valid"):
            rows: Interactions = getattr(self, part)
            for kind, hidden in (("item", self.cold_items), ("user", self.cold_users)):
                leaked = np.isin(getattr(rows, kind), hidden)
                if leaked.any():
                    index = int(getattr(rows, kind)[leaked][0])
                    raise DataError(
                        f"split {self.name!r}: cold {kind} has interactions in {part}",
                        where=getattr(graph, f"{kind}s").vocabulary[index],
                    )
        return self


def hold_out_per_user(
    interactions: Interactions, share: float, rng: np.random.Generator, *, keep: int = 1
) -> npt.NDArray[np.bool_]:
    """Mask of about `share` of each user's rows, drawn at random, shape (n,).

    Pairs that occur more than once are held out together; every user keeps at least `keep` pairs.
    """
    n = len(interactions)
    if n == 0:
        return np.zeros(0, bool)
    width = int(interactions.item.max()) + 1
    pairs, row_pair = np.unique(interactions.user * width + interactions.item, return_inverse=True)
    owner = pairs // width
    order = np.lexsort((rng.random(len(pairs)), owner))
    starts = np.searchsorted(owner[order], owner[order], side="left")
    rank = np.arange(len(order)) - starts
    size = np.bincount(owner)[owner[order]]
    wanted = np.minimum(
        np.floor(size * share + rng.random(int(owner.max()) + 1)[owner[order]]), size - keep
    )
    held = np.zeros(len(pairs), bool)
    held[order] = rank < wanted
    return np.asarray(held[row_pair.reshape(-1)])


def hold_out_items(
    interactions: Interactions,
    n_items: int,
    share: float,
    rng: np.random.Generator,
    *,
    at_least: int = 1,
) -> IntArray:
    """Sorted indices of about `share` of the items that have `at_least` positive rows."""
    degree = np.bincount(interactions.item[interactions.label == 1], minlength=n_items)
    eligible = np.flatnonzero(degree >= at_least)
    chosen = rng.choice(eligible, round(share * len(eligible)), replace=False)
    return np.sort(chosen).astype(np.int64)
