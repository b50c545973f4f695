"""Edges in canonical form, and the closure of a hierarchy."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from .graph import EdgeSet
from .ids import sorted_distinct
from .vocabulary import IntArray


def edge_set(source: IntArray, target: IntArray, width: int) -> EdgeSet:
    """Edges sorted by (source, target), without repeats; `width` = number of target nodes."""
    key = sorted_distinct(source * max(width, 1) + target)
    return EdgeSet(np.stack(np.divmod(key, max(width, 1))))


def transitive(edges: EdgeSet, n: int) -> EdgeSet:
    """All (node, ancestor) pairs of a relation within n nodes; cycles do no harm, no self-loops.

    Boolean matrix squaring: O(log depth) sparse products.
    """
    ones = np.ones(len(edges), bool)
    reach = sp.csr_matrix((ones, (edges.index[0], edges.index[1])), (n, n))
    while True:
        further = (reach + reach @ reach).astype(bool)
        if further.nnz == reach.nnz:
            break
        reach = further
    pairs = further.tocoo()
    keep = pairs.row != pairs.col
    return edge_set(pairs.row[keep].astype(np.int64), pairs.col[keep].astype(np.int64), n)
