"""A catalog that nobody has touched: users, items and a graph, and no interaction at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import RUNNER, run

from coldframe import cli

SCHEMA = """
name = "untouched"
{users}
items = "item"
[nodes.user]
iri = "https://e.org/user/{{}}"
[nodes.item]
iri = "https://e.org/item/{{}}"
[nodes.genre]
iri = "https://e.org/genre/{{}}"
[relations.genre]
property = "https://e.org/genre"
from = "item"
to = "genre"
[tables.items]
file = "items.csv"
nodes = "item"
id = "id"
columns = {{ genre = "genre" }}
"""
USERS = '[tables.users]\nfile = "users.csv"\nnodes = "user"\nid = "id"\ncolumns = {}\n'


def trained(folder: Path, *, users: bool) -> Path:
    text = SCHEMA.format(users='users = "user"' if users else "") + (USERS if users else "")
    text = text if users else text.replace('[nodes.user]\niri = "https://e.org/user/{}"\n', "")
    (folder / "schema.toml").write_text(text)
    (folder / "items.csv").write_text("id,genre\n" + "".join(f"i{k},g{k % 5}\n" for k in range(40)))
    (folder / "users.csv").write_text("id\n" + "".join(f"u{k}\n" for k in range(12)))
    inputs = [folder / "items.csv", *([folder / "users.csv"] if users else [])]
    run("ingest", *inputs, "--schema", folder / "schema.toml", "--out", folder / "catalog")
    parts = '["popularity", "kg-prior"]'
    words = ("--text", "none", "--set", f"hybrid.parts={parts}")
    run("train", folder / "catalog", "--out", folder / "run", *words)
    return folder / "run"


def tell(folder: Path, questions: list[dict], answer: str) -> None:
    lines = [f"{one['round']},{one['user']},{one['item']},{answer}" for one in questions]
    table = folder.parent / "answers.csv"
    table.write_text("\n".join(["round,user,item,answer", *lines]))
    run("label", folder, table)


def test_the_graphs_coverage_leads_until_there_is_something_to_believe(tmp_path):
    folder = trained(tmp_path, users=True)
    first = run("acquire", folder, "--budget", "5")["questions"]
    genres = {int(one["item"].rsplit("i", 1)[1]) % 5 for one in first}
    assert genres == set(range(5))
    tell(folder, first, "dislike")
    assert run("retrain", folder)["labels"] == 5
    second = run("acquire", folder, "--budget", "10")["questions"]
    assert not {(q["user"], q["item"]) for q in first} & {(q["user"], q["item"]) for q in second}
    tell(folder, second, "like")
    assert run("retrain", folder)["labels_in_all"] == 15
    assert run("recommend", folder, "-k", "1")["recommendations"][0]["score"] is not None
    assert len(run("acquire", folder, "--budget", "4")["questions"]) == 4


def test_what_is_known_of_an_item_is_told_in_the_place_of_a_score(tmp_path):
    folder = trained(tmp_path, users=True)
    words = ("explain", folder, "--user", "u0", "--item", "i3")
    found = run(*words)
    assert found["score"] is None
    assert found["attributes"] == [["genre", "g3"]]
    assert {int(near["title"][1:]) % 5 for near in found["similar"]} == {3}
    done = RUNNER.invoke(cli.app, list(map(str, words)))
    assert "nan" not in done.output
    assert "no score" in done.output
    assert "genre: g3" in done.output


@pytest.mark.parametrize("strategy", ["auto", "random"])
def test_without_users_there_is_nobody_to_ask(tmp_path, strategy):
    folder = trained(tmp_path, users=False)
    words = ("acquire", folder, "--budget", "5", "--strategy", strategy)
    error = run(*words, code=3)["error"]
    assert "no users" in error["message"]
    assert "users = ..." in error["hint"]
