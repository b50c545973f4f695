"""Ranks of the relevant items and the lists of every user, gathered block by block of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .metrics import Float64, Ranking
from .ties import U32, U64, UNRANKED, items_of, rank_keys


@dataclass(frozen=True)
class Ranked:
    """One scorer's outcome: the ranks of the relevant items, and lists (q, k), -1 = empty slot."""

    ranking: Ranking
    lists: IntArray


class Collector:
    """Gathers the ranks and lists of consecutive blocks of users."""

    def __init__(self, k: int) -> None:
        self.k = k
        self._done = 0
        self._blocks: list[tuple[IntArray, IntArray, Float64, IntArray, IntArray]] = []

    def add(
        self,
        scores: FloatArray,
        items: IntArray,
        known: IntArray,
        owner: IntArray,
        column: IntArray,
        salt: U32,
    ) -> None:
        """One block: scores (b, n) of `items` (n,), of which `known` (b,) are masked per user.

        `owner` (sorted) and `column` give the relevant entries.
        """
        keys = rank_keys(scores, items, salt)
        own = keys[owner, column]
        keys.sort(axis=1)
        candidates = keys.shape[1] - np.asarray(known, np.int64)
        floor = own & UNRANKED
        # Just before and after the keys of equal score; the one after NaN would overflow.
        wanted = np.stack([own, floor, floor | np.uint64(0xFFFFFFFF)])
        place = np.zeros(wanted.shape, np.int64)
        bounds = np.searchsorted(owner, np.arange(len(keys) + 1))
        for row in np.flatnonzero(np.diff(bounds)):
            part = slice(bounds[row], bounds[row + 1])
            place[:, part] = np.searchsorted(keys[row], wanted[:, part])
        scored = own < UNRANKED
        last = np.where(scored, _past(keys, owner, wanted[2], place[2]), candidates[owner])
        rank = np.where(scored, place[0] + 1, 0)
        lists = np.full((len(keys), self.k), -1, np.int64)
        top = keys[:, : self.k]
        lists[:, : top.shape[1]] = items_of(top, salt)
        midrank = (place[1] + 1 + last) / 2.0
        self._blocks.append((owner + self._done, rank, midrank, candidates, lists))
        self._done += len(keys)

    def result(self, n_users: int) -> Ranked:
        """Everything in one; without any block, a ranking of nothing."""
        if not self._blocks:
            none, nobody = np.zeros(0, np.int64), np.zeros(n_users, np.int64)
            lists = np.full((n_users, self.k), -1, np.int64)
            return Ranked(Ranking(none, none, none.astype(np.float64), nobody), lists)
        owner, rank, midrank, candidates, lists = (
            np.concatenate(column) for column in zip(*self._blocks, strict=True)
        )
        return Ranked(Ranking(owner, rank, midrank, candidates), lists)


def _past(keys: U64, owner: IntArray, upper: U64, place: IntArray) -> IntArray:
    """How many keys of the owner's row are <= upper, given how many are < upper."""
    inside = np.minimum(place, keys.shape[1] - 1)
    found: IntArray = place + ((place < keys.shape[1]) & (keys[owner, inside] == upper))
    return found
