"""What is derived from training interactions."""

from __future__ import annotations

import numpy as np
import pytest

from coldframe.gnn.data import TrainingData
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary


def told_of(item: int, likes: int, *, own: bool = True) -> TrainingData:
    """Item 0 has three likes in the catalog (or nobody has any); `item` was told to be liked."""
    users = np.arange(likes)
    told = Interactions.build(users, np.full(likes, item), round=1)
    catalog = Interactions.build([0, 1, 2], [0, 0, 0])
    nodes = {
        name: NodeSet(Vocabulary(f"{name}{k}" for k in range(n)))
        for name, n in (("user", 40), ("item", 3))
    }
    train = catalog.concat(told) if own else told
    return TrainingData(Graph(nodes, {}, Interactions.empty()), train)


@pytest.mark.parametrize(("likes", "counted"), [(1, 0), (19, 0), (20, 20), (40, 40)])
def test_few_answers_leave_an_item_cold(likes: int, counted: int) -> None:
    data = told_of(1, likes)
    assert data.item_degree.tolist() == [3, likes, 0]
    assert data.catalog_degree.tolist() == [3, counted, 0]
    assert data.told.tolist() == [False, True, False]


def test_answers_are_all_there_is_where_the_catalog_has_nothing() -> None:
    data = told_of(1, 4, own=False)
    assert data.catalog_degree.tolist() == [0, 4, 0]
    assert not data.told.any()
