"""Coverage of the knowledge graph: how much of what is not yet informed would a question inform?

Three monotone submodular functions of a set of items, on sparse matrices, behind one class: facility
location over item similarity (Nemhauser, Wolsey and Fisher 1978), weighted cover of attribute nodes,
and saturated personalised PageRank spread. `diverse.coverage_only` picks by them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..gnn.topk import keep_top
from ..kg.errors import UsageError, nearest
from ..kg.vocabulary import IntArray

Array = npt.NDArray[np.float64]
FORMS = ("max", "saturate")
COVERS = ("similar", "attributes", "pagerank")
_CELLS = 4_000_000  # pairs of items held at once
_PATIENCE = 3.0  # questions after which an item informs its neighbours by 1 - 1/e


@dataclass(frozen=True)
class Cover:
    """F(n) = sum_j w_j cover_j(n), with reach_ij = how far item i informs target j.

    form "max": cover_j = max_i reach_ij (1 - exp(-n_i / 3)) where n counts questions per item;
    "saturate": cover_j = min(1, sum_i reach_ij (1 - exp(-n_i / 3))). Both are monotone in n and
    submodular in the set of items asked about; "saturate" has diminishing returns in n as well, in
    "max" a further question about an item can add where the first one, hidden by others, did not.

    Attributes:
        reach: CSR (I, J), in [0, 1]. weights: (J,) at least 0.
    """

    reach: sp.csr_matrix
    weights: Array
    form: str = "max"

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UsageError(f"unknown form {self.form!r}", hint=nearest(self.form, FORMS))

    def covered(self, counts: IntArray) -> Array:
        """cover_j for the questions so far, (J,). `counts`: questions per item, (I,)."""
        depth = 1.0 - np.exp(-counts / _PATIENCE)
        scaled = sp.csr_matrix(sp.diags(depth) @ self.reach)
        if self.form == "max":
            return np.asarray(scaled.max(axis=0).todense(), np.float64).ravel()
        return np.asarray(np.minimum(1.0, np.asarray(scaled.sum(axis=0)).ravel()))

    def value(self, counts: IntArray) -> float:
        """F(counts)."""
        return float(self.weights @ self.covered(counts))

    def step(self, covered: Array, item: int, count: int) -> tuple[IntArray, Array]:
        """The targets of an item, and how far each is covered after one more question about it.

        Args:
            covered: (J,), so far. count: questions about the item so far.
        """
        part = slice(self.reach.indptr[item], self.reach.indptr[item + 1])
        targets, reach = self.reach.indices[part], self.reach.data[part]
        depth = 1 - np.exp(-(count + 1.0) / _PATIENCE)
        if self.form == "max":
            return targets, np.maximum(reach * depth, covered[targets])
        before = 1 - np.exp(-count / _PATIENCE)
        return targets, np.minimum(covered[targets] + reach * (depth - before), 1.0)

    def marginal(self, counts: IntArray) -> Array:
        """Gain of one more question about each item, (I,)."""
        now = self.covered(counts)
        after = 1.0 - np.exp(-(counts + 1.0) / _PATIENCE)
        before = 1.0 - np.exp(-counts / _PATIENCE)
        reach, rows = self.reach, np.repeat(np.arange(len(counts)), np.diff(self.reach.indptr))
        if self.form == "max":
            grown = np.maximum(reach.data * after[rows], now[reach.indices]) - now[reach.indices]
        else:
            raw = reach.data * (after - before)[rows]
            grown = np.minimum(raw, 1.0 - now[reach.indices])
        weighted = grown * self.weights[reach.indices]
        return np.asarray(np.bincount(rows, weighted, len(counts)), np.float64)


def facility_location(profile: sp.csr_matrix, weights: Array, *, neighbours: int = 50) -> Cover:
    """Cover of the items by their most similar items (cosine of KG profiles, itself 1)."""
    return Cover(_nearest(profile, neighbours), weights)


def attribute_cover(incidence: sp.csr_matrix, weights: Array) -> Cover:
    """Weighted max-cover of attribute nodes: an item reaches its own attributes fully.

    Args:
        incidence: (I, attributes), nonzero where the item has the attribute. weights: (attributes,).
    """
    return Cover(_has(incidence), weights)


def pagerank_spread(
    incidence: sp.csr_matrix,
    weights: Array,
    *,
    restart: float = 0.3,
    steps: int = 3,
    keep: int = 100,
) -> Cover:
    """Saturated spread of a random walk item - attribute - item that returns with `restart`.

    Truncated after `steps` double steps, the `keep` largest reaches per item stay; reach is scaled so
    that an item reaches itself by 1.
    """
    binary = _has(incidence)
    forth, back = _stochastic(binary), _stochastic(sp.csr_matrix(binary.T))

    def walked(mass: sp.csr_matrix) -> sp.csr_matrix:
        spread = walk = mass
        for _ in range(steps):
            walk = _largest(sp.csr_matrix((walk @ forth) @ back) * (1.0 - restart), keep)
            spread = spread + walk
        return _largest(sp.csr_matrix(spread), keep)

    start = sp.identity(binary.shape[0], format="csr") * restart
    spread = _by_blocks(start, walked)
    own = np.maximum(spread.diagonal(), 1e-12)
    spread = sp.csr_matrix(sp.diags(1.0 / own) @ spread)
    spread.data = np.minimum(spread.data, 1.0)
    return Cover(spread, weights, form="saturate")


def cover_of(name: str, profile: sp.csr_matrix, demand: Array) -> Cover:
    """Coverage of the items of a KG profile by a name of `COVERS`.

    Args:
        profile: (I, features), nonzero where the item has the attribute. demand: (I,) at least 0: what
            the items are worth; an attribute is worth what the items that have it are.
    """
    if name == "attributes":
        worth = np.asarray(_has(profile).T @ demand).ravel()
        return attribute_cover(profile, worth / max(float(worth.sum()), 1e-12))
    return (
        pagerank_spread(profile, demand)
        if name == "pagerank"
        else facility_location(profile, demand)
    )


def known_cover(name: str) -> str:
    """The name itself; UsageError where it is none of `COVERS`, with the nearest."""
    if name not in COVERS:
        raise UsageError(f"unknown coverage {name!r}", hint=nearest(name, COVERS))
    return name


def _has(profile: sp.csr_matrix) -> sp.csr_matrix:
    """1 where an item has an attribute."""
    return sp.csr_matrix(profile != 0).astype(np.float64)


def _stochastic(matrix: sp.csr_matrix) -> sp.csr_matrix:
    total = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1e-12)
    return sp.csr_matrix(sp.diags(1.0 / total) @ matrix)


def _nearest(profile: sp.csr_matrix, neighbours: int) -> sp.csr_matrix:
    """Each item's `neighbours` largest similarities, the diagonal 1, (I, I).

    In catalogs above 20,000 items, features of more than 1,000 items are left out here: they make
    the product dense and say least.
    """
    n = profile.shape[0]
    features = sp.csr_matrix(profile)
    if n > 20_000:
        frequency = np.bincount(features.indices, minlength=features.shape[1])
        features = sp.csr_matrix(features[:, frequency <= 1000])
    columns = sp.csr_matrix(features.T)
    similar = _by_blocks(features, lambda rows: _largest(rows @ columns, neighbours))
    similar = sp.csr_matrix(similar.maximum(sp.identity(n, format="csr")))
    similar.data = np.clip(similar.data, 0.0, 1.0)
    return similar


def _by_blocks(
    matrix: sp.csr_matrix, how: Callable[[sp.csr_matrix], sp.csr_matrix]
) -> sp.csr_matrix:
    """`how` of a few rows of items at a time: an attribute that all have makes its products dense."""
    n = matrix.shape[0]
    step = max(1, _CELLS // max(n, 1))
    starts = range(0, max(n, 1), step)
    return sp.csr_matrix(sp.vstack([how(matrix[low : low + step]) for low in starts]))


def _largest(matrix: sp.csr_matrix, keep: int) -> sp.csr_matrix:
    """The `keep` largest entries of each row; equal ones by lower column."""
    return keep_top(matrix, keep, ties=lambda columns: columns)
