"""kill -9 at each durable step of taking answers in and learning: the same round in the end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog

CONFIG = RecommenderConfig(
    hybrid=HybridConfig(parts=("popularity", "rp3beta", "kg-prior"), tune=False),
    text=TextConfig(model="tfidf", dimensions=16),
)
# A process of its own forks one that plays the round and dies at its N-th step, and one that is
# started afterwards with the same commands. It prints what stands on disk in the end, for each N.
PLAY = """
import hashlib, json, os, shutil, signal, sys
from pathlib import Path
import numpy as np
from coldframe.active.cycle import ask, learn, rounds_of, tell
from coldframe.gnn.runs import Run

SEAM = ("fsync", "replace", "rename")

def play(folder):
    run = Run.open(folder, device="cpu")
    if run.round == 0:
        ask(run, 12)
        users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary
        cold = run.split.cold_items
        rows = [
            {"user": users[k], "item": items[int(cold[k % 5])], "answer": ("like", "dislike")[k % 2]}
            for k in range(10)
        ]
        tell(run, rows)
        learn(Run.open(folder, device="cpu"))

def kill_at(number):
    left = [number]
    for name in SEAM:
        def step(*args, real=getattr(os, name), **more):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **more)
        setattr(os, name, step)

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
    return os.waitpid(child, 0)[1]

def told(folder):
    run = Run.open(folder, device="cpu")
    rounds, labels = rounds_of(run), run.labels(1)
    with run.catalog.store() as store:
        found = store.select(
            "SELECT ?g ?u ?i ?a { GRAPH ?g { ?x <urn:coldframe:ns#user> ?u ;"
            " <urn:coldframe:ns#item> ?i ; <urn:coldframe:ns#answer> ?a } } ORDER BY ?g ?u ?i ?a"
        ).to_pylist()
    scores = run.model.scorer.score(np.arange(run.catalog.graph.n_users))
    answers = [(r.seq, r.answer.user, r.answer.item, r.answer.answer) for r in rounds.journal.records()]
    return {
        "round": run.round,
        "picks": rounds.questions(1).select(["user", "item"]).to_pylist(),
        "answers": answers,
        "labels": [labels.user.tolist(), labels.item.tolist(), labels.label.tolist()],
        "scores": hashlib.sha256(scores.tobytes()).hexdigest(),
        "metrics": rounds.metrics(1),
        "graph": found,
        "stray": sorted(path.name for path in folder.rglob(".cf-*")),
    }

def say(folder, killed):
    print(json.dumps([killed, told(folder)]), flush=True)

base, scratch, stride = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
number = 0
while True:
    shutil.copytree(base, scratch)
    status = forked(lambda: (kill_at(number), play(scratch / "run")))
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, status
    if killed:
        assert forked(lambda: play(scratch / "run")) == 0
    assert forked(lambda: say(scratch / "run", killed)) == 0
    shutil.rmtree(scratch)
    if number and not killed:
        break
    number += stride
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kills")
    made = generate_catalog(folder / "data", size="tiny")
    catalog, _ = Catalog.ingest(list(made.inputs), made.schema, folder / "base" / "catalog")
    split = make_split(catalog.graph, "default")
    model = Recommender(CONFIG, device="cpu").fit(catalog, split)
    Run.create(folder / "base" / "run", catalog, split, model)
    return folder


@pytest.mark.R(3)
def test_killed_anywhere_in_a_round_it_ends_as_if_it_had_not_been(base: Path) -> None:
    stride = 5
    done = subprocess.run(
        [sys.executable, "-c", PLAY, str(base / "base"), str(base / "scratch"), str(stride)],
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (whole_killed, whole), *others = (json.loads(line) for line in done.stdout.splitlines())
    assert not whole_killed
    assert whole["round"] == 1
    assert len(whole["answers"]) == 10
    assert len(whole["graph"]) == 10
    kills = [found for killed, found in others if killed]
    assert len(kills) >= 12
    for number, found in enumerate(kills, 1):
        for part, expected in whole.items():
            assert found[part] == expected, f"{part} after a kill at step {number * stride}"
