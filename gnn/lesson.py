"""What the gate is learned from: per user, the few items that could come out on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .gate import kind_of
from .scorer_base import BoolArray

DEPTH = 30  # items from each part's top that are listed


@dataclass(frozen=True)
class Block:
    """Scores of b users before they are cut down.

    Attributes:
        z: (P, b, n_items) standardised scores of the parts, NaN where unknown.
        truth: (b, n_items) what was hidden; known: (b, n_items) pairs that are no candidates.
        user_degree: (b,) in the rehearsal.
    """

    z: FloatArray
    truth: BoolArray
    known: BoolArray
    user_degree: IntArray


@dataclass(frozen=True)
class Shortlist:
    """Of one group of items, those that some part ranks high for a user.

    What was hidden and no part ranks high is not listed: beside so few others it would teach that
    what every part calls bad is good.

    Attributes:
        item: (b, c), -1 where a user's list has ended. truth: (b, c), what was hidden.
        z: (P, b, c), 0 where unknown. user_degree: (b,).
        wanted: (b,) how many items of the group were hidden, listed or not.
    """

    item: IntArray
    truth: BoolArray
    z: FloatArray
    user_degree: IntArray
    wanted: IntArray

    @classmethod
    def of(cls, block: Block, items: IntArray, depth: int = DEPTH) -> Self:
        """The group `items` of the block's users; ties are cut by position."""
        truth, z = block.truth[:, items], block.z[:, :, items]
        closed = block.known[:, items] & ~truth
        chosen = np.zeros(truth.shape, bool)
        for part in z:
            chosen |= _leading(np.where(closed, np.nan, part), depth)
        row, column = np.nonzero(chosen)
        count = chosen.sum(1)
        place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        shape = (len(chosen), int(count.max(initial=0)))
        item, hit = np.full(shape, -1, np.int64), np.zeros(shape, bool)
        item[row, place], hit[row, place] = items[column], truth[row, column]
        values = np.zeros((len(z), *shape), np.float32)
        values[:, row, place] = np.nan_to_num(z[:, row, column])
        return cls(item, hit, values, block.user_degree, truth.sum(1))

    @classmethod
    def joined(cls, lists: Sequence[Shortlist]) -> Self:
        """Lists of the same group, of one user after the other."""
        width = max(one.item.shape[1] for one in lists)

        def wide(values: np.ndarray, fill: float) -> np.ndarray:
            out = np.full((*values.shape[:-1], width), fill, values.dtype)
            out[..., : values.shape[-1]] = values
            return out

        return cls(
            np.concatenate([wide(one.item, -1) for one in lists]),
            np.concatenate([wide(one.truth, False) for one in lists]),
            np.concatenate([wide(one.z, 0.0) for one in lists], axis=1),
            np.concatenate([one.user_degree for one in lists]),
            np.concatenate([one.wanted for one in lists]),
        )

    def rows(self, chosen: np.ndarray) -> Shortlist:
        """The lists of some of the users."""
        return Shortlist(
            self.item[chosen], self.truth[chosen], self.z[:, chosen], self.user_degree[chosen],
            self.wanted[chosen],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.item)


@dataclass(frozen=True)
class Lesson:
    """Shortlists of the kinds of pairs; all but `new` are of the same users.

    Attributes:
        hidden: cold items of which something was hidden, so that they can be found.
        cold: the other items without interactions; they compete, and are never right.
        rare, common: trained items. own_rare: without the items made rare for the rehearsal, of which all
            that was taken is to be found, while of the others it is what the validation part holds.
        new: items of all kinds, for new users.
        item_degree: (n_items,) in the rehearsal.
        cold_share, rare_share: of the catalog's items, those without interactions (or those hidden
            if more), and those with few.
        answering: position of the part that takes single answers in; None = there is none.
        popular: position of the part that knows new users as well as anybody; None = there is none.
    """

    hidden: Shortlist
    cold: Shortlist
    rare: Shortlist
    own_rare: Shortlist
    common: Shortlist
    new: Shortlist
    item_degree: IntArray
    cold_share: float
    rare_share: float
    answering: int | None = None
    popular: int | None = None

    @classmethod
    def build(
        cls,
        blocks: Iterable[Block],
        item_degree: IntArray,
        wanted: BoolArray,
        answering: int | None = None,
        popular: int | None = None,
        thinned: BoolArray | None = None,
    ) -> Self:
        """Cut the blocks down as they come.

        Args:
            wanted: (n_items,) whether something of the item is hidden.
            thinned: (n_items,) items made rare for the rehearsal; None = there are none.
        """
        kinds = kind_of(item_degree)
        made_rare = np.zeros(len(kinds), bool) if thinned is None else thinned
        groups = {
            "hidden": (kinds == 0) & wanted,
            "cold": (kinds == 0) & ~wanted,
            "rare": kinds == 1,
            "own_rare": (kinds == 1) & ~made_rare,
            "common": kinds == 2,
            "new": (kinds > 0) | wanted,
        }
        found: dict[str, list[Shortlist]] = {name: [] for name in groups}
        for block in blocks:
            for name, mask in groups.items():
                users = (block.user_degree == 0) == (name == "new")
                here = Block(
                    block.z[:, users], block.truth[users], block.known[users],
                    block.user_degree[users],
                )  # fmt: skip
                found[name].append(Shortlist.of(here, np.flatnonzero(mask)))
        lists = {name: Shortlist.joined(each) for name, each in found.items()}
        n_items = max(len(item_degree), 1)
        return cls(
            **lists,
            item_degree=item_degree,
            cold_share=float(max(groups["hidden"].sum(), groups["cold"].sum())) / n_items,
            rare_share=float(groups["rare"].sum()) / n_items,
            answering=answering,
            popular=popular,
        )


def _leading(scores: FloatArray, depth: int) -> BoolArray:
    """Which entries are among the `depth` largest of their row; NaN never is."""
    known = ~np.isnan(scores)
    if scores.shape[1] <= depth or not known.any():
        return known
    top = np.argpartition(-np.where(known, scores, -np.inf), depth - 1, axis=1)[:, :depth]
    chosen = np.zeros(scores.shape, bool)
    np.put_along_axis(chosen, top, True, 1)
    return np.asarray(chosen & known)
