"""What two parts of a schema must not both say: the data would count twice, and give answers away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain

from .schema import Event, NodeType, Relation

Mistake = tuple[str, str, str]
"""Dotted key, message, hint."""


def first_overlap(
    nodes: Mapping[str, NodeType], relations: Mapping[str, Relation], events: Mapping[str, Event]
) -> Mistake | None:
    """The first thing that a schema says twice; None where it says nothing twice."""
    return next(chain(_relations_told_twice(relations), _events_as_nodes(nodes, events)), None)


def _relations_told_twice(relations: Mapping[str, Relation]) -> Iterator[Mistake]:
    """Relations whose `inverse` is the property of another one between the same types.

    A general property may stand in both where the types differ: its statements are others then.
    """
    reading: dict[str, list[Relation]] = {}
    for relation in relations.values():
        if len(relation.path.hops) == 1:
            reading.setdefault(relation.path.hops[0].property, []).append(relation)
    for one in relations.values():
        for other in reading.get(one.inverse, []):
            if other is not one and _turned_round(one, other):
                yield (
                    f"relations.{one.name}.inverse",
                    f"<{one.inverse}> is the property of the relation {other.name!r}: its edges would stand twice",
                    f"take out [relations.{other.name}], or `inverse`, which turns the same statements round",
                )


def _turned_round(one: Relation, other: Relation) -> bool:
    """Whether statements of the inverse of `one` may be edges of `other`."""
    ends = (other.sources, other.targets)
    sources, targets = ends if other.path.hops[0].inverse else reversed(ends)
    return bool(set(sources) & set(one.sources) and set(targets) & set(one.targets))


def _events_as_nodes(
    nodes: Mapping[str, NodeType], events: Mapping[str, Event]
) -> Iterator[Mistake]:
    """Classes of events that are those of a node type as well."""
    node_of = {iri: node.name for node in nodes.values() for iri in node.classes}
    for event in events.values():
        for iri in event.classes:
            if iri in node_of:
                yield (
                    f"events.{event.name}.class",
                    f"<{iri}> is a class of the node type {node_of[iri]!r} as well",
                    "an event joins a user and an item and is no node: take the class out of one of the two",
                )
