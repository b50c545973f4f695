"""Drafting the events of a table: a section for each kind of event that a column of the log tells apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .infer import Draft, DraftSection, key, plain_name, quoted, unique_name
from .infer_columns import (
    ROLES,
    counts,
    filled_text,
    is_list,
    role_column,
    singular,
    words,
)
from .infer_types import threshold_line
from .literals import likely_unit, parse_numbers

KINDS = ("type", "event", "action", "behavior", "behaviour", "activity", "kind")
MOST_KINDS = 20
_TAKING = {"buy", "bought", "purchase", "purchased", "order", "ordered"}
_TAKING |= {"transaction", "sale", "checkout"}
_LOOKING = {"view", "viewed", "click", "clicked", "impression", "visit", "browse", "detail", "pv"}
_LOOKING |= {"cart", "basket", "wishlist", "favourite", "favorite", "fav", "bookmark"}


def write_events(
    draft: Draft,
    base: str,
    name: str,
    table: pa.Table,
    ends: tuple[str, ...],
    own: str,
    types: list[str],
    file: list[str],
) -> None:
    """Enter a table of events into the draft: its events, and the sections that read them.

    Args:
        base: the namespace of what is drafted.
        ends: the columns of user and item. own: the column that names the rows, or "".
        types: names of node types, whose classes are theirs.
        file: lines that say which file it is, and how that is written.
    """
    roles = dict(zip(("user", "item"), ends, strict=True))
    kind = _kind_column(table, [*ends, own])
    taken = [*ends, own, kind]
    for role in ROLES:
        column = role_column(table, role, taken)
        if column:
            roles[role] = column
            taken.append(column)
    left = [quoted(column) for column in table.column_names if column not in taken]
    values = pc.unique(filled_text(table[kind])).to_pylist() if kind else [""]
    taking = any(_TAKING & set(words(value)) for value in values)
    for value in sorted(values):
        rows = (
            table.filter(pc.equal(pc.cast(table[kind], pa.large_string()), value))
            if kind
            else table
        )
        event = plain_name(value) if kind else singular(name)
        event = unique_name(
            f"{event}_event" if event in types else event, [*draft.names("events"), *types]
        )
        own_roles = dict(roles)
        if "rating" in roles and kind and _is_one(rows[roles["rating"]]):
            del own_roles["rating"]
        body = _event(base, event, rows, own_roles)
        if taking and _LOOKING & set(words(value)):
            body.append(
                "auxiliary = true   # tells of interest, and is not what is to be recommended"
            )
        draft.sections.append(DraftSection("events", event, body))
        lines = [*file, f"events = {quoted(event)}"]
        lines += [f"where = {{ {key(kind)} = {quoted(value)} }}"] if kind else []
        lines += [f"columns.{role} = {quoted(column)}" for role, column in own_roles.items()]
        lines += [f"# not used: {', '.join(left)}"] if left else []
        section = unique_name(f"{name}_{event}" if kind else name, draft.names("tables"))
        draft.sections.append(DraftSection("tables", section, lines))


def _event(base: str, event: str, rows: pa.Table, roles: Mapping[str, str]) -> list[str]:
    body = [f'class = "{base}{event}"', *(f'{role} = "{base}{role}"' for role in roles)]
    if "rating" in roles:
        ratings = filled_text(rows[roles["rating"]])
        if not counts(roles["rating"]):
            body.append(threshold_line(ratings))
        elif np.nanmin(parse_numbers(ratings), initial=1) < 1:
            body.append("positive = 1   # what is counted below it was taken back: no like")
    unit = likely_unit(filled_text(rows[roles["time"]])) if "time" in roles else ""
    if unit not in ("", "s"):
        body.append(f"time_unit = {quoted(unit)}")
    return body


def _kind_column(table: pa.Table, taken: list[str]) -> str:
    """The column that says what kind of event a row is; "" if none does."""
    for column in table.column_names:
        if column in taken or is_list(table[column]) or not set(words(column)) & set(KINDS):
            continue
        values = filled_text(table[column])
        kinds = pc.count_distinct(values).as_py()
        if 1 < kinds <= MOST_KINDS and 5 * kinds <= len(values):
            return str(column)
    return ""


def _is_one(column: pa.ChunkedArray) -> bool:
    """Whether all values are the same."""
    return bool(pc.count_distinct(filled_text(column)).as_py() <= 1)
