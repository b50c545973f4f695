"""No split of any random graph leaks: brute force over sets, with repeated pairs and mixed labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coldframe.datasets.splits import PROTOCOLS, make_split
from coldframe.kg.coldstart import cold_start_open
from coldframe.kg.errors import DataError
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.split import hold_out_per_user
from coldframe.kg.vocabulary import Vocabulary

COLUMNS = ("warm_train", "warm_test", "user_cold", "item_cold", "user_item_cold")
OPTIONS = {"thinned": {"at_least": 3, "most": 2}, "kg-coldstart-open": {"at_least": 1}}


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Up to 9 users and 9 items; rows repeat and contradict each other; split names are arbitrary."""
    n_users, n_items = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, n_users - 1), st.integers(0, n_items - 1), st.booleans(),
                st.integers(-1, 2), st.integers(0, 9),
            ),
            min_size=1, max_size=60,
        )
    )  # fmt: skip
    user, item, label, part, time = (
        np.array(column, np.int64) for column in zip(*rows, strict=True)
    )
    if draw(st.booleans()):
        cold_user, cold_item = user >= (n_users + 1) // 2, item >= (n_items + 1) // 2
        # A pair is wholly in one column, as in a sane catalog.
        part = (user + item) % 2
        part[cold_user], part[cold_item], part[cold_user & cold_item] = 2, 3, 4
        names: tuple[str, ...] = COLUMNS
    else:
        names = ("train", "valid", "test")
    nodes = {
        "user": NodeSet(Vocabulary(f"urn:u:{u}" for u in range(n_users))),
        "item": NodeSet(Vocabulary(f"urn:i:{i}" for i in range(n_items))),
    }
    events = Interactions.build(
        user, item, label=label, split=part, split_names=names, time=time.astype(float)
    )
    return Graph(nodes, {}, events)


def pairs(rows: Interactions, label: int | None = None) -> set[tuple[int, int]]:
    mask = np.ones(len(rows), bool) if label is None else rows.label == label
    return set(zip(rows.user[mask].tolist(), rows.item[mask].tolist(), strict=True))


@pytest.mark.R(12)
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graph=graphs(), seed=st.integers(0, 5))
def test_no_protocol_leaks(protocol: str, graph: Graph, seed: int) -> None:
    try:
        split = make_split(graph, protocol, seed, **OPTIONS.get(protocol, {}))
    except DataError:
        return  # the catalog lacks what this protocol needs; `test_split_protocols` says when
    train, valid, test = pairs(split.train, 1), pairs(split.valid), pairs(split.test)
    assert not train & valid
    assert not train & test
    assert not valid & test
    liked = pairs(graph.interactions, 1)
    assert train | valid | test <= liked
    assert not {item for _, item in train | valid} & set(split.cold_items.tolist())
    assert not {user for user, _ in train | valid} & set(split.cold_users.tolist())
    if protocol in ("warm", "item-cold", "user-cold", "thinned", "time"):
        assert train | valid | test == liked, "a positive pair was lost"


@pytest.mark.R(12)
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
@settings(max_examples=100, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5))
def test_no_negative_is_true(protocol: str, graph: Graph, seed: int) -> None:
    try:
        split = make_split(graph, protocol, seed, **OPTIONS.get(protocol, {}))
    except DataError:
        return
    assert not pairs(split.valid, 0) | pairs(split.test, 0)
    denied = pairs(split.train, 0)
    assert not denied & pairs(graph.interactions, 1)
    assert not {item for _, item in denied} & set(split.cold_items.tolist())
    assert not {user for user, _ in denied} & set(split.cold_users.tolist())


@pytest.mark.R(12)
@settings(max_examples=200, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5), share=st.sampled_from([0.2, 0.8]))
def test_the_oracle_knows_nothing_that_is_trained_or_tested(
    graph: Graph, seed: int, share: float
) -> None:
    try:
        drawn = cold_start_open(graph, seed, cold_share=share, at_least=1)
    except DataError:
        return
    known = pairs(drawn.answers)
    assert not known & (pairs(drawn.split.train) | pairs(drawn.split.test))
    assert len(known) == len(drawn.answers), "a pair has two answers"
    assert not set(drawn.panel_users.tolist()) & set(drawn.split.test.user.tolist())
    liked = pairs(graph.interactions, 1)
    covered = pairs(drawn.split.train) | pairs(drawn.split.test) | pairs(drawn.answers, 1)
    assert covered == liked


@settings(max_examples=100, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5), data=st.data())
def test_check_finds_any_moved_pair(graph: Graph, seed: int, data: st.DataObject) -> None:
    try:
        split = make_split(graph, "warm", seed, test_share=0.5)
    except DataError:
        return
    if not len(split.test):
        return
    row = data.draw(st.integers(0, len(split.test) - 1))
    leaked = split.test.select(np.array([row]))
    leaked = replace(leaked, label=np.array([data.draw(st.integers(0, 1))], np.int8))
    part = data.draw(st.sampled_from(["train", "valid"]))
    with pytest.raises(DataError, match="stand in both"):
        replace(split, **{part: getattr(split, part).concat(leaked)}).check(graph)


@settings(max_examples=200, deadline=None)
@given(graph=graphs(), seed=st.integers(0, 5), share=st.floats(0, 1), keep=st.integers(0, 2))
def test_hold_out_keeps_pairs_together(graph: Graph, seed: int, share: float, keep: int) -> None:
    rows = graph.interactions
    held = hold_out_per_user(rows, share, np.random.default_rng(seed), keep=keep)
    assert not pairs(rows.select(held)) & pairs(rows.select(~held))
    for user in np.unique(rows.user):
        mine = {p for p in pairs(rows) if p[0] == user}
        out = {p for p in pairs(rows.select(held)) if p[0] == user}
        assert len(mine) - len(out) >= min(keep, len(mine))
        assert abs(len(out) - share * len(mine)) <= 1 or len(mine) - len(out) == keep
