"""Sparse item-item products in blocks of bounded memory, of which each row keeps its k largest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .ties import mix

# Entries of one block of a product: about 200 MB while it is worked on.
BLOCK_ENTRIES = 8_000_000

Weigh = Callable[[IntArray, IntArray, FloatArray], FloatArray]


def product_blocks(
    left: sp.csr_matrix, right: sp.csr_matrix, entries: int = BLOCK_ENTRIES
) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield (first row, left[rows] @ right) such that no block has more than `entries` non-zeros.

    A single row may have more, up to the columns of `right`.
    """
    bound = np.minimum(_row_work(left, right), right.shape[1])
    total = np.concatenate([[0], np.cumsum(bound)])
    start = 0
    while start < left.shape[0]:
        stop = int(np.searchsorted(total, total[start] + entries, side="right")) - 1
        stop = min(max(stop, start + 1), left.shape[0])
        yield start, sp.csr_matrix(left[start:stop] @ right)
        start = stop


class Product:
    """left @ right, of which the largest entries per row are asked for, perhaps more than once.

    Args:
        left, right: (n, m) and (m, n), float32.
        entries: of one block.
        keep: keep a product of at most twice as many entries, so that it is computed once however often
            it is asked.
    """

    def __init__(
        self,
        left: sp.csr_matrix,
        right: sp.csr_matrix,
        entries: int = BLOCK_ENTRIES,
        *,
        keep: bool = False,
    ) -> None:
        self._left, self._right, self._entries = left, right, entries
        self._most = 2 * entries if keep else 0
        self._kept: list[tuple[int, sp.csr_matrix]] = []

    def top(self, k: int, weigh: Weigh | None = None) -> sp.csr_matrix:
        """The k largest positive entries off the diagonal of each row.

        Args:
            k: neighbours kept per row; ties at the end of the list are broken by a hash of the column.
            weigh: maps (rows, columns, values) of the product's entries to new values.

        Returns:
            (n, n) CSR, float32. Memory: what is kept, one block, and the result of at most n * k entries.
        """
        blocks = []
        for start, block in self._blocks():
            rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)) + start
            columns = block.indices.astype(np.int64)
            values = block.data.astype(np.float32)
            if weigh is not None:
                values = weigh(rows, columns, values).astype(np.float32)
            values = np.where(rows == columns, np.float32(0.0), values)
            weighed = sp.csr_matrix((values, block.indices, block.indptr), block.shape)
            blocks.append(keep_top(weighed, k))
        if not blocks:
            return sp.csr_matrix((self._left.shape[0], self._right.shape[1]), dtype=np.float32)
        return sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32)

    def _blocks(self) -> Iterator[tuple[int, sp.csr_matrix]]:
        if self._kept:
            yield from self._kept
            return
        kept, size = [], 0
        for start, block in product_blocks(self._left, self._right, self._entries):
            size += block.nnz
            if size <= self._most:
                kept.append((start, block))
            else:
                kept.clear()
            yield start, block
        self._kept = kept


def _by_hash(columns: IntArray) -> IntArray:
    return np.asarray(mix(columns.astype(np.uint32)))


def keep_top(
    matrix: sp.csr_matrix, k: int, ties: Callable[[IntArray], IntArray] = _by_hash
) -> sp.csr_matrix:
    """The k largest positive entries of each row, as CSR with sorted columns.

    Args:
        ties: columns -> what says which of equal entries are kept, the lowest.
    """
    kept = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > k):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        values = matrix.data[part]
        edge = np.partition(values, -k)[-k]  # the k-th largest
        kept[part] &= values >= edge
        tied = np.flatnonzero(values == edge)
        room = k - np.count_nonzero(values > edge)
        if len(tied) > room:
            order = np.argsort(ties(matrix.indices[part][tied]))
            kept[part.start + tied[order[room:]]] = False
    lengths = np.add.reduceat(np.append(kept, False), matrix.indptr[:-1]) if len(kept) else 0
    lengths = np.where(np.diff(matrix.indptr) > 0, lengths, 0)
    pointers = np.concatenate([[0], np.cumsum(lengths)])
    out = sp.csr_matrix((matrix.data[kept], matrix.indices[kept], pointers), matrix.shape)
    out.sort_indices()
    return out


def _row_work(left: sp.csr_matrix, right: sp.csr_matrix) -> IntArray:
    """Multiplications per row of left @ right: an upper bound of its non-zeros."""
    work = np.diff(right.indptr).astype(np.float64)
    pattern = sp.csr_matrix((np.ones(left.nnz, np.float64), left.indices, left.indptr), left.shape)
    return np.asarray(pattern @ work).astype(np.int64)
