"""Configurations as plain values: round trips through TOML and JSON, and what is refused."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldframe.gnn.ablation import AblationConfig
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.encoder import EncoderConfig
from coldframe.gnn.gate import GateConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.plain import from_plain, to_plain
from coldframe.gnn.text import TextConfig
from coldframe.gnn.toml_text import dumps
from coldframe.gnn.training import TrainingConfig
from coldframe.kg.errors import UsageError

CHANGED = RecommenderConfig(
    hybrid=HybridConfig(
        parts=("ease", "kg-prior", "encoder"),
        encoder=EncoderConfig(dimensions=48, ids=False, dropout=0.25),
        training=TrainingConfig(loss="bpr", epochs=7, learning_rate=2.5e-05),
        gate=GateConfig(cold_cost=0.97, max_users=12),
        tune=False,
    ),
    text=TextConfig(model='C:\\models\\"größe" 🌱\x7f\n', max_length=9),
    ablation=AblationConfig(without=("kg", "ids"), randomise_kg=True),
    refit=True,
)


@pytest.mark.parametrize("config", [RecommenderConfig(), CHANGED], ids=["default", "changed"])
def test_round_trip_through_toml_and_json(config: RecommenderConfig) -> None:
    plain = to_plain(config)
    assert from_plain(RecommenderConfig, tomllib.loads(dumps(plain))) == config
    assert from_plain(RecommenderConfig, json.loads(json.dumps(plain))) == config


def test_what_is_not_given_keeps_its_default() -> None:
    got = from_plain(RecommenderConfig, {"hybrid": {"training": {"epochs": 3}}})
    assert got == RecommenderConfig(hybrid=HybridConfig(training=TrainingConfig(epochs=3)))
    assert from_plain(RecommenderConfig, {}) == RecommenderConfig()


def test_every_leaf_has_a_type_that_is_checked() -> None:
    """So that a new field of another type is noticed here, and not in a run."""

    def leaves(kind: type[Any]) -> set[Any]:
        hints = get_type_hints(kind)
        found: set[Any] = set()
        for one in fields(kind):
            hint = hints[one.name]
            found |= leaves(hint) if is_dataclass(hint) else {hint}
        return found

    assert leaves(RecommenderConfig) <= {int, float, bool, str, tuple[str, ...]}


@pytest.mark.parametrize(
    ("values", "where", "hint"),
    [
        ({"hybrd": {}}, "hybrd", "hybrid"),
        ({"hybrid": {"tun": True}}, "hybrid.tun", "tune"),
        ({"hybrid": {"training": {"epoch": 1}}}, "hybrid.training.epoch", "epochs"),
        ({"hybrid": {"gate": {"coldcost": 1}}}, "hybrid.gate.coldcost", "cold_cost"),
        ({"text": {"modell": "none"}}, "text.modell", "model"),
        ({"ablation": {"randomize_kg": True}}, "ablation.randomize_kg", "randomise_kg"),
    ],
)
def test_an_unknown_key_names_itself_and_the_nearest(
    values: dict[str, Any], where: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        from_plain(RecommenderConfig, values)
    assert caught.value.where == where
    assert f"did you mean {hint!r}" in caught.value.hint


@pytest.mark.parametrize(
    ("values", "where", "expected"),
    [
        ({"hybrid": 3}, "hybrid", "a table"),
        ({"hybrid": {"parts": "ease"}}, "hybrid.parts", "a list"),
        ({"hybrid": {"parts": ["ease", 4]}}, "hybrid.parts", "text"),
        ({"hybrid": {"training": {"epochs": "many"}}}, "hybrid.training.epochs", "a whole number"),
        ({"hybrid": {"training": {"epochs": 2.5}}}, "hybrid.training.epochs", "a whole number"),
        ({"hybrid": {"training": {"clip": 10**400}}}, "hybrid.training.clip", "a usual number"),
        ({"hybrid": {"training": {"epochs": True}}}, "hybrid.training.epochs", "a whole number"),
        ({"hybrid": {"gate": {"cold_cost": "1"}}}, "hybrid.gate.cold_cost", "a number"),
        ({"refit": 1}, "refit", "true or false"),
        ({"text": {"model": None}}, "text.model", "text"),
    ],
)
def test_a_value_of_another_type_is_refused(
    values: dict[str, Any], where: str, expected: str
) -> None:
    with pytest.raises(UsageError, match=f"expected {expected}") as caught:
        from_plain(RecommenderConfig, values)
    assert caught.value.where == where


def test_whole_numbers_may_stand_for_numbers() -> None:
    got = from_plain(GateConfig, {"cold_cost": 1, "penalty": 3})
    assert (got.cold_cost, got.penalty) == (1.0, 3.0)
    assert type(got.penalty) is float


def test_values_out_of_range_are_refused_by_their_own_rule() -> None:
    with pytest.raises(UsageError, match="epochs"):
        from_plain(RecommenderConfig, {"hybrid": {"training": {"epochs": 0}}})
    with pytest.raises(UsageError, match="cannot do without"):
        from_plain(RecommenderConfig, {"ablation": {"without": ["graph"]}})


def test_toml_of_awkward_values() -> None:
    values = {
        "whole": -3,
        "small": 1e-300,
        "big": 1e22,
        "endless": float("inf"),
        "down": float("-inf"),
        "empty": [],
        "mixed": ["a", "b\t"],
        "none": None,
        "inner": {"deep": {"yes": True}, "nothing": {}},
    }
    got = tomllib.loads(dumps(values))
    del values["none"], values["inner"]["nothing"]
    assert got == values
    assert math.isnan(tomllib.loads(dumps({"x": float("nan")}))["x"])


_leaf = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
_key = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1)


@given(
    st.recursive(
        st.dictionaries(_key, _leaf | st.lists(_leaf)),
        lambda inner: st.dictionaries(_key, _leaf | inner, min_size=1),
        max_leaves=10,
    )
)
def test_toml_is_read_back_as_it_was(values: dict[str, Any]) -> None:
    def kept(tree: dict[str, Any]) -> dict[str, Any]:
        """Without tables that hold nothing, which are left out."""
        pruned = {k: kept(v) if isinstance(v, dict) else v for k, v in tree.items()}
        return {k: v for k, v in pruned.items() if v != {}}

    assert tomllib.loads(dumps(values)) == kept(values)


@pytest.mark.parametrize(
    ("users", "size"), [(0, 16), (100, 16), (640, 20), (6040, 189), (10**6, 1024)]
)
def test_small_graphs_take_smaller_steps(users: int, size: int) -> None:
    assert TrainingConfig().users_per_step(users) == size
