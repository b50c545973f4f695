"""The items nearest to an item, whether anybody has touched them or not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ..kg.errors import UsageError
from ..kg.graph import FloatArray
from .data import TrainingData
from .item_kernel import ItemFeatures
from .scorer_base import Scorer
from .trainer import EncoderScorer


def similar_items(data: TrainingData, encoder: Scorer | None, item: int, k: int) -> pa.Table:
    """Columns item, similarity, title of the k nearest items, nearest first; never the item itself.

    By cosine of the encoder's vectors; in a catalog without any interactions there is no trained
    encoder, and the kernel over relations and texts takes its place.
    """
    if k < 1:
        raise UsageError(f"must be at least 1, got {k}", where="k")
    if isinstance(encoder, EncoderScorer):
        similarity = _cosines(encoder.item_vectors, item)
    else:
        kernel = ItemFeatures.of(data).kernel(np.array([item]), np.arange(data.n_items))
        similarity = kernel.numpy()[0]
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


def _cosines(vectors: FloatArray, item: int) -> FloatArray:
    norm = np.linalg.norm(vectors, axis=1)
    out = vectors @ vectors[item] / np.maximum(norm * norm[item], 1e-12)
    return np.asarray(out, np.float32)
