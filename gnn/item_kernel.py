"""What the graph and the texts say of items, as a mean of kernels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
from sklearn.preprocessing import normalize
from torch import Tensor

from ..kg.graph import FloatArray
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .profiles import item_profile, profile_blocks, weigh

# Relations with a kernel of their own, the largest first; the others are in the whole profile's.
_OWN_KERNEL = 24


@dataclass(frozen=True)
class ItemFeatures:
    """Components of an additive item kernel.

    Attributes:
        names: one per component.
        linear: sparse features with unit rows, (n_items, ...): a cosine kernel each.
        dense: dense features with unit rows: a cosine and a squared cosine kernel each.
        standardised: (n_items, w) standardised numbers: one Gaussian kernel, of unit width each.
    """

    names: tuple[str, ...]
    linear: tuple[sp.csr_matrix, ...]
    dense: tuple[FloatArray, ...]
    standardised: tuple[FloatArray, ...]

    @classmethod
    def of(cls, data: TrainingData) -> Self:
        """Relations and categories, the whole profile, numbers of links, numbers, and text."""
        blocks = profile_blocks(data.graph, data.graph.item_type)
        largest = sorted(blocks, key=lambda name: (-blocks[name].nnz, name))[:_OWN_KERNEL]
        linear = {" ".join(name): weigh(blocks[name]) for name in largest}
        linear["profile"] = item_profile(data.graph)
        dense = {}
        if np.any(data.item_text):
            dense["text"] = data.item_text
            linear["words"] = _words(data.graph.items.documents)
        standardised = {}
        links = [np.log1p(np.diff(block.indptr)) for block in blocks.values()]
        if links:
            standardised["links"] = _standardise(np.stack(links, axis=1))
        numbers = list(data.graph.items.numbers.values())
        if numbers:
            standardised["numbers"] = _standardise(np.stack(numbers, axis=1))
        names = (*linear, *dense, *(f"{name} squared" for name in dense), *standardised, "constant")
        return cls(
            names, tuple(linear.values()), tuple(dense.values()), tuple(standardised.values())
        )

    def kernel(self, rows: IntArray, columns: IntArray) -> Tensor:
        """The mean of the components' kernels between two sets of items, float32 (r, c).

        One component is in memory at a time.
        """
        out = torch.zeros((len(rows), len(columns)))
        for part in self._each(rows, columns):
            out.add_(part, alpha=1.0 / len(self.names))
        return out

    def _each(self, rows: IntArray, columns: IntArray) -> Iterator[Tensor]:
        for block in self.linear:
            product = (block[rows] @ block[columns].T).toarray()
            yield torch.from_numpy(np.asarray(product, np.float32))
        cosines = [
            torch.from_numpy(block[rows]) @ torch.from_numpy(block[columns]).T
            for block in self.dense
        ]
        yield from cosines
        for cosine in cosines:
            yield cosine.square()
        for numbers in self.standardised:
            left, right = torch.from_numpy(numbers[rows]), torch.from_numpy(numbers[columns])
            yield torch.exp(-torch.cdist(left, right).square() / numbers.shape[1])
        yield torch.ones((len(rows), len(columns)))


def _words(documents: tuple[str, ...]) -> sp.csr_matrix:
    """tf-idf of the words, rows of unit length; one empty column where no word occurs twice."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        found = TfidfVectorizer(sublinear_tf=True, min_df=2, dtype=np.float32).fit_transform(
            documents
        )
    except ValueError:  # scikit-learn's way of saying that the vocabulary is empty
        return sp.csr_matrix((len(documents), 1), dtype=np.float32)
    return normalize(sp.csr_matrix(found), copy=False)


def _standardise(columns: np.ndarray) -> FloatArray:
    """Each column to mean 0 and variance 1 over its known values; unknown = mean."""
    values = columns.astype(np.float64)
    known = np.isfinite(values)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, values, 0.0).sum(0) / count
    centred = np.where(known, values - mean, 0.0)
    spread = np.sqrt((centred**2).sum(0) / count)
    return (centred / np.where(spread > 1e-9, spread, 1.0)).astype(np.float32)
