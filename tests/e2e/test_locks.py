"""Two processes and one output: the second command is refused, names the holder, and changes nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.datasets.generated import generate_catalog
from coldframe.kg.locks import FolderLock

RUNNER = CliRunner()
HOLD = """
import sys
from coldframe.kg.locks import FolderLock
lock = FolderLock.of_file if sys.argv[1] == "file" else FolderLock
with lock(sys.argv[2], purpose="hold"):
    print("held", flush=True)
    sys.stdin.readline()
"""
# command, what it writes, and how that is held
COMMANDS = (
    ("loop catalog --seeds 0 --budgets 5 --out out", "out", "folder"),
    ("tune catalog --trials 1 --out out", "out", "folder"),
    ("adapt-text catalog --out out", "out", "file"),
    ("train-policy --catalogs 1 --updates 1 --out out.json", "out.json", "file"),
    ("evaluate run --models coldframe", "run", "folder"),
    ("report run", "run/report.html", "file"),
    ("report run --out out.html", "out.html", "file"),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("locks")
    made = generate_catalog(folder / "data", size="tiny")
    for words in (
        ["ingest", *made.inputs, "--schema", made.schema, "--out", folder / "catalog"],
        ["train", folder / "catalog", "--out", folder / "run", "--epochs", "1", "--dimensions", "8",
         "--text", "tfidf", "--set", "hybrid.tune=false"],
    ):  # fmt: skip
        done = RUNNER.invoke(cli.app, [str(word) for word in words])
        assert done.exit_code == 0, done.output
    return folder


@contextmanager
def held(kind: str, path: Path) -> Iterator[int]:
    """Another process holds the path; its number."""
    command = [sys.executable, "-c", HOLD, kind, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "held\n"
        yield other.pid
        other.stdin.write("\n")


@pytest.mark.R(24)
@pytest.mark.parametrize(("command", "output", "kind"), COMMANDS, ids=lambda one: one)
def test_the_second_is_refused_and_told_who_holds_it(base, monkeypatch, command, output, kind):
    monkeypatch.chdir(base)
    with held(kind, base / output) as other:
        before = {path: path.stat().st_mtime_ns for path in base.rglob("*") if path.is_file()}
        done = RUNNER.invoke(cli.app, [*command.split(), "--json"])
        assert done.exit_code == 4, done.output
        error = json.loads(done.stdout)["error"]
        assert error["kind"] == "locked"
        assert f"process {other}" in error["message"]
        assert Path(error["where"]).name == Path(output).name
        assert {p: p.stat().st_mtime_ns for p in base.rglob("*") if p.is_file()} == before
    left = [path.name for path in base.rglob("*lock") if "journal" not in path.name]
    assert left == []


def test_the_lock_of_a_file_leaves_its_neighbours_free(tmp_path):
    a, b = (FolderLock.of_file(tmp_path / name, "x") for name in ("a.json", "b.json"))
    with a, b, FolderLock(tmp_path, "z"):
        assert len(list(tmp_path.iterdir())) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_report_is_written_where_nobody_holds_it(base, monkeypatch):
    monkeypatch.chdir(base)
    done = RUNNER.invoke(cli.app, ["report", "run", "--out", "free.html"])
    assert done.exit_code == 0, done.output
    assert (base / "free.html").is_file()
