"""What the encoder's training stops by: how well it ranks the validation pairs."""

from __future__ import annotations

import numpy as np
import torch

from ..kg.graph import Interactions
from .data import TrainingData
from .encoder import Encoded
from .training import Validate

_ENTRIES = 8_000_000  # of (users, items) looked at at a time: 80 MB


def ndcg_of_valid(data: TrainingData, valid: Interactions) -> Validate:
    """Mean NDCG@10 of the valid pairs, ranked among items that are trained or valid themselves."""
    wanted = valid.matrix(data.n_users, data.n_items)
    users = np.flatnonzero(np.diff(wanted.indptr) > 0)
    items = (data.item_degree > 0) | (np.bincount(wanted.indices, minlength=data.n_items) > 0)
    top = min(10, int(items.sum()))
    discount = 1.0 / np.log2(np.arange(top) + 2.0)
    closed = torch.from_numpy(~items)

    def ndcg(encoded: Encoded) -> float:
        total = 0.0
        for block in np.array_split(users, max(1, -(-len(users) * data.n_items // _ENTRIES))):
            rows = torch.from_numpy(block)
            scores = (encoded.users[rows] @ encoded.items.T + encoded.bias).cpu()
            scores[torch.from_numpy(data.positives[block].toarray() > 0) | closed] = -torch.inf
            best = scores.topk(top, dim=1).indices.numpy()
            relevant = wanted[block].toarray() > 0
            gains = np.take_along_axis(relevant, best, 1) @ discount
            ideal = np.cumsum(discount)[np.minimum(relevant.sum(1), top) - 1]
            total += float((gains / ideal).sum())
        return total / max(len(users), 1)

    return ndcg
