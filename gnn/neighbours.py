"""The items nearest to an item, whether anybody has touched them or not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from ..kg.graph import FloatArray
from ..kg.in_memory import whole
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .item_kernel import ItemFeatures
from .trainer import EncoderScorer

# Items (n,) -> their similarities to all items, float32 (n, n_items).
Similarity = Callable[[IntArray], FloatArray]


def similar_items(data: TrainingData, encoder: EncoderScorer | None, item: int, k: int) -> pa.Table:
    """Columns item, similarity, title of the k nearest items, nearest first; never the item itself.

    By cosine of the encoder's vectors; by the kernel over relations and texts in a model without an
    encoder.
    """
    k = whole(k, "k")
    compare = by_kernel(data) if encoder is None else by_cosine(encoder.item_vectors)
    similarity = compare(np.array([item]))[0]
    similarity[item] = -np.inf
    best = np.argsort(-similarity, kind="stable")[: min(k, data.n_items - 1)]
    items = data.graph.items
    return pa.table(
        {
            "item": pa.array([items.vocabulary[int(i)] for i in best], pa.string()),
            "similarity": pa.array(similarity[best], pa.float32()),
            "title": pa.array([items.titles[int(i)] for i in best], pa.string()),
        }
    )


def by_cosine(vectors: FloatArray) -> Similarity:
    """Cosine of the items' vectors (n_items, d); 0 where one of them is zero."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return lambda items: np.asarray(unit[items] @ unit.T, np.float32)


def by_kernel(data: TrainingData) -> Similarity:
    """The mean of the kernels over relations, categories, numbers and texts."""
    features, everything = ItemFeatures.of(data), np.arange(data.n_items)
    return lambda items: features.kernel(items, everything).numpy()
