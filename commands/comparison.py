"""The models of an evaluation: ours, its parts alone, and the tuned linear baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..kg.errors import StateError, UsageError, nearest

if TYPE_CHECKING:
    from ..gnn.evaluate import Evaluation
    from ..gnn.recommender import Recommender
    from ..gnn.scorer_base import Scorer
    from ..kg.split import Split
    from ..kg.vocabulary import IntArray

OURS = "coldframe"
JUDGED = ("all", "hot", "warm", "cold", "cold-only")
LEAST = 10  # users of a group from which on its mean is compared
SURE = 0.05  # largest corrected p at which a difference counts


def compared(
    model: Recommender,
    split: Split,
    names: Sequence[str] | None,
    progress: Callable[[str, int, int], None],
) -> dict[str, Scorer]:
    """Name -> scorer fitted on the model's data; `names` = None means all that the catalog can feed.

    The parts keep the settings that validation chose when the model was fitted; the other baselines
    are tuned on the validation pairs now.

    Raises:
        UsageError: an unknown name. StateError: nothing was learned yet.
    """
    from ..gnn.parts import PARTS
    from ..gnn.tune import BLENDS, KINDS

    hybrid = model.scorer
    if hybrid is None or not hybrid.parts:
        raise StateError(
            "the run has learned from no interactions, so there is nothing to evaluate",
            hint="take answers in first; `similar` works without any",
        )
    for name in names or ():
        valid = {OURS, *PARTS, *KINDS, *BLENDS}
        if name not in valid:
            raise UsageError(f"unknown model {name!r}", where="--models", hint=nearest(name, valid))
    found: dict[str, Scorer] = {OURS: hybrid, **hybrid.parts}
    more_wanted = names is None or not set(names) <= found.keys()
    if more_wanted and (split.valid.label == 1).any():
        tuned = tuned_baselines(model, split, progress)
        found |= {name: scorer for name, scorer in tuned.items() if name not in found}
    return found if names is None else {name: found[name] for name in names if name in found}


def tuned_baselines(
    model: Recommender, split: Split, progress: Callable[[str, int, int], None] | None = None
) -> dict[str, Scorer]:
    """Every linear model, tuned on the validation pairs and fitted on what the model was fitted on."""
    from ..gnn.scorer_base import fitted
    from ..gnn.tune import tune_all

    hybrid = fitted(model.scorer, "the recommender")
    # A model that was refitted has learned the validation pairs: tune before, fit afterwards.
    refit = model.config.refit
    data = model.data.with_train(split.train) if refit else model.data
    tuned = tune_all(
        data,
        split.valid,
        seed=model.seed,
        settings=hybrid.settings,
        ready=None if refit else hybrid.parts,
        progress=progress,
    )
    scorers = {name: found.scorer for name, found in tuned.items()}
    return {name: scorer.fit(model.data) if refit else scorer for name, scorer in scorers.items()}


def differences(found: Evaluation, seed: int) -> list[dict[str, Any]]:
    """Our model against every other one of an evaluation; rows as of `gnn.statistics.compare`.

    NDCG at the first cut-off, by segment, paired by user; empty where ours or all others were left
    out. None stands for an undefined value.
    """
    from ..gnn.statistics import compare
    from ..kg.split import rng_for

    if OURS not in found.models or len(found.models) == 1:
        return []
    metrics = dict.fromkeys(JUDGED, (f"ndcg@{found.ks[0]}",))
    rows = compare(found, OURS, metrics, rng_for(seed, "paired differences"))
    return [{key: None if one != one else one for key, one in row.items()} for row in rows]


def group_gaps(found: Evaluation, groups: Mapping[str, IntArray]) -> list[dict[str, Any]]:
    """How unequally a model serves users: its best and worst group of each feature.

    Args:
        groups: "feature=value" -> users. Groups of fewer than `LEAST` users in the evaluation are left
            out, since chance alone would make the gap.

    Returns:
        rows model, feature, metric, best, worst (values of the feature), highest, lowest, gap.
    """
    import numpy as np

    metric, rows = f"ndcg@{found.ks[0]}", []
    for model in found.models:
        features: dict[str, dict[str, float]] = {}
        for name in groups:
            if name not in found.segment_names:
                continue
            values = found.per_user(model, name, metric)
            if np.isfinite(values).sum() >= LEAST:
                feature, _, value = name.partition("=")
                features.setdefault(feature, {})[value] = float(np.nanmean(values))
        for feature, means in features.items():
            best, worst = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
            gap = {
                "highest": means[best],
                "lowest": means[worst],
                "gap": means[best] - means[worst],
            }
            head = {"model": model, "feature": feature, "metric": metric}
            rows.append({**head, "best": best, "worst": worst, **gap})
    return rows


def difference_table(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One line per other model, one column per segment: mean, interval, * = sure after Holm."""
    table: dict[str, dict[str, Any]] = {}
    for row in rows:
        mark = "*" if row["p_holm"] is not None and row["p_holm"] < SURE else " "
        text = f"{row['mean']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]{mark}"
        line = table.setdefault(row["against"], {"against": row["against"]})
        line[row["segment"]] = text
    return list(table.values())
