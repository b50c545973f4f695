"""train-policy writes a policy that says how it was made and that `loop` can ask with."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.active.policy import ARMS, Policy
from coldframe.datasets import practice
from coldframe.datasets.planted import PlantedConfig
from coldframe.kg.split import rng_for

RUNNER = CliRunner()


@pytest.fixture
def small(monkeypatch):
    config = PlantedConfig(users=150, items=100, events=2_000, breeders=8)
    monkeypatch.setattr(practice, "practice_config", lambda _: config)


@pytest.mark.usefixtures("small")
def test_train_policy_writes_what_it_tells(tmp_path):
    words = ["train-policy", "--catalogs", "2", "--updates", "1", "--seed", "4"]
    path = tmp_path / "policy.json"
    done = RUNNER.invoke(cli.app, [*words, "--out", str(path), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["path"] == str(path)
    assert told["command"] == "coldframe train-policy --catalogs 2 --updates 1 --seed 4"
    assert set(told["above_random"]) == {*ARMS[1:], "learned"}
    policy = Policy.load(path)
    assert policy.weights.any()
    del told["path"]
    assert policy.provenance == told


def test_a_policy_file_that_is_none_is_refused_before_the_work(tmp_path):
    path = tmp_path / "none.json"
    path.write_text("{}")
    for name, code in ((path, 3), (tmp_path / "missing.json", None)):
        words = ["loop", str(tmp_path / "catalog"), "--strategies", f"learned:{name}", "--json"]
        done = RUNNER.invoke(cli.app, words)
        assert done.exit_code == code or (code is None and done.exit_code > 1)
        assert str(name) in json.loads(done.stdout)["error"]["where"]


def test_practice_catalogs_differ_and_repeat():
    configs = [practice.practice_config(rng_for(0, f"practice catalog {k}")) for k in range(60)]
    assert len(set(configs)) == 60
    assert 10 < sum(config.random_kg for config in configs) < 30
    assert configs[7] == practice.practice_config(rng_for(0, "practice catalog 7"))


@pytest.mark.usefixtures("small")
def test_more_practice_catalogs_begin_with_the_same_ones():
    (one,) = practice.practice_catalogs(1, 3)
    first, second = practice.practice_catalogs(2, 3)
    assert one.interactions.user.tolist() == first.interactions.user.tolist()
    assert first.interactions.user.tolist() != second.interactions.user.tolist()
