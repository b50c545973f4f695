"""Stores under kills, rivals, servers that leave rows out, and servers that never end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pyarrow.csv as pacsv
import pyoxigraph as ox
import pytest

from coldframe.kg.endpoint import EndpointConfig, EndpointStore
from coldframe.kg.errors import (
    ColdframeError,
    DataError,
    IntegrityError,
    LockedError,
    ResourceError,
    StateError,
    UsageError,
)
from coldframe.kg.store import MemoryStore, OxigraphStore

EX = "https://example.org/"


def batch(number: int, size: int = 200) -> list[ox.Triple]:
    return [
        ox.Triple(
            ox.NamedNode(f"{EX}item/{number}-{k}"), ox.NamedNode(f"{EX}p"), ox.Literal(str(k))
        )
        for k in range(size)
    ]


# Forks writers and kills them; a process of its own, as the engine's threads do not survive a fork.
KILLER = f"""
import os, random, signal, sys, time
import pyoxigraph as ox
from coldframe.kg.store import OxigraphStore

def write(folder, said):
    store = OxigraphStore(folder)
    start = len(store.graphs())
    for number in range(start, start + 10_000):
        item = ox.NamedNode("{EX}" + str(number))
        batch = [ox.Triple(item, item, ox.Literal(str(k))) for k in range(200)]
        store.add(batch, f"{EX}graph/{{number:06d}}")
        os.write(said, b"%d\\n" % number)

rng = random.Random(4)
for folder in sys.stdin:
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            write(folder.strip(), said)
        finally:
            os._exit(1)
    os.close(said)
    with open(heard, "rb") as answers:
        first = answers.readline()
        time.sleep(rng.random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        print((first + answers.read()).decode().split()[-1], flush=True)
"""


@pytest.mark.R(4)
def test_kill_leaves_whole_batches_and_every_acknowledged_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for trial in range(50):
            folder = tmp_path / str(trial % 5)
            killer.stdin.write(f"{folder}\n")
            killer.stdin.flush()
            acknowledged = int(killer.stdout.readline())
            with OxigraphStore(folder) as store:
                graphs = store.graphs()
                assert {store.count(graph) for graph in graphs[-20:]} == {200}, "part of a batch"
                assert f"{EX}graph/{acknowledged:06d}" in graphs
                assert len(graphs) - 1 - acknowledged in (0, 1)
        killer.stdin.close()


@pytest.mark.R(24)
def test_the_second_writer_is_refused_by_name(tmp_path: Path) -> None:
    with OxigraphStore(tmp_path) as store:
        with pytest.raises(LockedError, match=rf"process {os.getpid()} .*\(store"):
            OxigraphStore(tmp_path)
        code = f"from coldframe.kg.store import OxigraphStore; OxigraphStore({str(tmp_path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert f"in use by process {os.getpid()}" in other.stderr
        store.add(batch(0))
    with OxigraphStore(tmp_path) as store:
        assert store.count() == 200


def test_a_folder_that_is_no_store_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ResourceError, match="file"):
        OxigraphStore(tmp_path / "file")
    (tmp_path / "CURRENT").write_text("garbage")
    with pytest.raises(IntegrityError, match="damaged"):
        OxigraphStore(tmp_path)
    assert not (tmp_path / ".coldframe.lock").exists()


Answer = Callable[[BaseHTTPRequestHandler, str], None]


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """A server on loopback that answers every query by a function; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            with suppress(BrokenPipeError, ConnectionResetError):
                answer(self, form.get("query", form.get("update", [""]))[0])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/query"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def reply(
    handler: BaseHTTPRequestHandler, body: bytes, *, kind: str = "text/csv", status: int = 200
) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


class Real:
    """A real SPARQL engine, to be put behind a server that tampers with its answers."""

    def __init__(self, rows: int = 50) -> None:
        self.store = MemoryStore()
        self.store.add(batch(0, rows))

    def csv(self, query: str) -> bytes:
        answer = self.store._store.query(query)
        return bytes(answer.serialize(format=ox.QueryResultsFormat.CSV))  # type: ignore[arg-type]

    def __call__(self, handler: BaseHTTPRequestHandler, query: str) -> None:
        reply(handler, self.csv(query))


ALL = f"SELECT ?s ?o {{ ?s <{EX}p> ?o }}"


