"""The KG profile of a node: tf-idf over its one-hop (relation, neighbour) and category features."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import scipy.sparse as sp
from sklearn.preprocessing import normalize

from ..kg.graph import Graph

BlockName: TypeAlias = tuple[str, ...]


def raw_profile(graph: Graph, node_type: str) -> sp.csr_matrix:
    """Binary (n, n_features) CSR: one feature per (relation, direction, neighbour) and category value.

    Interactions take no part. Features that only one node has are kept: tf-idf weighs them, and a
    node added later may share them.
    """
    blocks = list(profile_blocks(graph, node_type).values())
    if not blocks:
        return sp.csr_matrix((len(graph.nodes[node_type]), 0), dtype=np.float32)
    return sp.csr_matrix(sp.hstack(blocks, format="csr", dtype=np.float32))


def profile_blocks(graph: Graph, node_type: str) -> dict[BlockName, sp.csr_matrix]:
    """The parts of `raw_profile` by name, binary CSR with n rows each.

    Names are (source, relation, target, "out" | "in") with one column per neighbour, and
    ("category", feature) with one column per value.
    """
    n = len(graph.nodes[node_type])
    blocks: dict[BlockName, sp.csr_matrix] = {}
    for (source, relation, target), edges in graph.edges.items():
        ends, name = edges.index, (source, relation, target)
        if source == node_type:
            blocks[*name, "out"] = _incidence(ends[0], ends[1], n, len(graph.nodes[target]))
        if target == node_type:
            blocks[*name, "in"] = _incidence(ends[1], ends[0], n, len(graph.nodes[source]))
    for feature, category in graph.nodes[node_type].categories.items():
        known = np.flatnonzero(category.codes >= 0)
        codes = category.codes[known]
        blocks["category", feature] = _incidence(known, codes, n, len(category.names))
    return blocks


def is_relation(name: BlockName) -> bool:
    """Whether a block is of neighbours, and not of a category's values; node types go by any name."""
    return len(name) == 4


def item_profile(graph: Graph) -> sp.csr_matrix:
    """tf-idf profile of the items over all their features, (n_items, n_features); see `weigh`."""
    return weigh(raw_profile(graph, graph.item_type))


def weigh(binary: sp.csr_matrix) -> sp.csr_matrix:
    """tf-idf of binary features, rows L2-normalised (zero rows stay zero), the same shape.

    idf = log((1 + n) / (1 + df)), so a feature that every row has weighs nothing.
    """
    n, width = binary.shape
    if width == 0:
        return binary
    frequency = np.bincount(binary.indices, minlength=width)
    idf = np.log((1.0 + n) / (1.0 + frequency)).astype(np.float32)
    return normalize(sp.csr_matrix(binary @ sp.diags(idf)), copy=False)


def _incidence(rows: np.ndarray, columns: np.ndarray, n: int, width: int) -> sp.csr_matrix:
    out = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, columns)), (n, width))
    out.sum_duplicates()
    out.data[:] = 1.0
    return out
