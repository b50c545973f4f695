"""Columns of ids as codes: the row of each entry, and integers of every width."""

from __future__ import annotations

import pyarrow as pa

from coldframe.kg.references import cells


def test_a_full_column_has_its_rows_in_order() -> None:
    found = cells(pa.array([7, 3, 7]))
    assert found.whole
    assert found.row.tolist() == [0, 1, 2]
    assert found.values.to_pylist() == ["7", "3", "7"]


def test_missing_ids_leave_their_rows_out() -> None:
    found = cells(pa.array([7, None, 3]))
    assert not found.whole
    assert found.row.tolist() == [0, 2]
    assert found.values.to_pylist() == ["7", "3"]


def test_ids_above_all_signed_integers_are_read() -> None:
    high = 2**63
    found = cells(pa.array([high + 5, high + 2, None, high + 5], pa.uint64()))
    assert found.values.to_pylist() == [str(high + 5), str(high + 2), str(high + 5)]
    assert found.row.tolist() == [0, 1, 3]


def test_parts_of_a_cell_share_its_row() -> None:
    found = cells(pa.array(["a|b", "", "b"]), "|")
    assert found.row.tolist() == [0, 0, 2]
    assert found.values.to_pylist() == ["a", "b", "b"]
