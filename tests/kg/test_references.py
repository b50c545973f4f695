"""Columns of ids as codes: the row of each entry, and integers of every width."""

from __future__ import annotations

import pyarrow as pa

from coldframe.kg.references import cells, together


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


def test_a_category_that_no_row_has_is_no_id() -> None:
    categories = pa.array(["x", "y", None, "z"]).dictionary_encode()
    found = cells(categories.filter(pa.array([False, True, True, True])))
    assert found.distinct.to_pylist() == ["y", "z"]
    assert found.row.tolist() == [0, 2]
    assert found.values.to_pylist() == ["y", "z"]
    none = cells(categories.filter(pa.array([False, False, True, False])))
    assert (none.distinct.to_pylist(), none.row.tolist()) == ([], [])


def test_ids_above_all_signed_integers_are_read() -> None:
    high = 2**63
    found = cells(pa.array([high + 5, high + 2, None, high + 5], pa.uint64()))
    assert found.values.to_pylist() == [str(high + 5), str(high + 2), str(high + 5)]
    assert found.row.tolist() == [0, 1, 3]


def test_parts_of_a_cell_share_its_row() -> None:
    found = cells(pa.array(["a|b", "", "b"]), "|")
    assert found.row.tolist() == [0, 0, 2]
    assert found.values.to_pylist() == ["a", "b", "b"]


def test_an_id_that_is_not_a_number_is_missing() -> None:
    found = cells(pa.array([7.0, float("nan"), 2.5]))
    assert found.row.tolist() == [0, 2]
    assert found.values.to_pylist() == ["7", "2.5"]


def test_values_of_two_columns_are_paired_within_their_row() -> None:
    left = cells(pa.array(["a|b", None, "c", "a"]), "|")
    right = cells(pa.array(["x", "x", "x|y", ""]), "|")
    row, one, two = together(left, right)
    assert row.tolist() == [0, 0, 2, 2]
    names = left.distinct.take(one).to_pylist(), right.distinct.take(two).to_pylist()
    assert list(zip(*names, strict=True)) == [("a", "x"), ("b", "x"), ("c", "x"), ("c", "y")]
