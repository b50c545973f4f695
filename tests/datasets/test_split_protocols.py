"""Each protocol does what it says on small graphs, and refuses what it cannot do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coldframe.datasets.splits import PROTOCOLS, default_protocol, make_split
from coldframe.kg.coldstart import cold_start_open
from coldframe.kg.errors import DataError, UsageError
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def make_graph(n_users: int = 40, n_items: int = 30, per_user: int = 12, seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(n_users), per_user)
    item = np.concatenate([rng.choice(n_items, per_user, replace=False) for _ in range(n_users)])
    label = (rng.random(len(user)) < 0.7).astype(np.int8)
    nodes = {
        "user": NodeSet(Vocabulary(f"urn:u:{u}" for u in range(n_users))),
        "item": NodeSet(Vocabulary(f"urn:i:{i}" for i in range(n_items))),
    }
    return Graph(nodes, {}, Interactions.build(user, item, label=label))


def named(graph: Graph, parts: np.ndarray, names: tuple[str, ...]) -> Graph:
    events = replace(graph.interactions, split=parts.astype(np.int8), split_names=names)
    return graph.with_interactions(events)


def pairs(rows: Interactions) -> set[tuple[int, int]]:
    return set(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


def liked(rows: Interactions) -> Interactions:
    return rows.select(rows.label == 1)


def test_warm_keeps_every_user_and_follows_the_shares() -> None:
    graph = make_graph()
    split = make_split(graph, "warm", seed=3)
    found = liked(graph.interactions)
    assert pairs(liked(split.train)) | pairs(split.valid) | pairs(split.test) == pairs(found)
    assert set(liked(split.train).user) == set(found.user)
    assert abs(len(split.test) / len(found) - 0.1) < 0.04
    assert abs(len(split.valid) / len(found) - 0.1) < 0.04


def test_the_same_seed_gives_the_same_split_whatever_the_order_of_rows() -> None:
    graph = make_graph()
    order = np.random.default_rng(1).permutation(len(graph.interactions))
    shuffled = graph.with_interactions(graph.interactions.select(order))
    for protocol in ("warm", "item-cold", "user-cold", "thinned", "kg-coldstart-open"):
        options = {"at_least": 5} if protocol in ("thinned", "kg-coldstart-open") else {}
        one = make_split(graph, protocol, seed=7, **options)
        two = make_split(shuffled, protocol, seed=7, **options)
        other = make_split(graph, protocol, seed=8, **options)
        assert pairs(one.train) == pairs(two.train), protocol
        assert pairs(one.test) == pairs(two.test), protocol
        assert pairs(one.test) != pairs(other.test), protocol


def test_item_cold_tests_cold_and_warm_items() -> None:
    split = make_split(make_graph(), "item-cold")
    assert len(split.cold_items) == 6
    on_cold = np.isin(split.test.item, split.cold_items)
    assert on_cold.any()
    assert (~on_cold).any()


def test_user_cold_hides_users() -> None:
    split = make_split(make_graph(), "user-cold")
    assert len(split.cold_users) == 8
    assert not set(split.cold_users) & set(split.train.user)
    assert set(split.cold_users) <= set(split.test.user)


def test_thinned_leaves_one_to_four() -> None:
    graph = make_graph(n_users=200)
    split = make_split(graph, "thinned", at_least=20)
    degree = np.bincount(liked(split.train).item, minlength=graph.n_items)
    assert np.sort(degree)[:6].max() <= 4
    assert np.sort(degree)[:6].min() >= 1
    assert np.sort(degree)[6:].min() > 4


def test_fixed_takes_the_names_and_drops_repeats() -> None:
    graph = make_graph()
    events = graph.interactions
    twice = events.concat(events.select(np.flatnonzero(events.label == 1)[:5]))
    parts = np.arange(len(twice)) % 3
    parts[-5:] = (parts[np.flatnonzero(events.label == 1)[:5]] + 1) % 3
    graph = named(graph.with_interactions(twice), parts, ("train", "val", "test"))
    assert default_protocol(graph) == "fixed"
    split = make_split(graph)
    assert split.name == "fixed"
    assert pairs(liked(split.train)) == pairs(twice.select((parts == 0) & (twice.label == 1)))
    disliked = split.train.select(split.train.label == 0)
    assert pairs(disliked) == pairs(twice.select((parts == 0) & (twice.label == 0)))
    assert not pairs(split.train) & pairs(split.test)


def test_fixed_without_a_valid_part_takes_one_from_train() -> None:
    graph = make_graph()
    parts = np.arange(len(graph.interactions)) % 2
    split = make_split(named(graph, parts, ("train", "test")), "fixed", seed=3)
    assert 0 < len(split.valid) < len(split.train)
    assert split.seed == 3
    whole = named(graph, np.arange(len(graph.interactions)) % 3, ("train", "valid", "test"))
    assert make_split(whole, "fixed", seed=3).seed == 0, "nothing was drawn"


def test_cold_split_column_hides_what_the_columns_hide() -> None:
    graph = make_graph()
    events = graph.interactions
    names = ("warm_train", "warm_test", "user_cold", "item_cold", "user_item_cold")
    new_user, new_item = events.user >= 30, events.item >= 24
    rng = np.random.default_rng(0)
    parts = np.where(rng.random(len(events)) < 0.8, 0, 1)
    parts[new_user], parts[new_item], parts[new_user & new_item] = 2, 3, 4
    split = make_split(named(graph, parts, names), "cold-split-column")
    assert set(split.cold_items) <= set(range(24, 30))
    assert set(split.cold_users) <= set(range(30, 40))
    tested = events.select(np.isin(parts, (1, 3, 4)) & (events.label == 1))
    assert pairs(split.test) == pairs(tested)
    only = make_split(named(graph, parts, names), "cold-split-column", test=("item_cold",))
    assert set(only.test.item) <= set(split.cold_items)


def test_negatives_are_known_as_far_as_their_items_likes_are_not_tested() -> None:
    graph = make_graph(n_users=400)
    split = make_split(graph, "item-cold")
    disliked = split.train.select(split.train.label == 0)
    assert not set(disliked.item) & set(split.cold_items)
    warm = ~np.isin(graph.interactions.item, split.cold_items) & (graph.interactions.label == 0)
    assert abs(len(disliked) / warm.sum() - 0.8 / 0.9) < 0.04
    without = make_split(graph, "item-cold", negatives=False)
    assert pairs(without.train) == pairs(liked(split.train))
    assert pairs(without.test) == pairs(split.test)


def test_thinned_items_have_hardly_any_negatives() -> None:
    graph = make_graph(n_users=200)
    split = make_split(graph, "thinned", at_least=20)
    degree = np.bincount(liked(split.train).item, minlength=graph.n_items)
    disliked = np.bincount(split.train.item, minlength=graph.n_items) - degree
    thin = degree <= 4
    assert disliked[thin].max() <= 5 < disliked[~thin].min()


def test_cold_start_open_follows_the_protocol() -> None:
    graph = make_graph(n_users=100)
    drawn = cold_start_open(graph, seed=1, at_least=5)
    everyone = np.concatenate([drawn.panel_users, drawn.test_users])
    assert np.array_equal(np.sort(everyone), np.arange(100))
    assert len(drawn.panel_users) == 50
    assert len(drawn.cold_items) == 6
    assert not set(drawn.split.test.user) & set(drawn.panel_users)
    events = graph.interactions
    hidden = np.isin(events.user, drawn.panel_users) & np.isin(events.item, drawn.cold_items)
    assert pairs(drawn.answers) == pairs(events.select(hidden))
    assert set(drawn.answers.label) == {0, 1}
    found = liked(events)
    warm = found.select(np.isin(found.user, drawn.panel_users) & ~hidden[events.label == 1])
    assert pairs(warm) <= pairs(drawn.split.train)
    hard = cold_start_open(graph, seed=1, at_least=5, cold_share=0.8)
    assert len(hard.cold_items) == 24


def test_a_pair_that_was_once_positive_is_no_negative() -> None:
    graph = make_graph()
    events = graph.interactions
    denied = replace(events, label=1 - events.label)
    both = graph.with_interactions(denied.concat(events))
    split = make_split(both, "warm")
    assert len(split.train.select(split.train.label == 0)) == 0


@pytest.mark.parametrize(
    ("protocol", "options", "words"),
    [
        ("wram", {}, "did you mean 'warm'"),
        ("warm", {"test_shore": 0.2}, "did you mean 'test_share'"),
        ("warm", {"test_share": 1.5}, "share in [0, 1)"),
        ("cold-split-column", {"test": ("item_clod",)}, "did you mean 'item_cold'"),
        ("thinned", {"most": 0}, "most is 0"),
        ("thinned", {"most": "2"}, "got '2' (str), expected int"),
        ("item-cold", {"at_least": "3"}, "got '3' (str), expected int"),
        ("warm", {"test_share": True}, "expected float"),
        ("leave-one-out", {"test_share": 0.1}, "it has none"),
    ],
)
def test_wrong_use_is_named(protocol: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        make_split(make_graph(), protocol, **options)
    assert words in str(error.value)


@pytest.mark.parametrize("protocol", ["fixed", "cold-split-column", "time"])
def test_a_catalog_without_the_columns_is_named(protocol: str) -> None:
    with pytest.raises(DataError, match="choose protocol"):
        make_split(make_graph(), protocol)


def test_no_positives_is_named() -> None:
    graph = make_graph()
    with pytest.raises(DataError, match="no positive interactions"):
        make_split(graph.with_interactions(Interactions.empty()), "warm")
    with pytest.raises(DataError, match="lower at_least"):
        cold_start_open(graph, at_least=1000)


def test_check_finds_planted_leaks() -> None:
    graph = make_graph()
    split = make_split(graph, "item-cold")
    one = split.test.select(np.array([0]))
    known = replace(one, label=np.zeros(1, np.int8))
    for part, row, words in [
        ("train", one, "both train and test"),
        ("train", known, "both train and test"),
        ("valid", one, "both valid and test"),
    ]:
        bad = replace(split, **{part: getattr(split, part).concat(row)}, cold_items=one.item[:0])
        with pytest.raises(DataError, match=words):
            bad.check(graph)
    stranger = Interactions.build([0], split.cold_items[:1])
    with pytest.raises(DataError, match=r"cold item has interactions in train|both train and"):
        replace(split, train=split.train.concat(stranger)).check(graph)
    with pytest.raises(DataError, match="indices of train"):
        replace(split, train=split.train.concat(Interactions.build([0], [999]))).check(graph)


@pytest.mark.parametrize("forward", [True, False])
def test_check_finds_a_test_pair_among_the_edges(forward: bool) -> None:
    graph = make_graph()
    split = make_split(graph, "warm")
    ends = np.stack([split.test.user[:1], split.test.item[:1]])
    key = ("user", "bought", "item") if forward else ("item", "bought by", "user")
    leaky = replace(graph, edges={key: EdgeSet(ends if forward else ends[::-1])})
    with pytest.raises(DataError, match="are edges of the graph") as caught:
        split.check(leaky)
    assert f"declare {key[1]!r} as [events" in caught.value.hint
    with pytest.raises(DataError, match="are edges of the graph"):
        make_split(leaky, "warm")


def test_every_protocol_is_covered_here() -> None:
    assert set(PROTOCOLS) == {
        "all", "fixed", "warm", "item-cold", "user-cold", "cold-split-column", "thinned",
        "kg-coldstart-open", "time", "leave-one-out",
    }  # fmt: skip


def test_all_holds_nothing_out_for_testing() -> None:
    graph = make_graph()
    split = make_split(graph, "all", valid_share=0.2)
    assert not len(split.test)
    assert len(split.valid)
    assert pairs(split.train) | pairs(split.valid) == pairs(graph.interactions)


def test_names_of_parts_are_understood_in_any_case() -> None:
    graph = make_graph()
    parts = np.arange(len(graph.interactions)) % 3
    for names in (("Train", "EVAL", "Test"), ("training", "Development", "hold-out")):
        split = make_split(named(graph, parts, names))
        assert split.name == "fixed"
        for part, rows in ((0, split.train), (1, split.valid), (2, split.test)):
            mask = (parts == part) & (graph.interactions.label == 1)
            assert pairs(liked(rows)) == pairs(graph.interactions.select(mask))


@pytest.mark.parametrize(
    "names, words",
    [
        (("train", "fold2", "test"), "'fold2' not understood"),
        (("a", "b", "c"), "'a', 'b', 'c' not understood"),
        (("train", "eval", "dev"), "train and test needed"),
    ],
)
def test_names_that_are_not_understood_are_told_with_their_rows(
    names: tuple[str, ...], words: str
) -> None:
    graph = make_graph()
    graph = named(graph, np.arange(len(graph.interactions)) % 3, names)
    with pytest.raises(DataError) as caught:
        make_split(graph)
    assert words in caught.value.message
    assert f"{names[1]} (160 rows)" in caught.value.message
    assert len(make_split(graph, "warm").test)


def test_nothing_but_train_is_no_split_and_cold_columns_are_one() -> None:
    graph = make_graph()
    everywhere = np.zeros(len(graph.interactions), np.int8)
    assert default_protocol(named(graph, everywhere, ("train",))) == "item-cold"
    assert default_protocol(named(graph, everywhere, ("warm_train",))) == "cold-split-column"
    assert default_protocol(graph) == "item-cold"


def timed(graph: Graph, time: np.ndarray) -> Graph:
    return graph.with_interactions(replace(graph.interactions, time=time.astype(np.float64)))


def test_time_tests_the_latest_likes_and_tunes_on_those_before() -> None:
    graph = make_graph()
    graph = timed(graph, np.random.default_rng(2).permutation(len(graph.interactions)))
    split = make_split(graph, "time")
    found = liked(graph.interactions)
    train = liked(split.train)
    assert train.time.max() < split.valid.time.min() <= split.valid.time.max()
    assert split.valid.time.max() < split.test.time.min()
    assert abs(len(split.test) - len(found) / 10) <= 1
    assert abs(len(split.valid) - len(found) / 10) <= 1
    assert len(train) + len(split.valid) + len(split.test) == len(found)
    disliked = split.train.select(split.train.label == 0)
    assert len(disliked)
    assert disliked.time.max() <= train.time.max()


def test_time_counts_a_repeated_pair_at_its_first_like() -> None:
    graph = make_graph()
    events = replace(graph.interactions, time=np.arange(len(graph.interactions), dtype=np.float64))
    first = np.flatnonzero(events.label == 1)[0]
    again = replace(events.select(np.array([first])), time=np.array([1e6]))
    graph = graph.with_interactions(again.concat(events))
    split = make_split(graph, "time")
    assert pairs(again) <= pairs(liked(split.train))
    assert not pairs(again) & pairs(split.test)


def test_time_finds_items_that_are_new_in_test() -> None:
    graph = make_graph()
    new = np.isin(graph.interactions.item, (3, 4))
    split = make_split(timed(graph, np.where(new, 9, np.arange(len(new)) % 8)), "time")
    assert split.cold_items.tolist() == [3, 4]


def test_time_needs_all_times_and_more_than_one() -> None:
    graph = make_graph()
    time = np.arange(len(graph.interactions), dtype=np.float64)
    time[np.flatnonzero(graph.interactions.label == 1)[:3]] = np.nan
    with pytest.raises(DataError, match=r"3 of .* likes have no time"):
        make_split(timed(graph, time), "time")
    with pytest.raises(DataError, match="no part to train on"):
        make_split(timed(graph, np.zeros(len(time))), "time")


def test_leave_one_out_tests_the_latest_like_and_tunes_on_the_one_before() -> None:
    graph = make_graph(per_user=8)
    times = np.random.default_rng(5).permutation(len(graph.interactions)).astype(float)
    graph = timed(graph, times)
    split = make_split(graph, "leave-one-out")
    likes = liked(graph.interactions)
    for user in range(graph.n_users):
        own = likes.select(likes.user == user)
        latest = own.item[np.argsort(own.time)][::-1]
        tested, tuned = (rows.item[rows.user == user] for rows in (split.test, split.valid))
        expected = latest[:2].tolist() if len(latest) >= 3 else []
        assert [*tested, *tuned] == expected
    assert not np.isin(split.cold_items, split.train.item).any()


def test_leave_one_out_draws_by_chance_without_times_and_refuses_some() -> None:
    graph = make_graph()
    one, two = (make_split(graph, "leave-one-out", seed) for seed in (1, 2))
    assert len(one.test) == len(two.test) == graph.n_users
    assert pairs(one.test) != pairs(two.test)
    with pytest.raises(DataError, match="have no time"):
        make_split(
            timed(graph, np.where(graph.interactions.user == 0, np.nan, 1.0)), "leave-one-out"
        )


@pytest.mark.parametrize("seed", [1.0, -1, None, "a"])
def test_what_is_no_seed_is_named(seed: Any) -> None:
    with pytest.raises(UsageError, match="seed"):
        make_split(make_graph(), "warm", seed)
