"""A later state of a catalog beside the one that was trained on: what is new is added, nothing renumbered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..kg.append import append
from ..kg.coldstart import resolve
from ..kg.errors import IntegrityError
from ..kg.graph import FloatArray, Graph, Interactions
from ..kg.split import pair_codes
from .data import TrainingData
from .text import TextConfig, embed_nodes


def extended(data: TrainingData, later: Graph, text: TextConfig, device: str) -> TrainingData:
    """The data with the later state's nodes, attributes, texts and events added; see `kg.append`.

    Events of pairs of which the graph has any, held out or not, are left out.

    Raises:
        DataError: it names other types as users or items. IntegrityError: its texts cannot be
        embedded as those of `data` were.
    """
    grown = append(data.graph, later)
    train = data.train.concat(_new_pairs(grown, len(data.graph.interactions), data.train))
    return TrainingData(grown, train, _text_of(grown, data, text, device))


def _new_pairs(grown: Graph, start: int, train: Interactions) -> Interactions:
    """One row per pair of the events from `start` on, of pairs that none before is of."""
    events = grown.interactions
    codes = pair_codes(events, grown.n_items)
    new = ~np.isin(codes, codes[:start])
    rows = resolve(events.select(new), grown.n_items)
    return replace(rows, split=np.full(len(rows), -1, np.int8), split_names=train.split_names)


def _text_of(
    grown: Graph, data: TrainingData, config: TextConfig, device: str
) -> dict[str, FloatArray]:
    """Text vectors: those that there are, and of new nodes in the same space."""
    if not data.text:
        return {}
    known = {kind: len(before) for kind, before in data.text.items()}
    found = embed_nodes(grown, config, cache=None, device=device, corpus=data.graph, skip=known)
    for kind, before in data.text.items():
        rows = found.get(kind, before[:0])
        if rows.shape[1] != before.shape[1]:
            raise IntegrityError(
                f"texts now have {rows.shape[1]} dimensions, the model's {before.shape[1]}",
                where=f"node type {kind}",
                hint="install the text model that it was trained with, or train again",
            )
        found[kind] = np.concatenate([before, rows])
    return found
