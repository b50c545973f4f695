"""The models of an evaluation: ours, its parts alone, and the tuned linear baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..kg.errors import StateError, UsageError, nearest

if TYPE_CHECKING:
    from ..gnn.recommender import Recommender
    from ..gnn.scorer_base import Scorer
    from ..kg.split import Split

OURS = "coldframe"


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
    if names is None or not set(names) <= found.keys():
        found |= _tuned(model, split, progress)
    return found if names is None else {name: found[name] for name in names if name in found}


def _tuned(
    model: Recommender, split: Split, progress: Callable[[str, int, int], None]
) -> dict[str, Scorer]:
    from ..gnn.tune import tune_all

    hybrid = model.scorer
    assert hybrid is not None
    if not (split.valid.label == 1).any():
        return {}
    # A model that was refitted has learned the validation pairs: tune before, fit afterwards.
    data = model.data.with_train(split.train) if model.config.refit else model.data
    tuned = tune_all(
        data,
        split.valid,
        seed=model.seed,
        settings=hybrid.settings,
        ready=None if model.config.refit else hybrid.parts,
        progress=progress,
    )
    scorers = {name: found.scorer for name, found in tuned.items() if name not in hybrid.parts}
    if model.config.refit:
        scorers = {name: scorer.fit(model.data) for name, scorer in scorers.items()}
    return scorers
