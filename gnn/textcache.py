"""Vectors of texts on disk: an append-only float16 file per model and one SQLite index.

A row is found by (model fingerprint, sha256 of the text), so a changed text or model is a miss and
never a stale vector. Rows go through neither a temporary file nor a rename, as the file only grows:
what SQLite has not committed is overwritten by the next writer.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..kg.errors import LockedError, ResourceError

HalfArray = npt.NDArray[np.float16]
_WAIT_SECONDS = 60.0
_TABLE = """CREATE TABLE IF NOT EXISTS vectors (
    model TEXT NOT NULL, text BLOB NOT NULL, row INTEGER NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (model, text)) WITHOUT ROWID"""


class TextCache:
    """The vectors of one model in a cache folder that many models and processes may share.

    Args:
        folder: created where it is missing.
        model: fingerprint of the model and its settings, hexadecimal.
        width: d of its vectors.
    """

    def __init__(self, folder: Path, model: str, width: int) -> None:
        self.model, self.width = model, width
        self.rows_path = folder / f"{model[:32]}.f16"
        with self._reporting("opened"):
            folder.mkdir(parents=True, exist_ok=True)
            self._index = sqlite3.connect(
                folder / "index.sqlite", timeout=_WAIT_SECONDS, isolation_level=None
            )
            self._index.execute(_TABLE)

    def read(self, texts: Sequence[str]) -> dict[str, HalfArray]:
        """The vectors that are there; a row whose checksum is wrong counts as missing.

        Returns:
            text -> float16 (width,).

        Raises:
            ResourceError: the index is damaged or not readable.
        """
        keys = {text_hash(text): text for text in texts}
        found: dict[str, HalfArray] = {}
        if not keys or not self.rows_path.is_file() or self.rows_path.stat().st_size == 0:
            return found
        with self._reporting("read"):
            rows = np.memmap(self.rows_path, np.uint8, "r")
            size = 2 * self.width
            # One scan of the model's part of the index: far faster than one look-up per text.
            for key, row, crc in self._index.execute(
                "SELECT text, row, crc FROM vectors WHERE model = ?", (self.model,)
            ):
                text = keys.get(bytes(key))
                raw = bytes(rows[row * size : (row + 1) * size]) if text is not None else b""
                if text is not None and len(raw) == size and zlib.crc32(raw) == crc:
                    found[text] = np.frombuffer(raw, np.float16)
        return found

    def append(self, texts: Sequence[str], vectors: HalfArray) -> None:
        """Add rows, (n, width); the SQLite write lock keeps other writers out until it is done.

        Raises:
            LockedError: another process held the cache for longer than a minute.
            ResourceError: the disk is full or not writable; the cache stays as it was.
        """
        data = np.ascontiguousarray(vectors, np.float16).tobytes()
        size = 2 * self.width
        with self._reporting("written"):
            self._index.execute("BEGIN IMMEDIATE")
            try:
                used = self._index.execute(
                    "SELECT COALESCE(MAX(row) + 1, 0) FROM vectors WHERE model = ?", (self.model,)
                ).fetchone()[0]
                _write_at(self.rows_path, used * size, data)
                checks = (zlib.crc32(data[at : at + size]) for at in range(0, len(data), size))
                self._index.executemany(
                    "INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)",
                    (
                        (self.model, text_hash(text), row, check)
                        for row, (text, check) in enumerate(zip(texts, checks, strict=True), used)
                    ),
                )
                self._index.execute("COMMIT")
            finally:
                self._index.rollback()  # of what was not committed, unless SQLite has done so

    def close(self) -> None:
        """Let go of the index."""
        self._index.close()

    @contextmanager
    def _reporting(self, done: str) -> Iterator[None]:
        """Errors of the files and of SQLite as ours."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            where = str(self.rows_path.parent)
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise LockedError(
                    "another process is writing the text cache", where=where
                ) from error
            raise ResourceError(
                f"text cache cannot be {done}: {error}",
                where=where,
                hint="delete the folder if it is damaged; its vectors are computed again",
            ) from error


def text_hash(text: str) -> bytes:
    """sha256 of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _write_at(path: Path, offset: int, data: bytes) -> None:
    """Write from `offset` on, cutting off what an unfinished writer left behind, and fsync."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.ftruncate(descriptor, offset)
        view, position = memoryview(data), offset
        while view:
            written = os.pwrite(descriptor, view, position)
            view, position = view[written:], position + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
