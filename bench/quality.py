"""Ranking quality on any catalog folder, ours beside every baseline; prints one JSON object.

    python bench/quality.py CATALOG [--protocol item-cold] [--seeds 0-4]
                            [--variants full,without-text,kg-completion]
                            [--cold-costs 0.3,10] [--parts encoder]

Settings, early stopping and the gate use validation data alone; the test part is looked at once per
seed. A catalog's own split is used where it has one. The interval is Student's t over seeds. With
--refit the models are fitted on training and validation pairs once everything is chosen.
--parts leaves parts of the score out: with `encoder` alone, ways to train it are compared fast.
--cold-costs adds rows of the same fit whose gate lets cold and rare items cost the others so much.
--positives-only leaves pairs rated low out of train, as most published figures do; else they are known,
to every model, and are no candidates.
--liked-from makes pairs rated lower than that auxiliary, as if they had only been looked at.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import resource
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import t as student
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script

from coldframe.commands.comparison import tuned_baselines
from coldframe.datasets.splits import make_split
from coldframe.gnn.ablation import AblationConfig
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.graph import AUXILIARY, Graph
from coldframe.kg.split import Split

VARIANTS: dict[str, tuple[AblationConfig, str]] = {
    "full": (AblationConfig(), "auto"),
    "tfidf": (AblationConfig(), "tfidf"),
    "without-text": (AblationConfig(without=("text",)), "none"),
    "without-kg": (AblationConfig(without=("kg",)), "auto"),
    "without-kg-tfidf": (AblationConfig(without=("kg",)), "tfidf"),
    "without-kg-text": (AblationConfig(without=("kg", "text")), "none"),
    "without-walk": (AblationConfig(without=("walk",)), "auto"),
    "without-ids": (AblationConfig(without=("ids",)), "auto"),
    "random-kg": (AblationConfig(randomise_kg=True), "auto"),
}
# One thing each that the encoder learns by otherwise; the row of its part tells it apart best.
TRAINED: dict[str, dict[str, Any]] = {
    "bpr": {"loss": "bpr"},
    "bce": {"loss": "bce"},
    "kg-completion": {"kg_completion": 0.1},
    "view-contrast": {"view_contrast": 0.1},
    "text-contrast": {"text_contrast": 0.1},
}
METRICS = ("recall@10", "recall@20", "ndcg@10", "ndcg@20", "mrr@10")
Values = dict[tuple[str, str, str], list[float]]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog")
    parser.add_argument("--protocol", default="default")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--variants", default="full")
    parser.add_argument("--parts", default=",".join(HybridConfig().parts))
    parser.add_argument("--refit", action="store_true")
    parser.add_argument("--positives-only", action="store_true")
    parser.add_argument("--liked-from", type=float)
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--cold-costs", default="")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    catalog = Catalog.open(given.catalog)
    if given.liked_from is not None:
        catalog = replace(catalog, graph=_looked_at(catalog.graph, given.liked_from))
    values: Values = defaultdict(list)
    seconds = []
    for seed in seeds_of(given.seeds):
        split = make_split(catalog.graph, given.protocol, seed, negatives=not given.positives_only)
        for variant in given.variants.split(","):
            start = time.perf_counter()
            model = _fit(catalog, split, variant, seed, given)
            seconds.append(time.perf_counter() - start)
            baselines = not given.no_baselines and variant == "full"
            _measure(values, model, split, variant, seed, baselines=baselines)
            for cost in filter(None, given.cold_costs.split(",")):
                _measure_at(values, model, split, variant, seed, float(cost))
    result = {
        "catalog": catalog.name,
        "protocol": split.name,
        "seeds": seeds_of(given.seeds),
        "refit": given.refit,
        "positives_only": given.positives_only,
        "liked_from": given.liked_from,
        "fit_seconds": round(float(np.mean(seconds)), 1),
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "rows": rows_of(values),
    }
    print(json.dumps(result))


def _looked_at(graph: Graph, liked_from: float) -> Graph:
    """Pairs rated lower are auxiliary."""
    rows = graph.interactions
    label = np.where(rows.rating >= liked_from, 1, AUXILIARY).astype(np.int8)
    return replace(graph, interactions=replace(rows, label=label))


def _fit(
    catalog: Catalog, split: Split, variant: str, seed: int, given: argparse.Namespace
) -> Recommender:
    ablation, text = VARIANTS["full" if variant in TRAINED else variant]
    training = TrainingConfig(**TRAINED.get(variant, {}))
    config = RecommenderConfig(
        HybridConfig(parts=tuple(given.parts.split(",")), training=training),
        TextConfig(model=text),
        ablation,
        given.refit,
    )
    last = [""]

    def say(what: str, _done: int, _of: int) -> None:
        if what != last[0]:
            logging.info("seed %d %s: %s", seed, variant, what)
            last[0] = what

    return Recommender(config, seed=seed, device=given.device, progress=say).fit(catalog, split)


def _measure(
    values: Values, model: Recommender, split: Split, variant: str, seed: int, *, baselines: bool
) -> None:
    """Add the test figures of the model, its parts and the baselines."""
    scorer = model.scorer
    assert scorer is not None
    name = "coldframe" if variant == "full" else f"coldframe {variant}"
    models: dict[str, Any] = {name: scorer}
    if (variant in TRAINED or variant == "full") and "encoder" in scorer.parts:
        models[f"part encoder {variant}".removesuffix(" full")] = scorer.parts["encoder"]
    if baselines:
        models |= tuned_baselines(model, split)
        models |= {f"part {part}": found for part, found in scorer.parts.items()}
    add(values, models, model.data, split, seed)


def _measure_at(
    values: Values, model: Recommender, split: Split, variant: str, seed: int, cost: float
) -> None:
    """Add the test figures of the same parts behind a gate with another cost of cold items."""
    scorer = model.scorer
    assert scorer is not None
    scorer.regate(replace(scorer.config.gate, cold_cost=cost))
    add(values, {f"coldframe {variant} cold_cost={cost:g}": scorer}, model.data, split, seed)


def add(
    values: Values, models: dict[str, Any], data: TrainingData, split: Split, seed: int
) -> None:
    """Evaluate on the test part and append every metric."""
    found = evaluate(models, data, split, seed=seed)
    for one in models:
        for segment in found.segment_names:
            for metric in METRICS:
                values[one, segment, metric].append(found.value(one, segment, metric))


def rows_of(values: Values) -> list[dict[str, Any]]:
    """One row per model and segment: metric -> mean, and low and high of the 95 % interval."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for (model, segment, metric), found in values.items():
        row = rows.setdefault((model, segment), {"model": model, "segment": segment})
        row[metric] = _interval(found)
    return list(rows.values())


def _interval(found: Sequence[float]) -> dict[str, float]:
    mean = float(np.mean(found))
    if len(found) < 2:
        return {"mean": round(mean, 4)}
    half = float(student.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / math.sqrt(len(found)))
    return {"mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


if __name__ == "__main__":
    main()
