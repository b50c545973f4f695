"""Leaks: what in the graph tells the answers that a model is later tested on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from .finding_places import Places
from .graph import EdgeType, Graph
from .ids import places_among, sorted_distinct
from .problems import Problem
from .report import Findings
from .split import in_part
from .vocabulary import IntArray, local_name

Values = npt.NDArray[np.float64]

SAME_SHARE = 0.9  # two relations that share this part of the smaller one are one relation
STRONG = 0.8  # |rank correlation| from which a feature or an order is suspected
ENOUGH = 20  # items with a value that a correlation needs


def find_leaks(graph: Graph, where: Places, found: Findings) -> None:
    """Findings, all of them suspicions that a person decides on.

    Kinds: `inverse-leak` (two relations are each other's transpose: an edge held out of one stands in
    the other), `copied-relation` (the same, in one direction), `label-leak` (a numeric item feature
    goes with the mean rating or with the number of interactions), `interaction-in-graph` (edges
    between users and items that are pairs of the interactions, held-out ones counted),
    `order-leak` (numbers in the items' ids follow popularity or time, or set the items without
    interactions apart).
    """
    _relation_copies(graph, where, found)
    _interaction_edges(graph, where, found)
    if len(graph.interactions):
        _label_leaks(graph, where, found)
        _order_leaks(graph, where, found)


def _relation_copies(graph: Graph, where: Places, found: Findings) -> None:
    types = [name for name in graph.edges if len(graph.edges[name])]
    codes = _EdgeCodes(graph)
    for first, second in combinations(types, 2):
        for kind, flipped in (("copied-relation", False), ("inverse-leak", True)):
            ends = (first[2], first[0]) if flipped else (first[0], first[2])
            if (second[0], second[2]) != ends:
                continue
            shared, least = _shared(codes.of(first), codes.of(second, flipped=flipped))
            most = max(len(graph.edges[first]), len(graph.edges[second]))
            # A few shared edges say nothing, unless they are all there is.
            if shared >= SAME_SHARE * (least if least >= ENOUGH else max(most, 2)):
                how = "with the ends exchanged" if flipped else "in the same direction"
                message = (
                    f"{shared} of its {len(graph.edges[second])} edges stand in {first[1]!r} {how}; "
                    + ("declare it as the inverse" if flipped else "leave one out")
                )
                place = where.relation(second[1])
                iri = graph.nodes[second[0]].vocabulary[int(graph.edges[second].index[0, 0])]
                found.add(kind, second[1], 1, [Problem(kind, iri, second[1], place, message)])


def _shared(one: IntArray, two: IntArray) -> tuple[int, int]:
    """How many edges two relations share by their sorted codes (0 where a sample shows that they are
    too few to matter), and the size of the smaller."""
    small, large = (one, two) if len(one) <= len(two) else (two, one)
    sample = small[:: max(1, len(small) // 100)]
    if (places_among(large, sample) >= 0).mean() < SAME_SHARE / 2:
        return 0, len(small)
    return len(np.intersect1d(small, large, assume_unique=True)), len(small)


class _EdgeCodes:
    """Sorted codes of the edges of each relation, made once: every relation is held against many."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._known: dict[tuple[EdgeType, bool], IntArray] = {}

    def of(self, kind: EdgeType, *, flipped: bool = False) -> IntArray:
        """One integer per edge; equal for equal ends in relations between the same node types."""
        if (kind, flipped) not in self._known:
            start, end = self._graph.edges[kind].index[:: -1 if flipped else 1]
            width = len(self._graph.nodes[kind[0 if flipped else 2]])
            self._known[kind, flipped] = sorted_distinct(start * width + end)
        return self._known[kind, flipped]


