"""A later state of a catalog beside the one that was trained on: what is new is added, nothing renumbered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..kg.append import append
from ..kg.coldstart import resolve as one_row_per_pair
from ..kg.errors import IntegrityError
from ..kg.graph import AUXILIARY, FloatArray, Graph, Interactions
from ..kg.split import pair_codes
from .data import TrainingData
from .text import TextConfig, embed_texts, resolve

_SAME = 0.99  # median cosine of vectors that should be equal; less where the space is another


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
    corpus = {kind: data.corpus.get(kind, len(rows)) for kind, rows in data.text.items()}
    return TrainingData(grown, train, _text_of(grown, data, corpus, text, device), corpus)


def _new_pairs(grown: Graph, start: int, train: Interactions) -> Interactions:
    """One row per pair of the events from `start` on, of pairs that were auxiliary before, or none."""
    events = grown.interactions
    codes = pair_codes(events, grown.n_items)
    before = codes[:start][events.label[:start] != AUXILIARY]
    new = (np.arange(len(codes)) >= start) & ~np.isin(codes, before)
    rows = one_row_per_pair(events.select(new), grown.n_items)
    return replace(rows, split=np.full(len(rows), -1, np.int8), split_names=train.split_names)


def _text_of(
    grown: Graph, data: TrainingData, corpus: Mapping[str, int], config: TextConfig, device: str
) -> dict[str, FloatArray]:
    """Text vectors: those that there are, and of the nodes behind them, in the same space.

    Nothing was learned about texts of a node type that had none; it goes on without.
    """
    new = {kind: grown.nodes[kind].documents[len(rows) :] for kind, rows in data.text.items()}
    texts = [text for some in new.values() for text in some]
    if not texts:
        return data.text
    known = []
    if resolve(config.model) == "tfidf":  # the space is fitted again, on what it was fitted on
        known = [
            text for kind, n in corpus.items() for text in data.graph.nodes[kind].documents[:n]
        ]
    found = embed_texts([*known, *texts], config, corpus=known, device=device)
    before = np.concatenate([rows[: corpus[kind]] for kind, rows in data.text.items()])
    _check_space(found[: len(known)], before)
    parts = np.split(found[len(known) :], np.cumsum([len(some) for some in new.values()])[:-1])
    return {
        kind: np.concatenate([rows, part])
        for (kind, rows), part in zip(data.text.items(), parts, strict=True)
    }


def _check_space(again: FloatArray, before: FloatArray) -> None:
    """IntegrityError unless the vectors `again`, those of the first texts of all or none, fit `before`."""
    if again.shape[1] != before.shape[1]:
        raise IntegrityError(
            f"texts now have {again.shape[1]} dimensions, the model's {before.shape[1]}",
            where="texts",
            hint="install the text model that it was trained with, or train again",
        )
    cosines = (again * before[: len(again)]).sum(1)[again.any(1)]
    if len(cosines) and np.median(cosines) < _SAME:
        raise IntegrityError(
            "the texts of the training have changed since, and with them the space of TF-IDF",
            where="texts",
            hint="extend the model as it was trained, or train again",
        )
