"""The KG profile of a node: tf-idf over its one-hop (relation, neighbour) and category features."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from ..kg.graph import Graph


def raw_profile(graph: Graph, node_type: str) -> sp.csr_matrix:
    """Binary (n, n_features) CSR: one feature per (relation, direction, neighbour) and category value.

    Interactions take no part. Features that only one node has are kept: tf-idf weighs them, and a
    node added later may share them.
    """
    n = len(graph.nodes[node_type])
    blocks: list[sp.csr_matrix] = []
    for (source, _, target), edges in graph.edges.items():
        ends = edges.index
        if source == node_type:
            blocks.append(_incidence(ends[0], ends[1], n, len(graph.nodes[target])))
        if target == node_type:
            blocks.append(_incidence(ends[1], ends[0], n, len(graph.nodes[source])))
    for category in graph.nodes[node_type].categories.values():
        known = np.flatnonzero(category.codes >= 0)
        blocks.append(_incidence(known, category.codes[known], n, len(category.names)))
    if not blocks:
        return sp.csr_matrix((n, 0), dtype=np.float32)
    return sp.csr_matrix(sp.hstack(blocks, format="csr", dtype=np.float32))


def item_profile(graph: Graph) -> sp.csr_matrix:
    """tf-idf profile of the items, rows L2-normalised (zero rows stay zero), (n_items, n_features).

    idf = log((1 + n) / (1 + df)), so a feature that every item has weighs nothing.
    """
    binary = raw_profile(graph, graph.item_type)
    n = binary.shape[0]
    if binary.shape[1] == 0:
        return binary
    frequency = np.bincount(binary.indices, minlength=binary.shape[1])
    idf = np.log((1.0 + n) / (1.0 + frequency)).astype(np.float32)
    return normalize(sp.csr_matrix(binary @ sp.diags(idf)), copy=False)


def _incidence(rows: np.ndarray, columns: np.ndarray, n: int, width: int) -> sp.csr_matrix:
    out = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (n, width))
    out.sum_duplicates()
    out.data[:] = 1.0
    return out
