"""What the encoder knows of a node before any message: its text, its KG profile, its numbers.

Everything is fitted once, on the graph that is trained on, and only applied afterwards: a node added
later gets the vector it would have had, and nobody else's changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd

from ..kg.errors import IntegrityError
from ..kg.graph import Category, FloatArray, Graph
from ..kg.vocabulary import IntArray
from .profiles import profile_blocks

BlockName = tuple[str, ...]
_CLIP = 5.0  # standard deviations; one absurd number must not drown the rest


@dataclass(frozen=True)
class ProfileSpace:
    """The tf-idf space of one node type's KG profile.

    Attributes:
        node_type: whose profiles these are.
        documents: nodes of that type when it was fitted.
        idf: block -> inverse document frequency of each feature, float32 (width,).
        categories: feature -> its values when fitted; codes of a later graph are matched by value.
        filled: int64 (f,), features that any node had when fitted, ascending, blocks one after another in
            the order of `idf`. A block is as wide as its type has nodes, and most are nobody's.
        components: float32 (f, k), right singular vectors of the profile; k = 0 where only the profile
            itself is wanted.
    """

    node_type: str
    documents: int
    idf: Mapping[BlockName, FloatArray]
    categories: Mapping[str, tuple[str, ...]]
    filled: IntArray
    components: FloatArray

    @classmethod
    def fit(cls, graph: Graph, node_type: str, dimensions: int, seed: int) -> ProfileSpace:
        """Count frequencies and take the leading singular vectors (Halko et al. 2011)."""
        blocks = profile_blocks(graph, node_type)
        n = len(graph.nodes[node_type])
        idf = {name: _idf(n, np.asarray(block.sum(0)).ravel()) for name, block in blocks.items()}
        values = {key: one.names for key, one in graph.nodes[node_type].categories.items()}
        nothing = np.zeros(0, np.int64), np.zeros((0, 0), np.float32)
        bare = cls(node_type, n, idf, values, *nothing)
        if not dimensions or not n or not any(map(len, idf.values())):
            return bare
        profile = sp.csr_matrix(sp.hstack(list(bare.blocks(graph).values()), format="csr"))
        filled = np.flatnonzero(np.bincount(profile.indices, minlength=profile.shape[1]))
        k = min(dimensions, n, len(filled))
        if not k:
            return bare
        _, _, right = randomized_svd(sp.csr_matrix(profile[:, filled]), k, random_state=seed)
        return replace(bare, filled=filled, components=np.ascontiguousarray(right.T, np.float32))

    def blocks(self, graph: Graph) -> dict[BlockName, sp.csr_matrix]:
        """tf-idf blocks of every node, rows of unit length over all blocks together.

        Features that came later weigh as one that a single node has; blocks that came later are
        left out, as nothing was learned about them.
        """
        raw = profile_blocks(graph, self.node_type)
        weighted = {}
        for name, idf in self.idf.items():
            block = raw.get(name)
            if block is None:
                block = sp.csr_matrix((len(graph.nodes[self.node_type]), len(idf)))
            elif len(name) == 2:  # a category: a relation's block has four parts to its name
                known = graph.nodes[self.node_type].categories[name[1]]
                block = _recode(block, known, self.categories[name[1]])
            new = np.full(max(block.shape[1] - len(idf), 0), _idf(self.documents, np.ones(1))[0])
            weighted[name] = sp.csr_matrix(
                block @ sp.diags(np.concatenate([idf, new])), dtype=np.float32
            )
        return _unit_rows(weighted)

    def project(self, blocks: Mapping[BlockName, sp.csr_matrix]) -> FloatArray:
        """Coordinates in the leading directions, float32 (n, k), of the output of `blocks`."""
        n = next((block.shape[0] for block in blocks.values()), 0)
        out = np.zeros((n, self.components.shape[1]), np.float32)
        start = 0
        for name, idf in self.idf.items():
            end = start + len(idf)
            rows = slice(*np.searchsorted(self.filled, (start, end)))
            out += blocks[name][:, self.filled[rows] - start] @ self.components[rows]
            start = end
        return out


@dataclass(frozen=True)
class NumberSpace:
    """Standardisation of a node type's numbers: feature -> (mean, standard deviation)."""

    moments: Mapping[str, tuple[float, float]]

    @classmethod
    def fit(cls, graph: Graph, node_type: str) -> NumberSpace:
        """Mean and deviation over the known values; a feature without any known value is left out."""
        moments = {}
        for name, values in graph.nodes[node_type].numbers.items():
            known = values[np.isfinite(values)].astype(np.float64)
            if len(known):
                moments[name] = (float(known.mean()), float(known.std()) or 1.0)
        return cls(moments)

    def transform(self, graph: Graph, node_type: str) -> FloatArray:
        """float32 (n, 2 f): each feature's z-score (0 = missing), then whether it is known."""
        nodes = graph.nodes[node_type]
        columns: list[npt.NDArray[Any]] = []
        for name, (mean, deviation) in self.moments.items():
            values = nodes.numbers.get(name, np.full(len(nodes), np.nan, np.float32))
            known = np.isfinite(values)
            score = np.where(known, (values - mean) / deviation, 0.0)
            columns += [np.clip(score, -_CLIP, _CLIP), known]
        return np.stack(columns, 1).astype(np.float32) if columns else _no_columns(len(nodes))


