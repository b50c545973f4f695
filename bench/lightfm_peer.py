"""LightFM with item features on the splits of bench/quality.py, tuned as our baselines are; one JSON object.

    pip install lightfm-next
    python bench/lightfm_peer.py CATALOG [--protocol item-cold] [--seeds 0-4] [--target cold]

Items are described by their KG profile, weighted as KG-kNN has it, users and trained items by a vector
of their own too (Kula, "Metadata embeddings for user and item cold-start recommendations", 2015). Its
settings are chosen on validation data alone: `--target cold` hides a fifth of the trained items and
ranks them, `--target all` ranks everything. KG-kNN and the closed-form KG prior stand beside it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from lightfm import LightFM  # type: ignore[import-not-found]  # no dependency of the project
from quality import Values, add, rows_of  # type: ignore[import-not-found]  # beside this script
from seeds import seeds_of  # type: ignore[import-not-found]  # beside this script

from coldframe.datasets.splits import make_split
from coldframe.gnn.data import TrainingData
from coldframe.gnn.parts import Target
from coldframe.gnn.text import TextConfig, embed_nodes
from coldframe.gnn.tune import KINDS, Kind, tune
from coldframe.kg.catalog import Catalog
from coldframe.kg.graph import FloatArray
from coldframe.kg.vocabulary import IntArray


@dataclass(frozen=True)
class LightFMConfig:
    """Settings; vectors' length, passes and whether trained items have vectors of their own are tuned."""

    components: int = 64
    epochs: int = 10
    loss: str = "warp"
    identity: bool = True
    learning_rate: float = 0.05


class LightFMScorer:
    """LightFM as one of our scorers."""

    name = "lightfm"
    serves_cold_items = True
    serves_cold_users = False

    def __init__(self, config: LightFMConfig | None = None) -> None:
        self.config = config or LightFMConfig()

    def fit(self, data: TrainingData) -> Self:
        """Train on the likes."""
        own = sp.diags((data.item_degree > 0).astype(np.float32))
        parts = [own, data.profile] if self.config.identity else [data.profile]
        features = sp.csr_matrix(sp.hstack(parts), dtype=np.float32)
        features = features[:, np.flatnonzero(np.diff(features.tocsc().indptr))]
        model = LightFM(
            no_components=self.config.components,
            loss=self.config.loss,
            learning_rate=self.config.learning_rate,
            random_state=0,
        )
        likes = data.positives.tocoo()
        model.fit(likes, item_features=features, epochs=self.config.epochs, num_threads=1)
        item_bias, items = model.get_item_representations(features)
        _, users = model.get_user_representations()
        self._users, self._items, self._bias = users, items, item_bias
        return self

    def score(self, users: IntArray) -> FloatArray:
        """(len(users), n_items)."""
        return np.asarray(self._users[users] @ self._items.T + self._bias, np.float32)


KINDS["lightfm"] = Kind(
    LightFMScorer,
    LightFMConfig(),
    {
        "identity": (True, False),
        "epochs": (10, 20, 50),
        "components": (32, 64, 128),
    },
    climb=True,
)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("catalog")
    parser.add_argument("--protocol", default="item-cold")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--target", choices=("cold", "all"), default="cold")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    graph = Catalog.open(given.catalog).graph
    text = embed_nodes(graph, TextConfig(model="none"), cache=None, device="cpu")
    values: Values = defaultdict(list)
    for seed in seeds_of(given.seeds):
        start = time.perf_counter()
        split = make_split(graph, given.protocol, seed)
        data = TrainingData(graph, split.train, text)
        targets: dict[str, Target] = {"lightfm": given.target, "kg-knn": "cold", "kg-prior": "cold"}
        models = {
            name: tune(name, data, split.valid, target=target, seed=seed).scorer
            for name, target in targets.items()
        }
        add(values, models, data, split, seed)
        logging.info("seed %d: %.0f s", seed, time.perf_counter() - start)
    print(json.dumps({"seeds": given.seeds, "target": given.target, "rows": rows_of(values)}))


if __name__ == "__main__":
    main()
