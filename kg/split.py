"""What is trained on, tuned on and tested on, as rows of the interactions, with a leakage proof."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .errors import DataError, UsageError
from .graph import Graph, Interactions
from .ids import sorted_distinct
from .in_memory import whole
from .vocabulary import IntArray

BoolArray = npt.NDArray[np.bool_]
PARTS = ("train", "valid", "test")
_PART_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev", "development", "eval", "evaluation"),
    "test": ("test", "testing", "holdout", "hold-out", "heldout", "held-out"),
}


@dataclass(frozen=True)
class Split:
    """Three disjoint sets of interactions, and the nodes that have none in training on purpose.

    Attributes:
        train, valid, test: no (user, item) pair stands in two of them.
        cold_items: item indices hidden from `train` and `valid` (planted cold items), sorted.
        cold_users: user indices hidden from `train` and `valid`, sorted.
        name: the protocol that made it.
        seed: its seed; 0 for a split of which nothing was drawn.
    """

    train: Interactions
    valid: Interactions
    test: Interactions
    cold_items: IntArray
    cold_users: IntArray
    name: str
    seed: int = 0

    def __repr__(self) -> str:
        parts = ", ".join(f"{part}: {len(getattr(self, part)):,}" for part in PARTS)
        cold = f"{len(self.cold_items):,} cold items, {len(self.cold_users):,} cold users"
        return f"Split({self.name!r}, seed {self.seed}, {{{parts}}}, {cold})"

    def check(self, graph: Graph) -> Split:
        """Prove that nothing leaks, and return this split.

        Proved: indices are in range; no pair stands in two parts, whatever its label (so no known
        negative is true in a later part); no cold node stands in train or valid; no edge of the
        graph, in either direction, joins the user and the item of a validation or test pair.

        Raises:
            DataError: naming the first pair or node that leaks.
        """
        codes = {part: self._pair_codes(graph, part) for part in PARTS}
        for first, second in (("train", "valid"), ("train", "test"), ("valid", "test")):
            both = np.intersect1d(codes[first], codes[second], assume_unique=True)
            self._refuse(graph, both, f"pairs stand in both {first} and {second}")
        self._check_cold(graph)
        hidden = np.union1d(codes["valid"], codes["test"])
        known = _pairs_in_edges(graph)
        both = np.intersect1d(known, hidden)
        if len(both):
            relation = _relation_of(graph, int(both[0]))
            self._refuse(
                graph, both, f"validation or test pairs are edges of the graph, as by {relation!r}",
                f"declare {relation!r} as [events.…] in the schema, or take it out: what a user did "
                "with an item is an interaction, and a relation would give the answers away",
            )  # fmt: skip
        return self

    def _pair_codes(self, graph: Graph, part: str) -> IntArray:
        rows: Interactions = getattr(self, part)
        for kind, size in (("user", graph.n_users), ("item", graph.n_items)):
            index: IntArray = getattr(rows, kind)
            if len(index) and not (index.min() >= 0 and index.max() < size):
                raise DataError(
                    f"split {self.name!r}: {kind} indices of {part} run from {index.min()} to "
                    f"{index.max()}, but the graph has {size} {kind}s"
                )
        return sorted_distinct(pair_codes(rows, graph.n_items))

    def _refuse(self, graph: Graph, pairs: IntArray, what: str, hint: str = "") -> None:
        if len(pairs):
            user, item = divmod(int(pairs[0]), graph.n_items)
            raise DataError(
                f"split {self.name!r}: {len(pairs)} {what}",
                where=f"{graph.users.vocabulary[user]} {graph.items.vocabulary[item]}",
                hint=hint,
            )

    def _check_cold(self, graph: Graph) -> None:
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


def check_split(split: object) -> None:
    """UsageError for what is no split, such as the name of a protocol."""
    if not isinstance(split, Split):
        raise UsageError(
            f"got {split!r:.60}, expected a Split",
            where="split",
            hint="datasets.splits.make_split and given_split make one",
        )


def part_of_name(name: str) -> str:
    """Which of `PARTS` a catalog means by the name of a split, in any case; "" if none."""
    plain = name.strip().casefold()
    return next((part for part, names in _PART_NAMES.items() if plain in names), "")


def in_part(rows: Interactions, part: str) -> BoolArray:
    """Mask of the rows whose named split means one of `PARTS`, shape (n,)."""
    return rows.in_split(*(name for name in rows.split_names if part_of_name(name) == part))


def pair_codes(rows: Interactions, n_items: int) -> IntArray:
    """One integer per row that names its (user, item) pair, shape (n,)."""
    return np.asarray(rows.user * n_items + rows.item, np.int64)


def _pairs_in_edges(graph: Graph) -> IntArray:
    """Codes of the (user, item) pairs that some edge joins, in either direction."""
    found = [codes for _, codes in _joined_pairs(graph)]
    return sorted_distinct(np.concatenate([np.zeros(0, np.int64), *found]))


def _relation_of(graph: Graph, code: int) -> str:
    """The first relation that joins the pair."""
    return next(relation for relation, codes in _joined_pairs(graph) if (codes == code).any())


def _joined_pairs(graph: Graph) -> Iterator[tuple[str, IntArray]]:
    """Each relation between users and items, with the codes of the pairs that it joins."""
    ends = (graph.user_type, graph.item_type)
    for (source, relation, target), edges in graph.edges.items():
        if (source, target) == ends:
            yield relation, edges.index[0] * graph.n_items + edges.index[1]
        if (target, source) == ends:
            yield relation, edges.index[1] * graph.n_items + edges.index[0]


def rng_for(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on the seed and on what it is for, and on nothing else.

    Raises:
        UsageError: the seed is no whole number from 0.
    """
    return np.random.default_rng([whole(seed, "seed", 0), zlib.crc32(purpose.encode())])


