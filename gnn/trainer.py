"""The encoder as a scorer: fit it, score with it, let it meet new nodes, save it and load it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..kg.cache import part_hashes
from ..kg.errors import StateError
from ..kg.graph import FloatArray, Interactions
from ..kg.vocabulary import IntArray
from .batches import Sampler
from .checkpoint import latest
from .data import TrainingData
from .distributed import is_first, process_number, wait_for_all
from .encoder import EncoderConfig, GraphEncoder
from .encoder_state import EncoderState, grown, training_state, vocabularies_of
from .encoding import encode, known_items
from .inputs import InputSpace
from .mapped import MappedGraph
from .randomness import seeded
from .sampler import NeighbourSampler, NeighbourSteps
from .scorer_base import BoolArray, check_users, fitted, hide_unknown
from .training import Progress, Training, TrainingConfig, TrainingState, Validate
from .validation import ndcg_of_valid
from .view import GraphView

_WARM_RATE = 0.5  # of the learning rate, where training goes on from an earlier state


@dataclass(frozen=True)
class _Vectors:
    """users (n_users, d), items (n_items, d), bias (n_items,)."""

    users: FloatArray
    items: FloatArray
    bias: FloatArray


class EncoderScorer:
    """Scorer of the graph encoder: score(u, i) = user_vectors[u] @ item_vectors[i] + item_bias[i].

    Args:
        config: shape of the encoder. training: how it is trained.
        seed: everything random is derived from it.
        device: "cpu", "cuda", ...
        progress: called after each epoch with (epoch, epochs, figures).
        checkpoints: folder to which epochs are saved, by the first of many processes; None = nowhere.
        checkpoint_share: at most this share of the time goes into saving, so that on a large graph
            an epoch now and then is left out; 1 = every epoch.
        resume: go on from the latest checkpoint there, if there is one.
        initial: start from this earlier state; its vocabularies may have grown since.

    Attributes (after `fit`, `refresh` or `load`), NumPy float32:
        user_vectors: (n_users, d). item_vectors: (n_items, d). item_bias: (n_items,).
        history: one row per look at the validation data: epoch, loss, valid (NDCG@10).
        state: EncoderState.
    """

    name = "encoder"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(
        self,
        config: EncoderConfig | None = None,
        training: TrainingConfig | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        progress: Progress | None = None,
        checkpoints: Path | None = None,
        checkpoint_share: float = 1.0,
        resume: bool = False,
        initial: EncoderState | None = None,
    ) -> None:
        self.config = config or (initial.config if initial else EncoderConfig())
        self.training = training or (initial.training if initial else TrainingConfig())
        self.seed, self.device, self.progress = seed, torch.device(device), progress
        self.checkpoints, self.resume, self.initial = checkpoints, resume, initial
        self.checkpoint_share = checkpoint_share
        self.history: list[dict[str, float]] = []
        self._next_save = -np.inf  # of time.monotonic()
        self._state: EncoderState | None = None
        self._vectors: _Vectors | None = None
        self._known: BoolArray | None = None

    def fit(self, data: TrainingData, valid: Interactions | Validate | None = None) -> Self:
        """Train; with `valid`, stop early and keep the epoch of the best NDCG@10 there.

        Args:
            valid: held-out pairs, or a value of the encoder's output to maximise instead.

        Raises:
            IntegrityError: `initial` or a checkpoint belongs to another graph.
            StateError: the checkpoint to resume was trained with another configuration or data.
            DataError: the loss wants ratings and there are none, or it is no longer a number.
        """
        self.training.check(data.train)
        if self.initial is not None:
            self.initial.check(data.graph)
            space = self.initial.space
        else:
            space = InputSpace.fit(data.graph, data.text, self.config.profile_dimensions, self.seed)
        self._state = EncoderState(
            self.config, self.training, self.seed, space, {}, vocabularies_of(data.graph)
        )
        with self._graph(data, space) as graph:
            return self._fit(data, graph, valid)

    def _fit(
        self,
        data: TrainingData,
        graph: GraphView | MappedGraph,
        valid: Interactions | Validate | None,
    ) -> Self:
        run = self._training(data, graph)
        if isinstance(valid, Interactions):
            told, validate = valid, ndcg_of_valid(data, valid) if len(valid) else None
        else:
            told, validate = Interactions.empty(), valid
        kept = self.checkpoints is not None
        marks = {"data": _data_hash(data, told, self.initial)} if kept else {}
        if self.resume and self.checkpoints is not None and latest(self.checkpoints) is not None:
            run.restore(self._resumed(marks))
        wait_for_all()
        done = run.run(
            validate,
            progress=self.progress,
            keep=None if self.checkpoints is None else partial(self._keep, marks),
        )
        self.history = done.history
        self._state = replace(self.state, weights=done.best or done.average)
        return self._encode(run.mean, graph)

    def refresh(self, data: TrainingData) -> Self:
        """Another scorer, encoded anew and untrained: new nodes, edges and interactions count at once.

        Raises:
            IntegrityError: `data.graph` is not the graph of the training or that one grown.
        """
        self.state.check(data.graph)
        with self._graph(data, self.state.space) as graph:
            return copy(self)._encode(self._trained(graph), graph)

    def model_of(self, data: TrainingData) -> tuple[GraphEncoder, GraphView]:
        """The trained network and the whole of what it reads of `data`; raises as `refresh`."""
        self.state.check(data.graph)
        view = GraphView.build(data, self.state.space).to(self.device)
        return self._trained(view), view

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items); NaN for an item of which nothing is known."""
        vectors = fitted(self._vectors, self.name)
        known = fitted(self._known, self.name)
        rows = check_users(users, len(vectors.users))
        scores = vectors.users[rows] @ vectors.items.T + vectors.bias
        return hide_unknown(scores, np.ones(len(rows), bool), known)

    @property
    def state(self) -> EncoderState:
        """The trained state; StateError before `fit`."""
        return fitted(self._state, self.name)

    @property
    def user_vectors(self) -> FloatArray:
        """float32 (n_users, d)."""
        return fitted(self._vectors, self.name).users

    @property
    def item_vectors(self) -> FloatArray:
        """float32 (n_items, d)."""
        return fitted(self._vectors, self.name).items

    @property
    def item_bias(self) -> FloatArray:
        """float32 (n_items,)."""
        return fitted(self._vectors, self.name).bias

    def save(self, folder: Path) -> Path:
        """Write the trained state as a checkpoint under `folder`; returns the checkpoint's path."""
        epoch = int(self.history[-1]["epoch"]) if self.history else 0
        return self.state.save(folder, epoch, history=self.history)

    @classmethod
    def load(cls, path: Path, data: TrainingData, *, device: str = "cpu") -> Self:
        """A scorer from a checkpoint (or a folder's latest), encoding `data`.

        Raises:
            StateError: there is none. IntegrityError: it is damaged, or of another graph.
        """
        state, checkpoint = EncoderState.load(path)
        scorer = cls(state.config, state.training, seed=state.seed, device=device)
        scorer._state = state
        scorer.history = list(checkpoint.meta.get("history", []))
        return scorer.refresh(data)

    @contextlib.contextmanager
    def _graph(self, data: TrainingData, space: InputSpace) -> Iterator[GraphView | MappedGraph]:
        """What `data` is to the encoder; beside the checkpoints, if any, where it is read in parts."""
        if not self.training.neighbours:
            yield GraphView.build(data, space).to(self.device)
            return
        if self.checkpoints is None:
            yield MappedGraph.build(data, space, None).to(self.device)
            return
        folder = self.checkpoints / f"mapped-{process_number()}"
        shutil.rmtree(folder, ignore_errors=True)  # of a training that was killed
        try:
            yield MappedGraph.build(data, space, folder).to(self.device)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _trained(self, graph: GraphView | MappedGraph) -> GraphEncoder:
        model = self._untrained(graph)
        model.load_state_dict(_without_new_ids(self.state, model))
        return model

    def _untrained(self, graph: GraphView | MappedGraph) -> GraphEncoder:
        """A network of random weights; torch's own generators are as before."""
        with seeded(self.seed, "weights", 0, self.device):
            return GraphEncoder(self.config, graph.outline).to(self.device)

    def _training(self, data: TrainingData, graph: GraphView | MappedGraph) -> Training:
        view, model = graph.outline, self._untrained(graph)
        # A few answers are too little for an id; the content goes on to stand for the item.
        model.trained_items &= torch.from_numpy(data.catalog_degree > 0).to(self.device)
        if self.initial is not None:
            weights = grown(self.initial.weights, model.state_dict())
            for name in ("trained_items", "trained_users"):
                weights[name] = weights[name] | model.state_dict()[name]
            model.load_state_dict(weights)
        config = self.training
        if self.initial is not None:
            config = replace(config, learning_rate=_WARM_RATE * config.learning_rate)
        sampler = Sampler.build(
            data,
            view,
            rated=config.loss == "mse",
            batch_size=config.users_per_step(int((data.user_degree > 0).sum())),
            item_dropout=config.item_dropout,
            history_dropout=config.history_dropout,
            user_dropout=config.user_dropout,
            negatives=config.negatives,
            users_apart=self.device.type == "cpu" and _users_apart(view, self.config),
        )
        epochs = config.epochs if self.initial is None else config.warm_epochs
        if isinstance(graph, GraphView):
            return Training(model, graph, sampler, config, self.seed, epochs)
        neighbours = NeighbourSampler.of(graph, self.config, config.neighbours)
        steps = NeighbourSteps(sampler, neighbours)
        return Training(model, graph, steps, config, self.seed, epochs)

    def _encode(self, model: GraphEncoder, graph: GraphView | MappedGraph) -> Self:
        model.eval()
        encoded = encode(model, graph)
        self._vectors = _Vectors(*map(_array, (encoded.users, encoded.items, encoded.bias)))
        self._known = known_items(model, graph)
        return self

    def _keep(self, marks: dict[str, str], state: TrainingState) -> None:
        started = time.monotonic()
        if self.checkpoints is None or self._state is None or not is_first():
            return
        if started < self._next_save:
            return
        replace(self._state, weights=state.best or state.average).save(
            self.checkpoints,
            state.epoch,
            groups={
                "weights": state.weights,
                "average": state.average,
                "best": state.best,
                "optimizer": state.optimizer,
            },
            progress={
                "epoch": state.epoch,
                "steps": state.steps,
                "best_value": state.best_value,
                "best_epoch": state.best_epoch,
            },
            history=state.history,
            marks=marks,
        )
        ended = time.monotonic()
        self._next_save = ended + (ended - started) * (1 / self.checkpoint_share - 1)

    def _resumed(self, marks: dict[str, str]) -> TrainingState:
        state, checkpoint = EncoderState.load(self.checkpoints or Path())
        ours = self.state
        same = {
            "encoder configuration": state.config == ours.config,
            "training configuration": state.training == ours.training,
            "seed": state.seed == ours.seed,
            "graph": state.vocabularies == ours.vocabularies,
            "interactions": checkpoint.meta.get("marks") == marks,
        }
        for what, agrees in same.items():
            if not agrees:
                raise StateError(
                    f"the checkpoint was trained with another {what}",
                    where=str(checkpoint.path),
                    hint="resume with the old settings, or train anew in another folder",
                )
        return training_state(checkpoint)


