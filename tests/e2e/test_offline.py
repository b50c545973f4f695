"""The quick start without a network: any attempt to reach one ends the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from pathlib import Path

def refuse(event, arguments):
    # A pair of sockets within the machine is how signals are watched; names and addresses are not.
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.sendto") or (
        event == "socket.connect" and not isinstance(arguments[1], (str, bytes))
    ):
        sys.stderr.write(f"network: {event} {arguments}")
        sys.stderr.flush()
        import os
        os._exit(77)

sys.addaudithook(refuse)
from typer.testing import CliRunner
from coldframe import cli
from coldframe.datasets.generated import generate_catalog

def run(*words):
    done = CliRunner().invoke(cli.app, [*map(str, words), "--json"])
    assert done.exit_code == 0, done.output

base = Path(sys.argv[1])
made = generate_catalog(base / "data", size="tiny")
run("ingest", *made.inputs, "--schema", made.schema, "--out", base / "catalog")
run("check", base / "catalog")
parts = 'hybrid.parts=["popularity", "kg-prior", "encoder"]'
run("train", base / "catalog", "--out", base / "run", "--epochs", 2, "--dimensions", 8, "--set", parts)
run("recommend", base / "run", "-k", 3, "--out", base / "best.csv")
run("acquire", base / "run", "--budget", 5, "--out", base / "questions.csv")
run("report", base / "run")
print((base / "run" / "config.toml").read_text())
"""


@pytest.mark.R(29)
def test_the_quick_start_needs_no_network(tmp_path: Path) -> None:
    """With the default text model, which may come from a hub where a package does not bring it."""
    command = [sys.executable, "-c", CODE, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert 'model = "auto"' in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.R(29)
def test_the_watch_would_see_a_connection() -> None:
    watch = CODE.partition("from typer")[0]
    tries = "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=1)"
    done = subprocess.run(
        [sys.executable, "-c", watch + tries], capture_output=True, text=True, check=False
    )
    assert done.returncode == 77
    assert "network: socket" in done.stderr
