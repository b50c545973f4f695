"""What labels chosen by the closed-form posterior are worth to the encoder; prints one JSON object.

    python bench/transfer.py CATALOG [--seeds 0-2] [--chosen 500,2000] [--random 2000,8000]

The encoder is trained on what is warm, then retrained from there (`TrainingConfig.warm_epochs`) on the
labels that a strategy picked for the posterior, and on random ones. Each figure is the NDCG@10 of the
test users over the cold items, by the encoder alone and by the posterior that the labels went to.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import defaultdict

import numpy as np
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script

from coldframe.active.auto import find_strategy
from coldframe.active.simulate import CUTS
from coldframe.active.world import World, build_world, rank_metrics, rounds
from coldframe.gnn.data import TrainingData
from coldframe.gnn.posterior import Answers, Posterior
from coldframe.gnn.text import TextConfig, embed_nodes
from coldframe.gnn.trainer import EncoderScorer
from coldframe.kg.catalog import Catalog
from coldframe.kg.graph import Interactions
from coldframe.kg.split import hold_out_per_user, rng_for


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("catalog")
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--chosen", default="500,2000")
    parser.add_argument("--random", default="2000,8000")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    catalog = Catalog.open(given.catalog)
    graph = catalog.graph
    text = embed_nodes(graph, TextConfig(), cache=None, device="cpu")
    plans = {
        given.strategy: [int(n) for n in given.chosen.split(",")],
        "random": [int(n) for n in given.random.split(",")],
    }
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for seed in seeds_of(given.seeds):
        start = time.perf_counter()
        world = build_world(graph, "kg-coldstart-open", seed)
        data = TrainingData(graph, world.case.split.train, text)
        first = trained(data, seed)
        found["no labels"].append(measured(world, first) | posterior_value(world, None))
        for name, budgets in plans.items():
            cuts = sorted({*budgets, *(cut for cut in CUTS if cut < budgets[-1])})
            for cut, beliefs in rounds(world, find_strategy(name), cuts):
                if cut in budgets:
                    told = data.with_train(data.train.concat(as_interactions(beliefs.answers)))
                    again = EncoderScorer(initial=first.state, seed=seed).fit(told)
                    row = measured(world, again) | posterior_value(world, beliefs)
                    found[f"{name} {cut}"].append(row)
                    logging.info("seed %d %s %d: %s", seed, name, cut, row)
        logging.info("seed %d: %.0f s", seed, time.perf_counter() - start)
    rows = {
        name: {key: [round(row[key], 4) for row in rows] for key in rows[0]}
        for name, rows in found.items()
    }
    print(json.dumps({"catalog": graph.name, "seeds": given.seeds, "ndcg@10": rows}))


def trained(data: TrainingData, seed: int) -> EncoderScorer:
    """The encoder on the warm pairs, stopped by a tenth of them."""
    held = hold_out_per_user(data.train, 0.1, rng_for(seed, "encoder validation"))
    inner = data.with_train(data.train.select(~held))
    return EncoderScorer(seed=seed).fit(inner, data.train.select(held)).refresh(data)


def as_interactions(answers: Answers) -> Interactions:
    """The answers as interactions of round 1."""
    label = answers.label.astype(np.int8)
    return Interactions.build(answers.user, answers.item, label=label, round=np.ones_like(label))


def measured(world: World, scorer: EncoderScorer) -> dict[str, float]:
    """NDCG@10 of the test users over the cold items by the encoder."""
    scores = scorer.score(world.case.test_users)[:, world.case.cold_items]
    return {"encoder": rank_metrics(np.nan_to_num(scores, nan=-1e9), world.truth)["ndcg@10"]}


def posterior_value(world: World, beliefs: Posterior | None) -> dict[str, float]:
    """The same by the posterior."""
    return {"posterior": world.measure(beliefs or world.posterior)["ndcg@10"]}


if __name__ == "__main__":
    main()
