"""Start."""

from __future__ import annotations

import typer

TITLE = "Start"
COMMANDS: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add."""
