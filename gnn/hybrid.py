"""Coldframe's scorer: collaborative walks, the graph kernel and the encoder behind a learned gate."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import numpy as np

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import FloatArray, Interactions
from ..kg.split import hold_out_per_user, rng_for
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .calibration import Calibration, CalibrationConfig, kind_of_pairs
from .checkpoint import latest, load_checkpoint, save_checkpoint
from .data import TrainingData
from .distributed import is_first, wait_for_all
from .encoder import EncoderConfig
from .encoder_state import EncoderState
from .gate import Gate, GateConfig
from .gate_learning import learn_gate
from .given import part_scores
from .lesson import Lesson
from .part_state import settings_in, settings_out
from .parts import PARTS, fit_part
from .ranking import scores_of_pairs
from .rehearsal import Rehearsal
from .scorer_base import BoolArray, Scorer, check_users, fitted
from .trainer import EncoderScorer
from .training import TrainingConfig
from .uncertainty import DropoutConfig, deviation

_LOG = logging.getLogger(__name__)

# Share of the encoder's training that may go into writing checkpoints to resume from.
_CHECKPOINT_SHARE = 0.05

# Between the seeds of an ensemble's members, so that runs of neighbouring seeds share none.
_NEXT_SEED = 1_000_003

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class HybridConfig:
    """Settings of `Hybrid`.

    Attributes:
        parts: names of `PARTS`; those the catalog cannot feed are left out.
        encoder, training: of the part "encoder".
        gate: of the gate and its rehearsal.
        calibration: of the chances that scores stand for.
        dropout: of the uncertainty "mc-dropout".
        ensemble: encoders that are trained beside the part "encoder", for the uncertainty "ensemble";
            each costs as much as that one.
        tune: choose the linear parts' settings on validation data; else their defaults.
    """

    parts: tuple[str, ...] = tuple(PARTS)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    gate: GateConfig = field(default_factory=GateConfig)
    calibration: CalibrationConfig = field(default_factory=CalibrationConfig)
    dropout: DropoutConfig = field(default_factory=DropoutConfig)
    ensemble: int = 0
    tune: bool = True

    def __post_init__(self) -> None:
        check_fields(self)
        for name in self.parts:
            if name not in PARTS:
                raise UsageError(f"unknown part {name!r}", where="parts", hint=nearest(name, PARTS))
        if self.ensemble < 0:
            raise UsageError(f"must not be negative, got {self.ensemble}", where="ensemble")
        if not self.parts:
            raise UsageError("at least one part is needed", where="parts")


class Hybrid:
    """score(u, i) = gate(parts(u, i)), see `Gate`.

    Fitting has three steps. The linear parts' settings are tuned on validation data. Then a rehearsal:
    some items are hidden entirely, some thinned, some users hidden; every part is fitted on what is
    left, the gate learns to find what was hidden, and the scores are calibrated on it. Last, every
    part is fitted on all of the training data; the encoder is trained on from where the rehearsal
    left it, for `TrainingConfig.warm_epochs`: what was hidden has no vectors of its own before.

    Attributes (after `fit`):
        parts: name -> fitted scorer. settings: name -> its configuration. gate: Gate.
        calibration: Calibration, None where too little could be held out.
        members: further encoders, `config.ensemble` of them.
        lesson: what the gate was learned from; None in a loaded model.
    """

    name = "coldframe"
    serves_cold_items = True
    serves_cold_users = True

    def __init__(
        self,
        config: HybridConfig | None = None,
        *,
        seed: int = 0,
        device: str = "cpu",
        settings: Mapping[str, object] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.config = config or HybridConfig()
        self.seed, self.device, self.progress = seed, device, progress
        self._given: dict[str, object] = dict(settings or {})
        self.settings = dict(self._given)
        self.parts: dict[str, Scorer] = {}
        self.gate: Gate | None = None
        self.calibration: Calibration | None = None
        self.members: list[EncoderScorer] = []
        self.lesson: Lesson | None = None
        self._data: TrainingData | None = None
        self._told = np.zeros(0, bool)

    def fit(
        self,
        data: TrainingData,
        valid: Interactions | None = None,
        *,
        final: TrainingData | None = None,
        work: Path | None = None,
    ) -> Self:
        """Tune, rehearse, learn the gate, and fit every part on `data`.

        Args:
            valid: held-out pairs to tune on; None = a tenth of the training pairs is held out.
            final: what the parts are fitted on last, if not `data`: with the validation pairs, say.
            work: folder for tuned settings and the encoder's epochs, from which the same fit goes on
                after an interruption; None = nothing is kept.

        Raises:
            DataError: the catalog can feed none of the parts, or see `EncoderScorer.fit`.
            StateError, IntegrityError: `work` holds another fit, or is damaged.
        """
        if valid is None or not (valid.label == 1).any():
            held = hold_out_per_user(data.train, 0.1, rng_for(self.seed, "gate validation"))
            inner, valid = data.with_train(data.train.select(~held)), data.train.select(held)
        else:
            inner = data
        names = [name for name in self.config.parts if PARTS[name].feasible(data)]
        if not names:
            raise DataError(
                f"the catalog has nothing that {', '.join(self.config.parts)} could learn from",
                where="parts",
                hint="add a part that needs no attributes and no ratings, such as rp3beta",
            )
        if "encoder" in names:  # before minutes go into tuning
            self.config.training.check(data.train)
        self.settings = dict(self._given) | _kept_settings(work)
        wait_for_all()
        self._tune(names, inner, valid, work)
        rehearsal = Rehearsal.plan(inner, valid, self.config.gate, self.seed)
        self._say("rehearsal", 0, 1)
        rehearsed = {name: self._fit_part(name, rehearsal, work) for name in names}
        self.lesson = rehearsal.lesson(rehearsed, self.config.gate)
        self.gate = learn_gate(self.lesson, self.config.gate)
        _LOG.info("gate: weights %s, bias %s", self.gate.weights[0].round(2), self.gate.bias[0])
        pairs = rehearsal.held_out(rehearsed, self.gate, self.config.calibration)
        self.calibration = Calibration.fit(pairs, self.config.calibration)
        if "encoder" in names:
            numbers = range(1, self.config.ensemble + 1)
            self.members = [self._fit_encoder(rehearsal, work, number) for number in numbers]
        return self._train_on(rehearsed, data if final is None else final, work)

    def retrain(self, data: TrainingData) -> Self:
        """Train the encoders on from where they are, and fit the linear parts anew; the gate stays.

        Raises as `refresh` and `EncoderScorer.fit`; the scorer is as it was then.
        """
        return self._train_on(self.parts, data, None)

    def refresh(self, data: TrainingData) -> Self:
        """Fit the linear parts and encode the graph anew; gate and encoder weights stay.

        Raises as `EncoderScorer.refresh`; the scorer is as it was then.
        """
        found = {
            name: part.refresh(data) if isinstance(part, EncoderScorer) else part
            for name, part in self.parts.items()
        }
        return self._refit(found, [member.refresh(data) for member in self.members], data)

    def regate(self, config: GateConfig) -> Self:
        """Learn the gate again with other settings, from the same rehearsal; the parts stay.

        The chances were calibrated for the gate before, so there are none any more. Raises StateError
        where the model was loaded (the rehearsal is not saved).
        """
        self.gate = learn_gate(fitted(self.lesson, f"{self.name}'s rehearsal"), config)
        self.calibration = None
        return self

    def restore(self, parts: Mapping[str, Scorer], gate: Gate, data: TrainingData) -> Self:
        """Take fitted parts and a learned gate."""
        self.parts, self.gate, self._data = dict(parts), gate, data
        self._told = data.told
        self.serves_cold_items = any(part.serves_cold_items for part in parts.values())
        self.serves_cold_users = any(part.serves_cold_users for part in parts.values())
        return self

    def hear(self, data: TrainingData) -> Self:
        """Let cold items that answers were told of since the fit stand by these; nothing is fitted."""
        self._told = data.told
        return self

    @property
    def trained(self) -> Interactions:
        """Interactions it was fitted on; StateError before `fit`."""
        return fitted(self._data, self.name).train

    def _train_on(self, parts: Mapping[str, Scorer], data: TrainingData, work: Path | None) -> Self:
        found = dict(parts)
        if isinstance(encoder := found.get("encoder"), EncoderScorer):
            found["encoder"] = self._warm(encoder, 0, data, work)
        members = [
            self._warm(member, number, data, work) for number, member in enumerate(self.members, 1)
        ]
        return self._refit(found, members, data)

    def _warm(
        self, encoder: EncoderScorer, number: int, data: TrainingData, work: Path | None
    ) -> EncoderScorer:
        return self._encoder(f"{_encoder_name(number)}-on", number, work, encoder.state).fit(data)

    def _refit(
        self, parts: Mapping[str, Scorer], members: Sequence[EncoderScorer], data: TrainingData
    ) -> Self:
        """Take the encoders as they are and the linear parts fitted anew; see `refresh`."""
        found: dict[str, Scorer] = {}
        for position, (name, part) in enumerate(parts.items()):
            self._say(f"fit {name}", position, len(parts))
            ready = isinstance(part, EncoderScorer)
            found[name] = part if ready else fit_part(name, self.settings, data)
        self.members = list(members)
        return self.restore(found, fitted(self.gate, self.name), data)

    def _tune(
        self, names: list[str], data: TrainingData, valid: Interactions, work: Path | None
    ) -> None:
        from .tune import choose

        for position, name in enumerate(names):
            self._say(f"tune {name}", position, len(names))
            plan = PARTS[name]
            if not (self.config.tune and plan.tuned) or name in self.settings:
                continue
            try:
                found, _ = choose(name, data, valid, target=plan.target, seed=self.seed)
            except DataError as error:  # too few interactions to hold any out
                _LOG.info("%s keeps its default settings: %s", name, error)
                continue
            self.settings[name] = found
            if work is not None and is_first():
                kept = {"settings": settings_out(self.settings)}
                save_checkpoint(work / "settings", len(self.settings), {}, kept, keep=1)

    def _fit_part(self, name: str, rehearsal: Rehearsal, work: Path | None) -> Scorer:
        self._say(f"rehearse {name}", 0, 1)
        if name != "encoder":
            return fit_part(name, self.settings, rehearsal.data)
        return self._fit_encoder(rehearsal, work)

    def _fit_encoder(
        self, rehearsal: Rehearsal, work: Path | None, number: int = 0
    ) -> EncoderScorer:
        """The encoder, or one of the further members of an ensemble."""
        encoder = self._encoder(_encoder_name(number), number, work)
        return encoder.fit(rehearsal.data, rehearsal.warm_targets())

    def _encoder(
        self, what: str, number: int, work: Path | None, initial: EncoderState | None = None
    ) -> EncoderScorer:
        """An encoder to be trained; the members of an ensemble differ by their seed."""
        # Not of `self`, which holds the encoder: models in a cycle stay in memory for long.
        say = self.progress
        return EncoderScorer(
            self.config.encoder, self.config.training, seed=self.seed + number * _NEXT_SEED,
            device=self.device, initial=initial,
            progress=say and (lambda epoch, epochs, _: say(f"train {what}", epoch, epochs)),
            checkpoints=None if work is None else work / what,
            checkpoint_share=_CHECKPOINT_SHARE, resume=True,
        )  # fmt: skip

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items) float32; NaN only where no part knows user or item."""
        return self._combined(users, fitted(self._data, self.name).catalog_degree, self._told)

    def untold_score(self, users: IntArray) -> FloatArray:
        """`score` with the items known by answers alone as the cold items that they were.

        What the answers say reaches it through the parts; chances are read from it.
        """
        return self._combined(users, self._untold_degree, None)

    def _combined(
        self, users: IntArray, item_degree: IntArray, told: BoolArray | None
    ) -> FloatArray:
        data, gate = fitted(self._data, self.name), fitted(self.gate, self.name)
        chosen = check_users(users, data.n_users)
        scores = list(part_scores(self.parts, chosen, data.n_items))
        return gate.combine(scores, item_degree, data.user_degree[chosen], told)

    @property
    def _untold_degree(self) -> IntArray:
        data = fitted(self._data, self.name)
        return np.asarray(np.where(self._told, 0, data.catalog_degree))

    def chances(self, users: IntArray, items: IntArray, scores: FloatArray) -> FloatArray:
        """Chances that pairs of these scores turn out positive, pair by pair, float32 (n,).

        NaN where the score is, and everywhere if too few pairs could be held out to learn them from.
        Of items known by answers alone the chance is that of a cold item that the parts think so
        well of: a like raises it.
        """
        if self.calibration is None:
            return np.full(len(scores), np.nan, np.float32)
        data = fitted(self._data, self.name)
        told = np.flatnonzero(self._told[items])
        if len(told):
            scores = np.array(scores)
            scores[told] = scores_of_pairs(self.untold_score, users[told], items[told])
        kinds = kind_of_pairs(self._untold_degree[items], data.user_degree[users])
        return self.calibration.probability(scores, kinds)

    def deviation(self, method: str, users: IntArray, items: IntArray) -> FloatArray:
        """Uncertainty of pairs, (n,), by one of the methods of `uncertainty.deviation`."""
        data = fitted(self._data, self.name)
        return deviation(
            method, self.parts, self.members, data, users, items, self.config.dropout, self.seed
        )

    def std(self, users: IntArray, items: IntArray, method: str = "laplace") -> FloatArray:
        """`deviation`; NaN where the posterior is asked for and there is none."""
        if method == "laplace" and "kg-prior" not in self.parts:
            return np.full(len(users), np.nan, np.float32)
        return self.deviation(method, users, items)

    def contributions(self, user: int, item: int) -> dict[str, float]:
        """What each part, and the gate's "offset" of such pairs, adds to the score of one pair."""
        data, gate = fitted(self._data, self.name), fitted(self.gate, self.name)
        scores = list(part_scores(self.parts, np.array([user]), data.n_items))
        degree = data.user_degree[[user]]

        def shares(item_degree: IntArray, told: BoolArray | None) -> dict[str, float]:
            known = item_degree, degree, told
            added = zip(self.parts, gate.shares(scores, *known), strict=True)
            own = {name: float(share[0, item]) for name, share in added}
            return {**own, "offset": float(gate.offsets(*known)[0, item])}

        ways = [shares(data.catalog_degree, self._told)]
        if self._told[item]:
            ways.append(shares(self._untold_degree, None))
        return max(ways, key=lambda way: sum(way.values()))

    def _say(self, what: str, done: int, of: int) -> None:
        if self.progress is not None:
            self.progress(what, done, of)


def _encoder_name(number: int) -> str:
    return f"encoder-{number}" if number else "encoder"


def _kept_settings(work: Path | None) -> dict[str, object]:
    """What an interrupted fit had tuned already."""
    path = None if work is None else latest(work / "settings")
    return {} if path is None else settings_in(load_checkpoint(path).meta["settings"])
