"""Sparse item-item products in blocks of bounded memory, of which each row keeps its k largest."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .ties import mix, order_bits

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


def top_k_product(
    left: sp.csr_matrix,
    right: sp.csr_matrix,
    k: int,
    *,
    weigh: Weigh | None = None,
    entries: int = BLOCK_ENTRIES,
) -> sp.csr_matrix:
    """The k largest positive entries off the diagonal of each row of left @ right.

    Args:
        left, right: (n, m) and (m, n), float32.
        k: neighbours kept per row; ties at the end of the list are broken by a hash of the column.
        weigh: maps (rows, columns, values) of the product's entries to new values.

    Returns:
        (n, n) CSR, float32. Memory: one block and the result of at most n * k entries.
    """
    blocks = []
    for start, block in product_blocks(left, right, entries):
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr)) + start
        columns = block.indices.astype(np.int64)
        values = block.data.astype(np.float32)
        if weigh is not None:
            values = weigh(rows, columns, values).astype(np.float32)
        block.data = np.where(rows == columns, np.float32(0.0), values)
        blocks.append(keep_top(block, k))
    if not blocks:
        return sp.csr_matrix((left.shape[0], right.shape[1]), dtype=np.float32)
    return sp.csr_matrix(sp.vstack(blocks, format="csr"), dtype=np.float32)


def keep_top(matrix: sp.csr_matrix, k: int) -> sp.csr_matrix:
    """The k largest positive entries of each row, as CSR with sorted columns."""
    kept = matrix.data > 0
    for row in np.flatnonzero(np.diff(matrix.indptr) > k):
        part = slice(matrix.indptr[row], matrix.indptr[row + 1])
        keys = order_bits(matrix.data[part]).astype(np.uint64) << np.uint64(32)
        keys |= mix(matrix.indices[part].astype(np.uint32))
        kept[part] &= keys <= np.partition(keys, k - 1)[k - 1]
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
