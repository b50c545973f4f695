"""The training loop: epochs of steps, weight averaging, early stopping, and a state to resume from."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Interactions
from ..kg.typed_fields import check_fields
from .auxiliary import Auxiliary
from .batches import Sampler, Step
from .device import autocast
from .distributed import agreed, global_mean_scale, share, sum_gradients, summed
from .encoder import Encoded, GraphEncoder, Hidden
from .encoding import encode
from .losses import LOSSES
from .mapped import MappedGraph
from .randomness import generator_for, seeded
from .sampler import NeighbourSteps
from .view import GraphView

log = logging.getLogger(__name__)

_SMALLEST_BATCH = 16
_SLOW = 0.1  # share of the learning rate for the encoder's `slow_parameters`
Tensors = dict[str, Tensor]
Validate = Callable[[Encoded], float]
Progress = Callable[[int, int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TrainingConfig:
    """How the encoder is trained.

    Attributes:
        loss: "softmax", "bpr", "bce", or "mse" (on ratings).
        epochs: at most this many passes over the users.
        warm_epochs: the same when training starts from an earlier state.
        evaluate_every: epochs between two looks at the validation data.
        patience: looks without a better NDCG@10 after which training stops.
        learning_rate: of Adam, falling to zero along a half cosine.
        weight_decay: decoupled, on all weights.
        batch_size: users per step, at most.
        least_steps: steps that an epoch has at least: on small graphs it takes smaller batches, down
            to 16 users, since what an encoder learns depends on how often its weights move.
        negatives: items a target is ranked against; all trained items where they are no more.
        neighbours: of a node and relation that a step reads, at most; -1 = all that its users and
            items have. A step then costs what its part of the graph does. 0 = every step encodes the
            whole graph.
        item_dropout: share of items whose id and interactions are hidden in a step.
        history_dropout: share of a user's pairs that are targets and no input in a step.
        user_dropout: share of users whose whole history is hidden in a step, so that users without any
            are served by their features.
        clip: largest norm of the gradient.
        average: decay of the running mean of the weights that is validated and kept; 0 = none.
        kg_completion, view_contrast, text_contrast: weights of the auxiliary losses, 0 = off; where
            there are no interactions and all are 0, `gnn.self_supervised` chooses them.
        precision: "auto" = bfloat16 autocast on CUDA and float32 elsewhere, or "float32".
    """

    loss: str = "softmax"
    epochs: int = field(default=16, metadata={"search": (8, 16, 32)})
    warm_epochs: int = 8
    evaluate_every: int = 2
    patience: int = 5
    learning_rate: float = field(default=0.004, metadata={"search": (0.001, 0.01)})
    weight_decay: float = field(default=0.0, metadata={"search": (0.0, 0.1)})
    batch_size: int = 1024
    least_steps: int = 32
    negatives: int = 8192
    neighbours: int = 0
    item_dropout: float = field(default=0.3, metadata={"search": (0.1, 0.5)})
    history_dropout: float = field(default=0.3, metadata={"search": (0.1, 0.7)})
    user_dropout: float = field(default=0.05, metadata={"search": (0.0, 0.2)})
    clip: float = 1.0
    average: float = 0.98
    kg_completion: float = field(default=0.0, metadata={"search": (0.0, 0.1)})
    view_contrast: float = field(default=0.0, metadata={"search": (0.0, 0.1)})
    text_contrast: float = field(default=0.0, metadata={"search": (0.0, 0.1)})
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.loss not in LOSSES:
            raise UsageError(
                f"unknown loss {self.loss!r}", where="loss", hint=nearest(self.loss, LOSSES)
            )
        if self.precision not in ("auto", "float32"):
            raise UsageError(f"{self.precision!r} is neither auto nor float32", where="precision")
        for name in (
            "epochs",
            "warm_epochs",
            "evaluate_every",
            "patience",
            "batch_size",
            "least_steps",
            "negatives",
        ):
            if getattr(self, name) < 1:
                raise UsageError(f"must be at least 1, got {getattr(self, name)}", where=name)
        if self.neighbours < -1:
            raise UsageError(f"must be at least -1, got {self.neighbours}", where="neighbours")
        for name in ("learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(f"must be above 0, got {getattr(self, name)}", where=name)
        for name in ("weight_decay", "kg_completion", "view_contrast", "text_contrast"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"must be at least 0, got {getattr(self, name)}", where=name)
        for name in ("item_dropout", "history_dropout", "user_dropout", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"must be in [0, 1), got {getattr(self, name)}", where=name)

    def check(self, train: Interactions) -> None:
        """DataError where the loss asks for ratings and the interactions have none: nothing would be learned."""
        if self.loss == "mse" and len(train) and not train.rated.any():
            raise DataError(
                "no interaction has a rating to train on",
                where="loss",
                hint="use softmax, or name the column or property of the ratings in the schema",
            )

    def users_per_step(self, users: int) -> int:
        """Batch size for so many users with interactions."""
        return min(self.batch_size, max(_SMALLEST_BATCH, math.ceil(users / self.least_steps)))


@dataclass
class TrainingState:
    """All that training needs to go on after an epoch, bit for bit.

    Attributes:
        epoch: epochs done.
        weights, average, best: the model's tensors now, their running mean, and the best mean seen.
        optimizer: "name/exp_avg", "name/exp_avg_sq", "name/step".
        steps: steps done, for the running mean.
        best_value: validation value of `best`; -inf before the first look.
        best_epoch: its epoch.
        history: one row per look.
    """

    epoch: int
    weights: Tensors
    average: Tensors
    best: Tensors
    optimizer: Tensors
    steps: int = 0
    best_value: float = -math.inf
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)


class Training:
    """One run of training.

    Args:
        model: the encoder, on the device of `graph`.
        graph: what it is trained on.
        sampler: draws the steps; where the graph is a mapped one, each with its part of it.
        config: how.
        seed: everything random is derived from it, by purpose and epoch.
        epochs: how many at most.
    """

    def __init__(
        self,
        model: GraphEncoder,
        graph: GraphView | MappedGraph,
        sampler: Sampler | NeighbourSteps,
        config: TrainingConfig,
        seed: int,
        epochs: int,
    ) -> None:
        self.model, self.graph, self.sampler = model, graph, sampler
        self.config, self.seed, self.epochs = config, seed, epochs
        self.device = model.bias.device
        self.mean = copy.deepcopy(model)
        self.auxiliary = Auxiliary(config.kg_completion, config.view_contrast, config.text_contrast)
        slow = model.slow_parameters()
        groups = [
            {
                "params": [p for n, p in model.named_parameters() if (n in slow) == late],
                "rate": rate,
            }
            for late, rate in ((False, 1.0), (True, _SLOW))
        ]
        self.on_gpu = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            groups,
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=self.on_gpu,  # one kernel in place of dozens
        )
        self.state = TrainingState(0, {}, {}, {}, {})

    def run(
        self,
        validate: Validate | None = None,
        *,
        progress: Progress | None = None,
        keep: Callable[[TrainingState], None] | None = None,
    ) -> TrainingState:
        """Train until the epochs are over or validation no longer improves; returns the state.

        Args:
            validate: value to maximise; None trains all epochs and keeps the last mean.
            progress: called after each epoch with (epoch, epochs, figures).
            keep: called after each epoch with the state, for checkpoints.

        Raises:
            DataError: the loss is no longer a number.
        """
        state = self.state
        while state.epoch < self.epochs and not self._stopped(validate):
            loss = self._epoch(state.epoch)
            state.epoch += 1
            figures = {"epoch": float(state.epoch), "loss": loss}
            due = state.epoch % self.config.evaluate_every == 0 or state.epoch == self.epochs
            if due:
                self._look(validate, figures)
            if progress is not None:
                progress(state.epoch, self.epochs, figures)
            if keep is not None:
                keep(self.snapshot())
        self.mean.load_state_dict(state.best or self.mean.state_dict())
        return self.snapshot()

    def encode(self) -> Encoded:
        """The graph under the averaged weights, without gradients."""
        self.mean.eval()
        return encode(self.mean, self.graph)

    def snapshot(self) -> TrainingState:
        """A copy of the state that later steps do not change, on the CPU."""
        names = {id(weight): name for name, weight in self.model.named_parameters()}
        moments = {
            f"{names[id(weight)]}/{key}": value
            for weight, values in self.optimizer.state.items()
            for key, value in values.items()
        }
        return replace(
            self.state,
            weights=_copied(self.model.state_dict()),
            average=_copied(self.mean.state_dict()),
            best=_copied(self.state.best),
            optimizer=_copied(moments),
            history=[dict(row) for row in self.state.history],
        )

    def restore(self, state: TrainingState) -> None:
        """Go on where `state` was taken."""
        self.model.load_state_dict(state.weights)
        self.mean.load_state_dict(state.average)
        for name, weight in self.model.named_parameters():
            moments = {
                key.rpartition("/")[2]: value.to(self.device, copy=True)
                for key, value in state.optimizer.items()
                if key.rpartition("/")[0] == name
            }
            if moments:
                self.optimizer.state[weight] = moments
        self.state = replace(state, history=[dict(row) for row in state.history])

    def _stopped(self, validate: Validate | None) -> bool:
        looks = (self.state.epoch - self.state.best_epoch) // self.config.evaluate_every
        return validate is not None and self.state.best_epoch > 0 and looks >= self.config.patience

    def _look(self, validate: Validate | None, figures: dict[str, float]) -> None:
        state = self.state
        value = agreed(validate(self.encode())) if validate is not None else math.inf
        if validate is not None:
            figures["valid"] = value
        state.history.append(dict(figures))
        if value > state.best_value or validate is None:
            state.best_value, state.best_epoch = value, state.epoch
            state.best = _copied(self.mean.state_dict())

    def _epoch(self, epoch: int) -> float:
        rate = self.config.learning_rate * (1 + math.cos(math.pi * epoch / self.epochs)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        self.model.train()
        generator = generator_for(self.seed, "steps", epoch)
        noise = torch.Generator(self.device).manual_seed(
            generator_for(self.seed, "noise", epoch).initial_seed()
        )
        losses = []  # on the device until the epoch is over, so that no step waits for another
        steps = self.sampler.steps(generator)
        with seeded(self.seed, "dropout", epoch, self.device):
            for step in _drawn_ahead(steps) if self.on_gpu else steps:
                losses.append(self._step(step, noise))
        mean = float(summed(torch.stack(losses).double().mean()))
        if not math.isfinite(mean):
            raise DataError(
                f"the loss is {mean} in epoch {epoch + 1}",
                where="training",
                hint="lower learning_rate, or look for absurd numbers among the features",
            )
        return mean

    def _step(self, step: Step, noise: torch.Generator) -> Tensor:
        step = share(step)
        hidden = _moved(step.hidden, self.device)
        view = self._whole() if step.view is None else step.view.to(self.device)
        with autocast(self.device, self.config.precision):
            encoded = self.model(view, hidden)
            batch = step.batch(encoded, noise)
            loss = LOSSES[self.config.loss](batch) * global_mean_scale(batch.weight)
            loss = loss + self.auxiliary(self.model, view, encoded, hidden, noise)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        sum_gradients(self.model)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.optimizer.step()
        self.state.steps += 1
        self._average()
        return loss.detach()

    def _whole(self) -> GraphView:
        if isinstance(self.graph, MappedGraph):
            raise TypeError("a mapped graph is trained on in parts, by NeighbourSteps")
        return self.graph

    @torch.no_grad()
    def _average(self) -> None:
        """Running mean of the weights; a short memory at first, when they move fast."""
        decay = min(self.config.average, self.state.steps / (self.state.steps + 10))
        decay = decay if self.config.average else 0.0
        for mean, now in zip(self.mean.parameters(), self.model.parameters(), strict=True):
            mean.lerp_(now, 1 - decay)


def _drawn_ahead(steps: Iterator[Step]) -> Iterator[Step]:
    """The same steps, the next one drawn on the CPU while the device is at work on this one."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, steps, None)
        while (step := coming.result()) is not None:
            coming = pool.submit(next, steps, None)
            yield step


def _copied(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: value.detach().cpu().clone() for name, value in tensors.items()}


def _moved(hidden: Hidden, device: torch.device) -> Hidden:
    def move(mask: Tensor | None) -> Tensor | None:
        return None if mask is None else mask.to(device)

    return replace(
        hidden, items=move(hidden.items), liked=move(hidden.liked), unliked=move(hidden.unliked)
    )
