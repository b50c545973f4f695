"""Counts that are given away: nobody stands out, the noise is what it says, the budget ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.gnn import counts as module
from coldframe.gnn.counts import LEDGER, CountsConfig, counts
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import IntegrityError, StateError, UsageError
from coldframe.kg.graph import EdgeSet, Interactions
from coldframe.kg.split import Split

RUNNER = CliRunner()


@pytest.fixture
def run(
    tmp_path: Path,
    planted_catalog: Catalog,
    planted_split: Split,
    loaded: Callable[[], Recommender],
) -> Run:
    return Run.create(tmp_path / "run", planted_catalog, planted_split, loaded())


def truth(run: Run) -> dict[str, int]:
    """Users per item, by counting."""
    likes: dict[str, set[int]] = {}
    for rows in (run.split.train, run.split.valid, run.split.test):
        for user, item, label in zip(rows.user, rows.item, rows.label, strict=True):
            if label == 1:
                likes.setdefault(run.catalog.graph.items.vocabulary[int(item)], set()).add(
                    int(user)
                )
    return {item: len(users) for item, users in likes.items()}


@pytest.mark.R(26)
def test_small_groups_are_left_out_and_the_others_are_exact(run: Run) -> None:
    expected = {item: n for item, n in truth(run).items() if n >= 12}
    assert 0 < len(expected) < len(truth(run))
    table = counts(run, CountsConfig(at_least=12))
    assert (
        dict(zip(table["group"].to_pylist(), table["users"].to_pylist(), strict=True)) == expected
    )
    assert table["users"].to_pylist() == sorted(expected.values(), reverse=True)
    assert not (run.path / LEDGER).exists()


def test_a_relation_to_several_types_has_the_groups_of_all(run: Run) -> None:
    graph = run.catalog.graph
    relation = next(key[1] for key in graph.edges if key[0] == graph.item_type)
    whole = counts(run, CountsConfig(relation, at_least=1)).num_rows
    also = (graph.item_type, relation, graph.item_type)
    pairs = EdgeSet(np.array([[0, 1], [1, 2]]))
    both = replace(graph, edges={also: pairs, **graph.edges})
    run._fill(catalog=replace(run.catalog, graph=both))
    assert counts(run, CountsConfig(relation, at_least=1)).num_rows == whole + 2


def test_groups_of_a_relation_count_each_user_once(run: Run) -> None:
    relation = next(
        key[1] for key in run.catalog.graph.edges if key[0] == run.catalog.graph.item_type
    )
    table = counts(run, CountsConfig(by=relation, at_least=1))
    assert max(table["users"].to_pylist()) <= run.catalog.graph.n_users
    assert sum(table["users"].to_pylist()) > 0
    with pytest.raises(UsageError, match="no relation"):
        counts(run, CountsConfig(by="nothing"))


def test_a_like_that_was_taken_back_counts_no_more(run: Run) -> None:
    def liking() -> int:
        table = counts(run, CountsConfig(at_least=1))
        found = dict(zip(table["group"].to_pylist(), table["users"].to_pylist(), strict=True))
        return found.get(run.catalog.graph.items.vocabulary[item], 0)

    item, parts = int(run.split.cold_items[0]), (run.split.train, run.split.valid, run.split.test)
    fans = np.concatenate([rows.user[(rows.item == item) & (rows.label == 1)] for rows in parts])
    users = np.setdiff1d(np.arange(run.catalog.graph.n_users), fans)[:12]
    for number, label in ((1, 1), (2, 0)):
        told = np.full(12, item), np.full(12, label)
        rows = Interactions.build(users, told[0], label=told[1], round=number)
        run = run.finish_round(run.model.tell(rows), rows)
        assert liking() == len(np.unique(fans)) + 12 * label


@pytest.mark.R(26)
def test_noise_is_two_sided_geometric() -> None:
    """Mean 0, variance 2 q / (1 - q)^2 with q = exp(-epsilon), and the odds of neighbours e^epsilon."""
    noise = module._noise(200_000, 0.5, np.random.default_rng(100))
    q = np.exp(-0.5)
    variance = 2 * q / (1 - q) ** 2
    assert abs(noise.mean()) < 5 * np.sqrt(variance / len(noise))
    assert noise.var() == pytest.approx(variance, rel=0.05)
    odds = (noise == 1).sum() / (noise == 2).sum()
    assert odds == pytest.approx(np.exp(0.5), rel=0.05)


@pytest.mark.R(26)
def test_a_user_counts_in_few_groups_and_two_exports_differ(run: Run) -> None:
    groups = module._groups(run, "item")[1]
    members = module._members(run, groups)
    assert np.diff(members.indptr).max() > 3
    bounded = module._bounded(members, 3, np.random.default_rng(0))
    assert np.diff(bounded.indptr).max() == 3
    assert (bounded > members).nnz == 0
    np.testing.assert_array_equal(np.minimum(np.diff(members.indptr), 3), np.diff(bounded.indptr))
    config = CountsConfig(at_least=1, epsilon=0.2, per_user=3)
    first, second = (counts(run, config).to_pydict() for _ in range(2))
    assert first != second


@pytest.mark.R(26)
def test_the_budget_ends_and_cannot_be_raised(run: Run) -> None:
    ask = ["export-counts", str(run.path), "--epsilon", "0.4", "--json"]
    for _ in range(2):
        assert RUNNER.invoke(cli.app, ask).exit_code == 0
    done = RUNNER.invoke(cli.app, ask)
    assert done.exit_code == 4
    assert "0.2 left" in json.loads(done.stdout)["error"]["message"]
    with pytest.raises(StateError, match="cannot be changed"):
        counts(run, CountsConfig(epsilon=0.1, budget=5.0))
    counts(run, CountsConfig(epsilon=0.2))
    ledger = json.loads((run.path / LEDGER).read_text())
    assert [one["epsilon"] for one in ledger["spent"]] == [0.4, 0.4, 0.2]
    (run.path / LEDGER).write_text("{}")
    with pytest.raises(IntegrityError):
        counts(run, CountsConfig(epsilon=0.1))


@pytest.mark.R(26)
def test_pseudonyms_are_stable_and_their_key_is_the_owners(run: Run) -> None:
    plain = counts(run, CountsConfig(at_least=1))["group"].to_pylist()
    config = CountsConfig(at_least=1, pseudonymous=True)
    names = counts(run, config)["group"].to_pylist()
    assert counts(run, config)["group"].to_pylist() == names
    assert len(set(names)) == len(plain)
    assert not set(names) & set(plain)
    key = run.path / module.KEY
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    assert not set(counts(run, config)["group"].to_pylist()) & set(names)


@pytest.mark.parametrize(
    "wrong", [{"at_least": 0}, {"epsilon": -1.0}, {"epsilon": float("nan")}, {"epsilon": 1e-20}]
)
def test_wrong_settings_are_named(wrong: dict) -> None:
    with pytest.raises(UsageError):
        CountsConfig(**wrong)
