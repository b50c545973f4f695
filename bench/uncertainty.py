"""Which uncertainty knows best where the model is wrong? On the generated catalog; prints one JSON.

    python bench/uncertainty.py [--size small] [--seeds 100-102] [--members 3] [--epochs 20]

Held-out pairs are the test part's rated ones, liked (four stars or more) or not, so that both answers
are known. The chance of a like is a logistic line through the scores of the other half of the pairs,
one for hot and one for cold items. The figure is Spearman's rank correlation of each uncertainty with
the chance's absolute error; it is also taken among pairs of like chance (four groups), as an
uncertainty may do no more than repeat how far the chance is from one half: "chance" is p (1 - p), what
the chance itself says of its error. Mean, least and greatest of
the seeds, each a catalog and a model of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script

from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.calibration import Curve, HeldOut
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.uncertainty import METHODS
from coldframe.kg.catalog import Catalog
from coldframe.kg.split import rng_for

GROUPS = 4
Figures = dict[str, dict[str, float]]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", default="small")
    parser.add_argument("--seeds", default="100-102")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    found = [one(seed, given) for seed in seeds_of(given.seeds)]
    rows = {
        segment: {
            method: {name: summary([run[segment][method][name] for run in found]) for name in names}
            for method, names in methods.items()
        }
        for segment, methods in found[0].items()
    }
    print(json.dumps({**vars(given), "rows": rows}, indent=1))


def one(seed: int, given: argparse.Namespace) -> dict[str, Figures]:
    """Segment -> method -> figures, of one catalog and one model."""
    with tempfile.TemporaryDirectory() as folder:
        made = generate_catalog(Path(folder) / "raw", size=given.size, seed=seed)
        catalog, _ = Catalog.ingest(list(made.inputs), made.schema, Path(folder) / "catalog")
        hybrid = HybridConfig(
            ensemble=given.members, training=TrainingConfig(epochs=given.epochs), tune=False
        )
        config = RecommenderConfig(hybrid=hybrid, text=TextConfig(model="tfidf"))
        split = make_split(catalog.graph, "fixed")
        model = Recommender(config, seed=seed, device="cpu").fit(catalog, split)
        rated = catalog.graph.interactions
        rated = rated.select(rated.in_split("test"))
    users, items = model.graph.users.vocabulary, model.graph.items.vocabulary
    pairs = [
        (users[u], items[i]) for u, i in zip(rated.user.tolist(), rated.item.tolist(), strict=True)
    ]
    cold = model.data.item_degree[rated.item] == 0
    label = rated.label == 1
    chance = chances(model.scores(pairs), label, cold, seed)
    out: dict[str, Figures] = {"hot": {}, "cold": {}}
    for method in ("chance", *METHODS):
        start = time.process_time()
        if method == "chance":
            doubt = chance * (1 - chance)
        else:
            doubt = model.uncertainty(pairs, method)  # type: ignore[arg-type]
        seconds = time.process_time() - start
        for segment, mask in (("hot", ~cold), ("cold", cold)):
            figures = correlation(doubt[mask], chance[mask], label[mask])
            out[segment][method] = {"pairs": float(mask.sum()), **figures, "cpu_seconds": seconds}
    return out


def chances(score: Any, label: Any, cold: Any, seed: int) -> Any:
    """Chance of a like, each half of the pairs by a line through the other half, (n,)."""
    half = rng_for(seed, "halves").integers(0, 2, len(score))
    out = np.zeros(len(score))
    for part in (0, 1):
        for segment in (cold, ~cold):
            fit, use = segment & (half != part), segment & (half == part)
            n = int(fit.sum())
            nothing = np.zeros(n, bool)
            known = HeldOut(
                score[fit].astype(float), np.zeros(n, np.int8), label[fit], np.ones(n), nothing
            )
            out[use] = Curve.fit(known, isotonic=False)(score[use])
    return out


def correlation(doubt: Any, chance: Any, label: Any) -> dict[str, float]:
    """Spearman's correlation with the absolute error: of all pairs, and among pairs of like chance."""
    error = np.abs(label - chance)
    group = np.searchsorted(np.quantile(chance, np.linspace(0, 1, GROUPS + 1)[1:-1]), chance)
    within = [spearmanr(doubt[group == g], error[group == g])[0] for g in range(GROUPS)]
    return {"spearman": float(spearmanr(doubt, error)[0]), "within": float(np.mean(within))}


def summary(values: list[float]) -> dict[str, float]:
    """Mean, least and greatest."""
    return {
        "mean": round(float(np.mean(values)), 3),
        "least": round(min(values), 3),
        "greatest": round(max(values), 3),
    }


if __name__ == "__main__":
    main()
