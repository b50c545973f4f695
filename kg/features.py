"""Feature columns of a node type from (node, value) pairs: one value per node, the same whatever
the order of the pairs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .graph import Category, FloatArray
from .vocabulary import TEXT, IntArray


@dataclass(frozen=True)
class Values:
    """Raw values of one feature.

    Attributes:
        node: int64 (m,), node indices, in any order and with repeats.
        value: Arrow text (or numbers, or dates) of length m, no nulls.
        rank: int64 (m,), lower is preferred (language order); None = all alike.
    """

    node: IntArray
    value: pa.Array
    rank: IntArray | None = None

    def join(self, other: Values) -> Values:
        """These pairs, then the other's; both must have ranks or none."""
        rank = None
        if self.rank is not None and other.rank is not None:
            rank = np.concatenate([self.rank, other.rank])
        return Values(
            np.concatenate([self.node, other.node]),
            pa.concat_arrays([self.value, other.value]),
            rank,
        )


def number_column(
    n: int, node: IntArray, number: npt.NDArray[np.float64]
) -> tuple[FloatArray, IntArray]:
    """float32 (n,) with NaN = missing, and the nodes that had several different numbers.

    NaN among `number` is skipped; of several numbers the smallest is taken. Numbers beyond
    float32 become NaN.
    """
    with np.errstate(over="ignore"):
        single = number.astype(np.float32) + np.float32(0)  # no negative zero: RDF has none
    good = np.isfinite(single)
    node, single = node[good], single[good]
    low = np.full(n, np.inf, np.float32)
    high = np.full(n, -np.inf, np.float32)
    np.minimum.at(low, node, single)
    np.maximum.at(high, node, single)
    several = np.flatnonzero(low < high)
    low[np.isposinf(low)] = np.nan
    return low, several


def text_column(n: int, values: Values, *, join: bool) -> pa.Array:
    """Text of length n, "" = missing: the best-ranked value, first in code point order.

    With `join`, all values of the best rank, sorted, without repeats, joined by ". ".
    """
    text = values.value.cast(TEXT)
    count = np.bincount(values.node, minlength=n)
    position = np.full(n, -1, np.int64)
    position[values.node] = np.arange(len(values.node))
    rows = np.flatnonzero(count[values.node] > 1)
    if not len(rows):
        return _take(text, position)
    rank = np.zeros(len(text), np.int64) if values.rank is None else values.rank
    order = pc.sort_indices(
        pa.table({"node": values.node[rows], "rank": rank[rows], "text": text.take(rows)}),
        [("node", "ascending"), ("rank", "ascending"), ("text", "ascending")],
    )
    rows = rows[np.asarray(order)]
    first = np.r_[True, np.diff(values.node[rows]) != 0]
    position[values.node[rows][first]] = rows[first]
    chosen = _take(text, position)
    if not join:
        return chosen
    best = rank[rows] == rank[rows][first][np.cumsum(first) - 1]
    joined = _joined(values.node[rows][best], text.take(rows[best]))
    mask = np.zeros(n, bool)
    mask[values.node[rows][first]] = True
    return pc.replace_with_mask(chosen, pa.array(mask), joined)


def category_column(n: int, values: Values) -> tuple[Category, IntArray]:
    """Codes with sorted names, and the nodes that had several values (the first by name is taken)."""
    encoded = values.value.cast(TEXT).dictionary_encode()
    names = encoded.dictionary
    order = np.asarray(pc.sort_indices(names), np.int64)
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    code = place[np.asarray(encoded.indices, np.int64)]
    low = np.full(n, len(order), np.int32)
    high = np.full(n, -1, np.int32)
    np.minimum.at(low, values.node, code)
    np.maximum.at(high, values.node, code)
    several = np.flatnonzero((high >= 0) & (low < high))
    low[high < 0] = -1
    used, codes = np.unique(low[low >= 0], return_inverse=True)
    low[low >= 0] = codes.reshape(-1)
    return Category(low, tuple(names.take(order[used]).to_pylist())), several


def _take(text: pa.Array, position: IntArray) -> pa.Array:
    return pc.fill_null(text.take(pa.array(position, mask=position < 0)), "")


def _joined(node: IntArray, text: pa.Array) -> pa.Array:
    """One text per distinct node (both sorted); repeats, which stand side by side, count once."""
    if len(node) > 1:
        same = np.r_[False, (np.diff(node) == 0)] & np.asarray(
            pc.fill_null(pc.equal(text, pa.concat_arrays([text[:1], text[:-1]])), False)
        )
        node, text = node[~same], text.filter(pa.array(~same))
    last = np.r_[np.diff(node) != 0, True]
    pieces = pc.binary_join_element_wise(
        text,
        pc.if_else(pa.array(last), pa.scalar("", TEXT), pa.scalar(". ", TEXT)),
        pa.scalar("", TEXT),
    )
    # The pieces lie one after the other: whole texts come from keeping fewer of their borders.
    borders = np.r_[0, np.cumsum(np.asarray(pc.binary_length(pieces), np.int64))]
    kept = borders[np.r_[0, np.flatnonzero(last) + 1]]
    buffers = [None, pa.py_buffer(kept), pieces.buffers()[2]]
    return pa.LargeStringArray.from_buffers(len(kept) - 1, buffers[1], buffers[2])
