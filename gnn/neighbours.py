"""The items nearest to an item, whether anybody has touched them or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa

from ..kg.graph import FloatArray
from ..kg.in_memory import whole
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .item_kernel import ItemFeatures
from .ranking import BLOCK_ENTRIES, largest
from .trainer import EncoderScorer

# Items (n,) -> their similarities to all items, float32 (n, n_items).
Similarity = Callable[[IntArray], FloatArray]


NEIGHBOURS = pa.schema(
    [
        ("item", pa.string()),
        ("rank", pa.int32()),
        ("similar", pa.string()),
        ("similarity", pa.float32()),
        ("title", pa.string()),
    ]
)


def similar_items(data: TrainingData, encoder: EncoderScorer | None, item: int, k: int) -> pa.Table:
    """Columns item, similarity, title of the k nearest items, nearest first; never the item itself.

    By cosine of the encoder's vectors; by the kernel over relations and texts in a model without an
    encoder.
    """
    (found,) = neighbours(data, encoder, np.array([item]), k)
    return found.select(["similar", "similarity", "title"]).rename_columns(
        ["item", "similarity", "title"]
    )


def neighbours(
    data: TrainingData, encoder: EncoderScorer | None, items: IntArray, k: int
) -> Iterator[pa.Table]:
    """The k nearest items of each of these, (n,) indices, in blocks of items; rows as `NEIGHBOURS`.

    Of items that are equally near, the first in the catalog's order comes first.
    """
    k = whole(k, "k")
    compare = by_kernel(data) if encoder is None else by_cosine(encoder.item_vectors)
    k = min(k, data.n_items - 1)
    step = max(1, BLOCK_ENTRIES // data.n_items)
    for start in range(0, len(items), step):
        block = items[start : start + step]
        similarity = np.array(compare(block))
        similarity[np.arange(len(block)), block] = -np.inf
        best = largest(similarity, k) if k else np.zeros((len(block), 0), np.int64)
        yield _rows(data, block, best, np.take_along_axis(similarity, best, 1))


def _rows(data: TrainingData, items: IntArray, best: IntArray, nearness: FloatArray) -> pa.Table:
    vocabulary, titles = data.graph.items.vocabulary, data.graph.items.titles
    k = best.shape[1]
    near = best.reshape(-1)
    return pa.table(
        [
            pa.array(vocabulary.take(np.repeat(items, k)), pa.string()),
            pa.array(np.tile(np.arange(1, k + 1), len(items)), pa.int32()),
            pa.array(vocabulary.take(near), pa.string()),
            pa.array(nearness.reshape(-1), pa.float32()),
            pa.array((titles[int(i)] for i in near), pa.string()),
        ],
        schema=NEIGHBOURS,
    )


def by_cosine(vectors: FloatArray) -> Similarity:
    """Cosine of the items' vectors (n_items, d); 0 where one of them is zero."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return lambda items: np.asarray(unit[items] @ unit.T, np.float32)


def by_kernel(data: TrainingData) -> Similarity:
    """The mean of the kernels over relations, categories, numbers and texts."""
    features, everything = ItemFeatures.of(data), np.arange(data.n_items)
    return lambda items: features.kernel(items, everything).numpy()
