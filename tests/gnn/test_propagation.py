"""Propagation equals dense algebra, forwards and backwards, and never mixes up its two patterns."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from coldframe.gnn.propagation import Propagation


def random_matrix(seed: int, shape: tuple[int, int] = (7, 5)) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    return sp.random(*shape, density=0.4, random_state=rng, format="csr", dtype=np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_product_and_gradient_equal_dense_algebra(seed: int) -> None:
    matrix = random_matrix(seed)
    dense = torch.from_numpy(matrix.toarray())
    x = torch.randn(5, 3, requires_grad=True)
    weight = torch.randn(7, 3)
    (got,) = torch.autograd.grad(((Propagation.from_scipy(matrix) @ x) * weight).sum(), x)
    torch.testing.assert_close(Propagation.from_scipy(matrix) @ x, dense @ x)
    torch.testing.assert_close(got, dense.T @ weight)


def test_transposed_and_new_values_stay_in_step() -> None:
    matrix = random_matrix(1)
    propagation = Propagation.from_scipy(matrix)
    values = torch.rand(matrix.nnz)
    changed = propagation.with_values(values)
    torch.testing.assert_close(changed.forward.to_dense().T, changed.backward.to_dense())
    back = changed.transposed.with_values(changed.backward.values())
    torch.testing.assert_close(back.backward.to_dense(), changed.forward.to_dense())
    assert torch.equal(changed.forward.values(), values)


@pytest.mark.parametrize("rows", [[], [3], [6, 0, 2], [0, 1, 2, 3, 4, 5, 6]])
def test_rows_are_cut_out_with_their_transpose_and_their_places(rows: list[int]) -> None:
    matrix = random_matrix(3)
    whole = Propagation.from_scipy(matrix)
    part, places = whole.of_rows(torch.tensor(rows, dtype=torch.int64))
    expected = torch.from_numpy(matrix.toarray())[rows]
    torch.testing.assert_close(part.forward.to_dense(), expected)
    torch.testing.assert_close(part.backward.to_dense(), expected.T)
    assert torch.equal(whole.forward.values()[places], part.forward.values())
    changed = part.with_values(torch.arange(1.0, len(places) + 1))
    torch.testing.assert_close(changed.backward.to_dense(), changed.forward.to_dense().T)


def test_the_average_is_over_what_a_row_has() -> None:
    matrix = sp.csr_matrix(np.array([[0, 1, 0, 3], [0, 0, 0, 0], [2, 0, 0, 0]], np.float32))
    averaged = Propagation.from_scipy(matrix).averaged()
    expected = torch.tensor([[0, 0.25, 0, 0.75], [0, 0, 0, 0], [1, 0, 0, 0]])
    torch.testing.assert_close(averaged.forward.to_dense(), expected)
    torch.testing.assert_close(averaged.backward.to_dense(), expected.T)


def test_an_empty_matrix_gives_zeros() -> None:
    empty = Propagation.empty((3, 2))
    assert torch.equal(empty.averaged() @ torch.ones(2, 4), torch.zeros(3, 4))


def test_products_stay_in_float32_under_autocast() -> None:
    propagation = Propagation.from_scipy(random_matrix(2))
    with torch.autocast("cpu", torch.bfloat16):
        out = propagation @ torch.randn(5, 3).bfloat16()
    assert out.dtype == torch.float32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_same_product_on_cuda() -> None:
    propagation = Propagation.from_scipy(random_matrix(3, (50, 40)))
    x = torch.randn(40, 8)
    torch.testing.assert_close((propagation.to("cuda") @ x.cuda()).cpu(), propagation @ x)
