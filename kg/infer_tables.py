"""Drafting a schema from tables: ids, events, features and columns of several values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .errors import DataError
from .infer import (
    Draft,
    DraftNode,
    key,
    looks_like_users,
    plain_name,
    quoted,
    unique_name,
    write_draft,
)
from .infer_rdf import kind_of_text
from .schema import TableMap
from .table_inputs import read_all
from .vocabulary import TEXT

BASE = "urn:catalog:"
SEPARATORS = ("|", ";", ", ", ",")
_ROLES = {
    "rating": ("rating", "stars", "score", "weight", "count"),
    "time": ("time", "timestamp", "date", "when", "at"),
    "split": ("split", "part", "fold"),
}


def draft_from_tables(tables: Mapping[str, Any]) -> str:
    """Draft a schema from Arrow tables, or paths of table files, by name."""
    data = {
        name: source if isinstance(source, pa.Table) else read_all(Path(source), _any_table(name))
        for name, source in tables.items()
    }
    if not data or not any(len(table) for table in data.values()):
        raise DataError("the tables have no rows, so no schema can be drafted")
    files = {n: Path(s).name for n, s in tables.items() if not isinstance(s, pa.Table)}
    draft = Draft(remarks=["A draft: take out what is not needed, and check users and items."])
    ids = {name: _id_column(table) for name, table in data.items()}
    things = {name: DraftNode(_singular(name)) for name, column in ids.items() if column}
    for name, node in things.items():
        node.count = len(data[name])
    events = [name for name in data if name not in things and _ends(data[name], things)]
    for name in events:
        for column in _ends(data[name], things):
            _owner(column, things)
    for node in things.values():
        node.classes = (f"{BASE}{node.name}",)
        node.lines.append(f'iri = "{BASE}{node.name}:{{}}"')
    for name in list(things):
        if name in data:
            _describe(draft, data[name], name, things, str(ids[name]), files.get(name, ""))
    for name in events:
        _write_event(draft, data[name], name, things, files.get(name, ""))
    left = [name for name in data if name not in things and name not in events]
    draft.remarks += [f"the table {name!r} was not understood" for name in left]
    _name_ends(draft, things, data, events)
    draft.nodes = list(things.values())
    return write_draft(draft, [])


def _any_table(name: str) -> TableMap:
    return TableMap(name, "nodes", "", {})


def _singular(name: str) -> str:
    plain = plain_name(name)
    return plain[:-1] if plain.endswith("s") and not plain.endswith("ss") else plain


def _id_column(table: pa.Table) -> str:
    """The column whose values are all there and all different, by its name; "" if none."""
    for name in table.column_names:
        column = table[name]
        words = plain_name(name).split("_")
        if words[-1] not in ("id", "iri", "uri", "key", "code", "sku"):
            continue
        if not column.null_count and pc.count_distinct(column).as_py() == len(column) > 0:
            return str(name)
    return ""


def _ends(table: pa.Table, things: Mapping[str, DraftNode]) -> tuple[str, ...]:
    """The columns of an event's user and item; () if the table does not look like events."""
    names = [n for n in table.column_names if plain_name(n).split("_")[-1] in ("id", "iri", "key")]
    known = {node.name for node in things.values()}
    names += [
        n
        for n in table.column_names
        if n not in names and plain_name(n) in known | {"user", "item"}
    ]
    users = [n for n in names if looks_like_users(n)]
    items = [n for n in names if n not in users]
    return (users[0], items[0]) if users and items else ()


def _owner(column: str, things: dict[str, DraftNode]) -> DraftNode:
    """The node type that an id column speaks of; made where there is none."""
    word = plain_name(column)
    for ending in ("_id", "_iri", "_key"):
        word = word.removesuffix(ending)
    for node in things.values():
        if node.name == word:
            return node
    things[f"({word})"] = DraftNode(word)
    return things[f"({word})"]


