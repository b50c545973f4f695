"""The store of a catalog folder: nothing before the first question, everything from then on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pyoxigraph as ox
import pytest

from coldframe.kg import query_limits
from coldframe.kg.catalog_store import CatalogStore, check_store, filled, pending
from coldframe.kg.errors import (
    DataError,
    IntegrityError,
    LockedError,
    ParseError,
    ResourceError,
    StateError,
    UsageError,
)

EX = "https://example.org/"
GRAPH = "urn:coldframe:run:r:round:1"
LINE = f'<{EX}a> <{EX}p> "said" .\n'.encode()
FACTS = "".join(f'<{EX}{k}> <{EX}p> "{k}" .\n' for k in range(300))


def opened(folder: Path, facts: str = FACTS, **more: object) -> CatalogStore:
    return CatalogStore(folder, lambda path: path.write_text(facts, "utf-8"), **more)  # type: ignore[arg-type]


def never(_: Path) -> None:
    pytest.fail("the store was filled")


def test_adding_needs_no_engine_and_the_first_question_brings_all(tmp_path: Path) -> None:
    with CatalogStore(tmp_path, never) as store:
        store.add(LINE, GRAPH)
    with CatalogStore(tmp_path, never) as store:
        store.add(
            [ox.Triple(ox.NamedNode(EX + "b"), ox.NamedNode(EX + "p"), ox.Literal("é\n"))], GRAPH
        )
        store.add(LINE)
    assert len(pending(tmp_path)) == 3
    assert not (tmp_path / "CURRENT").exists()
    with CatalogStore(tmp_path, None) as store:  # for who asks after the rounds alone
        assert (store.graphs(), filled(tmp_path)) == ([GRAPH], None)
        store.add(LINE, GRAPH + "0")
    told: list[tuple[float, float]] = []
    with opened(tmp_path, progress=lambda done, total: told.append((done, total))) as store:
        assert (store.count(), store.count(GRAPH)) == (301, 2)
        assert store.graphs() == [GRAPH, GRAPH + "0"]
        assert not pending(tmp_path)
    assert told[-1][0] == told[-1][1] > 0
    assert filled(tmp_path) == 301
    assert not (tmp_path / "facts.nq").exists()
    with CatalogStore(tmp_path, never) as store:
        assert (store.count(), len(store.graphs())) == (301, 2)
        store.drop(GRAPH)
    with CatalogStore(tmp_path, never) as store:
        assert store.graphs() == [GRAPH + "0"]


def test_what_is_wrong_is_refused_at_once(tmp_path: Path) -> None:
    with CatalogStore(tmp_path, never) as store:
        with pytest.raises(ParseError, match="statements:2"):
            store.add(LINE + b"<no iri> .\n", GRAPH)
        with pytest.raises(DataError, match="not an IRI"):
            store.add(LINE, "no iri")
        with pytest.raises(ParseError):
            store.add(b"} <urn:other> { " + LINE, GRAPH)
        with pytest.raises(LockedError):
            CatalogStore(tmp_path, never)
    assert not pending(tmp_path)
    for use in (store.count, lambda: store.add(LINE)):
        with pytest.raises(StateError, match="closed"):
            use()


@pytest.mark.R(4)
@pytest.mark.parametrize("point", ["bulk_load", "extend", "unlink"])
def test_a_kill_while_it_fills_loses_nothing_and_doubles_nothing(
    tmp_path: Path, point: str
) -> None:
    with CatalogStore(tmp_path, never) as store:
        store.add(LINE, GRAPH)
        store.add(LINE, GRAPH + "0")
    code = KILLED.format(folder=str(tmp_path), facts=FACTS, point=point)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with opened(tmp_path) as store:
        assert (store.count(), store.count(GRAPH), store.graphs()) == (300, 1, [GRAPH, GRAPH + "0"])
    assert {p.name for p in tmp_path.glob("*.nq")} | set(pending(tmp_path)) == set()


# Dies right after the named step of the first question.
KILLED = """
import os, signal
from pathlib import Path
import pyoxigraph as ox
from coldframe.kg import catalog_store

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

class Engine:
    def __init__(self, engine):
        self._engine = engine
    def __getattr__(self, name):
        found = getattr(self._engine, name)
        return (lambda *a, **k: (found(*a, **k), die())) if name == "{point}" else found
    def __len__(self):
        return len(self._engine)

opener = catalog_store.open_engine
catalog_store.open_engine = lambda folder: Engine(opener(folder))
if "{point}" == "unlink":
    unlink = Path.unlink
    Path.unlink = lambda self, **more: (unlink(self, **more), self.suffix == ".trig" and die())
