"""Sparse propagation: CSR products with a stored transpose, for graphs whose edges do not change.

The gradient of A x with respect to x is A' g. Native autograd builds A' anew in every step; storing it
once makes a step about three times faster, and where edges run both ways it is there already.
On CUDA the products go through a kernel of our own, or, where there is no Triton, through cuSPARSE.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from .csc import entries_of

if TYPE_CHECKING:
    from .cuda_product import Pieces

_INT32_END = 2**31


@dataclass(frozen=True)
class Propagation:
    """A sparse matrix and its transpose, both CSR.

    Attributes:
        forward: sparse CSR, float32, shape (n, m).
        backward: its transpose, shape (m, n).
        order: int64 (nnz,): `backward.values() == forward.values()[order]`.
        forward_pieces, backward_pieces: how CUDA's kernel cuts their rows; None elsewhere.
    """

    forward: Tensor
    backward: Tensor
    order: Tensor
    forward_pieces: Pieces | None = None
    backward_pieces: Pieces | None = None

    @classmethod
    def from_scipy(cls, matrix: sp.csr_matrix) -> Propagation:
        """The same entries, sorted; explicit zeros stay."""
        matrix = sp.csr_matrix(matrix, dtype=np.float32)
        matrix.sum_duplicates()
        numbered = sp.csr_matrix(
            (np.arange(1, matrix.nnz + 1, dtype=np.int64), matrix.indices, matrix.indptr),
            matrix.shape,
        )
        flipped = numbered.T.tocsr()
        flipped.sort_indices()
        order = flipped.data - 1
        return cls(
            _tensor(matrix.indptr, matrix.indices, matrix.data, matrix.shape),
            _tensor(flipped.indptr, flipped.indices, matrix.data[order], flipped.shape),
            torch.from_numpy(order),
        )

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Propagation:
        """No entries."""
        return cls.from_scipy(sp.csr_matrix(shape, dtype=np.float32))

    @property
    def shape(self) -> tuple[int, int]:
        """(n, m)."""
        return int(self.forward.shape[0]), int(self.forward.shape[1])

    @property
    def transposed(self) -> Propagation:
        """The same matrix the other way round; nothing is copied but the order."""
        inverse = torch.empty_like(self.order)
        inverse[self.order] = torch.arange(len(self.order), device=self.order.device)
        return Propagation(
            self.backward, self.forward, inverse, self.backward_pieces, self.forward_pieces
        )

    def __matmul__(self, x: Tensor) -> Tensor:
        """A x for dense x of shape (m, d): float32 (n, d), whatever precision autocast is in."""
        product: Callable[..., Tensor] = _Product.apply
        return product(self, x)

    def to(self, device: torch.device | str) -> Propagation:
        """On another device."""
        forward, backward = self.forward.to(device), self.backward.to(device)
        return Propagation(
            forward, backward, self.order.to(device), _pieces(forward), _pieces(backward)
        )

    def with_values(self, values: Tensor) -> Propagation:
        """The same pattern with other values, float32 (nnz,) in the order of `forward`."""
        return replace(
            self,
            forward=_like(self.forward, values),
            backward=_like(self.backward, values[self.order]),
        )

    def of_rows(self, rows: Tensor) -> tuple[Propagation, Tensor]:
        """These rows alone, shape (k, m), and the places in `forward` of their entries: int64 (nnz,)."""
        start = self.forward.crow_indices()[rows].long()
        count = self.forward.crow_indices()[rows + 1].long() - start
        places, receiver = entries_of(start, count)
        columns = self.forward.col_indices()[places]
        order = columns.argsort(stable=True)
        values = self.forward.values()[places]
        width, kind = self.shape[1], columns.dtype
        per_column = torch.bincount(columns, minlength=width)
        return Propagation(
            _csr(_pointers(count, kind), columns, values, (len(rows), width)),
            _csr(_pointers(per_column, kind), receiver[order].to(kind), values[order],
                 (width, len(rows))),
            order,
        ), places  # fmt: skip

    def row_sums(self) -> Tensor:
        """float32 (n,)."""
        return _row_sums(self.forward)

    def column_sums(self) -> Tensor:
        """float32 (m,)."""
        return _row_sums(self.backward)

    def averaged(self) -> Propagation:
        """Every row over its sum, so that the product is a mean; rows of sum 0 stay zero."""
        sums = self.row_sums()
        share = torch.where(sums > 0, 1.0 / sums.clamp(min=1e-12), 0.0)
        counts = self.forward.crow_indices().diff()
        return self.with_values(self.forward.values() * share.repeat_interleave(counts))


class _Product(torch.autograd.Function):
    """A x, with A' g as the gradient of x; A itself gets none.

    `forward` sets up the context itself: where `setup_context` does, torch inspects the signature in
    every call, which takes longer than the product on a GPU.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Propagation, x: Tensor) -> Tensor:
        ctx.matrix = matrix
        return _float32_product(matrix.forward, matrix.forward_pieces, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        matrix: Propagation = ctx.matrix
        back = _float32_product(matrix.backward, matrix.backward_pieces, gradient.contiguous())
        return None, back


def _float32_product(matrix: Tensor, pieces: Pieces | None, x: Tensor) -> Tensor:
    """Autocast would hand bfloat16 to a CSR product, which no CPU kernel takes."""
    if pieces is not None:
        return pieces.product(matrix, x if x.dtype == torch.bfloat16 else x.float())
    with torch.autocast(x.device.type, enabled=False):
        return matrix @ x.float()


def _pieces(matrix: Tensor) -> Pieces | None:
    if matrix.device.type != "cuda":
        return None
    try:
        from .cuda_product import Pieces
    except ImportError:  # torch has no Triton on every system
        return None
    return Pieces.of(matrix)


@contextmanager
def _quiet() -> Iterator[None]:
    """torch warns once that CSR is in beta, and that it trusts indices which were checked before."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse (CSR tensor support|invariant checks)")
        yield


def _tensor(indptr: Any, indices: Any, values: Any, shape: tuple[int, int]) -> Tensor:
    # The kernels count in 32 bits: 64-bit indices are converted in every product, at its own cost.
    kind = np.int32 if max(len(indices), *shape) < _INT32_END else np.int64
    return _csr(
        torch.from_numpy(np.asarray(indptr, kind)),
        torch.from_numpy(np.asarray(indices, kind)),
        torch.from_numpy(np.asarray(values, np.float32)),
        shape,
    )


def _csr(pointers: Tensor, columns: Tensor, values: Tensor, shape: tuple[int, ...]) -> Tensor:
    with _quiet():
        return torch.sparse_csr_tensor(pointers, columns, values, shape)


def _pointers(count: Tensor, kind: torch.dtype) -> Tensor:
    return torch.cat([count.new_zeros(1), count.cumsum(0)]).to(kind)


def _like(matrix: Tensor, values: Tensor) -> Tensor:
    return _csr(matrix.crow_indices(), matrix.col_indices(), values, tuple(matrix.shape))


def _row_sums(matrix: Tensor) -> Tensor:
    ones = torch.ones(matrix.shape[1], 1, device=matrix.device)
    return (matrix @ ones).squeeze(1)
