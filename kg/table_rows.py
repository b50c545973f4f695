"""Rows of tables that name no node, or name one again: findings, so that nothing is lost unsaid."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .delimited import Remarks
from .problems import Problem
from .references import Reference
from .report import Findings
from .row_choice import Unmet
from .row_places import RowPlaces
from .schema import TableMap

_LEFT_OUT = {
    "missing-id": "the row has no id: left out",
    "missing-end": "an end of the edge is missing: left out",
}


def empty_rows(
    findings: Findings, kind: str, ref: Reference, n_rows: int, where: RowPlaces
) -> None:
    """Rows whose cell in a column that must name a node is empty.

    Args:
        kind: a key of `_LEFT_OUT`.
        where: the rows' places.
    """
    empty = np.asarray(pc.equal(pc.utf8_trim_whitespace(ref.cells.distinct), ""), bool)
    if ref.cells.whole and not empty.any():
        return
    code = ref.by_row(n_rows)
    lost = np.flatnonzero((code < 0) | np.r_[empty, True][code])
    name = ref.types[0]
    listed = [
        Problem(kind, "", name, where.row(row), _LEFT_OUT[kind])
        for row in lost[: findings.room(kind, name)]
    ]
    findings.add(kind, name, len(lost), listed)


def odd_rows(findings: Findings, remarks: Remarks, table: TableMap) -> None:
    """What the reader of a file has to say of its rows."""
    for kind in dict.fromkeys(remark.kind for remark in remarks):
        own = [
            Problem(kind, "", table.name, remark.where, remark.message)
            for remark in remarks
            if remark.kind == kind
        ]
        findings.add(kind, table.name, len(own), own[: findings.room(kind, table.name)])


def values_not_met(findings: Findings, unmet: Unmet, where: RowPlaces) -> None:
    """What of `where` no row has, and what is there instead."""
    kind = "unmatched"
    for column, value, near in unmet:
        message = f"no row has {value}, by which [tables] choose rows{near and f': {near}'}"
        findings.add(kind, column, 1, [Problem(kind, "", column, str(where), message)])


def several_units(findings: Findings, found: list[str], column: str, where: RowPlaces) -> None:
    """Numbers of one column that stand beside different currencies: no conversion is made."""
    kind = "several-units"
    if len(found) > 1:
        message = f"its numbers are in {', '.join(found)}: they are taken as they are, unconverted"
        findings.add(kind, column, 1, [Problem(kind, "", column, str(where), message)])


def escaped_quotes(findings: Findings, data: pa.Table, table: TableMap, where: RowPlaces) -> None:
    """Cells that end in a quote and hold a backslash: what is left of quotes that were escaped by
    one, where the section does not say so."""
    kind = "escaped-quote"
    message = (
        'a cell holds \\ and ends in a quote: if its quotes are written \\", say escape = "\\\\" in '
        f"[tables.{table.name}], and if they stand for themselves, quote = false"
    )
    for name in data.column_names:
        column = data[name]
        if not pa.types.is_large_string(column.type):
            continue
        found = pc.fill_null(pc.match_substring_regex(column, r'(?s)\\.*"$'), False)
        rows = np.flatnonzero(np.asarray(found, bool))
        listed = [
            Problem(kind, "", name, where.row(row), message)
            for row in rows[: findings.room(kind, name)]
        ]
        findings.add(kind, name, len(rows), listed)


def repeated_ids(findings: Findings, ids: Reference, where: RowPlaces) -> None:
    """Ids that stand in several rows of one table; the place is that of the last one."""
    code = ids.cells.code
    if len(code) == len(ids.iris):
        return
    several = np.flatnonzero(np.bincount(code, minlength=len(ids.iris)) > 1)
    several = several[np.asarray(ids.iris.is_valid(), bool)[several]]
    kind, name, listed = "repeated-id", ids.types[0], []
    for one in several[: findings.room(kind, name)]:
        row = ids.cells.row[np.flatnonzero(code == one)[-1]]
        message = "several rows have this id: they are taken together"
        place = where.row(row)
        listed.append(Problem(kind, ids.iris[int(one)].as_py(), name, place, message))
    findings.add(kind, name, len(several), listed)
