"""Runs that real people are asked with: what is held out is told, ids are theirs, hints can be typed."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pytest
from command_line import RUNNER, run

from coldframe import cli
from coldframe.commands.console import command
from coldframe.commands.inputs import with_ids
from coldframe.datasets.generated import generate_catalog
from coldframe.gnn.runs import Run
from coldframe.kg.graph import Graph, Interactions, NodeSet
from coldframe.kg.vocabulary import Vocabulary

SMALL = ("--text", "none", "--set", 'hybrid.parts=["popularity", "kg-prior"]')
HELD_OUT = "held out for testing"


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    """A catalog, a run that is tested and one, in a folder with a blank, that is not."""
    folder = tmp_path_factory.mktemp("people")
    made = generate_catalog(folder / "data", size="tiny")
    run("ingest", *made.inputs, "--schema", made.schema, "--out", folder / "catalog")
    run("train", folder / "catalog", "--out", folder / "tested", *SMALL)
    done = shown(
        "train", folder / "catalog", "--out", folder / "a run", "--protocol", "all", *SMALL
    )
    (folder / "said.txt").write_text(done)
    return folder


def shown(*words: object) -> str:
    """What a command tells a person."""
    done = RUNNER.invoke(cli.app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize(
    "words", [("acquire", "--budget", 3), ("interview", "--out", "said.csv"), ("recommend",)]
)
def test_likes_that_are_held_out_are_told(base, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    held = int((Run.open(base / "tested").split.test.label == 1).sum())
    name, *more = words
    assert f"{held:,} liked pairs are {HELD_OUT}" in shown(name, base / "tested", *more)
    assert HELD_OUT not in shown(name, base / "a run", *more)


def test_a_run_without_test_pairs_is_not_sent_to_be_evaluated(base):
    said = (base / "said.txt").read_text()
    assert "evaluate" not in said
    following = said.rpartition("next: ")[2].strip()
    first, second = following.split(", or ")
    assert shlex.split(first) == ["coldframe", "recommend", str(base / "a run")]
    assert shlex.split(second)[:3] == ["coldframe", "acquire", str(base / "a run")]
    run(*shlex.split(first)[1:])


def test_a_run_that_holds_nothing_back_is_refused_before_anything_is_fitted(base, monkeypatch):
    monkeypatch.setattr("coldframe.commands.comparison.compared", None)
    error = run("evaluate", base / "a run", code=3)["error"]
    assert "holds no like back" in error["message"]


def test_hints_can_be_typed_as_they_stand():
    words = ("retrain", Path("my runs/it's one"))
    assert shlex.split(command(*words)) == ["coldframe", "retrain", "my runs/it's one"]
    assert command("loop", "CATALOG") == "coldframe loop CATALOG"


def test_users_and_items_are_named_by_the_ids_that_they_came_with(base, tmp_path):
    out = tmp_path / "top.csv"
    for name, more in (("recommend", ("-k", 3)), ("acquire", ("--budget", 5))):
        words = (name, base / "a run", *more, "--out", out)
        run(*words)
        iris = list(csv.DictReader(out.open()))
        run(*words, "--ids", "original")
        ids = list(csv.DictReader(out.open()))
        assert len(iris) == len(ids) >= 3
        for one, other in zip(iris, ids, strict=True):
            for kind in ("user", "item"):
                assert "/" not in other[kind]
                assert one[kind].rpartition("/")[2] == quote(other[kind], safe="")
                del one[kind], other[kind]
            assert one == other
    assert run("acquire", base / "a run", "--budget", 5, "--ids", "original")["plan"]
    for words in (("recommend", base / "a run"), ("acquire", base / "a run", "--budget", 5)):
        assert run(*words, "--ids", "sku", code=2)["error"]["where"] == "--ids"


def test_an_id_that_two_share_stays_an_iri():
    users = ("https://a.org/u/A%20B", "https://a.org/u/1", "https://b.org/u/1")
    items = ("https://a.org/i/1",)
    nodes = {"user": NodeSet(Vocabulary(users)), "item": NodeSet(Vocabulary(items))}
    graph = Graph(nodes, {}, Interactions.empty(), name="two")
    table = pa.table({"user": list(users), "item": list(items) * 3})
    found = with_ids(table, graph, "original")
    assert found["user"].to_pylist() == ["A B", *users[1:]]
    assert found["item"].to_pylist() == ["1"] * 3


def test_somebody_unknown_is_sent_to_the_interview(base, tmp_path):
    users = tmp_path / "users.txt"
    users.write_text("nobody\n")
    error = run("recommend", base / "a run", "--users", users, code=3)["error"]
    assert "interview" in error["hint"]
