"""Parts that were made elsewhere become a split, or are refused with the pair that is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coldframe.datasets.splits import given_split, make_split
from coldframe.kg.errors import DataError, UnknownIdError, UsageError
from coldframe.kg.graph import Graph
from coldframe.kg.split import PARTS, pair_codes

LIKES = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (3, 3), (3, 4)]


def test_the_parts_of_a_protocol_come_back_from_their_pairs(tiny_graph: Graph) -> None:
    made = make_split(tiny_graph, "warm", seed=2, test_share=0.3, valid_share=0.2)
    train, valid, test = (tiny_graph.interaction_table(getattr(made, part)) for part in PARTS)
    assert train["time"].null_count == 0
    found = given_split(tiny_graph, train, test, valid)
    for part in PARTS:
        one, two = getattr(made, part), getattr(found, part)
        assert set(pair_codes(one, 8)) == set(pair_codes(two, 8))
    assert (found.train.label == 0).any()


@pytest.mark.parametrize("form", ["list", "array", "columns", "frame"])
def test_a_part_may_be_of_any_form(tiny_graph: Graph, form: str) -> None:
    pairs: Any = LIKES[:4]
    if form == "array":
        pairs = np.array(pairs)
    elif form == "columns":
        pairs = {"user": [u for u, _ in pairs], "item": [i for _, i in pairs]}
    elif form == "frame":
        pairs = pytest.importorskip("pandas").DataFrame(pairs, columns=["user", "item"])
    split = given_split(tiny_graph, pairs, [(3, 3)])
    assert len(split.train) == 4
    assert split.cold_items.tolist() == [3]
    assert split.cold_users.tolist() == [3]


def test_dislikes_are_learned_from_and_not_tested(tiny_graph: Graph) -> None:
    split = given_split(tiny_graph, [(0, 0), (1, 4)], [(0, 1), (2, 5)])
    assert split.train.label.tolist() == [1, 0]
    assert split.test.item.tolist() == [1]


@pytest.mark.parametrize(
    ("train", "test", "error", "words"),
    [
        ([(0, 0)], [(0, 7)], DataError, "1 pairs of test are no interactions of the catalog"),
        ([(0, 0)], [(0, 0)], DataError, "in both train and test"),
        ([(0, 99)], [(0, 0)], UnknownIdError, "99"),
        ([0, 1], [(0, 0)], UsageError, "train: got 0, expected pairs"),
        ({"user_id": [0], "item": [0]}, [(0, 0)], UsageError, "column 'user' is missing"),
    ],
)
def test_what_is_no_part_is_named(
    tiny_graph: Graph, train: Any, test: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        given_split(tiny_graph, train, test)
