"""The whole chain by its commands, from raw files to a retrained model; prints one JSON object.

    python bench/chain.py movielens-1m FOLDER OUT [--protocol cold-split-column] [--budget 500]

Every stage is a process of its own, with its wall time and peak memory. Questions are about the split's
cold items; a pair of the test part is answered "like", any other "dislike".
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa

from coldframe.gnn.runs import Run
from coldframe.kg.files import read_table, write_table

SEGMENTS = ("all", "hot", "cold", "cold-only")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset")
    parser.add_argument("source")
    parser.add_argument("out", type=Path)
    parser.add_argument("--protocol", default="cold-split-column")
    parser.add_argument("--budget", type=int, default=500)
    given = parser.parse_args()
    catalog, run = given.out / "catalog", given.out / "run"
    stages: dict[str, Any] = {}

    def stage(name: str, *words: object) -> Any:
        stages[name], output = timed(*words)
        return output

    stage("ingest", "dataset", given.dataset, "--from", given.source, "--out", catalog)
    stage("train", "train", catalog, "--out", run, "--protocol", given.protocol)
    before = stage("evaluate", "evaluate", run)
    opened = Run.open(run)
    items = opened.catalog.graph.items.vocabulary
    asked_about = given.out / "cold-items.txt"
    asked_about.write_text("".join(f"{items[int(i)]}\n" for i in opened.split.cold_items))
    questions = given.out / "questions.csv"
    stage(
        "acquire", "acquire", run, "--budget", given.budget, "--items", asked_about,
        "--out", questions,
    )  # fmt: skip
    stages["likes"] = answer(opened, questions)
    stage("label", "label", run, questions)
    stage("retrain", "retrain", run, "--no-measure")
    after = stage("evaluate again", "evaluate", run, "--models", "coldframe,kg-prior")
    result = {
        "dataset": given.dataset,
        "protocol": given.protocol,
        "budget": given.budget,
        "stages": stages,
        "before": figures(before),
        "after": figures(after),
    }
    print(json.dumps(result))


def timed(*words: object) -> tuple[dict[str, float], Any]:
    """Run a command with --json: seconds and peak memory of its process, and what it printed."""
    command = [str(Path(sys.executable).with_name("coldframe")), *map(str, words), "--json"]
    print(" ".join(command), file=sys.stderr)
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    found = json.loads(output)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {found}")
    seconds = round(time.perf_counter() - start, 1)
    return {"seconds": seconds, "peak_gb": round(usage.ru_maxrss / 2**20, 2)}, found


def answer(run: Run, path: Path) -> int:
    """Fill in the answers; returns how many are likes."""
    graph, test = run.catalog.graph, run.split.test
    liked = {
        (graph.users.vocabulary[int(u)], graph.items.vocabulary[int(i)])
        for u, i in zip(test.user, test.item, strict=True)
    }
    table = read_table(path, text=("user", "item"))
    pairs = zip(table["user"].to_pylist(), table["item"].to_pylist(), strict=True)
    answers = ["like" if pair in liked else "dislike" for pair in pairs]
    names = [name for name in table.column_names if name != "answer"]
    write_table(path, table.select(names).append_column("answer", pa.array(answers)))
    return answers.count("like")


def figures(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Model -> segment -> NDCG@10."""
    out: dict[str, dict[str, float]] = {}
    for row in found["rows"]:
        if row["segment"] in SEGMENTS and row["ndcg@10"] is not None:
            out.setdefault(row["model"], {})[row["segment"]] = round(row["ndcg@10"], 4)
    return out


if __name__ == "__main__":
    main()
