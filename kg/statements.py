"""Statements as pairs of codes: one property, or a path of several, after merging and minting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .ids import positions
from .quads import CodeArray, Quads
from .schema import Hop, PropertyPath
from .vocabulary import IntArray


@dataclass(frozen=True)
class Pairs:
    """Ends of a path, columns of shape (m,).

    Attributes:
        start: term codes.
        end: term codes, or literals as -(literal + 1).
        row: the statement of the last hop.
    """

    start: CodeArray
    end: CodeArray
    row: IntArray

    @property
    def columns(self) -> tuple[CodeArray, CodeArray, IntArray]:
        """start, end, row."""
        return self.start, self.end, self.row

    def select(self, keep: npt.NDArray[np.bool_]) -> Pairs:
        """The pairs of a mask."""
        if keep.all():
            return self
        return Pairs(self.start[keep], self.end[keep], self.row[keep])

    def turned(self) -> Pairs:
        """The pairs with terms at both ends, turned round."""
        out = self.select(self.end >= 0)
        return Pairs(out.end, out.start, out.row)

    def join(self, other: Pairs) -> Pairs:
        """These pairs, then the other's."""
        return Pairs(
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.row, other.row]),
        )


class Statements:
    """A `Quads` seen through merged terms and IRIs minted from literals.

    Attributes:
        terms: the terms of the quads, then minted ones; codes index it.
        canon: term -> the term that stands for it, or None where nothing is merged.
    """

    def __init__(self, quads: Quads) -> None:
        self.quads = quads
        self.terms: pa.Array = quads.terms
        self.canon: CodeArray | None = None

    def __len__(self) -> int:
        return len(self.terms)

    def code(self, iri: str) -> int:
        """The term that stands for an IRI, -1 if no statement has it."""
        code = self.quads.find(iri)
        return code if code < 0 or self.canon is None else int(self.canon[code])

    def add_terms(self, iris: pa.Array) -> CodeArray:
        """Codes of IRIs, which are appended where no term has them; null gives -1."""
        codes = positions(self.terms, iris)
        new = np.flatnonzero((codes < 0) & np.asarray(iris.is_valid(), bool))
        if len(new):
            distinct = iris.take(pa.array(new)).unique()
            codes[new] = len(self) + positions(distinct, iris.take(pa.array(new)))
            if self.canon is not None:
                more = np.arange(len(self), len(self) + len(distinct), dtype=np.int32)
                self.canon = np.concatenate([self.canon, more])
            self.terms = pa.concat_arrays([self.terms, distinct])
        out = codes.astype(np.int32)
        return out if self.canon is None else np.where(out >= 0, self.canon[out], np.int32(-1))

    def pairs(self, hop: Hop) -> Pairs:
        """All statements of one property, turned where the hop is inverse."""
        rows = self.quads.rows_of(hop.property)
        start, end = self.quads.s[rows], self.quads.o[rows]
        if self.canon is not None and len(start):
            start = self.canon[start]
            end = np.where(end >= 0, self.canon[np.maximum(end, 0)], end)
        out = Pairs(start, end, np.arange(rows.start, rows.stop))
        return out.turned() if hop.inverse else out

    def pairs_of(self, properties: Sequence[str]) -> Pairs:
        """All statements of several properties, one after the other."""
        return reduce(Pairs.join, (self.pairs(Hop(iri)) for iri in properties))

    def follow(self, path: PropertyPath, starts: npt.NDArray[np.bool_] | None = None) -> Pairs:
        """All ends of a path, repeats included.

        Args:
            starts: mask of the terms from which to start, (n_terms,); None = all.
        """
        out = self.pairs(path.hops[0])
        if starts is not None:
            out = out.select(starts[out.start])
        for hop in path.hops[1:]:
            out = _joined(out.select(out.end >= 0), self.pairs(hop))
        return out

    def where(self, row: int) -> str:
        """The file of a statement."""
        return self.quads.source_of(row)


def _joined(left: Pairs, right: Pairs) -> Pairs:
    """left.end = right.start."""
    if (np.diff(right.start) < 0).any():
        order = np.argsort(right.start, kind="stable")
        right = Pairs(right.start[order], right.end[order], right.row[order])
    low = np.searchsorted(right.start, left.end, "left")
    count = np.searchsorted(right.start, left.end, "right") - low
    first = np.cumsum(count) - count
    place = np.repeat(low - first, count) + np.arange(int(count.sum()))
    return Pairs(np.repeat(left.start, count), right.end[place], right.row[place])