def capped(cap: int) -> Answer:
    """A server that answers at most `cap` rows, with HTTP 200, as some do."""
    real = Real()

    def answer(handler: BaseHTTPRequestHandler, query: str) -> None:
        lines = real.csv(query).splitlines(keepends=True)
        reply(handler, b"".join(lines[: cap + 1]))

    return answer


@pytest.mark.parametrize("page", [10, 50, 1000])
def test_honest_answers_are_whole(page: int, tmp_path: Path) -> None:
    with served(Real()) as url:
        store = EndpointStore(url, config=EndpointConfig(page=page))
        assert sorted(map(int, store.select(ALL)["o"].to_pylist())) == list(range(50))
        assert store.dump(tmp_path / "x.nq") == 50


@pytest.mark.parametrize(("cap", "page"), [(20, 1000), (20, 30), (49, 50), (9, 10)])
def test_a_capped_answer_is_an_error(cap: int, page: int, tmp_path: Path) -> None:
    with served(capped(cap)) as url:
        store = EndpointStore(url, config=EndpointConfig(page=page))
        with pytest.raises(IntegrityError, match=r"rows where it counted 50"):
            store.select(ALL)
        with pytest.raises(IntegrityError):
            store.dump(tmp_path / "x.nq")
    assert list(tmp_path.iterdir()) == []


def test_pages_below_the_cap_are_whole() -> None:
    with served(capped(20)) as url:
        store = EndpointStore(url, config=EndpointConfig(page=20))
        assert store.select(ALL).num_rows == 50


def test_the_right_number_of_wrong_rows_is_an_error(tmp_path: Path) -> None:
    """A server that ignores OFFSET gives as many rows as it counted, but the same ones again."""
    real = Real()

    def answer(handler: BaseHTTPRequestHandler, query: str) -> None:
        reply(handler, real.csv(query.rpartition("OFFSET")[0] or query))

    with served(answer) as url:
        store = EndpointStore(url, config=EndpointConfig(page=10))
        with pytest.raises(IntegrityError, match="gave 10 rows where it counted 50"):
            store.dump(tmp_path / "x.nq")


def cut(share: float, *, chunked: bool = False, length: bool = True) -> Answer:
    """Breaks off in the middle of every answer longer than a count."""
    real = Real()

    def answer(handler: BaseHTTPRequestHandler, query: str) -> None:
        body = real.csv(query)
        if len(body) < 100:
            return reply(handler, body)
        half = body[: int(len(body) * share)]
        handler.send_response(200)
        handler.send_header("Content-Type", "text/csv")
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        elif length:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(half), half) if chunked else half)
        handler.close_connection = True
        return None

    return answer


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
@pytest.mark.parametrize("how", [{}, {"chunked": True}, {"length": False}], ids=str)
def test_a_broken_off_answer_is_an_error(share: float, how: dict[str, bool]) -> None:
    with served(cut(share, **how)) as url, pytest.raises((ResourceError, IntegrityError)):
        EndpointStore(url).select(ALL)


def test_a_server_that_drips_is_left_after_the_time_limit() -> None:
    sent: list[int] = []

    def answer(handler: BaseHTTPRequestHandler, _: str) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/csv")
        handler.end_headers()
        for k in range(100):
            handler.wfile.write(b"x")
            sent.append(k)
            time.sleep(0.05)

    with served(answer) as url, pytest.raises(ResourceError, match=r"0\.3 s"):
        EndpointStore(url, config=EndpointConfig(timeout=0.3)).count()
    assert len(sent) < 100, "it was waited for"


def test_a_server_that_drips_its_headers_is_left_after_the_time_limit() -> None:
    sent: list[int] = []

    def answer(handler: BaseHTTPRequestHandler, _: str) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for k in range(60):
            handler.wfile.write(b"x")
            sent.append(k)
            time.sleep(0.05)
        handler.wfile.write(b"\r\n\r\n")

    with served(answer) as url, pytest.raises(ResourceError, match=r"no whole answer in 0\.3 s"):
        EndpointStore(url, config=EndpointConfig(timeout=0.3)).count()
    assert len(sent) < 60, "it was waited for"


