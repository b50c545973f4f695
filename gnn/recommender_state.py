"""A recommender in a checkpoint: what its manifest says beside the tensors, and the tensors of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from ..kg.cache import part_hashes
from ..kg.errors import IntegrityError, UsageError
from ..kg.graph import Graph, Interactions
from .calibration import Calibration
from .checkpoint import Checkpoint
from .config import RecommenderConfig
from .data import TrainingData
from .encoder_state import vocabularies_of
from .hybrid import Hybrid
from .part_state import (
    Tensors,
    check_graph,
    gate_in,
    gate_out,
    interactions_in,
    interactions_out,
    restored,
    settings_in,
    settings_out,
    tensors_of,
)
from .plain import from_plain, to_plain
from .uncertainty import load_members


@dataclass(frozen=True)
class RecommenderState:
    """What the manifest of a checkpoint says of a recommender.

    Attributes:
        catalog: the catalog's folder; None where it was in memory.
        parts: names, in the order of the gate's weights. members: encoders of the ensemble.
        settings: configurations of the parts.
        vocabularies: node type -> (count, content hash). graph: part of the graph -> its hash.
    """

    config: RecommenderConfig
    catalog: str | None
    seed: int
    parts: tuple[str, ...]
    members: int
    settings: Mapping[str, Any]
    vocabularies: Mapping[str, Any]
    graph: Mapping[str, str]

    @classmethod
    def of(
        cls, scorer: Hybrid, config: RecommenderConfig, catalog: str | None, data: TrainingData
    ) -> Self:
        """Of a scorer of a catalog's data."""
        return cls(
            config,
            catalog,
            scorer.seed,
            tuple(scorer.parts),
            len(scorer.members),
            scorer.settings,
            vocabularies_of(data.graph),
            part_hashes(data.graph),
        )

    @classmethod
    def read(cls, checkpoint: Checkpoint) -> Self:
        """Of a checkpoint; IntegrityError where it holds no recommender."""
        try:
            meta = checkpoint.meta["recommender"]
            return cls(
                from_plain(RecommenderConfig, meta["config"]),
                meta.get("catalog"),
                int(meta["seed"]),
                tuple(meta["parts"]),
                int(meta.get("members", 0)),
                settings_in(meta["settings"]),
                meta["vocabularies"],
                dict(meta["graph"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            what = (
                f"{error.where}: {error.message}" if isinstance(error, UsageError) else repr(error)
            )
            raise IntegrityError(
                f"not the checkpoint of a recommender of this version: {what}",
                where=str(checkpoint.path),
                hint="register your own parts and convolutions first, or train again with this version",
            ) from error

    def as_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "config": to_plain(self.config),
            "catalog": self.catalog,
            "seed": self.seed,
            "parts": list(self.parts),
            "members": self.members,
            "settings": settings_out(self.settings),
            "vocabularies": self.vocabularies,
            "graph": self.graph,
        }

    def check(self, graph: Graph) -> None:
        """IntegrityError unless the graph is the one of the training."""
        check_graph(graph, self.vocabularies, self.graph)


def groups_of(scorer: Hybrid, data: TrainingData, valid: Interactions) -> dict[str, Tensors]:
    """Tensors of the parts but the encoder, of gate and calibration, and of what they learned from."""
    groups = {f"part-{name}": tensors_of(part) for name, part in scorer.parts.items()}
    groups = {name: tensors for name, tensors in groups.items() if tensors}
    if scorer.gate is not None:
        groups["gate"] = gate_out(scorer.gate)
    if scorer.calibration is not None:
        groups["calibration"] = scorer.calibration.tensors()
    groups["text"] = {kind: torch.from_numpy(rows) for kind, rows in data.text.items()}
    if data.space is not None:
        groups["words"] = data.space.tensors()
    groups["train"] = interactions_out(data.train)
    groups["valid"] = interactions_out(valid)
    if scorer.parts and scorer.trained is not data.train:  # more was told since
        groups["fitted"] = interactions_out(scorer.trained)
    return groups


def restore(
    scorer: Hybrid, state: RecommenderState, checkpoint: Checkpoint, data: TrainingData
) -> None:
    """The parts as they were, on what they were fitted on, which is not what was told since."""
    known = data
    if "fitted" in checkpoint.groups:
        known = data.with_train(interactions_in(checkpoint.groups, "fitted"))
    parts = {
        name: restored(name, scorer.settings, checkpoint, known, scorer.device)
        for name in state.parts
    }
    gate = gate_in(checkpoint.groups["gate"], len(parts))
    scorer.restore(parts, gate, known).hear(data)
    scorer.members = load_members(checkpoint.path, state.members, known, scorer.device)
    if "calibration" in checkpoint.groups:
        scorer.calibration = Calibration.restore(checkpoint.groups["calibration"])
