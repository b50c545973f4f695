"""Serving."""

from __future__ import annotations

import typer

TITLE = "Serving"
COMMANDS: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add."""
