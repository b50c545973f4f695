"""Commands as tests call them."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from coldframe import cli

RUNNER = CliRunner()


def run(*words: object, code: int = 0, typed: str | None = None) -> dict:
    """The JSON object of a command that must end with this exit code."""
    done = RUNNER.invoke(cli.app, [*map(str, words), "--json"], input=typed)
    assert done.exit_code == code, done.output
    return json.loads(done.stdout)
