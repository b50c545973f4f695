"""Which test pairs count in which column of an evaluation: hot, warm, cold, degrees, groups."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..kg.errors import UsageError
from ..kg.graph import Graph
from ..kg.split import Split
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .scorer_base import BoolArray

DEGREES = ((0, 0), (1, 4), (5, 19), (20, 99), (100, None))


def cold_candidates(data: TrainingData, split: Split) -> IntArray:
    """The items that "cold-only" ranks: the split's planted cold items, else all untrained ones."""
    if len(split.cold_items):
        return split.cold_items
    return np.flatnonzero(data.item_degree == 0)


def pair_segments(
    user: IntArray,
    item: IntArray,
    data: TrainingData,
    seen: BoolArray,
    groups: Mapping[str, IntArray] | None = None,
) -> dict[str, BoolArray]:
    """Segment name -> mask over the test pairs (user[n], item[n]).

    hot: the item has positive training interactions; warm: it has none, but is `seen` (n_items,) in
    other known rows; cold: neither. degree:a-b: by positive training interactions of the item.
    cold-users: the user has no positive training interaction. One more per group of users; UsageError
    where it has the name of one of these.
    """
    degree = data.item_degree[item]
    hot = degree > 0
    segments = {
        "all": np.ones(len(item), bool),
        "hot": hot,
        "warm": ~hot & seen[item],
        "cold": ~hot & ~seen[item],
    }
    for low, high in DEGREES:
        name = f"degree:{low}+" if high is None else f"degree:{low}-{high}" if high else "degree:0"
        segments[name] = (degree >= low) & ((degree <= high) if high is not None else True)
    segments["cold-users"] = data.user_degree[user] == 0
    for name, members in (groups or {}).items():
        if name in segments or name == "cold-only":
            raise UsageError(f"a group is called {name!r}, as a segment is", where="groups")
        segments[name] = np.isin(user, members)
    return segments


def category_groups(graph: Graph) -> dict[str, IntArray]:
    """Users by each of their categorical features: "gender=F" -> user indices."""
    return {
        f"{feature}={name}": np.flatnonzero(category.codes == code)
        for feature, category in graph.users.categories.items()
        for code, name in enumerate(category.names)
    }
