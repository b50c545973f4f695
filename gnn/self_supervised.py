"""The encoder where nobody has touched anything yet: learned from the graph and the texts alone.

Items lose some of their attribute edges and the encoder has to guess which (KG completion), and two
encodings with different edges and inputs left out have to agree on every item (as in SGL, Wu et al.
2021, section 3.2). It stops by edges that it is never shown: whether the items nearest to an item have
the attribute that was taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import scipy.sparse as sp

from ..kg.graph import EdgeSet, FloatArray, Graph, Interactions, NodeSet
from ..kg.split import rng_for
from ..kg.vocabulary import IntArray, Vocabulary
from .data import TrainingData
from .encoder import Encoded, EncoderConfig
from .hybrid import Hybrid, HybridConfig
from .neighbours import Similarity, by_cosine, by_kernel
from .profiles import is_relation, profile_blocks
from .ranking import largest
from .trainer import EncoderScorer
from .training import TrainingConfig

_NEAREST = 10
_HIDDEN = 0.1  # share of the items' attribute edges that training stops by
_EPOCHS = 20  # of ten steps each, at most: by then the hidden edges no longer gain
_FASTER = 2.5  # times the learning rate, since the steps are few
_DROPOUT = 0.3
_BLOCK = 512  # edges whose items' similarities to all others are in memory at a time, at most
_ENTRIES = 16_000_000  # of these similarities: 64 MB
_CHECKPOINT_SHARE = 0.05  # of the time


def fit_without_interactions(
    data: TrainingData, hybrid: Hybrid, *, work: Path | None = None
) -> EncoderScorer | None:
    """The encoder whose `item_vectors` say which items are alike, if they say it best.

    Args:
        hybrid: the unfitted scorer, for its settings.
        work: folder from which the same training goes on after an interruption.

    Returns:
        None without the part "encoder", and unless it surely finds more of the hidden edges, by which its
        training stops, than the kernel over relations and texts.

    Raises:
        StateError, IntegrityError: `work` holds another training, or is damaged.
    """
    if "encoder" not in hybrid.config.parts:
        return None
    data = untouched(data)
    scorer, hidden = train_on_graph(data, hybrid, work=work)
    if len(hidden):
        kernel = hidden.shared(by_kernel(replace(data, graph=hidden.graph)))
        lead = hidden.shared(by_cosine(scorer.item_vectors)) - kernel
        # Two standard errors: its epoch was chosen by these very edges.
        if lead.mean() <= 2 * lead.std() / len(lead) ** 0.5:
            return None
    return scorer.refresh(data)


def train_on_graph(
    data: TrainingData, hybrid: Hybrid, *, work: Path | None = None
) -> tuple[EncoderScorer, HiddenEdges]:
    """An encoder that has learned from an `untouched` catalog, and the edges that it was not shown.

    Nothing is learned about users. `hybrid` and `work` are those of `fit_without_interactions`; see
    `_settings` for what differs from the scorer's own settings.
    """
    progress = hybrid.progress
    hidden = HiddenEdges.draw(data.graph, _HIDDEN, rng_for(hybrid.seed, "hidden attribute edges"))
    scorer = EncoderScorer(
        *_settings(hybrid.config, texts=bool(np.any(data.item_text))),
        seed=hybrid.seed, device=hybrid.device,
        progress=progress and (lambda epoch, epochs, _: progress("train encoder", epoch, epochs)),
        checkpoints=None if work is None else work / "encoder",
        checkpoint_share=_CHECKPOINT_SHARE, resume=True,
    )  # fmt: skip

    def found(encoded: Encoded) -> float:
        vectors = encoded.items.float().cpu().numpy()
        return float(hidden.shared(by_cosine(vectors)).mean())

    scorer.fit(replace(data, graph=hidden.graph), found if len(hidden) else None)
    return scorer, hidden


def untouched(data: TrainingData) -> TrainingData:
    """What that encoder reads: no interactions, and the items' categories as relations to values.

    Categories reach an encoder by the profile alone, which has no place here; see `_settings`.
    """
    graph, items = data.graph, data.graph.items
    nodes, edges = dict(graph.nodes), dict(graph.edges)
    nodes[graph.item_type] = replace(items, categories={})
    for feature, category in items.categories.items():
        kind, known = f"category {feature}", np.flatnonzero(category.codes >= 0)
        nodes[kind] = NodeSet(Vocabulary(category.names))
        values = category.codes[known].astype(np.int64)
        edges[graph.item_type, feature, kind] = EdgeSet(np.stack([known, values]))
    return TrainingData(replace(graph, nodes=nodes, edges=edges), Interactions.empty(), data.text)


def _settings(config: HybridConfig, *, texts: bool) -> tuple[EncoderConfig, TrainingConfig]:
    """What differs without interactions.

    No KG profile goes in, as it holds the very edges that are to be guessed, and some of the inputs
    are dropped, so that the encoder cannot lean on one of them. Unless auxiliary losses were chosen,
    they are completion and, where items have texts, the agreement of two views: without texts that
    one only drives items of equal attributes apart.
    """
    training = replace(
        config.training,
        epochs=min(config.training.epochs, _EPOCHS),
        learning_rate=_FASTER * config.training.learning_rate,
    )
    if not (training.kg_completion or training.view_contrast or training.text_contrast):
        training = replace(training, kg_completion=1.0, view_contrast=float(texts))
    dropout = config.encoder.dropout or _DROPOUT
    return replace(config.encoder, profile_dimensions=0, dropout=dropout), training


@dataclass(frozen=True)
class HiddenEdges:
    """Attribute edges of items that a model is not shown.

    Attributes:
        graph: the same nodes without these edges.
        item: int64 (E,), the item of each edge whose attribute another item has too, sorted.
        attribute: int64 (E,), its column of `has`.
        has: binary (n_items, attributes) of the whole graph: who truly has what.
    """

    graph: Graph
    item: IntArray
    attribute: IntArray
    has: sp.csr_matrix

    @classmethod
    def draw(cls, graph: Graph, share: float, rng: np.random.Generator, most: int = 2000) -> Self:
        """Hide `share` of the edges of every relation that starts or ends at items.

        Args:
            most: of the hidden edges, this many at random are asked about.
        """
        edges = dict(graph.edges)
        for name, rows in sorted(graph.edges.items()):
            if graph.item_type in (name[0], name[2]):
                edges[name] = EdgeSet(rows.index[:, rng.random(len(rows)) >= share])
        hidden = replace(graph, edges=edges)
        has = _attributes(graph)
        gone = sp.coo_matrix(has - _attributes(hidden))
        holders = np.bincount(has.indices, minlength=has.shape[1])
        asked = np.flatnonzero((gone.data > 0) & (holders[gone.col] > 1))
        asked = rng.choice(asked, min(most, len(asked)), replace=False)
        asked = asked[np.lexsort((gone.col[asked], gone.row[asked]))]
        return cls(hidden, gone.row[asked].astype(int), gone.col[asked].astype(int), has)

    def __len__(self) -> int:
        return len(self.item)

    def shared(self, similarity: Similarity, k: int = _NEAREST) -> FloatArray:
        """Share of each edge's item's k nearest other items that have its attribute, float32 (E,)."""
        out = np.zeros(len(self), np.float32)
        n_items = self.has.shape[0]
        step = min(_BLOCK, max(1, _ENTRIES // max(n_items, 1)))
        for start in range(0, len(self), step):
            edges = slice(start, start + step)
            items, place = np.unique(self.item[edges], return_inverse=True)
            rows = similarity(items)
            rows[np.arange(len(items)), items] = -np.inf
            nearest = largest(rows, min(k, n_items - 1))[place]
            have = self.has[nearest, self.attribute[edges, None]].toarray() > 0
            out[edges] = have.mean(1)
        return out


def _attributes(graph: Graph) -> sp.csr_matrix:
    """Binary (n_items, attributes): one column per relation, direction and node."""
    blocks = profile_blocks(graph, graph.item_type)
    edges = [block for name, block in blocks.items() if is_relation(name)]
    if not edges:
        return sp.csr_matrix((graph.n_items, 0), dtype=np.float32)
    return sp.csr_matrix(sp.hstack(edges, format="csr"))