def _describe(
    draft: Draft, table: pa.Table, name: str, things: dict[str, DraftNode], id_: str, file: str
) -> None:
    node = things[name]
    columns: list[str] = []
    for column in table.column_names:
        if column == id_:
            continue
        part = unique_name(plain_name(column), [f[1] for f in node.features])
        text = pc.cast(table[column], TEXT) if not _is_list(table[column]) else None
        separator = "" if text is None else _separator(text)
        if text is None or separator:
            _write_relation(draft, node, part, things)
            more = f", separator = {quoted(separator)}" if separator else ""
            columns.append(f"columns.{key(part)} = {{ column = {quoted(column)}{more} }}")
            continue
        values = text.combine_chunks().drop_null().filter(_not_empty(text))
        if len(values):
            kind, remark = kind_of_text(values, several=False)
            node.features.append((kind, part, f"{BASE}{part}", remark))
            columns.append(f"columns.{key(part)} = {quoted(column)}")
    body = [f"file = {quoted(file)}"] if file else []
    body += [f"nodes = {quoted(node.name)}", f"id = {quoted(id_)}", *columns]
    draft.sections.append((f"[tables.{key(name)}]", body))


def _write_relation(draft: Draft, node: DraftNode, part: str, things: dict[str, DraftNode]) -> None:
    target = unique_name(_singular(part), [other.name for other in things.values()])
    made = DraftNode(target, lines=['label = "rdfs:label"'])
    things[f"({target})"] = made
    made.classes = (f"{BASE}{target}",)
    made.lines.append(f'iri = "{BASE}{target}:{{}}"')
    body = [f'property = "{BASE}{part}"', f"from = {quoted(node.name)}", f"to = {quoted(target)}"]
    draft.sections.insert(0, (f"[relations.{key(part)}]", body))


def _write_event(
    draft: Draft, table: pa.Table, name: str, things: dict[str, DraftNode], file: str
) -> None:
    user, item = _ends(table, things)
    roles = {"user": user, "item": item}
    for role, words in _ROLES.items():
        for column in table.column_names:
            if set(plain_name(column).split("_")) & set(words) and column not in roles.values():
                roles.setdefault(role, column)
    event = _singular(name)
    body = [f'class = "{BASE}{event}"', *(f'{role} = "{BASE}{role}"' for role in roles)]
    if "rating" in roles:
        body.append("# positive = 4   # without a threshold every event is positive")
    draft.sections.append((f"[events.{key(event)}]", body))
    lines = [f"file = {quoted(file)}"] if file else []
    lines += [f"events = {quoted(event)}"]
    lines += [f"columns.{role} = {quoted(column)}" for role, column in roles.items()]
    draft.sections.append((f"[tables.{key(name)}]", lines))


def _name_ends(
    draft: Draft, things: dict[str, DraftNode], data: Mapping[str, pa.Table], events: list[str]
) -> None:
    """Which types are users and items: from the first events, or else by name and size."""
    if events:
        user, item = _ends(data[events[0]], things)
        draft.users, draft.items = _owner(user, things).name, _owner(item, things).name
        return
    if not things:
        raise DataError(
            "no table has a column of distinct ids, so no schema can be drafted",
            hint="name the column id or <thing>_id, or write the schema by hand",
        )
    own = [node for node in things.values() if node.count]
    items = [node for node in own if not looks_like_users(node.name)] or own
    draft.items = max(items, key=lambda node: (len(node.features), node.count)).name


def _is_list(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_list(column.type) or pa.types.is_large_list(column.type))


def _not_empty(text: pa.ChunkedArray) -> pa.Array:
    return pc.not_equal(pc.utf8_trim_whitespace(text.combine_chunks().drop_null()), "")


def _separator(text: pa.ChunkedArray) -> str:
    """The sign that parts a column's cells into values that repeat; "" if none does."""
    values = text.combine_chunks().drop_null()
    for separator in SEPARATORS:
        parts = pc.list_flatten(pc.split_pattern(values, separator))
        cells = max(1, len(values))
        short = (pc.mean(pc.utf8_length(parts)).as_py() or 99) < 25
        if len(parts) > 1.3 * cells and short and _repeats(parts):
            return separator
    return ""


def _repeats(parts: pa.Array) -> bool:
    distinct = pc.count_distinct(pc.utf8_trim_whitespace(parts)).as_py()
    return bool(distinct < 0.6 * len(parts)) and not np.isnan(distinct)