def _users_apart(view: GraphView, config: EncoderConfig) -> bool:
    """Whether no node hears a user, so that a step can do without the others.

    On a GPU cutting them out takes longer than encoding them.
    """
    heard = view.relations if config.depth > 1 else (view.user_type, view.item_type)
    return config.hops == 1 and not any(
        one.source == view.user_type for kind in heard for one in view.relations.get(kind, ())
    )


def _without_new_ids(state: EncoderState, model: GraphEncoder) -> dict[str, Tensor]:
    """Trained weights; nodes that came later have no id, whatever interactions they have by now."""
    fresh = {name: torch.zeros_like(value).cpu() for name, value in model.state_dict().items()}
    return grown(state.weights, fresh)


def _data_hash(data: TrainingData, valid: Interactions, initial: EncoderState | None) -> str:
    """Of all that an encoder is trained on and from."""
    digest = hashlib.sha256()
    for rows in (data.train, valid):
        for column in (rows.user, rows.item, rows.label, rows.rating, rows.round):
            digest.update(np.ascontiguousarray(column).tobytes())
    for part, content in sorted(part_hashes(data.graph).items()):
        digest.update(f"{part} {content}".encode())
    arrays = dict(data.text)
    if initial is not None:
        arrays |= {f"initial {name}": value.numpy() for name, value in initial.weights.items()}
    for name, values in sorted(arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _array(values: Tensor) -> FloatArray:
    return np.asarray(values.float().cpu().numpy(), np.float32)
