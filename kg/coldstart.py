"""KG-ColdStart-Open: the protocol of simulated asking. Whom one may ask, about what, and the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .errors import DataError, UsageError
from .graph import AUXILIARY, Graph, Interactions
from .split import Split, hold_out_among, hold_out_items, pair_codes, rng_for
from .vocabulary import IntArray


@dataclass(frozen=True)
class ColdStartOpen:
    """A catalog with planted cold items, and users who may be asked about them.

    Attributes:
        split: train = all warm positives less the test users' held-out share; test = that share
            and the test users' positives on cold items. Panel users have no test rows.
        panel_users, test_users: sorted user indices; disjoint, together all users.
        cold_items: sorted item indices; equal to `split.cold_items`.
        answers: the hidden events of panel users on cold items, labels 1 and 0, one row per pair:
            what a simulated oracle knows. The pool is panel_users x cold_items; a pair of it that
            has no row here is answered 0.
    """

    split: Split
    panel_users: IntArray
    test_users: IntArray
    cold_items: IntArray
    answers: Interactions


def cold_start_open(
    graph: Graph,
    seed: int = 0,
    *,
    cold_share: float = 0.2,
    at_least: int = 20,
    held_out: float = 0.2,
    valid_share: float = 0.0,
) -> ColdStartOpen:
    """Draw the protocol: users 50/50 into panel and test, `cold_share` of the items made cold.

    Args:
        cold_share: of the items with `at_least` positives (0.2, or 0.8 for the hard setting).
        held_out: share of each test user's warm positives that is tested.
        valid_share: share of each panel user's warm positives to tune on; 0 leaves `valid` empty.

    Raises:
        DataError: no item has `at_least` positives.
        UsageError: a share outside [0, 1].
    """
    for name, share in (
        ("cold_share", cold_share), ("held_out", held_out), ("valid_share", valid_share)
    ):  # fmt: skip
        if not 0.0 <= share <= 1.0:
            raise UsageError(f"{name} is {share}, expected a share in [0, 1]")
    events = resolve(graph.interactions, graph.n_items)
    positives = events.select(events.label == 1)
    cold = hold_out_items(
        positives, graph.n_items, cold_share, rng_for(seed, "cold items"), at_least=at_least
    )
    if not len(cold):
        raise DataError(
            f"no item of catalog {graph.name!r} has {at_least} positive interactions, or the share "
            "of cold items rounds to none",
            hint="lower at_least (--at-least)",
        )
    order = rng_for(seed, "panel").permutation(graph.n_users)
    panel, test = np.sort(order[: graph.n_users // 2]), np.sort(order[graph.n_users // 2 :])
    is_test = np.isin(positives.user, test)
    on_cold = np.isin(positives.item, cold)
    tested = on_cold & is_test
    tested |= hold_out_among(positives, ~on_cold & is_test, held_out, seed, "held out")
    tuned = hold_out_among(positives, ~on_cold & ~is_test, valid_share, seed, "valid")
    split = Split(
        train=positives.select(~on_cold & ~tested & ~tuned),
        valid=positives.select(tuned),
        test=positives.select(tested),
        cold_items=cold,
        cold_users=np.zeros(0, np.int64),
        name="kg-coldstart-open",
        seed=seed,
    ).check(graph)
    asked = np.isin(events.user, panel) & np.isin(events.item, cold) & (events.label != AUXILIARY)
    return ColdStartOpen(split, panel, test, cold, events.select(asked))


def resolve(events: Interactions, n_items: int) -> Interactions:
    """One row per pair, sorted by (user, item): a positive row where there is one, else a negative one.

    A pair that was once positive is never also a negative, so no negative can be true; and a pair is
    auxiliary where it is nothing else.
    """
    order = np.lexsort((-events.label, pair_codes(events, n_items)))
    codes = pair_codes(events, n_items)[order]
    first = np.ones(len(codes), bool)
    first[1:] = codes[1:] != codes[:-1]
    return events.select(order[first])