def hold_out_per_user(
    interactions: Interactions, share: float, rng: np.random.Generator, *, keep: int = 1
) -> BoolArray:
    """Mask of about `share` of each user's rows, drawn at random, shape (n,).

    Pairs that occur more than once are held out together; every user keeps at least `keep` pairs.
    The draw depends on which pairs there are, not on the order of the rows.
    """
    n = len(interactions)
    if n == 0:
        return np.zeros(0, bool)
    width = int(interactions.item.max()) + 1
    pairs, row_pair = np.unique(pair_codes(interactions, width), return_inverse=True)
    owner = pairs // width
    order = np.lexsort((rng.random(len(pairs)), owner))
    starts = np.searchsorted(owner[order], owner[order], side="left")
    rank = np.arange(len(order)) - starts
    size = np.bincount(owner)[owner[order]]
    luck = rng.random(int(owner.max()) + 1)[owner[order]]
    wanted = np.minimum(np.floor(size * share + luck), size - keep)
    held = np.zeros(len(pairs), bool)
    held[order] = rank < wanted
    return np.asarray(held[row_pair.reshape(-1)])


def hold_out_among(
    rows: Interactions, among: BoolArray, share: float, seed: int, purpose: str
) -> BoolArray:
    """Mask over `rows` of about `share` of each user's rows `among` them; see `rng_for`."""
    out = np.zeros(len(rows), bool)
    out[among] = hold_out_per_user(rows.select(among), share, rng_for(seed, purpose))
    return out


def hold_out_items(
    interactions: Interactions,
    n_items: int,
    share: float,
    rng: np.random.Generator,
    *,
    at_least: int = 1,
) -> IntArray:
    """Sorted indices of about `share` of the items that have `at_least` distinct positive users."""
    return _draw(interactions.item, interactions, n_items, share, rng, at_least)


def hold_out_users(
    interactions: Interactions,
    n_users: int,
    share: float,
    rng: np.random.Generator,
    *,
    at_least: int = 1,
) -> IntArray:
    """Sorted indices of about `share` of the users that have `at_least` distinct positive items."""
    return _draw(interactions.user, interactions, n_users, share, rng, at_least)


def _draw(
    owner: IntArray,
    interactions: Interactions,
    size: int,
    share: float,
    rng: np.random.Generator,
    at_least: int,
) -> IntArray:
    positive = np.flatnonzero(interactions.label == 1)
    width = int(interactions.item.max()) + 1 if len(positive) else 1
    codes = pair_codes(interactions, width)[positive]
    first = positive[np.unique(codes, return_index=True)[1]]
    degree = np.bincount(owner[first], minlength=size)
    eligible = np.flatnonzero(degree >= at_least)
    chosen = rng.choice(eligible, round(share * len(eligible)), replace=False)
    return np.sort(chosen).astype(np.int64)
