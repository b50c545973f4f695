"""Do the nearest items share an attribute that was hidden? Encoder, graph kernel, texts and chance.

    python bench/neighbours.py CATALOG [--share 0.1] [--seed 0] [--text tfidf]

A share of the items' attribute edges is hidden from everybody. For every hidden edge whose attribute
another item has too: which share of the item's 10 nearest others have it ("shared"), and whether any
has ("any"). The encoder is trained without interactions, and stops by further edges of its own that it
takes from what is left; "chosen" is what `similar` goes by: the encoder where it surely finds more of these than the
graph kernel. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import numpy as np

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import Hybrid
from coldframe.gnn.neighbours import Similarity, by_cosine, by_kernel
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.self_supervised import HiddenEdges, train_on_graph, untouched
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.graph import Interactions
from coldframe.kg.split import rng_for


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("catalog")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text", default="tfidf")
    given = parser.parse_args()
    graph = Catalog.open(given.catalog).graph.with_interactions(Interactions.empty())
    hidden = HiddenEdges.draw(graph, given.share, rng_for(given.seed, "bench neighbours"))
    config = RecommenderConfig(text=TextConfig(model=given.text))
    model = Recommender(config, seed=given.seed, device="cpu", progress=_say)
    started = time.process_time()
    model.fit(hidden.graph)
    spent = time.process_time() - started
    rng = rng_for(given.seed, "bench chance")
    chosen = "graph kernel"
    if model.encoder is not None:
        chosen, encoder = "encoder", model.encoder
    else:  # the same again, which the model has not kept
        untold = untouched(model.data)
        encoder = train_on_graph(untold, Hybrid(seed=given.seed, device="cpu"))[0].refresh(untold)
    compared: dict[str, Similarity] = {
        "encoder": by_cosine(encoder.item_vectors),
        "graph kernel": by_kernel(model.data),
        "texts alone": by_cosine(model.data.item_text),
        "chance": lambda items: rng.random((len(items), graph.n_items), np.float32),
    }
    found = {name: _judge(hidden, similarity) for name, similarity in compared.items()}
    told = {**vars(given), "catalog": graph.name, "items": graph.n_items, "edges": len(hidden)}
    print(
        json.dumps(
            {**told, "train_cpu_seconds": round(spent, 1), "chosen": chosen, "nearest_10": found},
            indent=1,
        )
    )


def _judge(hidden: HiddenEdges, similarity: Similarity) -> dict[str, float]:
    shared = hidden.shared(similarity)
    error = shared.std() / max(len(shared), 1) ** 0.5
    return {
        "shared": round(float(shared.mean()), 4),
        "standard_error": round(float(error), 4),
        "any": round(float((shared > 0).mean()), 4),
    }


def _say(what: str, done: int, of: int) -> None:
    print(f"{what} {done}/{of}", file=sys.stderr)


if __name__ == "__main__":
    main()
