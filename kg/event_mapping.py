"""Events in RDF: event nodes with roles, or plain properties from user to item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .build import GraphBuilder
from .events import make_events, split_unrated
from .export import EVENT_NODE
from .ids import sorted_distinct
from .literals import parse_moments, parse_numbers, wrong_time
from .problems import Problem
from .quads import CodeArray
from .schema import Event, Hop
from .statements import Pairs
from .vocabulary import TEXT, IntArray, local_name

if TYPE_CHECKING:
    from .mapping import Mapping


@dataclass(frozen=True)
class EventEnds:
    """Users and items of one kind of event, one row per event.

    Attributes:
        node: term code of the event node, -1 for a plain property.
        user, item: term codes, -1 where missing.
        row: the statement that names the item.
    """

    node: CodeArray
    user: CodeArray
    item: CodeArray
    row: IntArray

    def both(self) -> tuple[CodeArray, CodeArray]:
        """Users and items of the events that have both."""
        there = (self.user >= 0) & (self.item >= 0)
        return self.user[there], self.item[there]


def event_ends(mapping: Mapping, event: Event) -> EventEnds:
    """Find the events of one kind and their two ends."""
    if event.property:
        pairs = mapping.statements.pairs(Hop(event.property))
        if event.inverse:
            back = mapping.statements.pairs(Hop(event.inverse, inverse=True))
            pairs = pairs.join(back)
        none = np.full(len(pairs.start), -1, np.int32)
        return EventEnds(none, pairs.start, pairs.end, pairs.row)
    mask = mapping.with_class(event.classes)
    node = np.flatnonzero(mask).astype(np.int32)
    user, _ = _one_end(mapping, event, "user", mask, node)
    item, row = _one_end(mapping, event, "item", mask, node)
    return EventEnds(node, user, item, row)


def map_events(mapping: Mapping, builder: GraphBuilder, event: Event, ends: EventEnds) -> None:
    """Add the events whose ends are known; the rest are problems."""
    user = _index(mapping, mapping.schema.user_type, ends.user)
    item = _index(mapping, mapping.schema.item_type, ends.item)
    keep = (user >= 0) & (item >= 0)
    _report_ends(mapping, event, ends, keep)
    if event.property:
        width = len(builder.members[mapping.schema.item_type])
        distinct = sorted_distinct(user[keep] * max(width, 1) + item[keep])
        user, item = np.divmod(distinct, max(width, 1))
        builder.add_events(event.name, make_events(event, user, item))
        return
    number = {
        role: _numbers(mapping, event, role, ends.node)
        for role in ("rating", "time")
        if role in event.roles
    }
    none = np.zeros(len(keep), bool)
    if "rating" in number:
        number["rating"], none = split_unrated(event, number["rating"])
    if event.positive is not None:
        unknown = keep & np.isnan(number["rating"]) & ~none
        message = "no rating, so neither positive nor negative: left out"
        _report(mapping, "no-rating", event, "rating", ends.node[unknown], message)
        keep &= ~unknown
    split = _splits(mapping, event, ends.node) if "split" in event.roles else None
    rows = {role: values[keep] for role, values in number.items()}
    split = None if split is None else split.filter(pa.array(keep))
    node = _foreign(mapping, ends.node[keep])
    rating, time = rows.get("rating"), rows.get("time")
    made = make_events(event, user[keep], item[keep], rating, time, split, node)
    builder.add_events(event.name, made)


def _foreign(mapping: Mapping, node: CodeArray) -> CodeArray:
    """Codes of event nodes, -1 for those whose IRI an export minted."""
    iris = mapping.statements.terms.take(pa.array(node))
    minted = np.asarray(pc.starts_with(iris, EVENT_NODE), bool)
    return np.where(minted, np.int32(-1), node)


def _index(mapping: Mapping, node_type: str, codes: CodeArray) -> IntArray:
    index = mapping.index[node_type][np.maximum(codes, 0)]
    return np.where(codes >= 0, index, -1).astype(np.int64)


def _one_end(
    mapping: Mapping, event: Event, role: str, mask: npt.NDArray[np.bool_], node: CodeArray
) -> tuple[CodeArray, IntArray]:
    """The term at one end of every event node (the first by IRI), and its statement; -1 if none."""
    pairs = mapping.statements.follow(event.roles[role], mask)
    pairs = pairs.select(pairs.end >= 0)
    return _first(mapping, event, role, pairs, node)


def _first(
    mapping: Mapping, event: Event, role: str, pairs: Pairs, node: CodeArray
) -> tuple[CodeArray, IntArray]:
    """One end per event node: the one with the lowest code, or the lowest literal."""
    place = np.searchsorted(node, pairs.start)
    end = np.full(len(node), -1, np.int32)
    row = np.full(len(node), -1, np.int64)
    if not (np.diff(place) > 0).all():
        size = np.where(pairs.end >= 0, pairs.end, -(pairs.end.astype(np.int64) + 1))
        order = np.lexsort([size, place])
        pairs = Pairs(pairs.start[order], pairs.end[order], pairs.row[order])
        place = place[order]
        first = np.r_[True, np.diff(place) > 0] if len(place) else np.zeros(0, bool)
        other = ~first & (np.r_[0, np.diff(pairs.end)] != 0) if len(place) else first
        message = f"several values of the role {role!r}: the first is taken"
        _report(mapping, "several-values", event, role, np.unique(pairs.start[other]), message)
        pairs, place = pairs.select(first), place[first]
    end[place], row[place] = pairs.end, pairs.row
    return end, row


def _role_text(
    mapping: Mapping, event: Event, role: str, node: CodeArray
) -> tuple[pa.Array, IntArray]:
    """The literal of a role per event node, null where there is none, and its statement.

    A split may be a term too, and is called by its local name.
    """
    mask = np.zeros(len(mapping.statements), bool)
    mask[node] = True
    pairs = mapping.statements.follow(event.roles[role], mask)
    terms = pairs.end >= 0
    if terms.any() and role != "split":
        message = f"the {role} is no literal"
        _report(mapping, f"bad-{role}", event, role, pairs.start[terms], message)
        pairs = pairs.select(~terms)
    end, row = _first(mapping, event, role, pairs, node)
    there = row >= 0
    literal = np.where(end < 0, -(end.astype(np.int64) + 1), 0)
    text = mapping.statements.quads.literals.value
    out = text.take(pa.array(literal, mask=~(there & (end < 0))))
    named = np.flatnonzero(there & (end >= 0))
    if len(named):
        codes, place = np.unique(end[named], return_inverse=True)
        names = pa.array([local_name(mapping.iri(code)) for code in codes], TEXT)
        at = np.full(len(end), -1, np.int64)
        at[named] = place
        out = pc.coalesce(out, names.take(pa.array(at, mask=at < 0)))
    return out, row


def _numbers(mapping: Mapping, event: Event, role: str, node: CodeArray) -> npt.NDArray[np.float64]:
    """Rating or time per event node, NaN where it is missing or bad (a problem)."""
    text, row = _role_text(mapping, event, role, node)
    text = pc.utf8_trim_whitespace(text)
    rated, unit = role == "rating", event.time_unit
    number = parse_numbers(text) if rated else parse_moments(text, unit)
    bad = np.flatnonzero(np.isnan(number) & np.asarray(text.is_valid(), bool))
    kind, name = f"bad-{role}", event.roles[role].text
    what = "is not a finite number" if rated else f"is {wrong_time(text.take(bad), unit)}"
    listed = [
        Problem(
            kind,
            mapping.iri(node[k]),
            name,
            mapping.statements.where(int(row[k])),
            f"{text[int(k)].as_py()!r} {what}",
        )
        for k in bad[: mapping.findings.room(kind, name)]
    ]
    mapping.findings.add(kind, name, len(bad), listed)
    return number


def _splits(mapping: Mapping, event: Event, node: CodeArray) -> pa.Array:
    return _role_text(mapping, event, "split", node)[0]


def _report_ends(
    mapping: Mapping, event: Event, ends: EventEnds, keep: npt.NDArray[np.bool_]
) -> None:
    """Events without an end, or with an end that is of another type."""
    lacking = (ends.user < 0) | (ends.item < 0)
    if event.property:
        name = event.property
        bad = Pairs(ends.user, ends.item, ends.row).select(~keep)
        schema = mapping.schema
        message = f"not from a {schema.user_type} to a {schema.item_type}"
        mapping.problems("dangling-iri", name, bad, lambda end: f"to {mapping.iri(end)}: {message}")
        return
    message = "the user or the item is missing: left out"
    _report(mapping, "missing-end", event, "item", ends.node[lacking], message)
    message = "the user or the item is not of its node type: left out"
    _report(mapping, "dangling-iri", event, "item", ends.node[~keep & ~lacking], message)


def _report(
    mapping: Mapping, kind: str, event: Event, role: str, nodes: CodeArray, message: str
) -> None:
    name = event.roles[role].text
    room = mapping.findings.room(kind, name)
    listed = [
        Problem(kind, mapping.iri(code), name, mapping.where_typed(int(code)), message)
        for code in nodes[:room]
    ]
    mapping.findings.add(kind, name, len(nodes), listed)
