"""Asking."""

from __future__ import annotations

import typer

TITLE = "Asking"
COMMANDS: tuple[str, ...] = ()


def register(app: typer.Typer) -> None:
    """Add."""
