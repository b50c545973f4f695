"""A later state of a catalog beside the one that was trained on: what is new is added, nothing renumbered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..kg.append import append
from ..kg.coldstart import resolve as one_row_per_pair
from ..kg.errors import IntegrityError
from ..kg.graph import AUXILIARY, FloatArray, Graph, Interactions
from ..kg.split import pair_codes
from .data import TrainingData
from .text import TextConfig, embed_texts, resolve


def extended(data: TrainingData, later: Graph, text: TextConfig, device: str) -> TrainingData:
    """The data with the later state's nodes, attributes, texts and events added; see `kg.append`.

    Events of pairs that the graph knows as positive or negative, held out or not, are left out; those of
    pairs that were auxiliary, or that answers were told of, take the place of these.

    Raises:
        DataError: it names other types as users or items. IntegrityError: its texts cannot be
        embedded as those of `data` were.
    """
    grown = append(data.graph, later)
    new = _new_pairs(grown, len(data.graph.interactions), data.train)
    told = np.isin(pair_codes(data.train, grown.n_items), pair_codes(new, grown.n_items))
    train = data.train.select(~told).concat(new)
    return TrainingData(grown, train, _text_of(grown, data, text, device), data.space)


def _new_pairs(grown: Graph, start: int, train: Interactions) -> Interactions:
    """One row per pair of the events from `start` on, of pairs that were auxiliary before, or none."""
    events = grown.interactions
    codes = pair_codes(events, grown.n_items)
    before = codes[:start][events.label[:start] != AUXILIARY]
    new = (np.arange(len(codes)) >= start) & ~np.isin(codes, before)
    rows = one_row_per_pair(events.select(new), grown.n_items)
    return replace(rows, split=np.full(len(rows), -1, np.int8), split_names=train.split_names)


def _text_of(
    grown: Graph, data: TrainingData, config: TextConfig, device: str
) -> dict[str, FloatArray]:
    """Text vectors: those that there are, and of the nodes behind them, in the same space.

    Nothing was learned about texts of a node type that had none; it goes on without.
    """
    new = {kind: grown.nodes[kind].documents[len(rows) :] for kind, rows in data.text.items()}
    texts = [text for some in new.values() for text in some]
    if not texts:
        return data.text
    found = _embedded(texts, data, config, device)
    parts = np.split(found, np.cumsum([len(some) for some in new.values()])[:-1])
    return {
        kind: np.concatenate([rows, part])
        for (kind, rows), part in zip(data.text.items(), parts, strict=True)
    }


def _embedded(
    texts: Sequence[str], data: TrainingData, config: TextConfig, device: str
) -> FloatArray:
    """Vectors beside those of `data`; IntegrityError where they are of another model."""
    if data.space is not None:
        return data.space.embed(texts)
    width = next(iter(data.text.values())).shape[1]
    if resolve(config.model) == "tfidf":
        got = "there is TF-IDF alone"
    else:
        found = embed_texts(texts, config, device=device)
        if found.shape[1] == width:
            return found
        got = f"texts have {found.shape[1]} dimensions"
    raise IntegrityError(
        f"{got}, where the model's were embedded in {width} dimensions by another text model",
        where="texts",
        hint="install the text model that it was trained with, or train again",
    )