store = catalog_store.CatalogStore("{folder}", lambda path: path.write_text('''{facts}'''))
store.count()
"""


def test_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "filled.json").write_text("[]", "utf-8")
    with opened(tmp_path) as store, pytest.raises(IntegrityError, match="filled"):
        store.count()
    (tmp_path / "filled.json").unlink()
    (tmp_path / "CURRENT").write_text("garbage", "utf-8")
    with opened(tmp_path) as store, pytest.raises(IntegrityError, match="damaged"):
        store.count()
    assert not (tmp_path / ".coldframe.lock").exists()


@pytest.mark.parametrize(
    "before",
    [
        r"ex:a\#b ?y . ",
        r"ex:a\'b ?y . ",
        "ex:a 'it' . # a remark\r",
        "ex:a <urn:x> . # a remark\n",
        r"ex:a '\'#' . ",
    ],
)
def test_no_spelling_hides_what_leaves_the_store(tmp_path: Path, before: str) -> None:
    query = "PREFIX ex: <urn:ex:> SELECT * { ?x %s SERVICE SILENT <http://127.0.0.1:9/x> { ?s ?p ?o } #'\n}"
    with opened(tmp_path) as store:
        allowed = query.replace("SERVICE SILENT <http://127.0.0.1:9/x>", "") % before
        assert store.select(allowed).num_rows == 0  # the same is a query otherwise
        for ask in (store.select, store.select_within):
            with pytest.raises(UsageError, match="SERVICE is refused"):
                ask(query % before)
        nested = "(" * 40 + "1" + ")" * 40
        deep = f"SELECT * {{ ?x {before} FILTER{nested} #'\n}}"
        with pytest.raises(UsageError, match="nested deeper"):
            store.select("PREFIX ex: <urn:ex:> " + deep)


def test_a_literal_may_be_long(tmp_path: Path) -> None:
    text = "long " * 700_000
    with opened(tmp_path) as store:
        store.add(f'<{EX}long> <{EX}says> "{text}" .\n'.encode(), GRAPH)
        found = store.select(f"SELECT ?t {{ GRAPH ?g {{ <{EX}long> <{EX}says> ?t }} }}")
        assert found["t"].to_pylist() == [text]


ENDLESS = "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l }"


def test_a_query_that_takes_too_long_is_ended_and_the_store_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        with pytest.raises(ResourceError, match=r"longer than 1\.5 seconds"):
            store.select_within(ENDLESS, 1.5)
        store.add(LINE, GRAPH)
        found = store.select_within("SELECT ?a ?said { GRAPH ?g { ?a ?p ?said } }")
        assert found.to_pylist() == [{"a": f"{EX}a", "said": "said"}]
        assert store.count() == 300


def test_a_limited_query_answers_like_any_other(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        for query in ("SELECT ?s ?o { ?s ?p ?o } ORDER BY ?s", "SELECT ?s { ?s ?p 'none' }"):
            assert store.select_within(query).equals(store.select(query))
        for wrong, message in (
            ("SELECT", "not a SPARQL query"),
            ("ASK {}", "only SELECT"),
            ("SELECT * { SERVICE <http://x.org/> {} }", "SERVICE is refused"),
        ):
            with pytest.raises(UsageError, match=message):
                store.select_within(wrong)
    with pytest.raises(StateError, match="closed"):
        store.select_within("SELECT * {}")


def test_questions_see_the_catalogs_named_graphs_and_not_the_rounds(tmp_path: Path) -> None:
    facts = f'<{EX}a> <{EX}p> "1" .\n<{EX}a> <{EX}p> "1" <{EX}g> .\n<{EX}b> <{EX}p> "2" <{EX}h> .\n'
    everything = f"SELECT ?s ?o {{ ?s <{EX}p> ?o }} ORDER BY ?s"
    named = f"SELECT ?g {{ GRAPH ?g {{ ?s <{EX}p> ?o }} }} ORDER BY ?g"
    with opened(tmp_path, facts) as store:
        store.add(LINE, GRAPH)
        for select in (store.select, store.select_within):
            rows = [(row["s"][-1], row["o"]) for row in select(everything).to_pylist()]
            assert rows == [("a", "1"), ("b", "2")]
            graphs = select(named)["g"].to_pylist()
            assert graphs == sorted([EX + "g", EX + "h", GRAPH])
    check_store(tmp_path)


def test_a_limited_query_has_a_bound_on_its_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query_limits, "ANSWER", 5_000)
    with opened(tmp_path) as store:
        with pytest.raises(ResourceError, match="more than 5,000 bytes"):
            store.select_within("SELECT ?s ?o { ?s ?p ?o }")
        assert len(store.select_within("SELECT ?s { ?s ?p ?o } LIMIT 10")) == 10
