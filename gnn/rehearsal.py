"""The rehearsal: a cold start in play, from which the gate is learned and the chances calibrated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..kg.coldstart import resolve
from ..kg.graph import FloatArray, Interactions
from ..kg.split import hold_out_items, rng_for
from ..kg.vocabulary import IntArray
from .calibration import CalibrationConfig, HeldOut, held_out_pairs
from .data import TrainingData
from .gate import RARE, Gate, GateConfig
from .given import part_scores
from .kg_prior import KGPrior
from .lesson import Block, Lesson
from .popularity import Popularity
from .scorer_base import BoolArray, Scorer, standardise

# Entries of (parts, users, items) looked at at a time while the gate's lesson is made: 100 MB.
_BLOCK_ENTRIES = 25_000_000


@dataclass(frozen=True)
class Rehearsal:
    """A cold start in play: `data` lacks what `targets` holds.

    Attributes:
        data: the training data less the hidden items, the thinned items' rest, the hidden users.
        targets: what was taken away, with the validation pairs.
        users: hidden users, sorted.
        hidden, thinned: items of which all, or all but a few pairs are targets.
    """

    data: TrainingData
    targets: Interactions
    users: IntArray
    seed: int
    hidden: IntArray
    thinned: IntArray

    @classmethod
    def plan(
        cls, data: TrainingData, valid: Interactions, config: GateConfig, seed: int
    ) -> Rehearsal:
        """Draw what is hidden."""
        rng = rng_for(seed, "gate rehearsal")
        n_items = data.n_items
        # What is drawn depends on which pairs there are, not on the order or number of their rows.
        train = resolve(data.train, n_items)
        share = config.hidden_share + config.thinned_share
        drawn = hold_out_items(train, n_items, share, rng, at_least=RARE)
        rng.shuffle(drawn)
        cut = round(len(drawn) * config.hidden_share / share) if share else 0
        hidden, thinned = drawn[:cut], drawn[cut:]
        keep = rng.integers(1, RARE, n_items)
        liked = train.label == 1
        # Likes by rank among the item's likes; dislikes at the rate at which the likes stay.
        rank = _random_rank(2 * train.item + liked, rng)
        degree = np.maximum(np.bincount(train.item[liked], minlength=n_items), 1)
        luck = rng_for(seed, "gate dislikes").random(len(train)) * degree[train.item]
        thinned_off = np.where(liked, rank, luck) >= keep[train.item]
        known = np.flatnonzero(data.user_degree > 0)
        users = np.sort(rng.choice(known, round(config.hidden_users * len(known)), replace=False))
        gone = np.isin(train.item, hidden) | np.isin(train.user, users)
        gone |= np.isin(train.item, thinned) & thinned_off
        stays = ~np.isin(valid.item, hidden)
        targets = train.select(gone & liked).concat(valid.select((valid.label == 1) & stays))
        return cls(data.with_train(train.select(~gone)), targets, users, seed, hidden, thinned)

    def warm_targets(self) -> Interactions:
        """Targets of known users on trained items: what the encoder's training stops by."""
        trained = self.data.item_degree[self.targets.item] >= RARE
        return self.targets.select(trained & (self.data.user_degree[self.targets.user] > 0))

    @property
    def _made_rare(self) -> BoolArray:
        """(n_items,) whether the item was thinned."""
        return np.isin(np.arange(self.data.n_items), self.thinned)

    def lesson(self, parts: Mapping[str, Scorer], config: GateConfig) -> Lesson:
        """What a sample of users should find, among what the parts rank high for them."""
        data = self.data
        truth = self.targets.matrix(data.n_users, data.n_items)
        wanted = np.flatnonzero(np.diff(truth.indptr) > 0)
        users = _sample(wanted, self.users, config.max_users, rng_for(self.seed, "gate users"))
        count = max(1, len(users) * len(parts) * data.n_items // _BLOCK_ENTRIES)

        def blocks() -> Iterator[Block]:
            for chosen in np.array_split(users, count):
                z = np.empty((len(parts), len(chosen), data.n_items), np.float32)
                for position, scores in enumerate(part_scores(parts, chosen, data.n_items)):
                    z[position] = standardise(scores)
                known = (data.positives[chosen] + data.unliked[chosen]).toarray() > 0
                yield Block(z, truth[chosen].toarray() > 0, known, data.user_degree[chosen])

        return Lesson.build(
            blocks(),
            data.catalog_degree,
            wanted=np.bincount(truth[users].indices, minlength=data.n_items) > 0,
            answering=_place(KGPrior, parts),
            popular=_place(Popularity, parts),
            thinned=self._made_rare,
        )

    def held_out(
        self, parts: Mapping[str, Scorer], gate: Gate, config: CalibrationConfig
    ) -> HeldOut:
        """Pairs of a sample of users at the rates at which they would be met.

        Not of items without any pair to find, nor, for known users, of thinned items, of which far
        more is to be found than of items that are rare by themselves.
        """
        data = self.data
        known = np.flatnonzero(data.user_degree > 0)
        everybody = np.union1d(known, self.users)
        rng = rng_for(self.seed, "calibration users")
        users = _sample(everybody, self.users, config.max_users, rng)
        shut = data.item_degree == 0
        shut[self.hidden] = False
        thinned = self._made_rare

        def score(block: IntArray) -> FloatArray:
            scores = list(part_scores(parts, block, data.n_items))
            return gate.combine(scores, data.untold_degree, data.user_degree[block])

        def closed(block: IntArray) -> BoolArray:
            out = (data.positives[block] + data.unliked[block]).toarray() > 0
            return np.asarray(out | shut | (thinned & (data.user_degree[block] > 0)[:, None]))

        truth = self.targets.matrix(data.n_users, data.n_items)
        return held_out_pairs(users, score, data, truth, closed, config, self.seed)


def _random_rank(owner: IntArray, rng: np.random.Generator) -> IntArray:
    """Rank 0, 1, ... of each row among those of the same owner, in a random order, (n,)."""
    shuffled = rng.permutation(len(owner))
    order = shuffled[np.argsort(owner[shuffled], kind="stable")]
    start = np.searchsorted(owner[order], owner[order], side="left")
    rank = np.empty(len(owner), np.int64)
    rank[order] = np.arange(len(owner)) - start
    return rank


def _place(part: type[KGPrior | Popularity], parts: Mapping[str, Scorer]) -> int | None:
    """Where a part stands among the others."""
    return list(parts).index(part.name) if part.name in parts else None


def _sample(wanted: IntArray, hidden: IntArray, most: int, rng: np.random.Generator) -> IntArray:
    """At most `most` of the users wanted, a fifth of them hidden ones where there are so many."""
    new = np.intersect1d(wanted, hidden)
    old = np.setdiff1d(wanted, hidden)
    new = rng.choice(new, min(len(new), most // 5), replace=False)
    old = rng.choice(old, min(len(old), most - len(new)), replace=False)
    return np.sort(np.concatenate([old, new]))
