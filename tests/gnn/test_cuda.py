"""What a GPU changes: speed and rounding, nothing else. Skipped where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.data import TrainingData
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.propagation import Propagation
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.trainer import EncoderScorer
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.split import Split

GPU = "cuda"
pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")

SHAPE = EncoderConfig(dimensions=16, profile_dimensions=32)
EXACT = TrainingConfig(epochs=6, learning_rate=0.01, precision="float32")


class Killed(BaseException):
    """Stands for the end of the process: nothing may catch it."""


@pytest.fixture
def data(planted_model: Recommender) -> TrainingData:
    return planted_model.data


def skewed(rows: int, columns: int, edges: int) -> sp.csr_matrix:
    """Rows without entries, and one that holds a third of them all."""
    rng = np.random.default_rng(0)
    ends = np.stack([rng.integers(rows // 2, size=edges), rng.integers(columns, size=edges)])
    ends[0, : edges // 3] = rows - 1
    values = rng.random(edges).astype(np.float32)
    return sp.csr_matrix((values, (ends[0], ends[1])), (rows, columns))


@pytest.mark.parametrize("d", [1, 3, 64, 100, 130, 256])
def test_products_and_gradients_equal_those_of_the_cpu(d: int) -> None:
    matrix = Propagation.from_scipy(skewed(300, 200, 6_000))
    x = torch.randn(200, d, requires_grad=True)
    moved = x.detach().to(GPU).requires_grad_()
    weight = torch.randn(300, d)
    ours, theirs = matrix.to(GPU) @ moved, matrix @ x
    torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-4, atol=1e-4)
    (ours * weight.to(GPU)).sum().backward()
    (theirs * weight).sum().backward()
    assert moved.grad is not None
    torch.testing.assert_close(moved.grad.cpu(), x.grad, rtol=1e-4, atol=1e-4)


def test_masked_and_transposed_products_equal_those_of_the_cpu() -> None:
    matrix = Propagation.from_scipy(skewed(300, 200, 6_000))
    keep = (torch.rand(len(matrix.order)) < 0.5).float()
    x, y = torch.randn(200, 24), torch.randn(300, 24)
    moved = matrix.to(GPU).with_values(keep.to(GPU))
    masked = matrix.with_values(keep)
    torch.testing.assert_close((moved @ x.to(GPU)).cpu(), masked @ x, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        (moved.transposed @ y.to(GPU)).cpu(), masked.transposed @ y, rtol=1e-4, atol=1e-4
    )


def test_repeated_products_are_the_same_to_the_bit() -> None:
    matrix = Propagation.from_scipy(skewed(300, 200, 60_000)).to(GPU)
    x = torch.randn(200, 64, device=GPU)
    first = matrix @ x
    assert all(torch.equal(matrix @ x, first) for _ in range(5))


@pytest.mark.parametrize("neighbours", [0, 5])
def test_float32_training_ends_where_the_cpus_does(
    data: TrainingData, planted_split: Split, neighbours: int
) -> None:
    training = replace(EXACT, neighbours=neighbours)
    on_cpu = EncoderScorer(SHAPE, training).fit(data, planted_split.valid)
    on_gpu = EncoderScorer(SHAPE, training, device=GPU).fit(data, planted_split.valid)
    users = np.arange(data.n_users)
    ours, theirs = on_gpu.score(users), on_cpu.score(users)
    # Rounding grows over the steps; the models stay the same ones.
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99


def test_bfloat16_training_ranks_as_well(data: TrainingData, planted_split: Split) -> None:
    values = {}
    for precision in ("float32", "auto"):
        scorer = EncoderScorer(SHAPE, replace(EXACT, precision=precision), device=GPU)
        scorer.fit(data, planted_split.valid)
        assert np.isfinite(scorer.item_vectors).all()
        values[precision] = max(row["valid"] for row in scorer.history)
    assert values["auto"] > 0.85 * values["float32"]


def test_an_interrupted_training_goes_on_and_ends_the_same(
    data: TrainingData, planted_split: Split, tmp_path: Path
) -> None:
    def stop(epoch: int, _epochs: int, _figures: object) -> None:
        if epoch == 4:
            raise Killed

    first = EncoderScorer(SHAPE, EXACT, device=GPU, checkpoints=tmp_path, progress=stop)
    with pytest.raises(Killed):
        first.fit(data, planted_split.valid)
    resumed = EncoderScorer(SHAPE, EXACT, device=GPU, checkpoints=tmp_path, resume=True)
    resumed.fit(data, planted_split.valid)
    whole = EncoderScorer(SHAPE, EXACT, device=GPU).fit(data, planted_split.valid)
    np.testing.assert_array_equal(resumed.item_vectors, whole.item_vectors)
    np.testing.assert_array_equal(resumed.user_vectors, whole.user_vectors)


def test_a_run_trained_on_the_gpu_serves_on_the_cpu(
    quick_config: RecommenderConfig, planted_catalog: Catalog, planted_split: Split, tmp_path: Path
) -> None:
    model = Recommender(quick_config, device=GPU).fit(planted_catalog, planted_split)
    Run.create(tmp_path / "run", planted_catalog, planted_split, model)
    users = planted_catalog.graph.users.vocabulary[:5]
    there = model.recommend(users, k=5)
    here = Run.open(tmp_path / "run", device="cpu").model.recommend(users, k=5)
    assert there.column("item").to_pylist() == here.column("item").to_pylist()
    np.testing.assert_allclose(
        there.column("score").to_numpy(), here.column("score").to_numpy(), rtol=1e-3, atol=1e-3
    )
