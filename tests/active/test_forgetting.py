"""Forgetting a person: nothing of her is left, everybody else is, and a kill costs one more call."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.active.cycle import FORGETTING, ask, learn, tell
from coldframe.active.forgetting import forget
from coldframe.active.journal import Journal
from coldframe.active.replay import relearn
from coldframe.datasets.generated import generate_catalog
from coldframe.datasets.splits import make_split
from coldframe.gnn.config import RecommenderConfig
from coldframe.gnn.hybrid import HybridConfig
from coldframe.gnn.recommender import Recommender
from coldframe.gnn.runs import Run
from coldframe.gnn.text import TextConfig
from coldframe.kg.catalog import Catalog
from coldframe.kg.errors import StateError, UnknownIdError
from coldframe.kg.files import write_table
from coldframe.kg.person import Person
from coldframe.kg.scan import scan

JOSE = "https://e.org/user/josé"
RUNNER = CliRunner()
CONFIG = RecommenderConfig(
    hybrid=HybridConfig(parts=("popularity", "rp3beta", "kg-prior"), tune=False),
    text=TextConfig(model="tfidf", dimensions=16),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with one learned round and one open one; the store has been asked, so it is filled."""
    base = tmp_path_factory.mktemp("forgetting")
    made = generate_catalog(base / "data", size="tiny")
    catalog, _ = Catalog.ingest(list(made.inputs), made.schema, base / "catalog")
    split = make_split(catalog.graph, "default")
    run = Run.create(
        base / "run", catalog, split, Recommender(CONFIG, device="cpu").fit(catalog, split)
    )
    users, items = catalog.graph.users.vocabulary, catalog.graph.items.vocabulary
    cold = split.cold_items
    rows = [
        {"user": users[k], "item": items[int(cold[k % 4])], "answer": "like", "annotator": who}
        for k, who in ((1, ""), (2, "x"), (3, users[1]), (4, ""), (1, "y"))
    ]
    tell(run, rows)
    run = learn(run, measure=False).run
    with run.catalog.store() as store:
        assert store.count() > 0
    ask(run, 200)
    (base / "run" / "report.html").write_text(f"<p>{users[1]}</p>")
    return base


@pytest.fixture
def base(trained: Path, tmp_path: Path) -> Path:
    for name in ("catalog", "run"):
        shutil.copytree(trained / name, tmp_path / name)
    return tmp_path


def opened(base: Path) -> Run:
    return Run.open(base / "run", device="cpu")


