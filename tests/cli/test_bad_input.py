"""Bad input: one clear message each, the right exit code, and nothing lost.

Every row of `CASES` spoils one thing of a small, sound input. What a command leaves behind after an
error is compared with what was there before.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from coldframe import cli

RUNNER = CliRunner()

SCHEMA = """
name = "shop"
users = "buyer"
items = "plant"

[prefixes]
ex = "https://example.org/"

[nodes.plant]
class = "ex:Plant"
iri = "ex:plant/{}"
text.title = "rdfs:label"
number.price = "ex:price"

[nodes.family]
iri = "ex:family/{}"
label = "rdfs:label"

[nodes.buyer]
class = "ex:Buyer"
iri = "ex:buyer/{}"

[relations.family]
property = "ex:family"
from = "plant"
to = "family"

[events.bought]
class = "ex:Purchase"
user = "ex:buyer"
item = "ex:plant"
rating = "ex:stars"
positive = 4
"""

TABLES = """
[tables.plants]
file = "plants.csv"
nodes = "plant"
id = "id"
columns = { title = "title", price = "price", family = "family" }

[tables.bought]
file = "bought.csv"
events = "bought"
columns = { user = "buyer", item = "plant", rating = "stars" }
"""

PLANTS = "id,title,price,family\n" + "".join(
    f"{i},Plant {i},{i}.5,family {i % 3}\n" for i in range(12)
)
BOUGHT = "buyer,plant,stars\n" + "".join(
    f"{u},{(u * 5 + k) % 12},{5 if k % 3 else 2}\n" for u in range(8) for k in range(6)
)
TURTLE = """
@prefix ex: <https://example.org/> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
<https://example.org/plant/1> a ex:Plant ; rdfs:label "Rose" ; ex:family <https://example.org/family/a> .
<https://example.org/plant/2> a ex:Plant ; rdfs:label "Iris" ; ex:family <https://example.org/family/b> .
"""


def shop(folder: Path) -> Path:
    """A sound shop: tables, RDF and both schemas."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.toml").write_text(SCHEMA)
    (folder / "tables.toml").write_text(SCHEMA + TABLES)
    (folder / "plants.csv").write_text(PLANTS)
    (folder / "bought.csv").write_text(BOUGHT)
    (folder / "plants.ttl").write_text(TURTLE)
    return folder


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Replace text in one file of the shop; the text must be there."""

    def spoil(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return spoil


def write(name: str, content: bytes | str) -> Callable[[Path], None]:
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw) and None


def nothing(_folder: Path) -> None:
    """The files are sound; the command is what is wrong."""


@dataclass(frozen=True)
class Case:
    """What is spoiled, the command, its exit code, and words that its message must have."""

    name: str
    spoil: Callable[[Path], object]
    command: str
    code: int
    says: tuple[str, ...]


FROM_TABLES = "ingest plants.csv bought.csv --schema tables.toml --out out"
FROM_RDF = "ingest plants.ttl --schema schema.toml --out out"

CASES = (
    # The schema
    Case(
        "missing column",
        edit("plants.csv", "title", "name"),
        FROM_TABLES,
        3,
        ("title", "plants.csv"),
    ),
    Case(
        "unknown key",
        edit("tables.toml", "positive = 4", "positve = 4"),
        FROM_TABLES,
        3,
        ("positve", "did you mean 'positive'", "tables.toml"),
    ),
    Case(
        "wrong type",
        edit("tables.toml", "positive = 4", 'positive = "four"'),
        FROM_TABLES,
        3,
        ("number", "four"),
    ),
    Case(
        "unknown node type",
        edit("tables.toml", 'to = "family"', 'to = "famly"'),
        FROM_TABLES,
        3,
        ("famly", "did you mean 'family'"),
    ),
    Case("empty schema", write("schema.toml", ""), FROM_RDF, 3, ("no node type",)),
    Case(
        "schema is no TOML",
        write("schema.toml", "name = [\n"),
        FROM_RDF,
        3,
        ("TOML", "schema.toml"),
    ),
    Case("no schema file", lambda f: (f / "schema.toml").unlink(), FROM_RDF, 2, ("schema.toml",)),
    # RDF
    Case(
        "truncated RDF",
        lambda f: (f / "plants.ttl").write_text(TURTLE[: TURTLE.index("Iris")]),
        FROM_RDF,
        3,
        ("plants.ttl:5",),
    ),
    Case("bytes that are no text", write("plants.ttl", b"\xff\xfe\x00"), FROM_RDF, 3, ("plants",)),
    Case("empty catalog", write("plants.ttl", ""), FROM_RDF, 3, ("empty",)),
    Case("no input file", lambda f: (f / "plants.ttl").unlink(), FROM_RDF, 2, ("plants.ttl",)),
    Case(
        "no item among the statements",
        write("plants.ttl", "<urn:a> <urn:b> <urn:c> .\n"),
        FROM_RDF,
        3,
        ("empty", "schema.toml"),
    ),
    # Tables
    Case(
        "rows of different length",
        edit("plants.csv", "3,Plant 3,3.5,family 0", "3,Plant 3"),
        FROM_TABLES,
        3,
        ("plants.csv",),
    ),
    Case("table without rows", write("plants.csv", "id,title,price,family\n"), FROM_TABLES, 0, ()),
    Case(
        "missing table",
        lambda f: (f / "bought.csv").unlink(),
        "ingest plants.csv --schema tables.toml --out out",
        3,
        ("bought",),
    ),
    Case(
        "neither RDF nor a table",
        write("plants.xlsx", "x"),
        "ingest plants.xlsx --schema tables.toml --out out",
        3,
        ("plants.xlsx", ".ttl", ".csv"),
    ),
    # Places
    Case("folder is in use", nothing, FROM_RDF + "cat", 4, ("exists already",)),
    Case("no catalog", nothing, "check nothing", 4, ("no catalog", "coldframe ingest")),
    Case("unknown data set", nothing, "dataset movielens1m", 2, ("movielens-1m",)),
    Case(
        "data set without its files",
        lambda f: (f / "empty").mkdir(),
        "dataset movielens-1m --from empty --out out",
        3,
        ("movies.dat",),
    ),
    # The loop
    Case("unknown strategy", nothing, "loop outcat --strategies rndom", 2, ("'random'",)),
    Case("unknown protocol", nothing, "loop outcat --protocol warm", 2, ("warm",)),
    Case("budget is no number", nothing, "loop outcat --budgets many", 2, ("--budgets",)),
)


def invoke(command: str) -> Result:
    return RUNNER.invoke(cli.app, command.split())


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "LOCK"
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case, tmp_path, monkeypatch):
    monkeypatch.chdir(shop(tmp_path / "shop"))
    here = Path.cwd()
    if "outcat" in case.command:
        assert invoke(FROM_TABLES + "cat").exit_code == 0
    case.spoil(here)
    before = contents(here)
    done = invoke(f"{case.command} --json")
    assert done.exit_code == case.code, done.output
    outcome = json.loads(done.stdout)
    if case.code == 0:
        return
    error = outcome["error"]
    assert set(error) == {"kind", "message", "where", "hint"}
    told = " ".join(error.values())
    for word in case.says:
        assert word in told, told
    assert contents(here) == before
    spoken = invoke(case.command)
    assert spoken.exit_code == case.code
    assert spoken.stdout == ""
    assert 1 <= len(spoken.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in spoken.stderr