@dataclass(frozen=True)
class InputSpace:
    """The fitted inputs of every node type.

    Attributes:
        profiles: node type -> ProfileSpace (users and items have components).
        numbers: node type -> NumberSpace.
        text_width: node type -> width of its text vectors, 0 = none.
    """

    profiles: Mapping[str, ProfileSpace]
    numbers: Mapping[str, NumberSpace]
    text_width: Mapping[str, int]

    @classmethod
    def fit(
        cls, graph: Graph, text: Mapping[str, FloatArray], dimensions: int, seed: int
    ) -> InputSpace:
        """Fit every node type; SVD directions only for users and items, which are scored."""
        scored = (graph.user_type, graph.item_type)
        return cls(
            {
                kind: ProfileSpace.fit(graph, kind, dimensions if kind in scored else 0, seed)
                for kind in graph.nodes
            },
            {kind: NumberSpace.fit(graph, kind) for kind in graph.nodes},
            {kind: text[kind].shape[1] if kind in text else 0 for kind in graph.nodes},
        )

    def transform(self, graph: Graph, text: Mapping[str, FloatArray]) -> Inputs:
        """Inputs of all nodes of a graph with the same node types, this one or a grown one.

        Raises:
            IntegrityError: texts were embedded by another model (the widths differ).
        """
        features: dict[str, dict[str, FloatArray]] = {}
        blocks: dict[str, dict[BlockName, sp.csr_matrix]] = {}
        for kind in graph.nodes:
            if kind in self.profiles:
                features[kind], blocks[kind] = self.of_type(graph, text, kind)
        return Inputs(features, blocks)

    def of_type(
        self, graph: Graph, text: Mapping[str, FloatArray], kind: str
    ) -> tuple[dict[str, FloatArray], dict[BlockName, sp.csr_matrix]]:
        """The features and the blocks of one node type, as `Inputs` has them; raises as `transform`."""
        nodes = graph.nodes[kind]
        blocks = self.profiles[kind].blocks(graph)
        words = text.get(kind, _no_columns(len(nodes)))
        if words.shape[1] != self.text_width[kind]:
            raise IntegrityError(
                f"text vectors have width {words.shape[1]}, the encoder was trained on "
                f"{self.text_width[kind]}",
                where=kind,
                hint="embed the texts with the model of the training",
            )
        profile = (
            self.profiles[kind].project(blocks)
            if self.profiles[kind].components.size
            else _no_columns(len(nodes))
        )
        features = {
            "text": np.asarray(words, np.float32),
            "profile": profile,
            "numbers": self.numbers[kind].transform(graph, kind),
        }
        return features, blocks


@dataclass(frozen=True)
class Inputs:
    """Inputs of all nodes.

    Attributes:
        features: node type -> "text" | "profile" | "numbers" -> float32 (n, width), width 0 = none.
        blocks: node type -> block -> tf-idf weights (n, n of the neighbours' type or values).
    """

    features: Mapping[str, Mapping[str, FloatArray]]
    blocks: Mapping[str, Mapping[BlockName, sp.csr_matrix]] = field(default_factory=dict)


def _idf(documents: int, frequency: npt.NDArray[Any]) -> FloatArray:
    return np.log((1.0 + documents) / (1.0 + frequency)).astype(np.float32)


def _unit_rows(blocks: dict[BlockName, sp.csr_matrix]) -> dict[BlockName, sp.csr_matrix]:
    if not blocks:
        return blocks
    ends = np.cumsum([block.shape[1] for block in blocks.values()])
    whole = sp.csr_matrix(sp.hstack(list(blocks.values()), format="csr"))
    if 0 in whole.shape:  # scikit-learn refuses what is empty
        return blocks
    columns = normalize(whole, copy=False).tocsc()
    starts = [0, *ends[:-1]]
    return {
        name: sp.csr_matrix(columns[:, start:end].tocsr(), dtype=np.float32)
        for name, start, end in zip(blocks, starts, ends, strict=True)
    }


def _recode(block: sp.csr_matrix, now: Category, then: tuple[str, ...]) -> sp.csr_matrix:
    """Columns in the order of the values known then, new values after them."""
    order = [*then, *(name for name in now.names if name not in set(then))]
    position = {name: column for column, name in enumerate(order)}
    entries = block.tocoo()
    moved = np.array([position[name] for name in now.names], np.int64)[entries.col]
    return sp.csr_matrix((entries.data, (entries.row, moved)), (block.shape[0], len(order)))


def _no_columns(n: int) -> FloatArray:
    return np.zeros((n, 0), np.float32)
