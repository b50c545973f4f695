"""The linear baselines by name, and the small grids from which validation data choose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import FloatArray, Interactions
from ..kg.split import Split, hold_out_items, rng_for
from ..kg.vocabulary import IntArray
from .als import ALS, ALSConfig
from .blend import Blend, BlendConfig, combine
from .data import TrainingData
from .evaluate import evaluate
from .given import Scores
from .kg_prior import KGPrior
from .knn import KGKNN, ProfileConfig, TextKNN
from .parts import PARTS, Target
from .popularity import KGPopularity, Popularity, RandomScorer
from .scorer_base import Scorer, standardise
from .walk import (
    EASE,
    EASEConfig,
    ItemKNN,
    ItemKNNConfig,
    RatedEASE,
    RatedEASEConfig,
    RP3Beta,
    RP3BetaConfig,
)

_LOG = logging.getLogger(__name__)

Row = dict[str, Any]

_WORTH_A_STEP = 1.01

# Numbers of one part's scores kept while weights are tried: 160 MB.
_KEPT_ENTRIES = 40_000_000


@dataclass(frozen=True)
class Kind:
    """How to make a baseline, its default configuration, and the values tried per field.

    Attributes:
        climb: a fit is dear; a field's values are tried from the best one outwards, while each is
            better by a hundredth at least.
        trials: training data -> a function that fits one configuration after the other to them,
            sharing what they have in common; None = each is made and fitted by itself.
    """

    make: Callable[..., Scorer]
    default: Any = None
    grid: Mapping[str, tuple[Any, ...]] | None = None
    climb: bool = False
    trials: Callable[[TrainingData], Callable[[Any], Scorer]] | None = None


KINDS: dict[str, Kind] = {
    "random": Kind(RandomScorer),
    "popularity": Kind(Popularity),
    "kg-popularity": Kind(KGPopularity),
    "itemknn": Kind(
        ItemKNN,
        ItemKNNConfig(),
        {"shrink": (0.0, 5.0, 10.0, 30.0, 100.0), "k": (30, 100, 300, 1000), "power": (0.5, 1.0, 2.0)},
        trials=ItemKNN.trials,
    ),
    "rp3beta": Kind(
        RP3Beta,
        RP3BetaConfig(),
        {"beta": (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9), "alpha": (0.4, 0.6, 0.8, 1.0), "k": (50, 200, 1000)},
        trials=RP3Beta.trials,
    ),
    "ease": Kind(EASE, EASEConfig(), {"penalty": (50.0, 100.0, 200.0, 400.0, 800.0)}),
    "rated-ease": Kind(
        RatedEASE,
        RatedEASEConfig(),
        {"penalty": (100.0, 200.0, 400.0, 800.0, 1600.0), "unliked": (-0.5, -0.25, 0.25, 0.5, 1.0)},
        climb=True,
    ),
    "als": Kind(
        ALS,
        ALSConfig(),
        {
            "unobserved_ratio": (0.5, 1.0, 2.0, 4.0, 8.0, 16.0),
            "penalty": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08),
            "factors": (16, 32, 64, 128, 256),
        },
        climb=True,
    ),
    "kg-prior": Kind(KGPrior),
    "kg-knn": Kind(
        KGKNN,
        ProfileConfig(),
        {"k": (0, 10, 30, 100, 300), "discount": (0.0, 0.25, 0.5)},
        trials=KGKNN.trials,
    ),
    "text-knn": Kind(
        TextKNN,
        ProfileConfig(),
        {"k": (0, 10, 30, 100, 300), "discount": (0.0, 0.25, 0.5)},
        trials=TextKNN.trials,
    ),
}  # fmt: skip

BLENDS: dict[str, tuple[str, ...]] = {
    "rp3beta+kg-knn": ("rp3beta", "kg-knn"),
    "linear-blend": ("ease", "itemknn", "rp3beta", "kg-knn"),
}


@dataclass(frozen=True)
class Tuned:
    """A scorer fitted on the training data with the best values, and every value tried.

    Attributes:
        tried: one row per configuration: its fields and the validation `metric`, best first.
    """

    scorer: Scorer
    tried: tuple[Row, ...]


def tune(
    kind: str,
    data: TrainingData,
    valid: Interactions,
    metric: str = "ndcg@10",
    *,
    target: Target = "all",
    grid: Mapping[str, tuple[Any, ...]] | None = None,
    max_users: int = 2000,
    seed: int = 0,
) -> Tuned:
    """Choose a baseline's configuration on validation data, as `choose` does, and fit it on `data`.

    Args:
        kind: a name of `KINDS` or `BLENDS`; `grid` is not for blends.

    Raises:
        As `choose`.
    """
    options: dict[str, Any] = {"target": target, "max_users": max_users, "seed": seed}
    if kind in BLENDS:
        names = BLENDS[kind]
        parts = {name: tune(name, data, valid, metric, **options).scorer for name in names}
        return tune_blend(parts, data, valid, metric, name=kind, **options)
    config, tried = choose(kind, data, valid, metric, grid=grid, **options)
    made = KINDS[kind].make() if config is None else KINDS[kind].make(config)
    return Tuned(made.fit(data), tried)


def choose(
    kind: str,
    data: TrainingData,
    valid: Interactions,
    metric: str = "ndcg@10",
    *,
    target: Target = "all",
    grid: Mapping[str, tuple[Any, ...]] | None = None,
    max_users: int = 2000,
    seed: int = 0,
) -> tuple[Any, tuple[Row, ...]]:
    """The best configuration of a baseline on validation data, and every value tried, as `Tuned` has it.

    One field is varied at a time, from the default on, until a pass changes nothing.

    Args:
        kind: a name of `KINDS`.
        target: "all" ranks all items and looks for the pairs of `valid`; "cold" hides a fifth of
            the trained items, fits on the rest and ranks the hidden ones alone, so that it works
            without validation pairs on cold items.
        grid: field -> values, instead of the kind's own.
        max_users: users drawn for the validation.
        seed: of the users and the hidden items drawn.

    Raises:
        UsageError: unknown kind. DataError: nothing to validate on.
    """
    if kind not in KINDS:
        raise UsageError(f"unknown model {kind!r}", hint=nearest(kind, [*KINDS, *BLENDS]))
    plan = KINDS[kind]
    values = dict(grid if grid is not None else plan.grid or {})
    known = vars(plan.default) if plan.default is not None else {}
    for name in values:
        if name not in known:
            raise UsageError(
                f"{kind} has no setting {name!r}", where="grid", hint=nearest(name, known)
            )
    if not values:
        return plan.default, ()
    test = _Validation.build(data, valid, metric, target, max_users, seed)
    fitted_by = plan.trials(test.data) if plan.trials else None

    def score(config: Any) -> float:
        return test.value(fitted_by(config) if fitted_by else plan.make(config).fit(test.data))

    best, tried = _descend(plan.default, values, score, climb=plan.climb)
    rows = [{**asdict(config), metric: value} for config, value in tried.items()]
    rows.sort(key=lambda row: -row[metric])
    _LOG.info("%s: %s %.4f, of %d tried", kind, asdict(best), tried[best], len(rows))
    return best, tuple(rows)


def tune_blend(
    parts: Mapping[str, Scorer],
    data: TrainingData,
    valid: Interactions,
    metric: str = "ndcg@10",
    *,
    weights: Sequence[float] = (0.0, 0.05, 0.1, 0.3, 0.6, 1.0),
    target: Target = "all",
    max_users: int = 2000,
    seed: int = 0,
    name: str = "",
) -> Tuned:
    """Choose the weights of a blend on validation data: from the best part alone, one at a time.

    `parts` are fitted on `data` and become the blend's own parts. Arguments as in `tune`.
    """
    test = _Validation.build(data, valid, metric, target, max_users, seed)
    kept = [
        standardise(_fit_on(test.data, part, data).score(test.users)) for part in parts.values()
    ]

    def score(choice: tuple[float, ...]) -> float:
        return test.value(_Kept(test.users, combine(kept, choice)))

    best, tried = _weigh(len(kept), weights, score)
    rows: list[Row] = [{"weights": choice, metric: value} for choice, value in tried.items()]
    rows.sort(key=lambda row: -row[metric])
    _LOG.info("%s: %s, of %d tried", name, rows[0], len(rows))
    for part in parts.values():
        _fit_on(data, part, test.data)
    return Tuned(Blend(parts, BlendConfig(best), name=name), tuple(rows))


def _fit_on(wanted: TrainingData, scorer: Scorer, present: TrainingData) -> Scorer:
    """The scorer, fitted anew unless what it was fitted on is what is wanted."""
    return scorer if wanted is present else scorer.fit(wanted)


def tune_all(
    data: TrainingData,
    valid: Interactions,
    metric: str = "ndcg@10",
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    ready: Mapping[str, Scorer] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Tuned]:
    """Every baseline that the data can serve, tuned; a blend shares its parts with the others.

    Args:
        settings: configurations chosen before on the same data; they are not tuned again.
        ready: scorers already fitted on `data`, taken as they are.

    Those that need a KG profile, texts or low ratings are left out where there are none.
    """
    missing = _lacking(data)
    kinds = [kind for kind in (*KINDS, *BLENDS) if kind not in missing]
    found: dict[str, Tuned] = {}
    for position, kind in enumerate(kinds):
        if progress is not None:
            progress(kind, position, len(kinds))
        if ready and kind in ready:
            found[kind] = Tuned(ready[kind], ())
        elif settings and kind in settings:
            found[kind] = Tuned(KINDS[kind].make(settings[kind]).fit(data), ())
        elif kind in BLENDS:
            parts = {name: found[name].scorer for name in BLENDS[kind] if name in found}
            found[kind] = tune_blend(parts, data, valid, metric, seed=seed, name=kind)
        else:
            found[kind] = tune(kind, data, valid, metric, seed=seed)
    if progress is not None:
        progress("", len(kinds), len(kinds))
    return found


def _lacking(data: TrainingData) -> set[str]:
    """Kinds for which the catalog has nothing to learn from."""
    lacking = {name for name, part in PARTS.items() if not part.feasible(data)}
    if "kg-knn" in lacking:
        lacking |= {"kg-popularity", "rp3beta+kg-knn"}
    return lacking


def _weigh(
    n: int, weights: Sequence[float], score: Callable[[tuple[float, ...]], float]
) -> tuple[tuple[float, ...], dict[tuple[float, ...], float]]:
    """Coordinate-wise search over n weights; starts from the best part alone, at weight 1."""
    alone = [tuple(float(part == chosen) for part in range(n)) for chosen in range(n)]
    tried = {choice: score(choice) for choice in alone}
    best, previous = max(tried, key=lambda choice: tried[choice]), None
    while best != previous:
        previous = best
        for part in range(n):
            for weight in weights:
                choice = (*best[:part], float(weight), *best[part + 1 :])
                if any(choice) and choice not in tried:
                    tried[choice] = score(choice)
            best = max(tried, key=lambda choice: tried[choice])
    return best, tried


def _descend(
    start: Any,
    grid: Mapping[str, tuple[Any, ...]],
    score: Callable[[Any], float],
    *,
    climb: bool = False,
) -> tuple[Any, dict[Any, float]]:
    """Coordinate-wise search over a frozen config's fields; ties keep what was found first."""
    worth = _WORTH_A_STEP if climb else 1.0
    tried: dict[Any, float] = {}

    def better(config: Any, than: Any) -> bool:
        if config not in tried:
            tried[config] = score(config)
        return bool(tried[config] > worth * tried.get(than, -np.inf))

    best, previous = start, None
    if all(getattr(start, field) in values for field, values in grid.items()):
        better(start, start)
    while best != previous:
        previous = best
        for field, values in grid.items():
            now = getattr(best, field)
            above = [value for value in values if value > now]
            below = [value for value in reversed(values) if value < now]
            for side in (above, below):
                for value in side:
                    config = replace(best, **{field: value})
                    if better(config, best):
                        best = config
                    elif climb:
                        break
    if not tried:
        raise DataError("nothing was tried: the grid is empty")
    return best, tried


