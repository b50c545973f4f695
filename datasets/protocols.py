"""The protocols: which of a catalog's interactions are trained on, tuned on and tested.

A pair with several rows counts once, as positive if any row is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..kg.coldstart import cold_start_open, resolve
from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Graph, Interactions
from ..kg.split import (
    PARTS,
    BoolArray,
    Split,
    hold_out_among,
    hold_out_items,
    hold_out_users,
    in_part,
    pair_codes,
    rng_for,
)
from ..kg.vocabulary import IntArray

_LOG = logging.getLogger(__name__)
_NONE = np.zeros(0, np.int64)
COLD_COLUMN = ("warm_train", "warm_test", "user_cold", "item_cold", "user_item_cold")


def fixed(graph: Graph, seed: int = 0, *, valid_share: float = 0.1) -> Split:
    """The catalog's own train / valid / test; without a valid part, a share of train per user.

    Positive rows only. A pair that an earlier part already has is dropped from the later one: it
    would be masked when ranking. Cold items are those that only test names. Rows of other names, and
    of none, are left out, which is logged.
    """
    events = graph.interactions
    events = events.select(events.label == 1)
    train, valid, test = (in_part(events, part) for part in PARTS)
    if not train.any() or not test.any():
        names = ", ".join(events.split_names) or "none"
        raise DataError(
            f"catalog {graph.name!r} has no fixed split: it names {names}, expected train and test",
            hint="choose protocol warm or item-cold",
        )
    if left := len(events) - int((train | valid | test).sum()):
        _LOG.warning("fixed split: %d rows are of no part; left out", left)
    drawn = not valid.any()
    if drawn:
        valid = hold_out_among(events, train, valid_share, seed, "valid")
        train &= ~valid
    codes = pair_codes(events, graph.n_items)
    repeated = valid & np.isin(codes, codes[train])
    repeated |= test & np.isin(codes, codes[train | valid])
    if repeated.any():
        _LOG.warning(
            "fixed split: %d rows repeat a pair of an earlier part; dropped", repeated.sum()
        )
    own = seed if drawn else 0
    return _assemble(graph, "fixed", own, events, train, valid & ~repeated, test & ~repeated)


def time_cut(
    graph: Graph, seed: int = 0, *, test_share: float = 0.1, valid_share: float = 0.1
) -> Split:
    """The latest likes of all users together are test, the latest before them valid.

    A pair counts at its earliest like. Likes of one moment stay in one part, so that the shares are
    met but roughly. Cold items are those that only test has; users may be new there too. What was
    rated low after the training's end is not known to it.
    """
    events = graph.interactions
    events = events.select(events.label == 1)
    if unknown := int(np.isnan(events.time).sum()):
        raise DataError(
            f"catalog {graph.name!r}: {unknown:,} of {len(events):,} likes have no time",
            hint="choose protocol warm or item-cold, or leave those rows out",
        )
    events = _earliest(events, graph.n_items)
    ordered = np.sort(events.time)
    late, later = (
        ordered[min(int(np.floor(len(ordered) * share)), len(ordered) - 1)]
        for share in (1 - test_share - valid_share, 1 - test_share)
    )
    test = (events.time >= later) & (test_share > 0)
    valid = (events.time >= late) & ~test & (valid_share > 0)
    if not (~test & ~valid).any() or (test_share > 0 and not test.any()):
        raise DataError(
            f"catalog {graph.name!r}: the times of its likes leave no part to train on",
            hint="choose protocol warm or item-cold, or smaller shares",
        )
    return _assemble(graph, "time", seed, events, ~test & ~valid, valid, test)


def warm(
    graph: Graph,
    seed: int = 0,
    *,
    test_share: float = 0.1,
    valid_share: float = 0.1,
) -> Split:
    """Positives split per user, 80/10/10 by default; every user keeps at least one in train."""
    events = _positives(graph)
    everything = np.ones(len(events), bool)
    return _warm(graph, "warm", seed, events, everything, ~everything, test_share, valid_share)


def leave_one_out(graph: Graph, seed: int = 0) -> Split:
    """Each user's latest like is test, the one before it valid; users with fewer than three keep all.

    A pair counts at its earliest like. Likes of one moment are ordered by chance, and so are all
    where none has a time.
    """
    events = graph.interactions
    events = events.select(events.label == 1)
    if (untimed := int(np.isnan(events.time).sum())) and untimed < len(events):
        raise DataError(
            f"catalog {graph.name!r}: {untimed:,} of {len(events):,} likes have no time",
            hint="leave those rows out, or the times of all",
        )
    events = _earliest(events, graph.n_items)
    luck = rng_for(seed, "leave one out").random(len(events))
    order = np.lexsort((luck, events.time, events.user))
    events = events.select(order)
    place = np.arange(len(events))
    behind = np.searchsorted(events.user, events.user, side="right") - 1 - place
    enough = np.bincount(events.user, minlength=graph.n_users)[events.user] >= 3
    test, valid = enough & (behind == 0), enough & (behind == 1)
    return _assemble(graph, "leave-one-out", seed, events, ~test & ~valid, valid, test)


def everything(graph: Graph, seed: int = 0, *, valid_share: float = 0.1) -> Split:
    """No test part: all positives are trained on but `valid_share` per user, for a model to be used."""
    events = _positives(graph)
    valid = hold_out_among(events, np.ones(len(events), bool), valid_share, seed, "valid")
    return _assemble(graph, "all", seed, events, ~valid, valid, np.zeros(len(events), bool))


def item_cold(
    graph: Graph,
    seed: int = 0,
    *,
    cold_share: float = 0.2,
    at_least: int = 1,
    test_share: float = 0.1,
    valid_share: float = 0.1,
) -> Split:
    """A share of the items with `at_least` positives is hidden entirely, and tested; the rest is warm.

    Test then holds both: every positive on a cold item, and the warm items' `test_share`.
    """
    events = _positives(graph)
    rng = rng_for(seed, "cold items")
    cold = hold_out_items(events, graph.n_items, cold_share, rng, at_least=at_least)
    hidden = np.isin(events.item, cold)
    split = _warm(graph, "item-cold", seed, events, ~hidden, hidden, test_share, valid_share)
    return replace(split, cold_items=cold)


def user_cold(
    graph: Graph,
    seed: int = 0,
    *,
    cold_share: float = 0.2,
    at_least: int = 1,
    test_share: float = 0.1,
    valid_share: float = 0.1,
) -> Split:
    """A share of the users with `at_least` positives is hidden entirely, and tested; the rest is warm."""
    events = _positives(graph)
    rng = rng_for(seed, "cold users")
    cold = hold_out_users(events, graph.n_users, cold_share, rng, at_least=at_least)
    hidden = np.isin(events.user, cold)
    split = _warm(graph, "user-cold", seed, events, ~hidden, hidden, test_share, valid_share)
    return replace(split, cold_users=cold)


def cold_split_column(
    graph: Graph,
    seed: int = 0,
    *,
    test: tuple[str, ...] = ("item_cold", "user_item_cold", "warm_test"),
    valid_share: float = 0.1,
) -> Split:
    """The catalog's own columns warm_train, warm_test, user_cold, item_cold, user_item_cold (MetaHIN).

    Train = warm_train less `valid_share` per user. Test = the columns that `test` names. Items and
    users of the cold columns are cold, tested or not.
    """
    unknown = set(test) - set(COLD_COLUMN[1:])
    if unknown:
        raise UsageError(
            f"cold-split-column cannot test on {sorted(unknown)}",
            hint=nearest(sorted(unknown)[0], COLD_COLUMN[1:]),
        )
    events = _positives(graph)
    if not events.in_split("warm_train").any():
        raise DataError(
            f"catalog {graph.name!r} has no rows marked warm_train",
            hint="choose protocol warm or item-cold",
        )
    trained = events.in_split("warm_train")
    valid = hold_out_among(events, trained, valid_share, seed, "valid")
    split = _assemble(
        graph, "cold-split-column", seed, events, trained & ~valid, valid, events.in_split(*test)
    )
    cold_items = np.unique(events.item[events.in_split("item_cold", "user_item_cold")])
    cold_users = np.unique(events.user[events.in_split("user_cold", "user_item_cold")])
    return replace(split, cold_items=cold_items, cold_users=cold_users)


def thinned(
    graph: Graph,
    seed: int = 0,
    *,
    thin_share: float = 0.2,
    at_least: int = 20,
    most: int = 4,
    test_share: float = 0.1,
    valid_share: float = 0.1,
) -> Split:
    """A share of the items with `at_least` positives keeps only 1 to `most` of them in train.

    How many each keeps is uniform. Of the rest of a thinned item, `valid_share` is for tuning (a
    thinned item that is tuned on is in the tail too) and all else is tested; other items are warm.
    """
    if not 1 <= most < at_least:
        raise UsageError(f"most is {most}, expected 1 <= most < at_least ({at_least})")
    events = _positives(graph)
    rng = rng_for(seed, "thinned items")
    thin = hold_out_items(events, graph.n_items, thin_share, rng, at_least=at_least)
    on_thin = np.isin(events.item, thin)
    kept = on_thin & (
        _rank_within(events.item, rng) < rng.integers(1, most + 1, graph.n_items)[events.item]
    )
    tuned = on_thin & ~kept & (rng.random(len(events)) < valid_share)
    tested = on_thin & ~kept & ~tuned
    split = _warm(graph, "thinned", seed, events, ~on_thin, tested, test_share, valid_share)
    return replace(
        split,
        train=split.train.concat(events.select(kept)),
        valid=split.valid.concat(events.select(tuned)),
    )


def kg_coldstart_open(
    graph: Graph,
    seed: int = 0,
    *,
    cold_share: float = 0.2,
    at_least: int = 20,
    held_out_share: float = 0.2,
    valid_share: float = 0.0,
) -> Split:
    """The split of `cold_start_open`, where panel and test users are found as well."""
    return cold_start_open(
        graph,
        seed,
        cold_share=cold_share,
        at_least=at_least,
        held_out=held_out_share,
        valid_share=valid_share,
    ).split


def _earliest(events: Interactions, n_items: int) -> Interactions:
    """One row per pair, sorted by pair: the earliest."""
    events = events.select(np.lexsort((events.time, pair_codes(events, n_items))))
    return events.select(np.unique(pair_codes(events, n_items), return_index=True)[1])


def _positives(graph: Graph) -> Interactions:
    events = resolve(graph.interactions, graph.n_items)
    return events.select(events.label == 1)


def _warm(
    graph: Graph,
    name: str,
    seed: int,
    events: Interactions,
    among: BoolArray,
    hidden: BoolArray,
    test_share: float,
    valid_share: float,
) -> Split:
    """Rows `among` split per user; rows `hidden` are tested as well."""
    tested = hold_out_among(events, among, test_share, seed, "test")
    left = among & ~tested
    tuned = hold_out_among(events, left, valid_share / (1 - test_share), seed, "valid")
    return _assemble(graph, name, seed, events, left & ~tuned, tuned, tested | hidden)


def _assemble(
    graph: Graph,
    name: str,
    seed: int,
    events: Interactions,
    train: BoolArray,
    valid: BoolArray,
    test: BoolArray,
) -> Split:
    """A split of these rows; cold items are those that only `test` has."""
    seen = np.zeros(graph.n_items, bool)
    seen[events.item[train | valid]] = True
    tested = np.unique(events.item[test])
    return Split(
        train=events.select(train),
        valid=events.select(valid),
        test=events.select(test),
        cold_items=tested[~seen[tested]] if name in ("fixed", "time", "leave-one-out") else _NONE,
        cold_users=_NONE,
        name=name,
        seed=seed,
    )


def _rank_within(owner: IntArray, rng: np.random.Generator) -> IntArray:
    """Random rank 0, 1, ... of each row among those of the same owner, shape (n,)."""
    order = np.lexsort((rng.random(len(owner)), owner))
    starts = np.searchsorted(owner[order], owner[order], side="left")
    rank = np.empty(len(owner), np.int64)
    rank[order] = np.arange(len(owner)) - starts
    return rank


def named_rows(events: Interactions) -> dict[str, int]:
    """Names of splits that some row has, and how many rows have each."""
    counts = np.bincount(events.split[events.split >= 0], minlength=len(events.split_names))
    named = zip(events.split_names, counts.tolist(), strict=True)
    return {name: count for name, count in named if count}


PROTOCOLS: dict[str, Callable[..., Split]] = {
    "all": everything,
    "fixed": fixed,
    "time": time_cut,
    "warm": warm,
    "leave-one-out": leave_one_out,
    "item-cold": item_cold,
    "user-cold": user_cold,
    "cold-split-column": cold_split_column,
    "thinned": thinned,
    "kg-coldstart-open": kg_coldstart_open,
}
