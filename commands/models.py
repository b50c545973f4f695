"""Models."""

from __future__ import annotations

import typer

TITLE = "Models"
COMMANDS: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add."""