@dataclass(frozen=True)
class _Validation:
    """A small evaluation: what to fit on, whom to rank for, and which number counts."""

    data: TrainingData
    split: Split
    users: IntArray
    metric: str
    segment: str

    @classmethod
    def build(
        cls,
        data: TrainingData,
        valid: Interactions,
        metric: str,
        target: Target,
        max_users: int,
        seed: int,
    ) -> _Validation:
        none = Interactions.empty()
        hidden = np.zeros(0, np.int64)
        train = data.train
        if target == "cold":
            hidden = hold_out_items(train, data.n_items, 0.2, rng_for(seed, "tuning items"))
            inside = np.isin(train.item, hidden)
            train, valid = train.select(~inside), train.select(inside)
            data = data.with_train(train)
        users = np.unique(valid.user[valid.label == 1])
        if len(users) == 0:
            raise DataError(
                "no positive pair to tune on", hint="give a validation part or another protocol"
            )
        limit = max(1, min(max_users, _KEPT_ENTRIES // max(data.n_items, 1)))
        if len(users) > limit:
            users = np.sort(rng_for(seed, "tuning users").choice(users, limit, replace=False))
        split = Split(train, valid, none, hidden, np.zeros(0, np.int64), "tuning", seed)
        return cls(data, split, users, metric, "cold-only" if target == "cold" else "all")

    def value(self, scorer: Scores) -> float:
        """The mean of the metric over the users; a scorer that knows none of them gets 0."""
        found = evaluate({"it": scorer}, self.data, self.split, part="valid", users=self.users)
        return found.value("it", self.segment, self.metric)


class _Kept:
    """Scores of some users, sorted, computed beforehand."""

    def __init__(self, users: IntArray, scores: FloatArray) -> None:
        self._users, self._scores = users, scores

    def score(self, users: IntArray) -> FloatArray:
        return self._scores[np.searchsorted(self._users, users)]
