"""Drafting a schema from statements: features, relations, hidden hops, events."""

from __future__ import annotations

import numpy as np

from .errors import DataError
from .ids import sorted_distinct
from .infer import (
    Draft,
    DraftNode,
    DraftSection,
    looks_like_users,
    quoted,
    telling_name,
    unique_name,
    write_draft,
)
from .infer_ends import Loose, literal_type, loose_types
from .infer_types import (
    MOST,
    SEVERAL,
    Types,
    Use,
    are_names,
    literal_kind,
    literal_sample,
    threshold_line,
)
from .quads import Quads

DEPTH = 2  # hidden nodes that a path may pass
ENOUGH = 10  # edges, of which all being another relation's is no accident
_SAME_AS = "http://www.w3.org/2002/07/owl#sameAs"
_BROADER = "http://www.w3.org/2004/02/skos/core#broader"


def draft_from_quads(quads: Quads) -> str:
    """Draft a schema from RDF statements."""
    types = Types(quads)
    if not types.classes:
        raise DataError(
            "nothing has a class (rdf:type), so no schema can be drafted",
            hint="write one by hand: node types without `class` take what stands at relations' ends",
        )
    draft = Draft(remarks=["A draft: take out what is not needed, and check users and items."])
    events = _find_events(types)
    types.hidden -= {end for _, roles in events for _, end in roles.values()}
    if len(types.hidden) == len(types.classes):  # parts in a ring, of which each is a thing
        types.hidden = set()
    shown = [
        k
        for k in range(len(types.classes))
        if k not in types.hidden and k not in dict(events) and k not in types.joined
    ]
    things = {k: DraftNode(types.names[k], types.classes_of(k), int(types.count[k])) for k in shown}
    told: set[str] = set()
    loose: list[Loose] = []
    for kind in shown:
        _describe(draft, types, things, kind, told, loose)
    linked = [each for each in loose if len(each.ends)]
    for node, relations in loose_types(quads, linked, [node.name for node in things.values()]):
        things[len(types.classes) + len(things)] = node
        for each in relations:
            _add_relation(draft, each.path, each.source, quoted(node.name), [])
    for each in [each for each in loose if not len(each.ends)]:
        node = literal_type(each.name, [node.name for node in things.values()])
        things[len(types.classes) + len(things)] = node
        _add_relation(draft, each.path, each.source, quoted(node.name), [])
    for kind, roles in events:
        _write_event(draft, types, kind, roles)
    users = [types.names[roles["user"][1]] for _, roles in events]
    draft.users = users[0] if users else ""
    draft.items = (
        types.names[events[0][1]["item"][1]] if events else _guess_items(types, things, draft)
    )
    _find_plain_events(draft)
    if len(quads.o[quads.rows_of(_SAME_AS)]):
        draft.top.append('same_as = ["owl:sameAs"]')
    ends = {draft.users, draft.items}
    draft.nodes = [
        node
        for node in things.values()
        if (node.count > 1 and node.features) or node.name in ends or _is_used(draft, node)
    ]
    iris = [iri for use in types.uses for iri in (u.property for u in use)] + types.classes
    return write_draft(draft, iris)


def _describe(
    draft: Draft,
    types: Types,
    things: dict[int, DraftNode],
    kind: int,
    told: set[str],
    loose: list[Loose],
) -> None:
    """Features and relations of one node type, through hidden nodes too.

    Args:
        told: type and path of what is a relation, or the inverse of one.
        loose: takes the relations to nodes without class, and to literals that name things.
    """
    node = things[kind]
    everything = _paths(types, kind, types.uses[kind], "", DEPTH)
    for path, use in sorted(everything, key=lambda pair: pair[0].count(">/<")):
        if use.literal > MOST * len(use.rows):
            found, remark = literal_kind(types.quads, use)
            if found == "text" and remark == SEVERAL and are_names(types.quads, use):
                loose.append(Loose(path, node.name, np.zeros(0, np.int32)))
                continue
            taken = {feature[1]: feature[2] for feature in node.features}
            node.features.append((found, telling_name(path, node.name, taken), path, remark))
            continue
        if use.property == _SAME_AS or _says_nothing(types, use):
            continue
        targets = [t for t, n in use.targets.items() if t in things and n > 0.05 * len(use.rows)]
        if targets and f"{kind} {path}" not in told:
            _write_relation(draft, types, kind, path, use, targets, told)
        elif set(use.targets) == {-1} and _is_shared(types.quads, use):
            ends = types.quads.o[use.rows]
            loose.append(Loose(path, node.name, sorted_distinct(ends[ends >= 0])))
    texts = [feature for feature in node.features if feature[0] == "text"]
    texts.sort(key=lambda f: not any(word in f[1] for word in ("label", "title", "name")))
    node.features = texts + [feature for feature in node.features if feature[0] != "text"]


