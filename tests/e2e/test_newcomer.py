"""Somebody whom the catalog does not have: interviewed at once, and kept in the one supported way."""

from __future__ import annotations

import csv
from pathlib import Path

from command_line import RUNNER, run

from coldframe import cli

SCHEMA = """
name = "shop"
users = "user"
items = "item"
[nodes.user]
iri = "https://e.org/user/{}"
[nodes.item]
iri = "https://e.org/item/{}"
[nodes.genre]
iri = "https://e.org/genre/{}"
[relations.genre]
property = "https://e.org/genre"
from = "item"
to = "genre"
[events.order]
class = "https://e.org/Order"
user = "https://e.org/agent"
item = "https://e.org/object"
[tables.items]
file = "items.csv"
nodes = "item"
id = "id"
columns = { genre = "genre" }
[tables.users]
file = "users.csv"
nodes = "user"
id = "id"
columns = {}
[tables.orders]
file = "orders.csv"
events = "order"
columns = { user = "user", item = "item" }
"""


def trained(folder: Path, users: list[str], name: str) -> Path:
    (folder / "schema.toml").write_text(SCHEMA)
    items = [f"i{k},g{k % 4}" for k in range(40)]
    orders = [f"u{u},i{k}" for u in range(24) for k in range(40) if k % 4 == u % 4 and (u + k) % 3]
    for table, head, rows in (
        ("items", "id,genre", items), ("users", "id", users), ("orders", "user,item", orders)
    ):  # fmt: skip
        (folder / f"{table}.csv").write_text("\n".join([head, *rows]) + "\n")
    inputs = [folder / f"{table}.csv" for table in ("items", "users", "orders")]
    catalog = folder / f"catalog-{name}"
    run("ingest", *inputs, "--schema", folder / "schema.toml", "--out", catalog)
    parts = '["popularity", "kg-prior"]'
    words = ("--text", "none", "--set", f"hybrid.parts={parts}")
    run("train", catalog, "--out", folder / name, *words)
    return folder / name


def test_a_newcomers_answers_are_kept_once_the_catalog_has_her(tmp_path):
    users = [f"u{k}" for k in range(24)]
    first, said = trained(tmp_path, users, "first"), tmp_path / "said.csv"
    talk = ["interview", first, "--questions", "4", "--as", "new", "--out", said]
    done = RUNNER.invoke(cli.app, list(map(str, talk)), input="y\ny\ny\ny\n")
    assert done.exit_code == 0, done.output
    assert "add the user to its tables" in done.output
    rows = list(csv.DictReader(said.open()))
    assert [row["user"] for row in rows] == ["new"] * 4
    error = run("label", first, said, code=3)["error"]
    assert "unknown user 'new'" in error["message"]
    assert "ingest, train a new run" in error["hint"]
    mixed = tmp_path / "mixed.csv"
    mixed.write_text(said.read_text() + f"u0,{rows[0]['item']},like\n")
    shown = RUNNER.invoke(cli.app, ["label", str(first), str(mixed)])
    assert "ingest, train a new run" in shown.output
    second = trained(tmp_path, [*users, "new"], "second")
    assert run("label", second, said)["accepted"] == 4
    assert run("retrain", second, "--no-measure")["labels"] == 4
    wanted = tmp_path / "new.txt"
    wanted.write_text("new\n")
    best = run("recommend", second, "--users", wanted, "-k", "3")["recommendations"]
    assert not {row["item"] for row in best} & {row["item"] for row in rows}


def test_a_user_without_interactions_can_be_interviewed_and_labelled(tmp_path):
    folder = trained(tmp_path, [*(f"u{k}" for k in range(24)), "new"], "run")
    said = tmp_path / "said.csv"
    words = ["interview", folder, "--user", "new", "--questions", "3", "--out", said]
    done = RUNNER.invoke(cli.app, list(map(str, words)), input="y\nn\ny\n")
    assert done.exit_code == 0, done.output
    assert run("label", folder, said)["accepted"] == 3
    assert run("retrain", folder, "--no-measure")["labels"] == 3
    assert (
        run("interview", folder, "--user", "new", "--as", "her", code=2)["error"]["where"] == "--as"
    )
