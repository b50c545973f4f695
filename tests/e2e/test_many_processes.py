"""Training under torchrun: two processes make the run that one makes, and go on where they stopped."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.datasets.generated import generate_catalog
from coldframe.gnn.runs import Run

TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
SMALL = (
    *("--dimensions", "16", "--text", "none", "--device", "cpu"),
    *("--set", 'hybrid.parts=["popularity", "kg-prior", "encoder"]', "--set", "hybrid.tune=false"),
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("processes")
    made = generate_catalog(folder / "data", size="tiny")
    words = ("ingest", *made.inputs, "--schema", made.schema, "--out", folder / "catalog")
    assert CliRunner().invoke(cli.app, list(map(str, words))).exit_code == 0
    return folder / "catalog"


def train(catalog: Path, out: Path, *words: str, start: tuple[str, ...] = (sys.executable,)):
    command = (*start, "-m", "coldframe.cli", "train", catalog, "--out", out, *SMALL, *words)
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def scores(folder: Path) -> np.ndarray:
    encoder = Run.open(folder, device="cpu").model.encoder
    assert encoder is not None
    found = encoder.score(np.arange(20))
    # A constant added to all items is ranked alike: its gradient is nothing but rounding.
    return found - np.nanmean(found, axis=1, keepdims=True)


def test_two_processes_make_the_run_that_one_makes(catalog, tmp_path):
    one = train(catalog, tmp_path / "one", "--epochs", "4")
    assert one.wait(300) == 0, one.stderr.read()
    two = train(catalog, tmp_path / "two", "--epochs", "4", "--json", start=TWO)
    out, err = two.communicate(timeout=300)
    assert two.returncode == 0, err
    assert out.count('"run"') == 1, "one process alone tells the outcome"
    np.testing.assert_allclose(scores(tmp_path / "two"), scores(tmp_path / "one"), atol=1e-3)


def test_two_processes_go_on_where_they_were_stopped(catalog, tmp_path):
    folder = tmp_path / "run"
    first = train(catalog, folder, "--epochs", "400", start=TWO)
    until = time.monotonic() + 200
    while not list(folder.glob("unfinished/*/encoder/LATEST")):
        assert first.poll() is None, first.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.05)
    first.terminate()
    first.wait(60)
    again = train(catalog, folder, "--epochs", "400", start=TWO)
    _, err = again.communicate(timeout=400)
    assert again.returncode == 0, err
    assert err.count("going on with the training") == 1
    assert np.isfinite(scores(folder)).any()
