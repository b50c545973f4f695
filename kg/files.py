"""Files: the one place from which every module takes its ways to write, read, name and lock.

Writing is in `writing`, JSON in `json_files`, tables in `table_files`, locks in `locks`; all of it is
meant to be imported from here.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from .errors import DataError
from .json_files import plain, read_json, read_sealed, write_json, write_sealed
from .locks import FolderLock
from .table_files import read_table, write_table
from .writing import StrPath, append_record, atomic_folder, atomic_write, naming, sweep, sync

__all__ = [
    "FolderLock",
    "StrPath",
    "append_record",
    "atomic_folder",
    "atomic_write",
    "naming",
    "plain",
    "read_json",
    "read_sealed",
    "read_table",
    "safe_join",
    "sha256_bytes",
    "sha256_file",
    "sweep",
    "sync",
    "write_json",
    "write_sealed",
    "write_table",
]


def safe_join(root: StrPath, *names: str) -> Path:
    """`root` / names, where each name must be one plain component that stays inside `root`.

    Raises:
        DataError: a name is empty, `.` or `..`, holds a separator, drive or control character, is
            longer than 255 bytes, or leads out of `root` through a symbolic link.
    """
    path = Path(root)
    for name in names:
        plain = (
            name not in ("", ".", "..")
            and not re.search(r"[/\\:\x00-\x1f\x7f\ud800-\udfff]", name)
            and len(name.encode("utf-8", "surrogatepass")) <= 255
        )
        if not plain:
            raise DataError(
                f"{name[:80]!r} cannot be the name of a file",
                hint="use a plain name without / or ..",
            )
        path = path / name
    if not path.resolve().is_relative_to(Path(root).resolve()):
        raise DataError(f"{'/'.join(names)!r} leads out of its folder", where=str(root))
    return path


def sha256_bytes(data: bytes) -> str:
    """Hex sha256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: StrPath) -> str:
    """Hex sha256 of a file's content."""
    with naming(path, "read"), Path(path).open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
