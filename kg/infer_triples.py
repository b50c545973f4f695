"""Drafting a schema from tables of triples: head, relation, tail."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from .infer import DraftNode, plain_name, quoted
from .infer_columns import filled_text

_HEADS = {"head", "subject", "source", "from", "h", "s", "head_id", "subject_id", "source_id"}
_RELATIONS = {"relation", "predicate", "property", "r", "p", "relation_id", "predicate_id", "edge"}
_TAILS = {"tail", "object", "target", "to", "t", "o", "tail_id", "object_id", "target_id"}
_MOST = 0.9  # of a column's distinct values: they are of that type
_SOME = 0.05

Ends = tuple[str, str, str]


def triple_columns(table: pa.Table) -> Ends | None:
    """Head, relation and tail of a table whose columns are called so; None of any other."""
    named = {plain_name(column): column for column in table.column_names}
    found = [
        [column for name, column in named.items() if name in words]
        for words in (_HEADS, _RELATIONS, _TAILS)
    ]
    if any(len(columns) != 1 for columns in found):
        return None
    (head,), (relation,), (tail,) = found
    return head, relation, tail


def typed_ends(
    table: pa.Table, columns: Ends, ids: Mapping[str, pa.Array]
) -> tuple[dict[str, str], list[str]]:
    """Which node type the heads and the tails are of, "" for none that is known, and remarks.

    Args:
        ids: node type -> the ids that other tables give it.
    """
    out, remarks = {}, []
    for column in (columns[0], columns[2]):
        values = pc.unique(filled_text(table[column]))
        shares = {
            name: pc.mean(pc.is_in(values, known)).as_py() or 0 for name, known in ids.items()
        }
        best = max(shares, key=lambda name: shares[name], default="")
        out[column] = best if best and shares[best] >= _MOST else ""
        if best and _SOME < shares[best] < _MOST:
            remarks.append(
                f"{shares[best]:.0%} of the column {column!r} are ids of {best!r}: to join them, write IRIs "
                'into the column and iri = "{}" here, or give them a table of their own'
            )
    return out, remarks


def section_of(table: pa.Table, columns: Ends, types: Mapping[str, DraftNode]) -> list[str]:
    """The lines of the table's section; `types` are those of its two ends, by column."""
    head, relation, tail = columns
    lines = [f"columns.relation = {quoted(relation)}"]
    for role, column in (("from", head), ("to", tail)):
        own = next(line for line in types[column].lines if line.startswith("iri = "))
        iri = 'iri = "{}"' if are_iris(table[column]) else own
        lines.append(f"columns.{role} = {{ column = {quoted(column)}, {iri} }}")
    return lines


def are_iris(column: pa.ChunkedArray) -> bool:
    """Whether nearly all values are IRIs already."""
    said = pc.match_substring_regex(filled_text(column), r"^(https?://|urn:)\S+$")
    return bool((pc.mean(said).as_py() or 0) >= _MOST)
