"""Real commands stopped in the middle: gone within two seconds, nothing half-written, run again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.datasets.generated import generate_catalog

RUNNER = CliRunner()
CODE = "import sys; from coldframe.cli import main; sys.argv[0] = 'coldframe'; main()"
WAITED_FOR = """
from coldframe.commands import signals
install = signals.install
signals.install = lambda farewell: (install(farewell), print("ready", flush=True))
"""


def start(*words: object, code: str = CODE) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*words: object) -> dict:
    process = start(*words, "--json")
    out, err = process.communicate(timeout=250)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    base = tmp_path_factory.mktemp("stopped")
    made = generate_catalog(base / "data", size="tiny")
    finish("ingest", *made.inputs, "--schema", made.schema, "--out", base / "catalog")
    return base


@pytest.mark.R(23)
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("after", [0.0, 3.0])
def test_train_stops_at_once_and_starts_again(folder, number, code, after, tmp_path):
    words = ("train", folder / "catalog", "--out", tmp_path / "run", "--text", "tfidf")
    endless = (*words, "--set", "hybrid.training.patience=1000", "--epochs", "1000000")
    process = start(*endless, code=WAITED_FOR + CODE)
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == code, err
    assert out == ""
    assert "interrupted: " in err
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "run.json").exists()
    assert finish(*words, "--epochs", "1")["split"] == "fixed"


def tensors(run: Path) -> dict[str, bytes]:
    files = sorted((run / "checkpoints" / "step-000000").glob("*.safetensors"))
    return {file.name: file.read_bytes() for file in files}


@pytest.mark.R(13)
@pytest.mark.R(23)
def test_train_goes_on_where_it_was_stopped(folder, tmp_path):
    words = ("train", folder / "catalog", "--text", "tfidf", "--epochs", "40", "--dimensions", "16")
    words += ("--set", "hybrid.training.patience=1000")
    words += ("--set", 'hybrid.parts=["popularity", "ease", "encoder"]', "--out")
    process = start(*words, tmp_path / "stopped")
    unfinished = tmp_path / "stopped" / "unfinished"
    deadline = time.perf_counter() + 120
    while not list(unfinished.glob("*/encoder/LATEST")) and time.perf_counter() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143, err
    assert "it goes on after the last epoch that was kept" in err
    assert list(unfinished.glob("*/settings/LATEST"))
    again = RUNNER.invoke(cli.app, [*map(str, words), str(tmp_path / "stopped")])
    assert again.exit_code == 0, again.output
    assert "going on with the training that was interrupted" in again.stderr
    assert not unfinished.exists()
    whole = RUNNER.invoke(cli.app, [*map(str, words), str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output
    assert tensors(tmp_path / "stopped") == tensors(tmp_path / "whole")


@pytest.mark.R(23)
def test_loop_goes_on_where_it_was_stopped(folder, tmp_path):
    words = ("loop", folder / "catalog", "--out", tmp_path / "loop", "--strategies", "random")
    more = ("--budgets", "20", "--at-least", "3", "--workers", "1")
    process = start(*words, *more, "--seeds", "0-200")
    seeds = tmp_path / "loop" / "seeds"
    deadline = time.perf_counter() + 120
    while len(list(seeds.glob("*.json"))) < 2 and time.perf_counter() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 143, err
    assert "finished parts are kept" in err
    kept = {path.name: path.stat().st_mtime_ns for path in seeds.glob("*.json")}
    assert len(kept) >= 2
    found = finish(*words, *more, "--seeds", "0-1")
    assert found["seeds"] == [0, 1]
    assert {path.name: path.stat().st_mtime_ns for path in seeds.glob("*.json")} == kept
