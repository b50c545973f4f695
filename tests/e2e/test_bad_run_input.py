"""Bad input to a trained run: one clear message each, the right exit code, and nothing lost.

The continuation of the table in tests/cli/test_bad_input.py for commands that need a run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.datasets.generated import generate_catalog
from coldframe.kg.files import read_sealed, write_sealed

RUNNER = CliRunner()
SMALL = "--epochs 2 --dimensions 8 --text tfidf"


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A folder with a catalog and a run that every case gets a copy of."""
    folder = tmp_path_factory.mktemp("sound")
    made = generate_catalog(folder / "data", size="tiny")
    inputs = " ".join(map(str, made.inputs))
    for command in (
        f"ingest {inputs} --schema {made.schema} --out {folder / 'catalog'}",
        f"train {folder / 'catalog'} --out {folder / 'run'} {SMALL}",
    ):
        done = RUNNER.invoke(cli.app, command.split())
        assert done.exit_code == 0, done.output
    return folder


def put(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


def cut(pattern: str) -> Callable[[Path], None]:
    """Cut the first file of that pattern in half."""

    def spoil(folder: Path) -> None:
        path = min(folder.glob(pattern))
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return spoil


def alter(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Other words in a file."""

    def spoil(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return spoil


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


CASES = (
    Case("no run to learn", nothing, "retrain nowhere", 4, ("no run", "coldframe train")),
    Case("no run to ask", nothing, "acquire nowhere --budget 5", 4, ("no run", "coldframe train")),
    Case("no run", nothing, "evaluate nowhere", 4, ("no run", "coldframe train")),
    Case("run not trained to its end", lambda f: (f / "half/unfinished").mkdir(parents=True), "evaluate half", 4, ("not finished", "go on")),
    Case("run folder in use", nothing, f"train catalog --out run {SMALL}", 4, ("exists already",)),
    Case("unknown protocol", nothing, "train catalog --out x --protocol wram", 2, ("protocol", "'warm'")),
    Case("unknown text model", nothing, "train catalog --out x --text nope/none", 5, ("nope/none", "text.download")),
    Case("unknown setting", nothing, "train catalog --out x --set ablation.withot=1", 2, ("ablation.without",)),
    Case("wrong type", nothing, "train catalog --out x --set hybrid.training.epochs=few", 2, ("few", "int")),
    Case("config file is no TOML", put("c.toml", "[a\n"), "train catalog --out x --config c.toml", 3, ("c.toml",)),
    Case("config file, unknown key", put("c.toml", "refitt = true\n"), "train catalog --out x --config c.toml", 3, ("c.toml", "refit")),
    Case("unknown ablation", nothing, "train catalog --out x --without txt", 2, ("text",)),
    Case("unknown model", nothing, "evaluate run --models eese", 2, ("ease",)),
    Case("unknown user", put("u.txt", "nobody\n"), "recommend run --users u.txt", 3, ("nobody", "IRI", "u.txt")),
    Case("unknown wanted item", put("i.txt", "nothing\n"), "recommend run --items i.txt", 3, ("nothing", "i.txt")),
    Case("unknown annotator", nothing, "rollback run --annotator ann", 4, ("'ann'", "no answer has")),
    Case("empty list of users", put("u.txt", "\n"), "recommend run --users u.txt", 3, ("u.txt", "no user")),
    Case("users in a wrong column", put("u.csv", "person\na\n"), "recommend run --users u.csv", 3, ("'user'", "person")),
    Case("unknown format", nothing, "recommend run --out recs.xlsx", 2, (".xlsx", ".parquet")),
    Case("no items wanted", nothing, "recommend run -k 0", 2, ("-k",)),
    Case("unknown item", nothing, "similar run --item nothing", 3, ("nothing", "IRI")),
    Case("unknown IRI", nothing, "explain run --user https://x.example/u --item y", 3, ("https://x.example/u",)),
    Case("no budget", nothing, "acquire run --budget 0", 2, ("budget",)),
    Case("unknown strategy", nothing, "acquire run --budget 5 --strategy rndom", 2, ("random",)),
    Case("answers without a column", put("a.csv", "user,item\nx,y\n"), "label run a.csv", 3, ("'answer'", "a.csv")),
    Case("no usable answer", put("a.csv", "user,item,answer\nx,y,like\n"), "label run a.csv", 3, ("a.csv:2", "'x'")),
    Case("answers in an unknown format", put("a.doc", "x"), "label run a.doc", 2, (".doc",)),
    Case("no cut-off", nothing, "evaluate run --at 0,10", 2, ("--at", "from 1 on")),
    Case("no simulation in the folder", lambda f: (f / "loop").mkdir(), "report run --loop loop", 5, ("loop.json",)),
    Case("another JSON for a simulation", put("l.json", '{"strategies": {"a": 1}}'), "report run --loop l.json", 3, ("l.json", "coldframe loop")),
    Case("a list for a simulation", put("l.json", "[1]"), "report run --loop l.json", 3, ("l.json", "coldframe loop")),
    Case("nothing to learn", nothing, "retrain run", 4, ("no new", "coldframe label")),
    Case("damaged checkpoint", cut("run/checkpoints/*/encoder.safetensors"), "similar run --item x", 4, ("encoder.safetensors",)),
    Case("damaged manifest", cut("run/checkpoints/*/manifest.json"), "similar run --item x", 4, ("manifest",)),
    Case("damaged run file", cut("run/run.json"), "evaluate run", 4, ("run.json", "damaged")),
    Case("changed run file", alter("run/run.json", '"round": 0', '"round": 1'), "evaluate run", 4, ("run.json", "changed")),
    Case("run file without its seal", put("run/run.json", '{"format": "coldframe run 1"}'), "evaluate run", 4, ("run.json", "seal", "train")),
    Case("changed settings of a run", alter("run/config.toml", "dimensions = 8", "dimensions = 9"), "retrain run", 4, ("config.toml", "changed")),
    Case("damaged catalog manifest", alter("catalog/manifest.json", '"content"', '"contend"'), "check catalog", 4, ("manifest.json", "changed", "ingest")),
    Case("catalog manifest without its seal", put("catalog/manifest.json", '{"format": 1}'), "train catalog --out x", 4, ("manifest.json", "seal", "ingest")),
    Case("catalog is gone", lambda f: shutil.rmtree(f / "catalog"), "similar run --item x", 4, ("no catalog",)),
)  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Everything but locks, logs, and the caches that any command may fill."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and "lock" not in path.name.lower()
        and path.name != "events.jsonl"
        and path.relative_to(folder).parts[:2] != ("catalog", "text")
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input_to_a_run(case, sound, tmp_path, monkeypatch):
    shutil.copytree(sound, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    here = Path.cwd()
    about = read_sealed(here / "run" / "run.json")
    write_sealed(here / "run" / "run.json", {**about, "catalog": str(here / "catalog")})
    case.spoil(here)
    before = contents(here)
    done = RUNNER.invoke(cli.app, [*case.command.split(), "--json"])
    assert done.exit_code == case.code, done.output
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"kind", "message", "where", "hint"}
    told = " ".join(error.values())
    for word in case.says:
        assert word in told, told
    assert contents(here) == before
    spoken = RUNNER.invoke(cli.app, case.command.split())
    assert spoken.exit_code == case.code
    assert spoken.stdout == ""
    assert (
        1
        <= len([x for x in spoken.stderr.splitlines() if x[:6] in ("error:", "   in:", "  fix:")])
        <= 3
    )
    assert "Traceback" not in spoken.stderr


def test_a_user_without_history_gets_recommendations(sound, tmp_path):
    """She is in the catalog and nobody knows what she likes."""
    data = tmp_path / "new.nt"
    iri = "https://seeds.example.org/gardener/new"
    kind = "https://seeds.example.org/vocabulary/Gardener"
    data.write_text(f"<{iri}> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <{kind}> .\n")
    inputs = [sound / "data" / name for name in ("catalogue.ttl", "gardeners.ttl", "ratings.nt")]
    out, users = tmp_path / "catalog", tmp_path / "users.txt"
    users.write_text(iri)
    schema = sound / "data" / "schema.toml"
    for command in (
        ["ingest", *inputs, data, "--schema", schema, "--out", out],
        ["train", out, "--out", tmp_path / "run", *SMALL.split()],
    ):
        assert RUNNER.invoke(cli.app, [str(word) for word in command]).exit_code == 0
    done = RUNNER.invoke(
        cli.app, ["recommend", str(tmp_path / "run"), "--users", str(users), "-k", "3", "--json"]
    )
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["recommendations"]
    assert [row["rank"] for row in rows] == [1, 2, 3]
    assert {row["user"] for row in rows} == {iri}


def test_a_catalog_of_one_item(tmp_path):
    """Nothing to rank it against, and still no error."""
    schema = tmp_path / "schema.toml"
    schema.write_text(
        'name = "one"\nusers = "user"\nitems = "item"\n'
        '[nodes.item]\niri = "https://x.example/item/{}"\ntext.title = "rdfs:label"\n'
        '[nodes.user]\niri = "https://x.example/user/{}"\n'
        '[events.seen]\nproperty = "https://x.example/seen"\n'
        '[tables.items]\nfile = "items.csv"\nnodes = "item"\nid = "id"\n'
        'columns = { title = "title" }\n'
        '[tables.seen]\nfile = "seen.csv"\nevents = "seen"\n'
        'columns = { user = "user", item = "item" }\n'
    )
    (tmp_path / "items.csv").write_text("id,title\n1,Only\n")
    (tmp_path / "seen.csv").write_text("user,item\na,1\nb,1\n")
    tables = [str(tmp_path / name) for name in ("items.csv", "seen.csv")]
    catalog, run = str(tmp_path / "catalog"), str(tmp_path / "run")
    steps = (
        ["ingest", *tables, "--schema", str(schema), "--out", catalog],
        ["train", catalog, "--out", run, "--protocol", "warm", *SMALL.split()],
        ["recommend", run, "-k", "5", "--include-known", "--json"],
        ["similar", run, "--item", "1", "--json"],
    )
    for step in steps:
        done = RUNNER.invoke(cli.app, step)
        assert done.exit_code in (0, 3), (step, done.output)
        assert "Traceback" not in done.output
