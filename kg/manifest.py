"""The manifest of a catalog folder: what was read from which files, into what, by what."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .errors import IntegrityError
from .files import read_sealed
from .origin import made_with
from .quads import Source
from .report import Report
from .schema import Schema

FORMAT = 1
MANIFEST = "manifest.json"


def manifest_of(
    name: str, content: str, schema: Schema, report: Report, inputs: Iterable[Source]
) -> dict[str, Any]:
    """The manifest of a catalog that was read; `content` is the hash of what was read."""
    return {
        "format": FORMAT,
        "name": name,
        "content": content,
        "schema": schema.content_hash,
        "inputs": [[one.path, one.sha256, one.triples] for one in inputs],
        "versions": made_with("numpy", "pyarrow", "pyoxigraph"),
        "report": report.as_dict(),
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a catalog folder: content, schema, inputs, report, versions.

    Raises:
        IntegrityError: it is damaged, or of another version.
    """
    found: dict[str, Any] = read_sealed(
        folder / MANIFEST, "restore it from a copy, or ingest the source again"
    )
    if found.get("format") != FORMAT:
        raise IntegrityError(
            f"format {found.get('format')!r}, expected {FORMAT}",
            where=str(folder / MANIFEST),
            hint="ingest the source again",
        )
    return found