@pytest.mark.R(26)
def test_nothing_of_the_person_is_left_and_everybody_else_is(base: Path) -> None:
    run = opened(base)
    users = run.catalog.graph.users.vocabulary
    person, others = users[1], [iri for iri in users if iri != users[1]]
    assert len(scan([base], Person.of([person])).hits) > 5, "the search would not find her"
    before = {part: getattr(run.split, part) for part in ("train", "valid", "test")}
    kept = {part: int((rows.user != 1).sum()) for part, rows in before.items()}
    events = int((run.catalog.graph.interactions.user == 1).sum())
    labels = len(run.labels(1))
    done = RUNNER.invoke(cli.app, ["forget", str(base / "run"), "--user", person, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["hits"] == []
    lock = 1  # of the run, while it is searched
    assert told["files_scanned"] == lock + sum(path.is_file() for path in base.rglob("*"))
    assert told["records"] == 3  # two about her, one by her
    left = opened(base)
    assert list(left.catalog.graph.users.vocabulary) == others
    for part, count in kept.items():
        assert len(getattr(left.split, part)) == count
    left.split.check(left.catalog.graph)
    train, now = before["train"].select(before["train"].user != 1), left.split.train
    assert [users[int(u)] for u in train.user] == [others[int(u)] for u in now.user]
    np.testing.assert_array_equal(train.item, now.item)
    assert len(left.labels(1)) == 2
    assert told["interactions"] == events + labels - 2
    answers = Journal(left.journal_path)
    assert [one.answer.user for one in answers.records()] == [users[2], users[4]]
    assert answers.history()[-1].answer.answer == "forgotten"
    with pytest.raises(StateError, match="forgotten"):
        _ = left.model
    done_again = relearn(opened(base), measure=False)
    assert done_again.run.round == 1
    assert len(opened(base).model.recommend(k=3)) == 3 * len(others)
    with opened(base).catalog.store() as store:
        assert store.count() > 0
        rounds = [graph for graph in store.graphs() if ":round:" in graph]
        assert store.count(rounds[0]) > 0
        asked = store.select(f"SELECT ?s {{ {{ ?s ?p <{person}> }} UNION {{ <{person}> ?p ?s }} }}")
    assert len(asked) == 0
    assert scan([base], Person.of([person])).hits == ()


@pytest.mark.R(26)
@pytest.mark.parametrize(
    "moment", ["Journal.forget", "_change_run", "write_table", "replace_catalog", "scan"]
)
def test_killed_anywhere_the_same_call_completes_it(
    base: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*_args: object, **_more: object) -> None:
        raise Killed

    person = opened(base).catalog.graph.users.vocabulary[1]
    original = person.rpartition("/")[2]
    with monkeypatch.context() as patch:
        patch.setattr(f"coldframe.active.forgetting.{moment}", kill)
        with pytest.raises(Killed):
            forget(opened(base), original)
    if moment == "scan":  # all was done but the proof
        assert scan([base], Person.of([person])).hits == ()
        return
    if moment in ("_change_run", "replace_catalog"):
        with pytest.raises(UnknownIdError, match="half forgotten"):
            forget(opened(base), "somebody")
    done = forget(opened(base), original)
    assert (done.records, done.scan.hits) == (3, ())
    assert not (base / "run" / FORGETTING).exists()
    assert person not in opened(base).catalog.graph.users.vocabulary


@pytest.mark.R(26)
def test_a_file_that_still_names_her_is_named(base: Path) -> None:
    person = opened(base).catalog.graph.users.vocabulary[1]
    mine = base / "run" / "mine.parquet"
    write_table(mine, pa.table({"who": ["nobody", person]}))
    done = RUNNER.invoke(cli.app, ["forget", str(base / "run"), "--user", person, "--json"])
    assert done.exit_code == 4
    assert json.loads(done.stdout)["hits"] == [str(mine)]


def test_an_unknown_user_changes_nothing(base: Path) -> None:
    with pytest.raises(UnknownIdError, match="nobody"):
        forget(opened(base), "nobody")
    assert not (base / "run" / FORGETTING).exists()
    assert opened(base).model.scorer is not None


def test_the_search_takes_whole_names_alone(tmp_path: Path) -> None:
    iri = "https://e.org/user/1"
    (tmp_path / "a.txt").write_text(f"<{iri}2> {iri}x {iri}-3")
    (tmp_path / "b.json").write_text(
        json.dumps({"user": "21", "n": 1, "text": "no. 1", "item": "1"})
    )
    write_table(tmp_path / "c.parquet", pa.table({"u": [f"{iri}0", "1"], "user": ["11", "01"]}))
    (tmp_path / "d.csv").write_text("user,item\n2,1\n")
    person = Person.of([iri])
    assert person.ids == {"1"}
    assert scan([tmp_path], person).hits == ()
    (tmp_path / "a.txt").write_bytes(b"\x00" * (1 << 24) + f"<{iri}>".encode())
    (tmp_path / "b.json").write_text(json.dumps([{"annotators": {"1": 0.5}}]))
    write_table(tmp_path / "c.parquet", pa.table({"u": [f"see {iri}."]}))
    (tmp_path / "d.csv").write_text("user,item\n1,2\n")
    assert [Path(hit).name for hit in scan([tmp_path], person).hits] == [
        "a.txt", "b.json", "c.parquet", "d.csv",
    ]  # fmt: skip


@pytest.mark.R(26)
@pytest.mark.parametrize(
    "column",
    [
        {"note": [f"urn:x:{quote(JOSE, safe='')}"]},
        {"note": [json.dumps(JOSE)]},
        {"note": [["somebody", JOSE]]},
        {"user": [["ann", "josé"]]},
        {"about": [{"user": "josé"}]},
        {"note": pa.array(["ann", JOSE]).dictionary_encode()[:1]},
    ],
    ids=["percent-encoded", "as JSON", "in a list", "id in a list", "in a record", "dictionary"],
)
def test_the_search_finds_every_form_of_a_name_in_a_packed_table(
    tmp_path: Path, column: dict[str, Any]
) -> None:
    person = Person.of([JOSE])
    table = pa.table(column)
    write_table(tmp_path / "a.parquet", table)
    with pa.ipc.new_file(str(tmp_path / "a.arrow"), table.schema) as out:
        out.write_table(table)
    assert "a.arrow" in [Path(hit).name for hit in scan([tmp_path], person).hits]
    if "dictionary" not in str(table.schema):
        assert len(scan([tmp_path], person).hits) == 2


def test_the_search_goes_on_behind_a_long_cell(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text("\ufeffuser,note\n1," + "x" * 140_000 + "\n7,\n", "utf-8")
    assert scan([tmp_path], Person.of(["https://e.org/user/7"])).hits == (str(path),)
    assert scan([tmp_path], Person.of(["https://e.org/user/1"])).hits == (str(path),)
    assert csv.field_size_limit() == 131_072  # as before


def left_behind(run: Run, user: str) -> None:
    """An answer of somebody whom the catalog does not have, as a race of older versions left it."""
    item = run.catalog.graph.items.vocabulary[0]
    Journal(run.journal_path).tell([{"user": user, "item": item, "answer": "like"}], round=2)


@pytest.mark.R(26)
def test_answers_read_before_she_was_forgotten_do_not_bring_her_back(base: Path) -> None:
    early = opened(base)
    users, items = early.catalog.graph.users.vocabulary, early.catalog.graph.items.vocabulary
    rows = [{"user": users[k], "item": items[0], "answer": "like"} for k in (1, 2)]
    forget(opened(base), users[1])
    before = early.journal_path.read_bytes()
    with pytest.raises(StateError, match="changed while"):
        tell(early, rows)
    assert early.journal_path.read_bytes() == before
    report = tell(opened(base), rows)
    assert (report.accepted, len(report.rejected)) == (1, 1)


def test_while_she_is_half_forgotten_no_answers_are_taken_in(base: Path) -> None:
    run = opened(base)
    (run.path / FORGETTING).mkdir()
    graph = run.catalog.graph
    row = {"user": graph.users.vocabulary[2], "item": graph.items.vocabulary[0], "answer": "like"}
    with pytest.raises(StateError, match="half forgotten"):
        tell(run, [row])


@pytest.mark.R(26)
@pytest.mark.parametrize("whole", [True, False])
def test_somebody_whom_only_the_journal_knows_is_found_and_forgotten(
    base: Path, whole: bool
) -> None:
    person = "https://example.org/user/gone"
    left_behind(opened(base), person)
    found = RUNNER.invoke(cli.app, ["verify", str(base / "run"), "--json"])
    assert found.exit_code == 4
    bad = [check for check in json.loads(found.stdout)["checks"] if not check["ok"]]
    assert [person in check["reason"] for check in bad] == [True]
    done = forget(opened(base), person if whole else "gone")
    assert (done.records, done.scan.hits) == (1, ())
    assert RUNNER.invoke(cli.app, ["verify", str(base / "run")]).exit_code == 0
    assert relearn(opened(base), measure=False).run.round == 1
