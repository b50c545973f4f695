"""What every store must do, tried on memory, on a folder and against a real SPARQL server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyoxigraph as ox
import pytest
from typer.testing import CliRunner

from coldframe import cli
from coldframe.kg.catalog import Catalog
from coldframe.kg.catalog_store import CatalogStore
from coldframe.kg.endpoint import EndpointConfig, EndpointStore
from coldframe.kg.errors import DataError, ParseError, ResourceError, StateError, UsageError
from coldframe.kg.store import MemoryStore, OxigraphStore, Store

EX = "https://example.org/"
GRAPH = EX + "graph"


def node(name: str) -> ox.NamedNode:
    return ox.NamedNode(EX + name)


def triple(subject: str, predicate: str, value: object) -> ox.Triple:
    target = value if isinstance(value, ox.Literal) else node(str(value))
    return ox.Triple(node(subject), node(predicate), target)


ODD = [
    triple("a", "p", ox.Literal('quote " comma , newline \n return \r backslash \\ tab \t')),
    triple("a", "p", ox.Literal("")),
    triple("a", "p", ox.Literal("chat", language="fr-BE")),
    triple(
        "a", "p", ox.Literal("3", datatype=ox.NamedNode("http://www.w3.org/2001/XMLSchema#integer"))
    ),
    triple("a", "p", ox.Literal("_:looks-blank")),
    triple("a", "p", ox.Literal("ex — ünïcode 🪴")),
    triple("a", "q", "b"),
]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real SPARQL 1.1 server on loopback; yields its base URL."""
    program = Path(sys.executable).with_name("oxigraph")
    if not program.exists():
        pytest.skip("the server comes with the package oxigraph")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    process = subprocess.Popen(
        [program, "serve", "--location", folder / "db", "--bind", f"127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("the server did not start within 10 s")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["memory", "folder", "catalog", "endpoint"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        made: Store = MemoryStore()
    elif request.param == "folder":
        made = OxigraphStore(tmp_path / "store")
    elif request.param == "catalog":
        made = CatalogStore(tmp_path / "store", lambda path: path.write_text(""))
    else:
        url = request.getfixturevalue("server")
        made = EndpointStore(f"{url}/query", f"{url}/update", EndpointConfig(page=4))
        for graph in made.graphs():
            made.drop(graph)
        EndpointStore(f"{url}/query", f"{url}/update")._update("CLEAR DEFAULT")
    yield made
    made.close()


def test_follows_the_protocol(store: Store) -> None:
    assert isinstance(store, Store)


def test_counts_what_was_added_once(store: Store) -> None:
    store.add(ODD)
    store.add([*ODD, triple("a", "q", "c")], GRAPH)
    store.add(ODD, GRAPH)
    assert store.count() == len(ODD)
    assert store.count(GRAPH) == len(ODD) + 1
    assert store.graphs() == [GRAPH]


def test_n_triples_are_added_as_they_are(store: Store) -> None:
    lines = "".join(f"{each} .\n" for each in ODD).encode()
    store.add(lines)
    store.add(lines, GRAPH)
    assert (store.count(), store.count(GRAPH)) == (len(ODD), len(ODD))
    with pytest.raises(ParseError):
        store.add(lines + b"<a> .\n", GRAPH)
    assert store.count(GRAPH) == len(ODD)


def test_a_graph_is_dropped_alone(store: Store) -> None:
    store.add(ODD)
    store.add(ODD, GRAPH)
    store.add(ODD, GRAPH + "2")
    store.drop(GRAPH)
    store.drop(EX + "never-there")
    assert store.graphs() == [GRAPH + "2"]
    assert store.count(GRAPH) == 0
    assert store.count() == len(ODD)


def test_select_gives_text_columns(store: Store) -> None:
    store.add(ODD)
    table = store.select(f"SELECT ?o ?none {{ <{EX}a> ?p ?o OPTIONAL {{ ?o ?x ?none }} }}")
    assert set(table.column_names) == {"o", "none"}
    values = [each.object.value for each in ODD]
    assert sorted(table["o"].to_pylist()) == sorted(values)
    assert set(table["none"].to_pylist()) == {""}


def test_select_with_prefixes_aggregates_and_no_rows(store: Store) -> None:
    store.add(ODD)
    counted = store.select(
        f"PREFIX ex: <{EX}>\n# a comment\nSELECT ?p (COUNT(*) AS ?n) {{ ex:a ?p ?o }} "
        "GROUP BY ?p ORDER BY ?p"
    )
    assert counted.to_pydict() == {"p": [EX + "p", EX + "q"], "n": ["6", "1"]}
    empty = store.select(f"SELECT ?s ?o {{ ?s <{EX}nothing> ?o }}")
    assert empty.num_rows == 0
    assert empty.column_names == ["s", "o"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * { SERVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
        "SELECT * { service SILENT ?where { ?s ?p ?o } }",
        "SELECT * { S\\u0045RVICE <http://127.0.0.1:9/> { ?s ?p ?o } }",
        "LOAD <http://127.0.0.1:9/>",
        "CONSTRUCT { ?s ?p ?o } { ?s ?p ?o }",
        "SELECT * {" + "{" * 5000 + "}" * 5001,
        "SELECT * { FILTER(" + "!" * 3000 + "true) }",
        "SELECT * { ?s ?p " + "?o " * 5000 + "}",
    ],
)
def test_refuses_what_leaves_the_store_or_breaks_it(store: Store, query: str) -> None:
    with pytest.raises((UsageError, ResourceError)):
        store.select(query)


def test_names_like_the_refused_words_are_fine(store: Store) -> None:
    store.add([triple("service", "load", "x")])
    table = store.select(
        f"PREFIX service: <{EX}> SELECT ?load {{ service:service service:load ?load "
        "FILTER(STR(?load) != 'SERVICE <http://x>') } # SERVICE"
    )
    assert table["load"].to_pylist() == [EX + "x"]


def test_graph_names_cannot_carry_a_query(store: Store) -> None:
    for call in (store.drop, store.count):
        with pytest.raises(DataError):
            call("x:y> } ; DROP ALL ; { <x:z")


def test_loads_files_and_names_the_place_of_an_error(store: Store, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ttl", tmp_path / "bad.ttl"
    good.write_text(f"@prefix ex: <{EX}> .\nex:a ex:p 1, 2 .\n")
    bad.write_text(f"@prefix ex: <{EX}> .\nex:a ex:p 3 .\nex:a ex:p ??? .\n")
    with pytest.raises(ParseError, match=r"bad\.ttl:3"):
        store.load_file(bad, GRAPH)
    assert store.graphs() == []
    store.load_file(good, GRAPH)
    with pytest.raises(ParseError):
        store.load_file(bad, GRAPH)
    assert store.count(GRAPH) == 2
    with pytest.raises(UsageError, match="xml"):
        store.load_file(tmp_path / "x.xml")
    with pytest.raises((ResourceError, ParseError)):
        store.load_file(tmp_path / "missing.nt")


def test_dump_holds_every_quad_and_loads_again(store: Store, tmp_path: Path) -> None:
    store.add(ODD)
    store.add(ODD[2:], GRAPH)
    assert store.dump(tmp_path / "all.nq") == len(ODD) * 2 - 2
    again = MemoryStore()
    again.load_file(tmp_path / "all.nq")
    assert {
        str(quad) for quad in ox.parse(path=str(tmp_path / "all.nq"), format=ox.RdfFormat.N_QUADS)
    } == {
        str(ox.Quad(t.subject, t.predicate, t.object, graph))
        for graph, triples in ((ox.DefaultGraph(), ODD), (ox.NamedNode(GRAPH), ODD[2:]))
        for t in triples
    }
    assert again.count(GRAPH) == len(ODD) - 2


def test_a_closed_store_says_so(store: Store) -> None:
    store.close()
    with pytest.raises(StateError, match="closed"):
        store.count()


def test_an_endpoint_is_read_whole_into_a_catalog(server: str, tmp_path: Path) -> None:
    store = EndpointStore(f"{server}/query", f"{server}/update")
    store._update("CLEAR ALL")
    kind = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
    thing = [f"<urn:t:{k}> <{kind}> <urn:t:Thing> .\n" for k in range(30)]
    store.add("".join(thing).encode())
    store.add(b'<urn:t:1> <urn:t:name> "one" .\n', GRAPH)
    schema = tmp_path / "schema.toml"
    schema.write_text(
        '[nodes.item]\nclass = "<urn:t:Thing>"\ntext.name = "<urn:t:name>"\n', "utf-8"
    )
    words = ["ingest", "--endpoint", f"{server}/query", "--endpoint-page", "7"]
    words += ["--schema", str(schema), "--out", str(tmp_path / "catalog"), "--json"]
    done = CliRunner().invoke(cli.app, words)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["nodes"]["item"] == 30
    catalog = Catalog.open(tmp_path / "catalog")
    quads = catalog.quads()
    assert quads is not None
    assert (len(quads), quads.sources[0].path) == (31, f"{server}/query")
    assert (
        catalog.graph.items.texts["name"][catalog.graph.items.vocabulary.find("urn:t:1")] == "one"
    )


def test_an_endpoint_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    schema = tmp_path / "schema.toml"
    schema.write_text('[nodes.item]\nclass = "<urn:t:Thing>"\n', "utf-8")
    words = ["ingest", "--schema", str(schema), "--out", str(tmp_path / "catalog"), "--json"]
    with socket.socket() as taken:  # bound, but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/query"
        done = CliRunner().invoke(cli.app, [*words, "--endpoint", url])
    assert done.exit_code == 5
    assert json.loads(done.stdout)["error"]["where"] == url
    assert CliRunner().invoke(cli.app, [*words, "--endpoint", "ftp://x"]).exit_code == 2
    assert CliRunner().invoke(cli.app, words).exit_code == 2
    assert not (tmp_path / "catalog").exists()
