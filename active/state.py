"""What a strategy sees: beliefs, pool, whose ranking matters, and how well the graph is covered."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.special import expit

from ..gnn.laplace import packed_outer
from ..gnn.posterior import Posterior
from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .coverage import Cover, cover_of
from .pool import Pool

Array = npt.NDArray[np.float64]
CUTOFF = 10  # the part of a user's ranking that is to be got right
_BLOCK = 4096


@dataclass(frozen=True)
class AskState:
    """Inputs of every strategy.

    Attributes:
        posterior: beliefs about all items of the catalog.
        pool: which pairs may be asked.
        targets: users for whom the ranking shall become right, (T,) catalog indices.
        profile: KG profile of all items (n_items, features); None = no graph is known.
        popularity: positives known per item, (n_items,).
        labels: usable answers so far per item, (n_items,).
        coverage: what covering the graph means, a name of `coverage.COVERS`: items by similar ones,
            their attributes, or what a random walk from them reaches.
    """

    posterior: Posterior
    pool: Pool
    targets: IntArray
    profile: sp.csr_matrix | None = None
    popularity: Array | None = None
    labels: IntArray | None = None
    coverage: str = "similar"

    @cached_property
    def target_vectors(self) -> FloatArray:
        """(T, D) float32."""
        return self.posterior.user_vectors[self.targets]

    @cached_property
    def target_outer(self) -> FloatArray:
        """Packed x x' of the targets, (T, D (D + 1) / 2) float32."""
        return np.asarray(packed_outer(self.target_vectors))

    @cached_property
    def target_logits(self) -> FloatArray:
        """(C, T) float32 over the pool's items, in the pool's order."""
        mean = self.posterior.mean[self.pool.items].astype(np.float32)
        return np.asarray(mean @ self.target_vectors.T)

    @cached_property
    def thresholds(self) -> FloatArray:
        """tau_u: each target's CUTOFF-th best logit over the pool's items, (T,)."""
        n = len(self.pool.items)
        place = max(n - CUTOFF, 0)
        return np.asarray(np.partition(self.target_logits, place, axis=0)[place])

    @cached_property
    def demand(self) -> Array:
        """Mean chance that a target likes the item, over the pool's items, (C,)."""
        total = np.zeros(len(self.pool.items))
        for low in range(0, len(total), _BLOCK):
            part = slice(low, low + _BLOCK)
            total[part] = expit(self.target_logits[part]).mean(axis=1)
        return total

    @cached_property
    def cover(self) -> Cover | None:
        """Coverage of the graph by the pool's items, weighted by demand; None without a graph."""
        if self.profile is None or self.profile.nnz == 0:
            return None
        share = self.demand / max(float(self.demand.sum()), 1e-12)
        return cover_of(self.coverage, self.profile[self.pool.items], share)

    @cached_property
    def label_counts(self) -> IntArray:
        """Usable answers so far per item of the pool, (C,)."""
        if self.labels is None:
            return np.zeros(len(self.pool.items), np.int64)
        return self.labels[self.pool.items]

    @cached_property
    def coverage_gain(self) -> Array:
        """Coverage that one more answer about each of the pool's items adds, mean 1, (C,)."""
        if self.cover is None:
            return np.ones(len(self.pool.items))
        gain = self.cover.marginal(self.label_counts)
        return np.asarray(gain / max(float(gain.mean()), 1e-12))

    @cached_property
    def _order(self) -> IntArray:
        """Places in `pool.items` by rising index, (C,)."""
        return np.argsort(self.pool.items, kind="stable")

    def rows_of(self, items: IntArray) -> IntArray:
        """Positions of catalog items in `pool.items`, which must be among them."""
        places = np.searchsorted(self.pool.items, items, sorter=self._order)
        return np.asarray(self._order[places])

    def with_pool(self, pool: Pool) -> AskState:
        """The state with fewer open pairs of the same items; what was computed of the items stays."""
        other = replace(self, pool=pool)
        given = {field.name for field in fields(self)}
        other.__dict__.update({k: v for k, v in self.__dict__.items() if k not in given})
        return other