def test_pages_of_different_rows_that_repeat_one_are_an_error() -> None:
    real = Real()

    def answer(handler: BaseHTTPRequestHandler, query: str) -> None:
        reply(handler, real.csv(re.sub(r"OFFSET \d+", "", query)))

    query = ALL.replace("SELECT", "SELECT DISTINCT")
    with served(answer) as url:
        store = EndpointStore(url, config=EndpointConfig(page=25))
        with pytest.raises(IntegrityError, match="25 rows where it counted 50"):
            store.select(query)
        assert len(store.select(ALL)) == 50  # where rows may repeat, nobody can tell


def test_a_server_that_is_silent_is_left_after_the_time_limit() -> None:
    with served(lambda *_: time.sleep(1.5)) as url, pytest.raises(ResourceError, match=r"0\.3 s"):
        EndpointStore(url, config=EndpointConfig(timeout=0.3)).count()


@pytest.mark.parametrize(
    ("body", "options", "error", "match"),
    [
        (b"n\r\nmany\r\n", {}, IntegrityError, "does not count"),
        (b"<html>sorry</html>", {"kind": "text/html"}, IntegrityError, "text/html"),
        (b"overloaded", {"status": 503}, ResourceError, "HTTP 503.*overloaded"),
        (b"", {"status": 302}, ResourceError, "HTTP 302"),
        (b"x" * 5000, {}, ResourceError, "over 4000 bytes"),
        (b"n\r\n1,2\r\n", {}, IntegrityError, "CSV"),
    ],
)
def test_odd_answers_are_named_errors(
    body: bytes, options: dict[str, object], error: type[ColdframeError], match: str
) -> None:
    with served(lambda handler, _: reply(handler, body, **options)) as url:  # type: ignore[arg-type]
        store = EndpointStore(url, config=EndpointConfig(max_bytes=4000))
        with pytest.raises(error, match=match):
            store.count()


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"s": "https://x/> <https://p> <https://evil"}, "IRI"),
        ({"o": "https://x/>\n<a:b> <a:c> <a:d", "iri": "true", "literal": "false"}, "IRI"),
        ({"type": "https://t> . <a:b"}, "datatype"),
        ({"language": "en . <a:b>"}, "language"),
        ({"s": "_:b0"}, "blank nodes"),
        ({"iri": "false", "literal": "false"}, "blank nodes"),
    ],
)
def test_a_hostile_server_cannot_make_up_lines(
    tmp_path: Path, row: dict[str, str], what: str
) -> None:
    import pyarrow as pa

    full = {
        "s": "https://s",
        "o": "x",
        "iri": "false",
        "literal": "true",
        "type": "",
        "language": "",
    }

    def answer(handler: BaseHTTPRequestHandler, query: str) -> None:
        if "COUNT" in query:
            body = b"n\r\n1\r\n" if "GRAPH" not in query else b"n\r\n0\r\n"
        elif "DISTINCT ?p" in query:
            body = b"p\r\nhttps://p\r\n"
        elif "DISTINCT ?g" in query:
            body = b"g\r\n"
        else:
            sink = pa.BufferOutputStream()
            pacsv.write_csv(pa.table({name: [value] for name, value in (full | row).items()}), sink)
            body = sink.getvalue().to_pybytes()
        reply(handler, body)

    with served(answer) as url, pytest.raises(DataError, match=what):
        EndpointStore(url).dump(tmp_path / "x.nq")
    assert list(tmp_path.iterdir()) == []


def test_a_read_only_endpoint_and_unsendable_statements() -> None:
    store = EndpointStore("http://127.0.0.1:9/query")
    with pytest.raises(StateError, match="read-only"):
        store.add(batch(0))
    with pytest.raises(ResourceError, match="more than 10"):
        EndpointStore(
            "http://127.0.0.1:9/q", "http://127.0.0.1:9/u", EndpointConfig(max_statements=10)
        ).add(batch(0))
    blank = ox.Triple(ox.BlankNode("b"), ox.NamedNode(EX + "p"), ox.Literal("x"))
    with pytest.raises(DataError, match="blank node"):
        EndpointStore("http://127.0.0.1:9/q", "http://127.0.0.1:9/u").add([blank])
    with pytest.raises(ResourceError, match="no whole answer"):
        store.count()


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://x/q", "http://u:p@x/q", "x", "http://"]
)
def test_only_plain_http_urls(url: str) -> None:
    with pytest.raises(UsageError, match="http"):
        EndpointStore(url)
