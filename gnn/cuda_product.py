"""Sparse times dense on CUDA, to the same bits every time, by a kernel of our own in Triton.

cuSPARSE adds up a row's terms in an order that changes from call to call, so that a training that was
interrupted would not end where an undisturbed one does; and it is slower (bench/propagation.py). Here a
program adds up one piece of a row, edge by edge; rows that are too long for one program are cut into
pieces, whose sums a second kernel adds up in order. Triton comes with torch where torch has CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

_LONGEST = 512  # edges of one piece: hubs are spread over the device, ordinary rows stay whole
_EDGES = 8  # gathered at a time by a program of one warp
_WIDEST = 128  # columns of one program


@dataclass(frozen=True)
class Pieces:
    """How the rows of a CSR matrix are cut.

    Attributes:
        starts: (pieces + 1,), first edge of each piece; a row without edges is one empty piece.
        targets: (pieces,), the row that a piece is all of, or else n_rows + its number among the others.
        cut: (k,), the rows that are cut. cut_starts: (k + 1,), their first pieces among those others.
    """

    starts: Tensor
    targets: Tensor
    cut: Tensor
    cut_starts: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> Pieces:
        """Pieces of a sparse CSR matrix, on its device. O(n_rows)."""
        pointers = matrix.crow_indices().long()
        counts = (pointers.diff() + _LONGEST - 1).div(_LONGEST, rounding_mode="floor").clamp(min=1)
        row = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
        number = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
        partial = (counts > 1)[row]
        cut = torch.nonzero(counts > 1).squeeze(1)
        return cls(
            torch.cat([pointers[row] + number * _LONGEST, pointers[-1:]]),
            torch.where(partial, len(counts) + partial.cumsum(0) - 1, row),
            cut,
            torch.nn.functional.pad(counts[cut].cumsum(0), (1, 0)),
        )

    def product(self, matrix: Tensor, x: Tensor) -> Tensor:
        """A x in float32, shape (n, d).

        Args:
            matrix: sparse CSR, float32 (n, m), on CUDA: the one these are the pieces of, or one with the
                same pattern.
            x: float32 or bfloat16 (m, d), on that device; sums are in float32 either way.
        """
        if x.device.index != torch.cuda.current_device():
            with torch.cuda.device(x.device):
                return self.product(matrix, x)
        n, d = matrix.shape[0], x.shape[1]
        pieces, cut = len(self.targets), len(self.cut)
        out = torch.empty(pieces + cut, d, device=x.device)  # a row, or a part of one, each
        if not out.numel():
            return out
        width = min(triton.next_power_of_2(d), _WIDEST)
        across = triton.cdiv(d, width)
        _add_edges[(pieces, across)](
            x.contiguous(), out, self.starts, self.targets, matrix.col_indices(), matrix.values(), d,
            edges=_EDGES, width=width, num_warps=1,
        )  # fmt: skip
        if not cut:
            return out
        _add_pieces[(cut, across)](out, self.cut_starts, self.cut, n, d, width=width, num_warps=1)
        return out[:n]


@triton.jit
def _add_edges(
    x, out, starts, targets, columns, values, d, edges: tl.constexpr, width: tl.constexpr
):
    piece = tl.program_id(0)
    at = tl.program_id(1) * width + tl.arange(0, width)
    inside = at < d
    first, last = tl.load(starts + piece), tl.load(starts + piece + 1)
    total = tl.zeros((edges, width), tl.float32)
    for start in range(first, last, edges):
        edge = start + tl.arange(0, edges)
        real = edge < last
        column = tl.load(columns + edge, mask=real, other=0).to(tl.int64)
        value = tl.load(values + edge, mask=real, other=0.0)
        rows = tl.load(
            x + column[:, None] * d + at[None, :], mask=real[:, None] & inside[None, :], other=0.0
        )
        total += value[:, None] * rows.to(tl.float32)
    tl.store(out + tl.load(targets + piece) * d + at, tl.sum(total, 0), mask=inside)


@triton.jit
def _add_pieces(out, starts, rows, n, d, width: tl.constexpr):
    row = tl.program_id(0)
    at = tl.program_id(1) * width + tl.arange(0, width)
    inside = at < d
    total = tl.zeros((width,), tl.float32)
    for piece in range(tl.load(starts + row), tl.load(starts + row + 1)):
        total += tl.load(out + (n + piece) * d + at, mask=inside, other=0.0)
    tl.store(out + tl.load(rows + row) * d + at, total, mask=inside)
