"""Search of hyper-parameters on validation data alone; what may vary stands in the configs' fields, or is said.

A field's metadata `search` holds either the values to choose from (whole numbers, words) or, for a
decimal, the two ends of its range.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from ..kg.catalog import Catalog
from ..kg.errors import DataError, ResourceError, UsageError, nearest
from ..kg.files import StrPath
from ..kg.in_memory import whole
from ..kg.split import Split, check_split, rng_for
from .config import RecommenderConfig
from .evaluate import evaluate
from .metrics import parse_metric
from .recommender import Recommender
from .unfinished import plan_hash

_FAILED = "failed"  # a mark of trials

C = TypeVar("C")
Progress = Callable[[str, int, int], None]
Space = Mapping[str, Sequence[Any]] | Callable[[Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        config: the best configuration. value: its metric on the validation pairs.
        trials: one row per finished trial: its settings, "value", best first.
    """

    config: RecommenderConfig
    value: float
    trials: tuple[dict[str, Any], ...]


def search_space(kind: type[Any], prefix: str = "") -> dict[str, tuple[Any, ...]]:
    """Dotted key -> what its field's metadata allows, for all fields that a search may vary."""
    hints = get_type_hints(kind)
    out: dict[str, tuple[Any, ...]] = {}
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            out |= search_space(hints[field.name], f"{prefix}{field.name}.")
        elif "search" in field.metadata:
            out[prefix + field.name] = tuple(field.metadata["search"])
    return out


def with_settings(config: C, settings: Mapping[str, Any]) -> C:
    """The configuration with values by dotted key.

    Raises:
        UsageError: an unknown key, or a value that its field does not take.
    """
    for key, value in settings.items():
        head, _, rest = key.partition(".")
        names = [field.name for field in fields(config)]  # type: ignore[arg-type]
        if head not in names:
            raise UsageError(f"unknown setting {head!r}", where=key, hint=nearest(head, names))
        inner = with_settings(getattr(config, head), {rest: value}) if rest else value
        config = replace(config, **{head: inner})  # type: ignore[type-var]
    return config


def search(
    catalog: Catalog,
    split: Split,
    trials: int,
    folder: StrPath,
    *,
    space: Space | None = None,
    metric: str = "ndcg@10",
    base: RecommenderConfig | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Progress | None = None,
) -> Found:
    """Try configurations until `trials` are finished; those of an earlier search of the same count.

    Each is fitted on the training pairs and ranked by a metric of the whole score on the validation
    pairs; test pairs are never looked at. The linear parts keep their defaults meanwhile. A trial that
    fails ends the search with its error; started again, the search draws other settings.

    Args:
        folder: the log of trials, by which a search goes on; one with another catalog, schema, split,
            base, seed or metric starts its own in it. Give another folder for another space.
        space: dotted key -> values to choose from, or the two ends of a decimal's range; or, where
            settings depend on each other, a function of an optuna trial that gives settings by dotted
            key. None = what the configs' fields allow.
        metric: by which trials are compared, the higher the better.
        base: what is not searched.

    Raises:
        ResourceError: optuna is not installed. DataError: the split has nothing to validate on.
        UsageError: an unknown setting or metric.
    """
    check_split(split)
    trials, folder = whole(trials, "trials"), Path(folder)
    parse_metric(metric)
    optuna = _optuna()
    if not (split.valid.label == 1).any():
        raise DataError(f"split {split.name!r} has no validation pairs to search by")
    start = base or RecommenderConfig()
    quick = replace(start, hybrid=replace(start.hybrid, tune=False), refit=False)
    allowed = search_space(RecommenderConfig) if space is None else space
    if not callable(allowed):
        for key, values in allowed.items():
            _check_values(quick, key, values)

    def objective(trial: Any) -> float:
        if callable(allowed):
            settings = dict(allowed(trial))
        else:
            settings = {key: _suggest(trial, key, values) for key, values in allowed.items()}
        trial.set_user_attr("settings", settings)
        try:
            model = Recommender(with_settings(quick, settings), seed=seed, device=device)
            model.fit(catalog, split)
        except Exception:  # for optuna an interruption has failed as well
            trial.set_user_attr(_FAILED, True)
            raise
        assert model.scorer is not None
        found = evaluate({"coldframe": model.scorer}, model.data, split, part="valid")
        return found.value("coldframe", "all", metric)

    folder.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(folder / "trials.jsonl"))
    )
    name = f"{plan_hash(catalog, split, quick, seed)}-{metric}"
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    while (done := len(_finished(study))) < trials:
        if progress is not None:
            progress(f"trial {done + 1}", done, trials)
        # A sampler of its own for every trial: started again, a search would else draw the same anew.
        # What failed counts, so that it is not drawn again either; what was interrupted does not.
        failed = sum(_FAILED in trial.user_attrs for trial in study.get_trials(deepcopy=False))
        study.sampler = optuna.samplers.TPESampler(seed=trial_seed(seed, done + failed))
        study.optimize(objective, n_trials=1)
    rows = [{**trial.user_attrs["settings"], "value": trial.value} for trial in _finished(study)]
    rows.sort(key=lambda row: -row["value"])
    best = study.best_trial
    return Found(with_settings(start, best.user_attrs["settings"]), float(best.value), tuple(rows))


def trial_seed(seed: int, ended: int) -> int:
    """Of the sampler of the trial after so many that ended, whether or not it was interrupted."""
    return int(rng_for(seed, f"trial {ended}").integers(2**31))


def _finished(study: Any) -> list[Any]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None]


def _check_values(config: RecommenderConfig, key: str, values: Any) -> None:
    """UsageError unless the setting takes each of these, and a range runs upwards."""
    if isinstance(values, str) or not isinstance(values, Collection) or not len(values):
        raise UsageError(
            f"got {values!r:.60}, expected values to choose from, or a decimal's two ends",
            where=key,
            hint="(0.001, 0.01)",
        )
    listed = list(values)
    for value in listed:
        with_settings(config, {key: value})
    if _is_range(listed) and listed[0] > listed[1]:
        raise UsageError(
            f"the range runs from {listed[0]} to {listed[1]}",
            where=key,
            hint="give the lower end first",
        )


def _is_range(values: Sequence[Any]) -> bool:
    return isinstance(values[0], float) and len(values) == 2


def _suggest(trial: Any, key: str, values: Sequence[Any]) -> Any:
    if _is_range(values):
        low, high = values
        log = low > 0 and math.log10(high / low) >= 1
        return trial.suggest_float(key, low, high, log=log)
    return trial.suggest_categorical(key, list(values))


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise ResourceError("optuna is not installed", hint="install coldframe[tune]") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
