"""Peak memory of training and of recommending on a synthetic graph, beside the formula of docs/MEMORY.md.

    python bench/memory.py [--users 20000] [--items 20000] [--tags 60000] [--edges 100000] ...

Prints one JSON object: bytes above what the imports take, measured and by the formula's rows; for
recommending, bytes above what training had left. At the sizes above it takes some minutes on one core.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.gate import GateConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.kg_prior import KGPriorConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.text import TextConfig
from coldframe.gnn.training import TrainingConfig
from coldframe.gnn.walk import RP3BetaConfig
from coldframe.kg.graph import EdgeSet, Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

PARTS = ("popularity", "rp3beta", "kg-prior", "encoder")
GATE_CELLS = (
    25_000_000  # scores of all parts; the gate looks at blocks of so many, and less than twice
)
BLOCKS = {"train": 300_000_000, "recommend": 8_000_000 * len(PARTS)}


def resident(field: str) -> int:
    """Bytes of this process: VmRSS now, VmHWM at its peak."""
    status = Path("/proc/self/status").read_text()
    found = re.search(rf"{field}:\s+(\d+)", status)
    assert found is not None
    return int(found[1]) << 10


def graph_of(given: argparse.Namespace) -> Graph:
    """Users, items and tags with random edges and interactions, half of the items cold."""
    rng = np.random.default_rng(100)
    counts = {"user": given.users, "item": given.items, "tag": given.tags}
    nodes = {
        kind: NodeSet(Vocabulary([f"{kind}{k}" for k in range(n)])) for kind, n in counts.items()
    }
    ends = np.stack(
        [rng.integers(0, given.items, given.edges), rng.integers(0, given.tags, given.edges)]
    )
    pairs = np.stack(
        [rng.integers(0, given.users, given.interactions),
         rng.integers(0, given.items // 2, given.interactions)]
    )  # fmt: skip
    edges = {("item", "tag", "tag"): EdgeSet(np.unique(ends, axis=1))}
    return Graph(nodes, edges, Interactions.build(*np.unique(pairs, axis=1)))


def formula(given: argparse.Namespace) -> dict[str, dict[str, int]]:
    """The rows of docs/MEMORY.md that hold here."""
    n = given.users + given.items + given.tags
    scores = len(PARTS) * given.items * min(given.users, GateConfig().max_users)
    block = scores // max(1, scores // GATE_CELLS) + len(PARTS) * given.items
    anchors = min(given.items, KGPriorConfig().anchors)
    train = {
        "graph": 16 * given.edges + 34 * given.interactions,
        "rp3beta": 12 * min(RP3BetaConfig().k, given.items) * given.items,
        "posterior": 12_000 * given.items + 40 * anchors**2,
        "encoder": 72 * given.dimensions * n + 48 * (given.edges + given.interactions),
        "gate": (8 + 32 // len(PARTS)) * block,
        "blocks": BLOCKS["train"],
    }
    recommend = {"blocks": BLOCKS["recommend"], "posterior": 1_012 * given.items}
    return {"train": train, "recommend": recommend}


def measure(given: argparse.Namespace) -> dict[str, int]:
    """Peak bytes of a training above the start, what it leaves, and the peak of recommending."""
    start = resident("VmRSS")
    graph = graph_of(given)
    hybrid = HybridConfig(
        parts=PARTS,
        encoder=EncoderConfig(dimensions=given.dimensions),
        training=TrainingConfig(epochs=1, batch_size=given.users // 4 or 1, negatives=512),
        tune=False,
    )
    config = RecommenderConfig(hybrid=hybrid, text=TextConfig(model="none"))
    model = Recommender(config, device="cpu").fit(graph)
    out = {"train": resident("VmHWM") - start, "left": resident("VmRSS") - start}
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    model.recommend([f"user{k}" for k in range(min(300, given.users))], k=10)
    return {**out, "recommend": resident("VmHWM") - start - out["left"]}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    sizes = {"users": 20_000, "items": 20_000, "tags": 60_000, "edges": 100_000}
    for name, value in {**sizes, "interactions": 200_000, "dimensions": 128}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    given = parser.parse_args()
    expected = formula(given)
    out: dict[str, Any] = {"sizes": vars(given), "measured": measure(given), "formula": expected}
    out["times_formula"] = {
        stage: round(out["measured"][stage] / sum(rows.values()), 2)
        for stage, rows in expected.items()
    }
    print(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
