"""A split that was made elsewhere: parts given as pairs by id."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kg.catalog import Catalog, graph_of
from ..kg.coldstart import resolve
from ..kg.errors import DataError
from ..kg.graph import Graph, Interactions
from ..kg.ids import sorted_distinct
from ..kg.in_memory import as_pairs
from ..kg.split import PARTS, Split, pair_codes
from ..kg.vocabulary import IntArray


def given_split(
    catalog: Catalog | Graph, train: Any, test: Any, valid: Any = (), *, name: str = "given"
) -> Split:
    """The catalog's interactions in the parts in which they are given, with the leakage proof done.

    Label, rating and time of a pair are the catalog's; of pairs rated low those of `train` are learned
    from, and those of the other parts are left out. What is in no part is left out. Cold items and users
    are those that only the test part has.

    Args:
        train, test, valid: data frames or Arrow tables with columns user and item (ids), or iterables
            of such pairs. A pair may stand several times in a part.

    Raises:
        UsageError: a part is no pairs. UnknownIdError: an id that the catalog does not have.
        DataError: a pair is no interaction of the catalog, or stands in two parts, or leaks otherwise.
    """
    graph = graph_of(catalog)
    events = resolve(graph.interactions, graph.n_items)
    known = pair_codes(events, graph.n_items)
    rows: dict[str, Interactions] = {}
    for part, pairs in zip(PARTS, (train, valid, test), strict=True):
        codes = _codes(graph, pairs, part)
        strange = codes[~np.isin(codes, known)]
        if len(strange):
            user, item = divmod(int(strange[0]), graph.n_items)
            raise DataError(
                f"{len(strange):,} pairs of {part} are no interactions of the catalog",
                where=f"{graph.users.vocabulary[user]} {graph.items.vocabulary[item]}",
                hint="read the catalog with the interactions of all parts; the split says which count",
            )
        rows[part] = events.select(np.isin(known, codes))
        if part != "train":
            rows[part] = rows[part].select(rows[part].label == 1)
    return Split(
        train=rows["train"],
        valid=rows["valid"],
        test=rows["test"],
        cold_items=_only_tested(rows, "item"),
        cold_users=_only_tested(rows, "user"),
        name=name,
    ).check(graph)


def _codes(graph: Graph, pairs: Any, part: str) -> IntArray:
    """The distinct pairs as one number each, sorted."""
    listed = as_pairs(pairs, part)
    users = graph.users.vocabulary.indices([user for user, _ in listed], kind="user")
    items = graph.items.vocabulary.indices([item for _, item in listed], kind="item")
    return sorted_distinct(users * graph.n_items + items)


def _only_tested(rows: dict[str, Interactions], kind: str) -> IntArray:
    """Sorted users or items that neither train nor valid has."""
    seen = np.concatenate([getattr(rows[part], kind) for part in ("train", "valid")])
    return np.setdiff1d(getattr(rows["test"], kind), seen)
