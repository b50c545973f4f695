"""Settings in layers: flag beats file beats default, every value knows its origin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from coldframe.commands.layers import flatten, resolve, settings
from coldframe.commands.options import numbers
from coldframe.gnn.config import RecommenderConfig
from coldframe.kg.errors import SchemaError, UsageError


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    depth: int = 2
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.depth < 0:
            raise UsageError(f"must not be negative, got {self.depth}", where="depth")


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    names: tuple[str, ...] = ("x",)
    limit: int | None = None
    on: bool = True


def written(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_flag_beats_file_beats_default(tmp_path):
    file = written(tmp_path, 'names = ["p", "q"]\n[inner]\nrate = 1\ndepth = 5\n')
    found = resolve(Outer, file=file, flags={"inner.depth": ("--depth", 7), "on": ("--on", None)})
    assert found.config == Outer(Inner(1.0, 7), ("p", "q"))
    assert isinstance(found.config.inner.rate, float)
    assert found.rows() == [
        {"key": "inner.rate", "value": 1.0, "origin": "file config.toml"},
        {"key": "inner.depth", "value": 7, "origin": "flag --depth"},
        {"key": "inner.kind", "value": "a", "origin": "default"},
        {"key": "names", "value": ("p", "q"), "origin": "file config.toml"},
        {"key": "limit", "value": None, "origin": "default"},
        {"key": "on", "value": True, "origin": "default"},
    ]
    assert flatten(found.config)["inner.depth"] == 7


@pytest.mark.parametrize(
    "text, says",
    [
        ("[inner]\ndept = 3", ("inner.dept", "did you mean 'inner.depth'")),
        ("[inner]\ndepth = 3.5", ("3.5 (float)", "expected int")),
        ("[inner]\ndepth = true", ("True (bool)", "expected int")),
        ('[inner]\nkind = "c"', ("one of a, b",)),
        ("on = 1", ("expected bool",)),
        ("names = [1]", ("expected",)),
        ("inner = 3", ("unknown key 'inner'",)),
        ("inner = [", ("not valid TOML",)),
    ],
)
def test_a_bad_file_names_file_key_and_types(text, says, tmp_path):
    with pytest.raises(SchemaError) as caught:
        resolve(Outer, file=written(tmp_path, text))
    for words in ("config.toml", *says):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    "word, says",
    [
        ("inner.dept=3", "did you mean"),
        ("inner.depth=deep", "expected int .*default is 2"),
        ("names=a", r'a list of str .*default is \["x"\]'),
        ("inner.depth", "key=value"),
        ("=3", "key=value"),
    ],
)
def test_a_bad_flag_is_a_usage_error(word, says):
    with pytest.raises(UsageError, match=says):
        resolve(Outer, flags=settings([word]))


def test_a_value_that_a_part_refuses_is_named_as_it_was_given(tmp_path):
    with pytest.raises(UsageError) as flag:
        resolve(Outer, flags=settings(["inner.depth=-1"]))
    assert flag.value.where == "--set inner.depth"
    file = written(tmp_path, "inner.depth = -1")
    with pytest.raises(SchemaError) as key:
        resolve(Outer, file=file)
    assert key.value.where == f"{file}:inner.depth"


@pytest.mark.parametrize(
    "word",
    [
        "text.precision=x",
        "hybrid.training.loss=x",
        "hybrid.gate.cold_cost=-1",
        "ablation.without=['x']",
    ],
)
def test_every_part_of_the_configuration_names_its_own_key(word):
    with pytest.raises(UsageError) as caught:
        resolve(RecommenderConfig, flags=settings([word]))
    assert caught.value.where == f"--set {word.partition('=')[0]}"


def test_set_reads_toml_values_and_bare_words():
    flags = settings(["limit=3", "inner.kind=b", 'names=["a", "b"]', "on=false"])
    assert resolve(Outer, flags=flags).config == Outer(Inner(kind="b"), ("a", "b"), 3, False)
    assert resolve(Outer, flags=settings(["limit=none"])).config.limit is None


def test_lists_of_numbers_may_hold_ranges() -> None:
    assert numbers("0,3-5", "--seeds") == (0, 3, 4, 5)
    for wrong in ("5-3,1", "1,5-3", "a", "3-", "-3", ""):
        with pytest.raises(UsageError) as caught:
            numbers(wrong, "--seeds")
        assert caught.value.where == "--seeds"
