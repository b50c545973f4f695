"""Where the rows of a table that was read stand in its files: what findings name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .vocabulary import IntArray


@dataclass(frozen=True)
class RowPlaces:
    """The rows that were kept of one file, or of several one after another.

    Attributes:
        name: of the whole: the file, or the section's `file`, or the section.
        files: what each file is called, in order.
        starts: number of rows in the files before each, those that were left out too, int64 (n_files,).
        kept: number of each row among those of all files, int64 (n_rows,); None = all were kept.
    """

    name: str
    files: tuple[str, ...]
    starts: IntArray
    kept: IntArray | None = None

    @classmethod
    def of(cls, name: str, files: Sequence[tuple[str, int, Sequence[int]]]) -> RowPlaces:
        """The rows that were read of files.

        Args:
            files: what each is called, how many rows were read of it, and the numbers of those beside
                them that were left out, from 0.
        """
        starts = np.cumsum([0, *(size + len(left_out) for _, size, left_out in files)])
        gone = [
            start + np.asarray(left_out, np.int64)
            for start, (_, _, left_out) in zip(starts[:-1], files, strict=True)
        ]
        lost = np.concatenate([np.zeros(0, np.int64), *gone])
        kept = np.delete(np.arange(starts[-1]), lost) if len(lost) else None
        return cls(name, tuple(name for name, _, _ in files), starts[:-1].astype(np.int64), kept)

    def row(self, number: int) -> str:
        """File and row, counted from 1 within the file and without its header, of row `number`."""
        at = number if self.kept is None else int(self.kept[number])
        file = int(np.searchsorted(self.starts, at, side="right")) - 1
        return f"{self.files[file]}:row {at - int(self.starts[file]) + 1}"

    def take(self, rows: IntArray) -> RowPlaces:
        """The places of some of the rows."""
        return replace(self, kept=rows if self.kept is None else self.kept[rows])

    def __str__(self) -> str:
        return self.name
