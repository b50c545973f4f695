"""The encoder trained on the whole graph in every step, and on sampled parts of it; one JSON object.

    python bench/sampling.py CATALOG [--protocol warm] [--seeds 100] [--neighbours 0,-1,10]
    python bench/sampling.py --generated USERSxITEMSxATTRIBUTES [--likes 5000000] [--edges 5000000]

The encoder alone, in a process of its own for each setting and seed. On a catalog: the seconds of a CPU
that an epoch takes, the peak memory above what the data take, and the test users' NDCG@10 among all items
and among cold ones. On a generated graph: the same of the first steps, from files where it is read in parts.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script

from coldframe.datasets.splits import make_split
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder_state import EncoderState, vocabularies_of
from coldframe.gnn.evaluate import evaluate
from coldframe.gnn.inputs import InputSpace
from coldframe.gnn.randomness import generator_for
from coldframe.gnn.text import TextConfig, embed_nodes
from coldframe.gnn.trainer import EncoderScorer
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.split import Split
from coldframe.kg.vocabulary import Vocabulary

TEXT_WIDTH = 384  # of the generated items


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("catalog", nargs="?")
    parser.add_argument("--protocol", default="warm")
    parser.add_argument("--seeds", default="100")
    parser.add_argument("--neighbours", default="0,-1,10")
    parser.add_argument("--generated", metavar="USERSxITEMSxATTRIBUTES")
    parser.add_argument("--likes", type=int, default=5_000_000)
    parser.add_argument("--edges", type=int, default=5_000_000)
    parser.add_argument("--steps", type=int, default=10)
    given = parser.parse_args()
    if not given.catalog and not given.generated:
        parser.error("name a catalog, or --generated USERSxITEMSxATTRIBUTES")
    out: dict[str, Any] = {"given": vars(given), "settings": {}}
    context = multiprocessing.get_context("spawn")
    for neighbours in (int(n) for n in given.neighbours.split(",")):
        found: dict[str, list[float]] = defaultdict(list)
        for seed in seeds_of(given.seeds):
            with context.Pool(1) as pool:
                for name, value in pool.apply(measure, (given, neighbours, seed)).items():
                    found[name].append(value)
        out["settings"][neighbours] = {
            name: round(float(np.mean(values)), 4) for name, values in found.items()
        }
    print(json.dumps(out, indent=1))


def measure(given: argparse.Namespace, neighbours: int, seed: int) -> dict[str, float]:
    """One training; runs in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingConfig(neighbours=neighbours)
        if given.generated:
            scorer = EncoderScorer(training=training, seed=seed, checkpoints=Path(folder))
            return some_steps(generated(given, seed), scorer, given.steps)
        graph = Catalog.open(given.catalog).graph
        split = make_split(graph, given.protocol, seed)
        data = TrainingData(
            graph, split.train, embed_nodes(graph, TextConfig(), cache=None, device="cpu")
        )
        marks: list[float] = []
        scorer = EncoderScorer(
            training=training, seed=seed, progress=lambda *_: marks.append(time.process_time())
        )
        before, start = resident(), time.process_time()
        scorer.fit(data, split.valid)
        return {
            "cpu_seconds": time.process_time() - start,
            "epoch_cpu_seconds": float(np.median(np.diff(marks))),
            "peak_gb": peak() - before,
            **quality(data, split, scorer, seed),
        }


def some_steps(data: TrainingData, scorer: EncoderScorer, count: int) -> dict[str, float]:
    """The first steps of an epoch, whose graph is mapped from files where it is read in parts."""
    before = resident()
    space = InputSpace.fit(data.graph, data.text, scorer.config.profile_dimensions, scorer.seed)
    scorer._state = EncoderState(
        scorer.config, scorer.training, scorer.seed, space, {}, vocabularies_of(data.graph)
    )
    with scorer._graph(data, space) as graph:
        built = peak()
        run = scorer._training(data, graph)
        steps, seconds = run.sampler.steps(generator_for(scorer.seed, "steps")), []
        run.model.train()
        for _ in range(count):
            start = time.process_time()
            run._step(next(steps), generator_for(scorer.seed, "noise"))
            seconds.append(time.process_time() - start)
    return {
        "step_cpu_seconds": float(np.median(seconds)),
        "peak_gb_of_building": built - before,
        "peak_gb": peak() - before,
    }


def quality(data: TrainingData, split: Split, scorer: EncoderScorer, seed: int) -> dict[str, float]:
    """NDCG@10 of the test users: among all items, and of cold items among themselves."""
    found = evaluate({"encoder": scorer}, data, split, ks=(10,), seed=seed)
    segments = [name for name in ("all", "cold-only") if name in found.segment_names]
    return {f"ndcg@10 {name}": found.value("encoder", name, "ndcg@10") for name in segments}


def generated(given: argparse.Namespace, seed: int) -> TrainingData:
    """Items with texts of random numbers and attributes, users with likes; popularity is skewed."""
    users, items, attributes = (int(part) for part in given.generated.split("x"))
    rng = np.random.default_rng(seed)

    def ends(rows: int, columns: int, count: int) -> np.ndarray:
        skewed = (columns * rng.random(count) ** 2).astype(np.int64)
        codes = np.unique(rng.integers(0, rows, count) * columns + skewed)
        return np.stack(np.divmod(codes, columns))

    sizes = {"user": users, "item": items, "attribute": attributes}
    nodes = {kind: NodeSet(Vocabulary(f"{kind}{k}" for k in range(n))) for kind, n in sizes.items()}
    edges = {
        ("item", f"relation{k}", "attribute"): EdgeSet(ends(items, attributes, given.edges // 4))
        for k in range(4)
    }
    text = rng.standard_normal((items, TEXT_WIDTH), np.float32)
    text /= np.linalg.norm(text, axis=1, keepdims=True)
    train = Interactions.build(*ends(users, items, given.likes))
    return TrainingData(Graph(nodes, edges, Interactions.empty()), train, {"item": text})


def resident() -> float:
    """Gigabytes of this process now."""
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1e6


def peak() -> float:
    """The most that it ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


if __name__ == "__main__":
    main()