def _is_shared(quads: Quads, use: Use) -> bool:
    """Several nodes lead to the same one: more than a link of its own for each."""
    return len(sorted_distinct(quads.o[use.rows])) < 0.9 * len(use.rows)


def _says_nothing(types: Types, use: Use) -> bool:
    """Every node that has the property has it with all of its values."""
    distinct = len(sorted_distinct(types.quads.o[use.rows]))
    return use.subjects > 1 and distinct <= len(use.rows) / use.subjects


def _paths(
    types: Types, start: int, uses: list[Use], before: str, depth: int
) -> list[tuple[str, Use]]:
    """Property paths from a type; a hidden type is passed through."""
    out: list[tuple[str, Use]] = []
    for use in uses:
        path = f"{before}/<{use.property}>" if before else f"<{use.property}>"
        hidden = [t for t in use.targets if t in types.hidden and t != start]
        if not hidden or depth == 0:
            out.append((path, use))
            continue
        ends = types.quads.o[use.rows]
        for kind in hidden:
            inner = [
                part
                for each in types.uses[kind]
                if (part := types.part(each, ends[ends >= 0])) is not None
            ]
            out += _paths(types, kind, inner, path, depth - 1)
    return out


def _write_relation(
    draft: Draft,
    types: Types,
    kind: int,
    path: str,
    use: Use,
    targets: list[int],
    told: set[str],
) -> None:
    more = []
    told.add(f"{kind} {path}")
    if path.count("<") == 1 and len(targets) == 1:
        inverse = _inverse_of(types, kind, use, targets[0], told)
        if inverse:
            more.append(f'inverse = "<{inverse}>"')
            told.add(f"{targets[0]} <{inverse}>")
    if use.property == _BROADER and targets == [kind]:
        more.append("closure = true")
    names = [quoted(types.names[t]) for t in targets]
    to = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    _add_relation(draft, path, types.names[kind], to, more)


def _add_relation(draft: Draft, path: str, source: str, to: str, more: list[str]) -> None:
    taken = {one.name: one.lines[0] for one in draft.sections if one.kind == "relations"}
    word = "property" if path.count("<") == 1 else "path"
    body = [f'{word} = "{path}"', f"from = {quoted(source)}", f"to = {to}", *more]
    name = telling_name(path, source, taken)
    draft.sections.append(DraftSection("relations", name, body))


def _inverse_of(types: Types, kind: int, use: Use, target: int, told: set[str]) -> str:
    """A property of the target type, not told yet, that says the same the other way round; "" if none
    does. Either may leave edges out: most of one's, or all of the other's, are enough."""
    quads = types.quads
    width = len(quads.terms)
    rows = use.rows[quads.o[use.rows] >= 0]
    there = quads.s[rows].astype(np.int64) * width + quads.o[rows]
    for other in types.uses[target]:
        if other.property == use.property or f"{target} <{other.property}>" in told:
            continue
        if set(other.targets) != {kind}:
            continue
        back = quads.o[other.rows].astype(np.int64) * width + quads.s[other.rows]
        shared = int(np.isin(there, back).sum())
        if 2 * shared > len(there) or (len(back) >= ENOUGH and shared > MOST * len(back)):
            return other.property
    return ""


