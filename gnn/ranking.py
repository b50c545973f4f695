"""From a block of scores to the rows of a recommendation table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..kg.graph import FloatArray, Graph
from ..kg.vocabulary import IntArray
from .scorer_base import BoolArray

# Entries of one block of scores: 8 MB as float32.
BLOCK_ENTRIES = 2_000_000

RECOMMENDATIONS = pa.schema(
    [
        ("user", pa.string()),
        ("item", pa.string()),
        ("rank", pa.int32()),
        ("score", pa.float32()),
        ("std", pa.float32()),
        ("probability", pa.float32()),
    ]
)


class Beliefs(Protocol):
    """What a scorer thinks of its own scores, pair by pair; NaN where it cannot tell."""

    def std(self, users: IntArray, items: IntArray, method: str = "laplace") -> FloatArray:
        """Standard deviations by one of the methods of `uncertainty.deviation`, (n,)."""
        ...

    def chances(self, users: IntArray, items: IntArray, scores: FloatArray) -> FloatArray:
        """Chances that the pairs turn out positive, (n,)."""
        ...


@dataclass(frozen=True)
class Reserve:
    """At least so many places of each list are for these items, as far as there are candidates.

    Attributes:
        items: bool (n_items,). places: how many.
    """

    items: BoolArray
    places: int


def scores_of_pairs(
    scorer: Callable[[IntArray], FloatArray], users: IntArray, items: IntArray
) -> FloatArray:
    """Scores pair by pair, float32 (n,), of a scorer that scores all items of a user at once."""
    out = np.empty(len(users), np.float32)
    distinct, owner = np.unique(users, return_inverse=True)
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(len(distinct) + 1))
    done, step = 0, 1  # how many items there are is seen from the first user's scores
    while done < len(distinct):
        scores = scorer(distinct[done : done + step])
        rows = order[start[done] : start[min(done + step, len(distinct))]]
        out[rows] = scores[owner[rows] - done, items[rows]]
        done, step = done + step, max(1, BLOCK_ENTRIES // max(scores.shape[1], 1))
    return out


def best_items(
    graph: Graph,
    users: IntArray,
    scores: FloatArray,
    known: sp.csr_matrix | None,
    among: IntArray | None,
    k: int,
    beliefs: Beliefs,
    uncertainty: str = "laplace",
    reserve: Reserve | None = None,
) -> pa.Table:
    """Rows user, item, rank (from 1), score, std, probability of the k best candidates of each user.

    Args:
        users: (b,) indices; scores: (b, n_items), NaN = never recommended.
        known: pairs left out, (n_users, n_items); among: the only candidates. None = no restriction.
        beliefs: gives the columns std, by the method `uncertainty`, and probability.
        reserve: places that only some items may take.

    A user gets fewer rows than k where fewer candidates have a score. Equal scores are ordered by
    item index.
    """
    scores = np.array(scores)
    if known is not None:
        rows = known[users]
        scores[np.repeat(np.arange(len(users)), np.diff(rows.indptr)), rows.indices] = np.nan
    if among is not None:
        outside = np.ones(scores.shape[1], bool)
        outside[among] = False
        scores[:, outside] = np.nan
    filled = np.nan_to_num(scores, nan=-np.inf, neginf=-np.inf)
    k = min(k, scores.shape[1])
    top = largest(filled, k) if reserve is None else _reserving(filled, k, reserve)
    values = np.take_along_axis(filled, top, 1)
    row, place = np.nonzero(np.isfinite(values))
    user, item, score = users[row], top[row, place], values[row, place]
    return pa.table(
        [
            pa.array(graph.users.vocabulary.take(user), pa.string()),
            pa.array(graph.items.vocabulary.take(item), pa.string()),
            pa.array(place + 1, pa.int32()),
            pa.array(score, pa.float32()),
            pa.array(beliefs.std(user, item, uncertainty), pa.float32()),
            pa.array(beliefs.chances(user, item, score), pa.float32()),
        ],
        schema=RECOMMENDATIONS,
    )


def _reserving(scores: FloatArray, k: int, reserve: Reserve) -> IntArray:
    """`largest`, where the best of the reserve are in, whatever is better; by score all the same."""
    own = np.where(reserve.items, scores, -np.inf)
    best = largest(own, min(reserve.places, k))
    there = np.isfinite(np.take_along_axis(own, best, 1))
    chosen = np.array(scores)
    kept = np.where(there, np.inf, np.take_along_axis(scores, best, 1))
    np.put_along_axis(chosen, best, kept, 1)
    top = np.sort(largest(chosen, k), axis=1)
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)


def largest(scores: FloatArray, k: int) -> IntArray:
    """Columns of the k largest of each row, (b, k), best first; equal ones by column, low first."""
    width = scores.shape[1]
    last = np.partition(scores, width - k, axis=1)[:, [width - k]]
    above, equal = scores > last, scores == last
    room = k - above.sum(axis=1, keepdims=True)
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    top = np.nonzero(chosen)[1].reshape(-1, k)
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    return np.take_along_axis(top, order, 1)
