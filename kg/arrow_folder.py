"""Named Arrow tables in one folder with a manifest of hashes: written whole, believed only if intact."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from .errors import IntegrityError, ResourceError
from .files import atomic_folder, naming, read_sealed, safe_join, sha256_file, write_sealed

FORMAT = 1
MANIFEST = "manifest.json"


def write_arrow_folder(
    folder: Path, tables: Mapping[str, pa.Table], about: Mapping[str, Any]
) -> None:
    """Write tables as `<number>.arrow` files and a manifest, all or nothing; replaces a folder.

    Args:
        about: JSON content that is kept in the manifest.
    """
    with atomic_folder(folder, replace=True) as new:
        files = {}
        for number, (name, table) in enumerate(tables.items()):
            path = new / f"{number}.arrow"
            with (
                naming(path, "write"),
                pa.OSFile(str(path), "wb") as out,
                pa.ipc.new_file(out, table.schema) as writer,
            ):
                writer.write_table(table)
            files[name] = {
                "file": path.name,
                "sha256": sha256_file(path),
                "bytes": path.stat().st_size,
            }
        write_sealed(new / MANIFEST, {"format": FORMAT, "files": files, "about": dict(about)})


def read_arrow_folder(folder: Path) -> tuple[dict[str, pa.Table], dict[str, Any]]:
    """Map the tables of a folder into memory after every hash has been checked.

    Raises:
        IntegrityError: something is missing, of another version, or not what was written.
    """
    try:
        manifest = read_sealed(folder / MANIFEST)
        if manifest["format"] != FORMAT:
            raise IntegrityError(
                f"format {manifest['format']!r} is not {FORMAT}", where=str(folder)
            )
        tables = {
            str(name): _mapped(safe_join(folder, entry["file"]), entry)
            for name, entry in manifest["files"].items()
        }
        return tables, dict(manifest["about"])
    except IntegrityError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise IntegrityError(f"damaged: {error!r}", where=str(folder)) from None
    except (ResourceError, OSError) as error:
        raise IntegrityError(f"damaged: {error}", where=str(folder)) from None


def _mapped(path: Path, entry: Mapping[str, Any]) -> pa.Table:
    if path.stat().st_size != entry["bytes"] or sha256_file(path) != entry["sha256"]:
        raise IntegrityError("the content is not what was written", where=str(path))
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()
