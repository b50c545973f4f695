"""Which run folder writes under which name into a catalog's store: store/runs.json.

Places are kept as they lie from the catalog, so that run and catalog may be moved or copied together.
"""

from __future__ import annotations

import os
from pathlib import Path

from .files import read_sealed, write_sealed

CLAIMS = "runs.json"


def claims(store: Path) -> dict[str, str]:
    """Name of a run -> its folder from the catalog's; to be read while the store is held.

    Raises:
        IntegrityError: the file is damaged.
    """
    path = store / CLAIMS
    return dict(read_sealed(path)) if path.exists() else {}


def place_of(run: Path, catalog: Path) -> str:
    """A run's folder from the catalog's."""
    return os.path.relpath(run.resolve(), catalog.resolve())


def claim(store: Path, name: str, place: str) -> None:
    """Note who writes under a name."""
    write_sealed(store / CLAIMS, {**claims(store), name: place})
