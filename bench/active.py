"""Asking strategies on any catalog: learning curves, labels saved, and the time of a selection; one JSON.

    python bench/active.py CATALOG [--protocol kg-coldstart-open] [--strategies a,b] [--budgets 500,1000]
                           [--seeds 0-9] [--workers 2] [--folder DIR]
                           [--randomise-kg | --without-kg]
    python bench/active.py --select 1000000x100000 [--batch 10000] [--strategies gain-proportional]

The first form simulates rounds on a catalog folder (or any RDF or tables with a schema); finished seeds
are kept in --folder and not played again. --without-kg adds random's curve on the same catalog without
attributes and texts, and what is saved against that. The second form times one selection from
generated factors.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script


def main() -> None:
    """Run what the flags say and print one JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("catalog", nargs="?")
    parser.add_argument("--protocol", default="kg-coldstart-open")
    parser.add_argument(
        "--strategies", default="predicted-popularity,score-proportional,gain-proportional,auto"
    )
    parser.add_argument("--budgets", default="500,1000,2000")
    parser.add_argument("--seeds", default="0-9")
    parser.add_argument("--at-least", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder")
    parser.add_argument("--randomise-kg", action="store_true")
    parser.add_argument("--without-kg", action="store_true")
    parser.add_argument("--select", metavar="USERSxITEMS")
    parser.add_argument("--batch", type=int, default=10_000)
    options = parser.parse_args()
    if options.select:
        users, items = (int(part) for part in options.select.split("x"))
        print(json.dumps(time_selection(users, items, options.batch, options.strategies), indent=1))
    elif options.catalog:
        print(json.dumps(simulated(options), indent=1))
    else:
        parser.error("name a catalog, or --select USERSxITEMS")


def simulated(options: argparse.Namespace) -> dict[str, Any]:
    """Curves, gains and labels saved on a catalog."""
    from coldframe.active.simulate import SimulationConfig, simulate
    from coldframe.gnn.ablation import AblationConfig, ablated
    from coldframe.kg.catalog import read

    graph = ablated(
        read(options.catalog).graph, AblationConfig(randomise_kg=options.randomise_kg), seed=0
    )
    config = SimulationConfig(
        protocol=options.protocol,
        strategies=tuple(options.strategies.split(",")),
        budgets=tuple(int(b) for b in options.budgets.split(",")),
        seeds=tuple(seeds_of(options.seeds)),
        at_least=options.at_least,
    )
    start = time.perf_counter()

    def progress(done: int, total: int, what: str) -> None:
        print(f"{done}/{total} {what} {time.perf_counter() - start:.0f} s", file=sys.stderr)

    result = simulate(
        graph, config, workers=options.workers, folder=options.folder, progress=progress
    )
    if options.without_kg:
        bare = ablated(graph, AblationConfig(without=("kg", "text")), seed=0)
        alone = simulate(
            bare,
            replace(config, strategies=("random",)),
            workers=options.workers,
            folder=options.folder,
            progress=progress,
        )
        result["without_kg"] = saved_against(result, alone["reference"])
    return result | {"catalog": graph.name, "seconds": round(time.perf_counter() - start, 1)}


def saved_against(result: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Labels saved against another random curve, by strategy and metric."""
    from coldframe.active.summary import labels_saved

    return {
        "reference": reference,
        "labels_saved_by": {
            name: {
                metric: labels_saved(
                    np.mean(curve, axis=0),
                    result["budgets"],
                    reference["labels"],
                    reference[metric],
                )[0]
                for metric, curve in found["curve"].items()
            }
            for name, found in result["strategies"].items()
        },
    }


def time_selection(users: int, items: int, batch: int, strategies: str) -> dict[str, Any]:
    """Seconds and peak memory of one batch from users x items pairs with 22 dimensions."""
    from coldframe.active.auto import find_strategy
    from coldframe.active.pool import Pool
    from coldframe.active.state import AskState
    from coldframe.gnn.posterior import Posterior

    rng = np.random.default_rng(0)
    dimension = 22
    x = rng.normal(size=(users, dimension)).astype(np.float32)
    x[:, 0] = 1
    mean = rng.normal(size=(items, dimension)) * 0.3
    mean[:, 0] -= 4
    kappa = rng.uniform(0.5, 1.0, items)
    covariance = (kappa[:, None, None] * np.eye(dimension) * 0.2).astype(np.float32)
    known = sp.random(users, items, 10_000_000 / users / items, "csr", np.float32, rng)
    seconds: dict[str, float] = {}
    for name in strategies.split(","):
        start = time.perf_counter()
        pool = Pool.build(known, user_cap=10)
        state = AskState(
            Posterior(x, mean, covariance, mean, covariance),  # type: ignore[arg-type]
            pool,
            rng.choice(users, 512, replace=False),
        )
        picks = find_strategy(name)(state, batch, rng)
        seconds[name] = round(time.perf_counter() - start, 2)
        assert len(picks) == batch
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "pairs": users * items,
        "batch": batch,
        "seconds": seconds,
        "peak_megabytes": peak,
    }


if __name__ == "__main__":
    main()
