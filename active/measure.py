"""What a round has changed: our rows on the test pairs, and on the validation pairs at once and retrained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from ..gnn.evaluate import evaluate
from ..gnn.recommender import Recommender
from ..gnn.runs import Run
from ..gnn.scorer_base import Scorer
from ..kg.errors import DataError
from ..kg.files import write_table
from ..kg.split import Split
from ..kg.table_files import seal

METRICS = ("ndcg@10", "recall@10", "recall@20", "mrr@10")
SEGMENTS = ("all", "hot", "warm", "cold", "cold-only")
PER_USER = "per-user.parquet"  # metrics by test user, in the split's order and without names
POSTERIOR, AT_ONCE, RETRAINED = "posterior at once", "model at once", "model retrained"


def measured_rows(run: Run, model: Recommender, folder: Path | None = None) -> list[dict[str, Any]]:
    """Our rows of evaluation on the test pairs; none where there is nothing to test on.

    Args:
        folder: a round's, where each test user's values are kept as `PER_USER`.
    """
    if model.scorer is None or not model.scorer.parts:
        return []
    try:
        found = evaluate({"coldframe": model.scorer}, model.data, run.split)
    except DataError:
        return []
    if folder is not None:
        values = {name: found.per_user("coldframe", "all", name) for name in METRICS}
        write_table(folder / PER_USER, seal(pa.table(values)))
    return [row for row in found.rows(METRICS) if row["segment"] in SEGMENTS]


def at_once(model: Recommender, split: Split) -> list[dict[str, Any]]:
    """Rows on the validation pairs of a model that was told answers and not retrained yet.

    POSTERIOR ranks by the closed form alone, which has taken the answers in; AT_ONCE by the whole
    model with it, the other parts being as they were.

    Returns:
        nothing where there is no posterior, or no validation pair that the model was not fitted on.
    """
    parts = {} if model.scorer is None else model.scorer.parts
    if model.scorer is None or "kg-prior" not in parts:
        return []
    return _on_valid({POSTERIOR: parts["kg-prior"], AT_ONCE: model.scorer}, model, split)


def retrained(model: Recommender, split: Split) -> list[dict[str, Any]]:
    """The same of the model after retraining: RETRAINED."""
    return [] if model.scorer is None else _on_valid({RETRAINED: model.scorer}, model, split)


def _on_valid(
    scorers: Mapping[str, Scorer], model: Recommender, split: Split
) -> list[dict[str, Any]]:
    try:
        found = evaluate(scorers, model.data, split, part="valid")
    except DataError:
        return []
    return [row for row in found.rows(METRICS) if row["segment"] in SEGMENTS]
