"""What `verify` looks at: each part of a catalog, run or checkpoint against its hashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..kg.errors import ColdframeError, IntegrityError, LockedError, UsageError

Check = tuple[str, Callable[[], object]]


def verify_path(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """Kind of the artefact, and one row per part: "part", "ok", "reason" ("" where it is sound).

    Raises:
        UsageError: the path is none of a catalog, a run, a checkpoint or a journal.
    """
    kind, checks = _parts(path)
    return kind, [_outcome(*check) for check in checks]


def _outcome(part: str, look: Callable[[], object]) -> dict[str, Any]:
    try:
        look()
    except LockedError:
        raise  # in use, which says nothing about its soundness
    except ColdframeError as error:
        return {"part": part, "ok": False, "reason": error.message}
    return {"part": part, "ok": True, "reason": ""}


def _parts(path: Path) -> tuple[str, Iterator[Check]]:
    if (path / "catalog.toml").is_file() or (path / "cache").is_dir():
        return "catalog", _catalog(path)
    if (path / "run.json").is_file() or (path / "checkpoints").is_dir():
        from .run_verification import run_checks

        return "run", run_checks(path)
    if path.name.startswith("step-") and path.is_dir():
        return "checkpoint", _checkpoint(path)
    if path.suffix == ".jsonl" and path.is_file():
        return "journal", _journal(path)
    raise UsageError(
        "this is no catalog, run, checkpoint or journal",
        where=str(path),
        hint="give a folder that ingest or train made",
    )


def _catalog(folder: Path) -> Iterator[Check]:
    from ..kg.arrow_folder import read_arrow_folder
    from ..kg.cache import cache_key, read_graph, read_quads_cache
    from ..kg.catalog_store import check_store
    from ..kg.manifest import read_manifest
    from ..kg.schema import Schema

    manifest: dict[str, Any] = {}

    def whole() -> None:
        manifest.update(read_manifest(folder))

    def schema() -> None:
        if Schema.load(folder / "catalog.toml").content_hash != manifest.get("schema"):
            raise IntegrityError("the schema was changed after the catalog was made")

    def statements() -> None:
        quads = read_quads_cache(folder / "cache" / "quads")
        if quads.content_hash != manifest.get("content"):
            raise IntegrityError("the statements are not those that were ingested")

    def graph() -> None:
        key = cache_key(str(manifest.get("content")), str(manifest.get("schema")))
        read_graph(folder / "cache" / key)

    yield "manifest", whole
    yield "schema", schema
    if (folder / "cache" / "quads").exists():
        yield "statements", statements
    if (folder / "cache" / "tables").exists():
        yield "tables", lambda: read_arrow_folder(folder / "cache" / "tables")
    yield "graph", graph
    yield "store", lambda: check_store(folder / "store")


def _checkpoint(path: Path) -> Iterator[Check]:
    from ..gnn.checkpoint import load_checkpoint

    yield "checkpoint", lambda: load_checkpoint(path)


def _journal(path: Path) -> Iterator[Check]:
    from ..active.journal import Journal

    yield "journal", Journal(path).records
