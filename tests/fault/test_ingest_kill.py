"""kill -9 during ingest: the catalog is there whole, or not at all; a second run gives the same."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from coldframe.kg.cache import graph_hash
from coldframe.kg.catalog import Catalog

TRIALS = int(os.environ.get("COLDFRAME_KILLS", "50"))
SCHEMA = """
items = "item"
[nodes.item]
class = "urn:x:Item"
text.title = "urn:x:title"
[relations.near]
property = "urn:x:near"
from = "item"
to = "item"
"""
# One process imports everything once; each trial is a fork of it that ingests, and that it kills after
# the seconds in the line (0 = let it end). It answers with the exit status.
SERVER = """
import os, signal, sys, time
from coldframe.kg.catalog import Catalog
import coldframe.kg.reader, coldframe.kg.store
source, schema, out = sys.argv[1:]
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        Catalog.ingest(source, schema, out, replace=True)
        os._exit(0)
    if float(line):
        time.sleep(float(line))
        os.kill(child, signal.SIGKILL)
    print(os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.R(4)
def test_an_ingest_that_is_killed_leaves_all_or_nothing(tmp_path: Path) -> None:
    source, schema, out = tmp_path / "x.nt", tmp_path / "s.toml", tmp_path / "out"
    source.write_text(
        "".join(
            f"<urn:x:{k}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <urn:x:Item> .\n"
            f'<urn:x:{k}> <urn:x:title> "title {k}" .\n<urn:x:{k}> <urn:x:near> <urn:x:{k // 2}> .\n'
            for k in range(3000)
        ),
        "utf-8",
    )
    schema.write_text(SCHEMA, "utf-8")
    whole, _ = Catalog.ingest(source, schema, tmp_path / "reference")
    want = graph_hash(whole.graph)
    rng = np.random.default_rng(0)
    arguments = [sys.executable, "-c", SERVER, str(source), str(schema), str(out)]
    outcomes = set()
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        longest = 0.0
        for trial in range(TRIALS):
            started = time.monotonic()
            server.stdin.write(f"{rng.uniform(0, longest)}\n")
            server.stdin.flush()
            status = int(server.stdout.readline())
            longest = longest or time.monotonic() - started
            outcomes.add(status)
            if out.exists():
                catalog = Catalog.open(out)
                assert graph_hash(catalog.graph) == want
            if trial % 10 == 3 and out.exists():
                shutil.rmtree(out)  # the next kills start from nothing
        server.stdin.close()
    assert signal.SIGKILL in outcomes
    again, _ = Catalog.ingest(source, schema, out, replace=out.exists())
    assert graph_hash(again.graph) == want
    left = [path.name for path in tmp_path.iterdir() if path.suffix == ".tmp"]
    assert not left
