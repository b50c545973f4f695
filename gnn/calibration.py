"""From a score to the chance that the pair turns out positive, learned on held-out pairs.

The chance is that of a pair that has not been seen yet to be among held-out pairs drawn like those it
was fitted on: a tenth of the pairs of trained items, all pairs of an item or a user that is new. It is
no answer to "would she like it if asked": most pairs are never tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import scipy.sparse as sp
import torch
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from ..kg.errors import IntegrityError
from ..kg.graph import FloatArray
from ..kg.split import Split, rng_for
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .data import TrainingData
from .gate import KINDS, Kind, kind_of
from .metrics import Float64, Reliability, brier, reliability
from .ranking import BLOCK_ENTRIES
from .scorer_base import BoolArray, require

BINS = 10
TOP = 10  # length of the lists whose probabilities are judged apart

# Items known by answers alone, which no rehearsal has, have the chances of the cold items that they were.
_CURVES = KINDS[:-1]
_KIN = ((0, 3), (1, 2), (1, 2), (0, 3))  # of each kind, the kinds most like it


@dataclass(frozen=True)
class CalibrationConfig:
    """Settings of the calibration.

    Attributes:
        max_users: most users whose pairs are looked at.
        top, others: of a user's pairs without a known outcome, those of the highest scores, and how
            many of the rest, which weigh as much as all of it.
        line_from: held-out positives from which a kind of pairs has a line of its own (Platt scaling).
        isotonic_from: from which it has a curve of its own (isotonic regression).
    """

    max_users: int = 1000
    top: int = 100
    others: int = 100
    line_from: int = 30
    isotonic_from: int = 500

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("max_users", "top", "others", "line_from", "isotonic_from"):
            require(
                getattr(self, name) >= 1, f"must be at least 1, got {getattr(self, name)}", name
            )


@dataclass(frozen=True)
class HeldOut:
    """Pairs of which it is known whether they were held out, all (n,).

    Attributes:
        score: what is to be calibrated, or judged. kind: position in `KINDS`.
        label: whether the pair is positive. weight: how many pairs it stands for.
        leading: whether it is among the first `TOP` of its user.
    """

    score: Float64
    kind: Kind
    label: BoolArray
    weight: Float64
    leading: BoolArray

    @classmethod
    def draw(
        cls,
        scores: FloatArray,
        kinds: Kind,
        truth: BoolArray,
        closed: BoolArray,
        config: CalibrationConfig,
        rng: np.random.Generator,
    ) -> Self:
        """All positives of a block of users, their best other pairs, and some of the rest.

        Args (all (b, n_items)):
            scores: NaN = unknown, left out. truth: what was held out. closed: pairs left out.
        """
        candidates = ~closed & ~np.isnan(scores)
        filled = np.where(candidates, scores, -np.inf)
        rest = candidates & ~truth & ~_first(filled, config.top)
        share = np.minimum(1.0, config.others / np.maximum(rest.sum(1, keepdims=True), 1))
        drawn = rest & (rng.random(rest.shape, np.float32) < share)
        chosen = (candidates & ~rest) | drawn
        return cls(
            scores[chosen].astype(np.float64),
            kinds[chosen],
            truth[chosen],
            np.where(drawn, 1.0 / share, 1.0)[chosen],
            _first(filled, TOP)[chosen],
        )

    @classmethod
    def joined(cls, blocks: Sequence[HeldOut]) -> Self:
        """Blocks as one; there must be at least one."""
        names = ("score", "kind", "label", "weight", "leading")
        return cls(*(np.concatenate([getattr(one, name) for one in blocks]) for name in names))

    def only(self, mask: BoolArray) -> HeldOut:
        """Some of the pairs."""
        return HeldOut(
            self.score[mask], self.kind[mask], self.label[mask], self.weight[mask],
            self.leading[mask],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True)
class Curve:
    """Chance by score, never falling: between knots (x, y) if there are any, else a logistic line.

    Attributes:
        slope, intercept: chance = 1 / (1 + exp(-slope score - intercept)), slope >= 0.
        x, y: knots, float64 (m,); below the first and above the last the chance stays.
    """

    slope: float
    intercept: float
    x: Float64
    y: Float64

    @classmethod
    def fit(cls, pairs: HeldOut, *, isotonic: bool) -> Self:
        """Platt scaling or isotonic regression; needs a positive and another pair.

        Sources: Platt 1999, section 2; Zadrozny and Elkan, KDD 2002, section 4.
        """
        none = np.zeros(0)
        if isotonic:
            found = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
            found.fit(pairs.score, pairs.label.astype(np.float64), sample_weight=pairs.weight)
            return cls(0.0, 0.0, found.X_thresholds_, found.y_thresholds_)
        line = LogisticRegression().fit(
            pairs.score[:, None], pairs.label, sample_weight=pairs.weight
        )
        slope, intercept = float(line.coef_[0, 0]), float(line.intercept_[0])
        if slope < 0:  # what misleads is not turned around: the score says nothing then
            rate = np.average(pairs.label, weights=pairs.weight)
            slope, intercept = 0.0, float(logit(rate))
        return cls(slope, intercept, none, none)

    def __call__(self, score: FloatArray | Float64) -> FloatArray:
        if len(self.x):
            return np.asarray(np.interp(score, self.x, self.y), np.float32)
        return np.asarray(expit(self.slope * score + self.intercept), np.float32)


@dataclass(frozen=True)
class Calibration:
    """A `Curve` for each of `KINDS` but "told".

    Kinds with few held-out positives share one: rare and common items, cold items and new users, or
    all of them.
    """

    curves: tuple[Curve, ...]

    @classmethod
    def fit(cls, pairs: HeldOut, config: CalibrationConfig | None = None) -> Self | None:
        """Curves of held-out pairs; None where there is no positive, or nothing else."""
        config = config or CalibrationConfig()
        if not pairs.label.any() or pairs.label.all():
            return None
        curves = []
        for kind in range(len(_CURVES)):
            for members in ((kind,), _KIN[kind], tuple(range(len(_CURVES)))):
                own = pairs.only(np.isin(pairs.kind, members))
                if config.line_from <= own.label.sum() < len(own):
                    break
            isotonic = own.label.sum() >= config.isotonic_from
            curves.append(Curve.fit(own, isotonic=bool(isotonic)))
        return cls(tuple(curves))

    def probability(self, scores: FloatArray | Float64, kinds: Kind) -> FloatArray:
        """Chances, float32 of the scores' shape; NaN stays NaN. `kinds` has the same shape."""
        out = np.full(scores.shape, np.nan, np.float32)
        for kind, curve in enumerate(self.curves):
            mask = kinds == kind
            out[mask] = curve(scores[mask])
        out[np.isnan(scores)] = np.nan
        return out

    def tensors(self) -> dict[str, Tensor]:
        """What `restore` makes it of."""
        out = {}
        for name, curve in zip(_CURVES, self.curves, strict=True):
            out[f"{name}.line"] = torch.tensor([curve.slope, curve.intercept], dtype=torch.float64)
            out[f"{name}.x"] = torch.from_numpy(np.array(curve.x, np.float64))
            out[f"{name}.y"] = torch.from_numpy(np.array(curve.y, np.float64))
        return out

    @classmethod
    def restore(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The reverse of `tensors`; IntegrityError where one is missing or of another size."""
        curves = []
        for name in _CURVES:
            try:
                line, x, y = (tensors[f"{name}.{key}"].numpy() for key in ("line", "x", "y"))
            except KeyError as error:
                raise IntegrityError(f"tensor {error} of the calibration is missing") from error
            if line.shape != (2,) or x.ndim != 1 or x.shape != y.shape:
                raise IntegrityError(
                    f"the calibration's tensors of {name} are {line.shape}, {x.shape}, {y.shape}, "
                    "expected (2,), (m,), (m,)"
                )
            curves.append(Curve(float(line[0]), float(line[1]), x, y))
        return cls(tuple(curves))


def kind_of_pairs(item_degree: IntArray, user_degree: IntArray) -> Kind:
    """Positions in `KINDS` of pairs by what is known of their ends, which are broadcast together."""
    kind = kind_of(item_degree)
    return np.where(user_degree == 0, np.int8(KINDS.index("new-user")), kind)


def held_out_pairs(
    users: IntArray,
    score: Callable[[IntArray], FloatArray],
    data: TrainingData,
    truth: sp.csr_matrix,
    closed: Callable[[IntArray], BoolArray],
    config: CalibrationConfig,
    seed: int,
) -> HeldOut:
    """Pairs of `users`, block by block, with what `score` says of them.

    Args:
        score: by which items known by answers alone are cold ones.
        truth: (n_users, n_items), what was held out. closed: users -> (b, n_items), pairs left out.
    """
    rng = rng_for(seed, "calibration pairs")
    step = max(1, BLOCK_ENTRIES // max(data.n_items, 1))

    def blocks() -> Iterator[HeldOut]:
        for start in range(0, max(len(users), 1), step):
            block = users[start : start + step]
            degree = data.user_degree[block][:, None]
            kinds = kind_of_pairs(data.untold_degree, degree)
            held = truth[block].toarray() > 0
            yield HeldOut.draw(score(block), kinds, held, closed(block), config, rng)

    return HeldOut.joined(list(blocks()))


def assess(
    scorer: Callable[[IntArray], FloatArray],
    calibration: Calibration,
    data: TrainingData,
    split: Split,
    part: str = "test",
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """How far the chances are to be trusted, on a part that nothing was fitted on.

    Pairs of a sample of the users who are in the training or in that part, less the pairs that are
    known already; pairs with low scores are drawn and weighted.

    Args:
        scorer: users -> scores (b, n_items), as `Hybrid.untold_score`.

    Returns:
        JSON-ready: users, pairs (weighted), rate (share of positives), ece, brier, bins (predicted,
        observed, pairs; of about equal count in the sample), kinds (name -> the same without bins),
        top (the same for the first ten of each user).

    Raises:
        DataError: the part has no pair that could be judged.
    """
    config = CalibrationConfig()
    parts = [data.train, split.train] + ([split.valid] if part == "test" else [])
    known = data.pairs(*parts)
    truth = getattr(split, part).matrix(data.n_users, data.n_items)
    there = np.flatnonzero((np.diff(known.indptr) > 0) | (np.diff(truth.indptr) > 0))
    rng = rng_for(seed, "calibration users")
    users = np.sort(rng.choice(there, min(len(there), config.max_users), replace=False))
    pairs = held_out_pairs(
        users, scorer, data, truth, lambda block: known[block].toarray() > 0, config, seed
    )
    chance = calibration.probability(pairs.score, pairs.kind)
    kinds = {name: pairs.kind == code for code, name in enumerate(_CURVES)}
    whole = reliability(pairs.label, chance, BINS, equal_mass=True, weight=pairs.weight)
    return {
        "users": len(users),
        **_judged(pairs, chance, np.ones(len(pairs), bool)),
        "bins": _bins(whole),
        "kinds": {name: _judged(pairs, chance, mask) for name, mask in kinds.items() if mask.any()},
        "top": _judged(pairs, chance, pairs.leading) | {"of_each_user": TOP},
    }


def _judged(pairs: HeldOut, chance: FloatArray, mask: BoolArray) -> dict[str, float]:
    label, weight = pairs.label[mask], pairs.weight[mask]
    found = reliability(label, chance[mask], BINS, equal_mass=True, weight=weight)
    return {
        "pairs": round(float(weight.sum())),
        "rate": round(float(np.average(label, weights=weight)), 6),
        "ece": round(found.ece, 6),
        "brier": round(brier(label, chance[mask], weight), 6),
    }


def _bins(found: Reliability) -> list[dict[str, float]]:
    used = np.flatnonzero(found.count > 0)
    return [
        {
            "predicted": round(float(found.predicted[k]), 6),
            "observed": round(float(found.observed[k]), 6),
            "pairs": round(float(found.count[k])),
        }
        for k in used
    ]


def _first(filled: FloatArray, k: int) -> BoolArray:
    """Which entries are among the k largest of their row; -inf never is. Ties are cut somewhere."""
    if filled.shape[1] <= k:
        return np.asarray(filled > -np.inf)
    place = np.argpartition(-filled, k - 1, axis=1)[:, :k]
    out = np.zeros(filled.shape, bool)
    np.put_along_axis(out, place, True, 1)
    return np.asarray(out & (filled > -np.inf))