def _find_events(types: Types) -> list[tuple[int, dict[str, tuple[str, int]]]]:
    """Types whose nodes nothing points at and that join exactly one user and one item.

    An end may be of several classes, which become one type.
    """
    found = {
        kind: ends
        for kind in range(len(types.classes))
        if kind not in types.hidden and not types.pointing(kind).any()
        if len(ends := _single_ends(types, kind)) == 2
        if not ends[0].targets.keys() & ends[1].targets.keys()
    }
    types.join(use.targets for ends in found.values() for use in ends)
    out = []
    for kind in found:
        single = [(use, next(iter(use.targets))) for use in _single_ends(types, kind)]
        if len(single) != 2 or single[0][1] == single[1][1]:
            continue
        (first, a), (second, b) = single
        if (looks_like_users(types.names[b]) and not looks_like_users(types.names[a])) or (
            not looks_like_users(types.names[a]) and _texts(types, b) < _texts(types, a)
        ):
            (first, a), (second, b) = (second, b), (first, a)
        if types.count[kind] >= min(types.count[a], types.count[b]):
            out.append((kind, {"user": (first.property, a), "item": (second.property, b)}))
    return out


def _single_ends(types: Types, kind: int) -> list[Use]:
    """Uses by which nearly every node of a type leads to one node with a class."""
    return [
        use
        for use in types.uses[kind]
        if not use.literal and use.targets and len(use.rows) == use.subjects
        if use.subjects > MOST * types.count[kind] and -1 not in use.targets
    ]


def _find_plain_events(draft: Draft) -> None:
    """Turn relations from users to items into events: as relations they would give answers away."""
    for place, section in enumerate(draft.sections):
        ends = dict(line.split(" = ", 1) for line in section.lines)
        named = [_name_of_users(ends.get(end, "")) for end in ("from", "to")]
        users = draft.users or named[0] or named[1]
        one, other = quoted(users), quoted(draft.items)
        if section.kind != "relations" or "property" not in ends or not users:
            continue
        forward = (ends["from"], ends["to"]) == (one, other)
        back = (ends["from"], ends["to"]) == (other, one) and "inverse" in ends
        if not (forward or back) or users == draft.items:
            continue
        first, second = ("property", "inverse") if forward else ("inverse", "property")
        lines = [f"property = {ends[first]}"]
        lines += [f"inverse = {ends[second]}"] if second in ends else []
        name = unique_name(section.name, draft.names("events"))
        draft.sections[place] = DraftSection("events", name, lines)
        draft.users = users


def _name_of_users(end: str) -> str:
    """The node type of a line's value, where its name speaks of users; else ""."""
    name = end.strip('"')
    return name if looks_like_users(name) and quoted(name) == end else ""


def _texts(types: Types, kind: int) -> int:
    return sum(use.literal > 0 for use in types.uses[kind])


def _write_event(draft: Draft, types: Types, kind: int, roles: dict[str, tuple[str, int]]) -> None:
    body = [f'class = "<{types.classes[kind]}>"']
    body += [f'{role} = "<{iri}>"' for role, (iri, _) in roles.items()]
    for use in types.uses[kind]:
        if use.literal < len(use.rows):
            continue
        found, _ = literal_kind(types.quads, use)
        role = {"number": "rating", "date": "time", "category": "split"}.get(found)
        if role and not any(line.startswith(f"{role} =") for line in body):
            body.append(f'{role} = "<{use.property}>"')
            if role == "rating":
                body.append(threshold_line(literal_sample(types.quads, use)))
    draft.sections.append(DraftSection("events", types.names[kind], body))


def _guess_items(types: Types, things: dict[int, DraftNode], draft: Draft) -> str:
    """The type with the most relations and texts, weighed by its size."""
    typed = [k for k in things if k < len(types.classes)]
    best = max(
        [k for k in typed if not looks_like_users(things[k].name)] or typed,
        key=lambda k: (
            (
                sum(f"from = {quoted(things[k].name)}" in one.lines for one in draft.sections)
                + sum(feature[0] == "text" for feature in things[k].features)
            )
            * np.log1p(things[k].count)
        ),
    )
    return things[best].name


def _is_used(draft: Draft, node: DraftNode) -> bool:
    """Whether a relation or event speaks of a node type."""
    name = quoted(node.name)
    return any(name in line for section in draft.sections for line in section.lines)
