"""Device names: what there is, what there is not, what never was one."""

from __future__ import annotations

import pytest
import torch

from coldframe.gnn.device import resolve_device
from coldframe.gnn.randomness import seeded
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.errors import UsageError


def test_known_devices_are_taken() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", ["gpu", "cpuu", "cuda:99", "meta", ""])
def test_others_are_named_with_what_to_say_instead(name: str) -> None:
    with pytest.raises(UsageError, match=r"unknown device|CUDA") as caught:
        resolve_device(name)
    assert "cpu" in caught.value.hint


def test_seeding_on_one_device_leaves_the_generators_of_others_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeded_all: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded_all.append)
    before = torch.get_rng_state()
    with seeded(3, "weights", 0, "cpu"):
        first = torch.rand(2)
    with seeded(3, "weights", 0, "cpu"):
        assert torch.equal(torch.rand(2), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert not seeded_all


@pytest.mark.parametrize("name", ["learning_rate", "clip"])
@pytest.mark.parametrize("value", [-1.0, 0.0, float("nan"), float("inf")])
def test_rates_that_are_none_are_refused_before_the_training(name: str, value: float) -> None:
    with pytest.raises(UsageError, match="above 0"):
        TrainingConfig(**{name: value})
    with pytest.raises(UsageError, match="at least 0"):
        TrainingConfig(weight_decay=-1.0)
