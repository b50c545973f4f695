"""How far an encoder that was trained on ratings is off on held-out ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kg.graph import Interactions
from .data import TrainingData
from .metrics import mae, rmse
from .ranking import scores_of_pairs
from .trainer import EncoderScorer


def rating_errors(
    encoder: EncoderScorer | None, data: TrainingData, held_out: Interactions
) -> dict[str, Any] | None:
    """RMSE and MAE on the ratings' own scale, and those of the training mean for comparison.

    Returns:
        {"pairs", "unknown", "rmse", "mae", "mean": {"rmse", "mae"}}; `unknown` rated pairs, of which
        the encoder knows nothing, take no part. None where the encoder's loss is not "mse", or no
        rating was held out.
    """
    rated = held_out.select(held_out.rated)
    known = data.train.rating[data.train.rated]
    if encoder is None or encoder.training.loss != "mse" or not len(rated) or not len(known):
        return None
    predicted = scores_of_pairs(encoder.score, rated.user, rated.item)
    found = np.isfinite(predicted)
    if not found.any():
        return None
    truth, told = rated.rating[found], predicted[found]
    middle = np.full(len(truth), known.mean())
    return {
        "pairs": int(found.sum()),
        "unknown": int((~found).sum()),
        "rmse": rmse(truth, told),
        "mae": mae(truth, told),
        "mean": {"rmse": rmse(truth, middle), "mae": mae(truth, middle)},
    }