def _interaction_edges(graph: Graph, where: Places, found: Findings) -> None:
    events = graph.interactions
    pairs = sorted_distinct(events.user * graph.n_items + events.item)
    held = in_part(events, "valid") | in_part(events, "test")
    held_pairs = sorted_distinct((events.user * graph.n_items + events.item)[held])
    for (source, relation, target), edges in graph.edges.items():
        if {source, target} != {graph.user_type, graph.item_type} or source == target:
            continue
        user, item = edges.index if source == graph.user_type else edges.index[::-1]
        codes = sorted_distinct(user * graph.n_items + item)
        both = np.intersect1d(codes, pairs, assume_unique=True)
        if not len(both):
            continue
        late = np.intersect1d(both, held_pairs, assume_unique=True)
        first = int((late if len(late) else both)[0])
        message = (
            f"{len(both)} of its {len(codes)} edges are pairs of the interactions"
            f"{f', {len(late)} of them held out' if len(late) else ''}; such as with "
            f"{graph.items.vocabulary[first % graph.n_items]}"
        )
        iri = graph.users.vocabulary[first // graph.n_items]
        problem = Problem("interaction-in-graph", iri, relation, where.relation(relation), message)
        found.add("interaction-in-graph", relation, 1, [problem])


def _label_leaks(graph: Graph, where: Places, found: Findings) -> None:
    for name, values in graph.items.numbers.items():
        for what, target in _outcomes(graph):
            rho, n = rank_correlation(np.asarray(values, np.float64), target)
            if abs(rho) >= STRONG:
                message = (
                    f"goes with {what} (rank correlation {rho:.2f} over {n} items): if it was made "
                    "from the interactions, it tells the held-out ones"
                )
                place = where.feature(graph.item_type, name)
                iri = graph.items.vocabulary[int(np.flatnonzero(~np.isnan(values))[0])]
                problem = Problem("label-leak", iri, name, place, message)
                found.add("label-leak", name, 1, [problem])


def _outcomes(graph: Graph) -> Iterator[tuple[str, Values]]:
    """What a feature must not be made from, per item, NaN where there is none."""
    events, n = graph.interactions, graph.n_items
    liked = events.label == 1
    value = np.where(np.isnan(events.rating), liked, events.rating).astype(np.float64)
    count = np.bincount(events.item, minlength=n)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(events.item, value, n) / count
    yield "the mean rating", np.where(count >= 5, mean, np.nan)
    yield "the number of interactions", np.where(count > 0, count, np.nan)


def _order_leaks(graph: Graph, where: Places, found: Findings) -> None:
    number = _numbers_in_ids(graph)
    if np.isfinite(number).sum() < ENOUGH:
        return
    events, n = graph.interactions, graph.n_items
    count = np.bincount(events.item, minlength=n)
    orders = [("the number of interactions", np.where(count > 0, count, np.nan))]
    if np.isfinite(events.time).any():
        first = np.full(n, np.inf)
        np.minimum.at(first, events.item, np.nan_to_num(events.time, nan=np.inf))
        orders.append(
            ("the time of the first interaction", np.where(np.isinf(first), np.nan, first))
        )
    messages = []
    for what, values in orders:
        rho, size = rank_correlation(number, values)
        if abs(rho) >= STRONG:
            messages.append(f"follow {what} (rank correlation {rho:.2f} over {size} items)")
    apart = _set_apart(number, count > 0)
    if apart >= 0.99 or apart <= 0.01:
        side = "after" if apart >= 0.99 else "before"
        messages.append(f"of items without interactions come {side} all others")
    iri = graph.items.vocabulary[int(np.flatnonzero(np.isfinite(number))[0])]
    place = where.nodes(graph.item_type, [iri])[0]
    listed = [
        Problem(
            "order-leak",
            iri,
            "id",
            place,
            f"numbers in the items' ids {message}: never use them as a feature",
        )
        for message in messages
    ]
    found.add("order-leak", "id", len(listed), listed)


def _numbers_in_ids(graph: Graph) -> Values:
    """The whole number at the end of each item's IRI, NaN where there is none."""
    out = np.full(graph.n_items, np.nan)
    for index, iri in enumerate(graph.items.vocabulary):
        digits = local_name(iri)
        digits = digits[len(digits.rstrip("0123456789")) :]
        if digits and len(digits) < 16 and digits.isascii():
            out[index] = int(digits)
    return out


def _set_apart(number: Values, active: npt.NDArray[np.bool_]) -> float:
    """Chance that an item without interactions has a higher number than one with; 0.5 if too few."""
    known = np.isfinite(number)
    idle, busy = number[known & ~active], np.sort(number[known & active])
    if min(len(idle), len(busy)) < ENOUGH:
        return 0.5
    return float(np.searchsorted(busy, idle).mean() / len(busy))


def rank_correlation(first: Values, second: Values) -> tuple[float, int]:
    """Spearman's rho over the positions where both are finite, and how many; 0 if below `ENOUGH`
    or if one is constant. Ties get mean ranks."""
    from scipy.stats import rankdata

    both = np.isfinite(first) & np.isfinite(second)
    n = int(both.sum())
    if n < ENOUGH:
        return 0.0, n
    one, two = rankdata(first[both]), rankdata(second[both])
    if one.std() == 0 or two.std() == 0:
        return 0.0, n
    return float(np.corrcoef(one, two)[0, 1]), n
