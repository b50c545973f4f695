"""A trained encoder as plain tensors and JSON: what checkpoints hold and what later training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..kg.errors import IntegrityError
from ..kg.graph import Graph
from ..kg.vocabulary import Vocabulary
from .checkpoint import Checkpoint, latest, load_checkpoint, save_checkpoint
from .encoder import EncoderConfig
from .inputs import InputSpace, NumberSpace, ProfileSpace
from .plain import from_plain
from .training import TrainingConfig, TrainingState


@dataclass(frozen=True)
class EncoderState:
    """A trained encoder.

    Attributes:
        config, training, seed: how it was made.
        space: its fitted inputs.
        weights: name -> tensor, on the CPU.
        vocabularies: node type -> (entries, content hash) of the graph it was trained on.
    """

    config: EncoderConfig
    training: TrainingConfig
    seed: int
    space: InputSpace
    weights: Mapping[str, Tensor]
    vocabularies: Mapping[str, tuple[int, str]]

    def check(self, graph: Graph) -> None:
        """Raise IntegrityError unless `graph` is the one of the training, or that one grown."""
        for kind, (n, expected) in self.vocabularies.items():
            nodes = graph.nodes.get(kind)
            if nodes is None or len(nodes) < n:
                got = "none" if nodes is None else str(len(nodes))
                raise IntegrityError(f"{got} nodes, trained on {n}", where=f"node type {kind}")
            first = nodes.vocabulary if len(nodes) == n else Vocabulary(nodes.vocabulary[:n])
            if first.content_hash != expected:
                raise IntegrityError(
                    "its identifiers are not those of the training, in that order",
                    where=f"node type {kind}",
                    hint="train on this graph, or load the one that was trained on",
                )

    def save(self, folder: Path, step: int, **more: Any) -> Path:
        """Write a checkpoint.

        Args:
            more: "groups" (more tensors by file) and any JSON-able entries for the manifest.
        """
        groups = dict(more.pop("groups", {}))
        tensors, shape = _space_out(self.space)
        meta = {
            "encoder": asdict(self.config),
            "training": asdict(self.training),
            "seed": self.seed,
            "space": shape,
            "vocabularies": {kind: list(entry) for kind, entry in self.vocabularies.items()},
            **more,
        }
        return save_checkpoint(
            folder, step, {"encoder": self.weights, "inputs": tensors, **groups}, meta
        )

    @classmethod
    def load(cls, path: Path) -> tuple[EncoderState, Checkpoint]:
        """The state in a checkpoint, or in the latest one of a folder, and the checkpoint itself.

        Raises:
            StateError: nothing is there. IntegrityError: it is damaged or not an encoder's.
        """
        checkpoint = load_checkpoint(latest(path) or path)
        meta = checkpoint.meta
        try:
            state = cls(
                from_plain(EncoderConfig, meta["encoder"]),
                from_plain(TrainingConfig, meta["training"]),
                int(meta["seed"]),
                _space_in(checkpoint.groups["inputs"], meta["space"]),
                checkpoint.groups["encoder"],
                {kind: (int(n), str(hash_)) for kind, (n, hash_) in meta["vocabularies"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise IntegrityError(
                f"not the checkpoint of an encoder: {error!r}", where=str(checkpoint.path)
            ) from error
        return state, checkpoint


def vocabularies_of(graph: Graph) -> dict[str, tuple[int, str]]:
    """node type -> (entries, content hash)."""
    return {
        kind: (len(nodes), nodes.vocabulary.content_hash) for kind, nodes in graph.nodes.items()
    }


def training_state(checkpoint: Checkpoint) -> TrainingState:
    """What a training goes on from; IntegrityError where the checkpoint holds too little for it."""
    groups, meta = checkpoint.groups, checkpoint.meta
    try:
        best = meta["progress"]["best_value"]
        return TrainingState(
            int(meta["progress"]["epoch"]),
            groups["weights"],
            groups["average"],
            groups["best"],
            groups["optimizer"],
            int(meta["progress"]["steps"]),
            -np.inf if best is None else float(best),
            int(meta["progress"]["best_epoch"]),
            list(meta["history"]),
        )
    except KeyError as error:
        raise IntegrityError(
            f"the checkpoint cannot be resumed: {error} is missing", where=str(checkpoint.path)
        ) from error


def grown(weights: Mapping[str, Tensor], fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Trained tensors where a fresh model's are, with the rows that later nodes need taken from those.

    Raises:
        IntegrityError: a tensor is missing, or differs in more than its first dimension.
    """
    out = {}
    for name, start in fresh.items():
        old = weights.get(name)
        fits = old is not None and old.dtype == start.dtype and old.shape[1:] == start.shape[1:]
        if old is None or not fits or (old.dim() and len(old) > len(start)):
            shape = None if old is None else tuple(old.shape)
            raise IntegrityError(
                f"tensor {name!r} is {shape}, expected {tuple(start.shape)}",
                hint="the schema or the configuration changed since the training",
            )
        old = old.to(start.device)
        out[name] = torch.cat([old, start[len(old) :]]) if old.dim() else old
    return out


def _space_out(space: InputSpace) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors numbered, and the JSON that says what the numbers mean."""
    tensors: dict[str, Tensor] = {}
    shape: dict[str, Any] = {}
    for number, (kind, profile) in enumerate(space.profiles.items()):
        tensors[f"{number}.filled"] = torch.from_numpy(np.array(profile.filled))
        tensors[f"{number}.components"] = torch.from_numpy(np.array(profile.components))
        for block, idf in enumerate(profile.idf.values()):
            tensors[f"{number}.idf.{block}"] = torch.from_numpy(np.array(idf))
        shape[kind] = {
            "documents": profile.documents,
            "blocks": [list(name) for name in profile.idf],
            "categories": {name: list(values) for name, values in profile.categories.items()},
            "numbers": {name: list(pair) for name, pair in space.numbers[kind].moments.items()},
            "text": space.text_width[kind],
        }
    return tensors, shape


def _space_in(tensors: Mapping[str, Tensor], shape: Mapping[str, Any]) -> InputSpace:
    profiles, numbers, widths = {}, {}, {}
    for number, (kind, entry) in enumerate(shape.items()):
        idf = {
            tuple(name): tensors[f"{number}.idf.{block}"].numpy()
            for block, name in enumerate(entry["blocks"])
        }
        profiles[kind] = ProfileSpace(
            kind,
            int(entry["documents"]),
            idf,
            {name: tuple(values) for name, values in entry["categories"].items()},
            tensors[f"{number}.filled"].numpy(),
            tensors[f"{number}.components"].numpy(),
        )
        numbers[kind] = NumberSpace(
            {name: (float(mean), float(sd)) for name, (mean, sd) in entry["numbers"].items()}
        )
        widths[kind] = int(entry["text"])
    return InputSpace(profiles, numbers, widths)
