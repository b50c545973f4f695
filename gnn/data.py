"""What every scorer is fitted on: a graph, the training interactions, and their derived matrices."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..kg.catalog import graph_of
from ..kg.graph import AUXILIARY, FloatArray, Graph, Interactions
from ..kg.ids import sorted_distinct
from ..kg.split import pair_codes
from ..kg.vocabulary import IntArray
from .profiles import item_profile
from .tfidf import TfidfSpace

_TELLING = 20  # likes told of an item from which on it is known as well as others


@dataclass(frozen=True)
class TrainingData:
    """Inputs of `Scorer.fit`.

    Attributes:
        graph: nodes, attribute edges; its own `interactions` are NOT read by any scorer. A catalog may
            be given for its graph.
        train: the interactions a scorer may learn from.
        text: node type -> float32 (n, d) text embeddings, rows of unit length, zero = no text.
        space: in which later texts are embedded like these; None where a language model does it.
    """

    graph: Graph
    train: Interactions
    text: dict[str, FloatArray] = field(default_factory=dict)
    space: TfidfSpace | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", graph_of(self.graph))

    @property
    def n_users(self) -> int:
        return self.graph.n_users

    @property
    def n_items(self) -> int:
        return self.graph.n_items

    @cached_property
    def positives(self) -> sp.csr_matrix:
        """Binary (n_users, n_items) CSR of the positive training pairs."""
        return self.train.matrix(self.n_users, self.n_items, label=1)

    @cached_property
    def negatives(self) -> sp.csr_matrix:
        """Binary (n_users, n_items) CSR of the pairs known to be negative."""
        return self.train.matrix(self.n_users, self.n_items, label=0)

    @cached_property
    def unliked(self) -> sp.csr_matrix:
        """Binary (n_users, n_items) CSR of the training pairs that are negative or auxiliary.

        What somebody saw says much, whatever came of it. A pair that is positive as well is not among them.
        """
        auxiliary = self.train.matrix(self.n_users, self.n_items, label=AUXILIARY)
        other = self.negatives + auxiliary
        return sp.csr_matrix(other - other.multiply(self.positives) > 0, dtype=np.float32)

    def pairs(self, *parts: Interactions) -> sp.csr_matrix:
        """Binary (n_users, n_items) CSR of the positive and negative rows of all parts."""
        out = sp.csr_matrix((self.n_users, self.n_items), dtype=np.float32)
        for rows in parts:
            for label in (0, 1):
                out = out + rows.matrix(self.n_users, self.n_items, label=label)
        return sp.csr_matrix(out > 0, dtype=np.float32)

    @cached_property
    def profile(self) -> sp.csr_matrix:
        """tf-idf KG profile of the items, rows of unit length, (n_items, n_features)."""
        return item_profile(self.graph)

    @property
    def item_text(self) -> FloatArray:
        """Text embeddings of the items, (n_items, d); d = 0 where there are none."""
        return self.text.get(self.graph.item_type, np.zeros((self.n_items, 0), np.float32))

    @cached_property
    def item_degree(self) -> IntArray:
        """Positive training interactions per item, int64 (n_items,)."""
        return np.bincount(self.positives.indices, minlength=self.n_items)

    @cached_property
    def own_degree(self) -> IntArray:
        """Positive pairs of the catalog's own, told ones apart, per item, int64 (n_items,)."""
        own = self.train.select((self.train.label == 1) & (self.train.round == 0))
        return np.bincount(
            sorted_distinct(pair_codes(own, self.n_items)) % self.n_items, minlength=self.n_items
        )

    @cached_property
    def catalog_degree(self) -> IntArray:
        """`item_degree` as it says which items are cold, rare or common.

        A few chosen answers do not make an item like those that people came to by themselves: likes
        told in rounds count from `_TELLING` of an item on. Where the catalog has no interactions of
        its own, all count.
        """
        if not self.own_degree.any():
            return self.item_degree
        liked = self.train.item[(self.train.label == 1) & (self.train.round > 0)]
        told = np.bincount(liked, minlength=self.n_items)
        return np.where(told >= _TELLING, self.item_degree, self.own_degree)

    @cached_property
    def told(self) -> npt.NDArray[np.bool_]:
        """Items that nobody came to by themselves, and that something was told of, (n_items,).

        However many likes were told: those who are asked are few beside all who could come, so that
        the models that count interactions would bury the item. Where the catalog has no interactions of
        its own, none.
        """
        answered = np.bincount(self.train.item[self.train.round > 0], minlength=self.n_items) > 0
        return np.asarray(self.own_degree.any() & answered & (self.own_degree == 0))

    @property
    def untold_degree(self) -> IntArray:
        """`catalog_degree` where items known by answers alone are the cold ones that they were."""
        return np.asarray(np.where(self.told, 0, self.catalog_degree))

    @cached_property
    def user_degree(self) -> IntArray:
        """Positive training interactions per user, int64 (n_users,)."""
        return np.asarray(np.diff(self.positives.indptr), np.int64)

    def with_train(self, train: Interactions) -> TrainingData:
        """The same graph and text with other training interactions."""
        return replace(self, train=train)
