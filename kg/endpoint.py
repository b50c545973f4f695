"""A SPARQL 1.1 server as a store. It is not believed: COUNT first, then pages, then compare.

Servers with a row cap answer HTTP 200 with a part of the rows; here a short answer is an error. Every
request has a time limit and a size limit of its own, whatever the server promises.
"""

from __future__ import annotations

import contextlib
import csv
import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Self
from urllib.parse import urlencode, urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyoxigraph as ox

from .endpoint_rows import nquads_lines
from .errors import DataError, IntegrityError, ParseError, ResourceError, StateError, UsageError
from .files import StrPath, atomic_write, naming
from .store import Statements, check_query, csv_table, graph_name, named_node, parsing, rdf_format

_PROLOGUE = re.compile(
    r"(?:\s+|\#[^\n]*\n|PREFIX\s+[^\s:<]*:\s*<[^>]*>|BASE\s*<[^>]*>)*", re.IGNORECASE
)

_DISTINCT = re.compile(r"SELECT\s+DISTINCT\b", re.IGNORECASE)


@dataclass(frozen=True)
class EndpointConfig:
    """How a server is spoken to.

    Attributes:
        page: rows per request; at most the server's own cap.
        timeout: seconds for one request, from connecting to the last byte.
        max_bytes: size of one answer.
        max_statements: most statements that one `add` sends (they go in one request, all or none).
        stable_blank_nodes: the server keeps blank-node labels from one answer to the next; without
            it, `dump` (many requests) takes no blank nodes.
        headers: sent with every request, such as Authorization.
    """

    page: int = 10_000
    timeout: float = 60.0
    max_bytes: int = 1 << 30
    max_statements: int = 100_000
    stable_blank_nodes: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class EndpointStore:
    """A store behind `url` (queries) and `update_url` (writes; read-only without it).

    Raises:
        ResourceError: no answer in time, too large, or an HTTP status other than 2xx.
        IntegrityError: the server gave fewer or other rows than it counted.
        UsageError: a query that is not a SELECT of the server's own data.
    """

    def __init__(
        self, url: str, update_url: str | None = None, config: EndpointConfig | None = None
    ) -> None:
        for each in (url, update_url or url):
            parts = urlsplit(each)
            if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
                raise UsageError(
                    "an endpoint is http(s)://host[:port]/path, without a password in it",
                    hint="give credentials as a header",
                )
        self.url = url
        self.update_url = update_url
        self.config = config or EndpointConfig()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the store back; connections do not outlive a request anyway."""
        self._closed = True

    def add(self, statements: Statements, graph: str | None = None) -> None:
        """Add in one INSERT DATA request; blank nodes are refused (each request renames them)."""
        if isinstance(statements, bytes):
            with parsing("statements"):
                statements = list(ox.parse(statements, ox.RdfFormat.N_TRIPLES))
        by_graph: dict[str, list[str]] = {}
        most = self.config.max_statements
        for number, each in enumerate(statements):
            if number >= most:
                raise ResourceError(
                    f"more than {most} statements in one request",
                    where=self.url,
                    hint="load the file on the server, or raise max_statements",
                )
            own = isinstance(each, ox.Quad) and graph is None
            name = each.graph_name if own and isinstance(each, ox.Quad) else graph_name(graph)
            line = f"{each.subject} {each.predicate} {each.object} ."
            if isinstance(each.subject, ox.BlankNode) or isinstance(each.object, ox.BlankNode):
                raise DataError("blank node sent to an endpoint", where=line, hint="give it an IRI")
            by_graph.setdefault("" if isinstance(name, ox.DefaultGraph) else str(name), []).append(
                line
            )
        if by_graph:
            blocks = [
                f"GRAPH {name} {{ {' '.join(lines)} }}" if name else " ".join(lines)
                for name, lines in by_graph.items()
            ]
            self._update(f"INSERT DATA {{ {' '.join(blocks)} }}")

    def drop(self, graph: str) -> None:
        """Remove a named graph."""
        self._update(f"DROP SILENT GRAPH {named_node(graph)}")

    def count(self, graph: str | None = None) -> int:
        """How many triples a graph holds, by the server's own count."""
        return self._count(f"SELECT * {{ {_pattern(graph)} }}")

    def graphs(self) -> list[str]:
        """IRIs of the named graphs that hold something, sorted."""
        table = self.select("SELECT DISTINCT ?g { GRAPH ?g { ?s ?p ?o } }")
        return sorted(table["g"].to_pylist())

    def select(self, sparql: str) -> pa.Table:
        """Answer of a SELECT query, counted first and fetched in pages.

        The order of ORDER BY and the labels of blank nodes hold where the answer fits one page. FROM
        clauses are not taken.
        """
        check_query(sparql)
        expected = self._count(sparql)
        if expected <= self.config.page:
            table = self._fetch(sparql)
        else:
            table = pa.concat_tables(list(self._pages(sparql, expected)))
            if _DISTINCT.match(_split(sparql)[1]):
                self._check_distinct(table)
        if len(table) != expected:
            raise self._short(len(table), expected)
        return table

    def load_file(self, path: StrPath, graph: str | None = None) -> None:
        """Parse a file here, then add it in one request."""
        kind = rdf_format(path)
        try:
            with naming(path, "read"):
                quads = list(ox.parse(path=str(path), format=kind))
        except SyntaxError as error:
            raise ParseError(
                str(error.msg), where=f"{path}:{error.lineno}:{error.offset}"
            ) from None
        self.add(quads, graph)

    def dump(self, path: StrPath) -> int:
        """Fetch everything, predicate by predicate, into an N-Quads file; returns how many quads."""
        total = 0

        def write(out: BinaryIO) -> None:
            nonlocal total
            for graph in (None, *self.graphs()):
                for lines in self._graph_lines(graph):
                    total += len(lines)
                    out.write("\n".join([*lines.to_pylist(), ""]).encode())

        atomic_write(path, write)
        return total

    def _graph_lines(self, graph: str | None) -> Iterator[pa.Array]:
        """N-Quads lines of one graph, one array per predicate, each compared with its count."""
        end = "" if graph is None else f" {named_node(graph)}"
        predicates = self.select(f"SELECT DISTINCT ?p {{ {_pattern(graph)} }}")
        for predicate in predicates["p"].to_pylist():
            node = named_node(predicate)
            table = self.select(
                "SELECT ?s ?o (isIRI(?o) AS ?iri) (isLiteral(?o) AS ?literal) "
                f"(DATATYPE(?o) AS ?type) (LANG(?o) AS ?language) {{ {_pattern(graph, str(node))} }}"
            )
            lines = nquads_lines(table, str(node), end, blank=self.config.stable_blank_nodes)
            if (distinct := pc.count_distinct(lines).as_py()) != len(lines):
                raise self._short(distinct, len(lines))
            yield lines

    def _count(self, sparql: str) -> int:
        prologue, body = _split(sparql)
        table = self._fetch(f"{prologue} SELECT (COUNT(*) AS ?n) {{ {{ {body}\n}} }}")
        try:
            return int(table["n"][0].as_py())
        except (KeyError, IndexError, ValueError):
            raise IntegrityError("the server does not count", where=self.url) from None

    def _pages(self, sparql: str, expected: int) -> Iterator[pa.Table]:
        prologue, body = _split(sparql)
        for offset in range(0, expected, self.config.page):
            limit = min(self.config.page, expected - offset)
            table = self._fetch(
                f"{prologue} SELECT * {{ {{ {body}\n}} }} LIMIT {limit} OFFSET {offset}"
            )
            if len(table) != limit:
                raise self._short(offset + len(table), expected)
            yield table

    def _short(self, got: int, expected: int) -> IntegrityError:
        return IntegrityError(
            f"the server gave {got} rows where it counted {expected}",
            where=self.url,
            hint=f"its row cap is below page={self.config.page}, or the data changed meanwhile",
        )

    def _check_distinct(self, table: pa.Table) -> None:
        """Pages of rows that are all different must not repeat one: another is then missing."""
        distinct = len(table.group_by(table.column_names).aggregate([]))
        if distinct != len(table):
            raise self._short(distinct, len(table))

    def _fetch(self, sparql: str) -> pa.Table:
        kind, raw = self._request(self.url, {"query": sparql}, "text/csv")
        if not kind.startswith("text/csv"):
            raise IntegrityError(f"the server answered {kind!r}, not text/csv", where=self.url)
        names = next(csv.reader([raw.split(b"\n", 1)[0].decode("utf-8", "replace").strip()]), [])
        try:
            return csv_table(raw, names)
        except pa.ArrowException as error:
            raise IntegrityError(f"the answer is no whole CSV: {error}", where=self.url) from None

    def _update(self, sparql: str) -> None:
        if self.update_url is None:
            raise StateError("this endpoint is read-only", where=self.url, hint="give update_url")
        self._request(self.update_url, {"update": sparql}, "*/*")

    def _request(self, url: str, form: Mapping[str, str], accept: str) -> tuple[str, bytes]:
        """POST a form; the content type and body of a 2xx answer. Redirects are not followed."""
        if self._closed:
            raise StateError("the store is closed", hint="open it again")
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(str(parts.hostname), parts.port, timeout=self.config.timeout)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            **self.config.headers,
            "Accept": accept,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        deadline = time.monotonic() + self.config.timeout
        try:
            connection.connect()
            with _cut_off(connection.sock, deadline):
                connection.request("POST", target, urlencode(form).encode(), headers)
                answer = connection.getresponse()
                body = self._read(answer, url, deadline)
        except (OSError, http.client.HTTPException) as error:
            late = time.monotonic() >= deadline
            reason = "" if late else f": {str(error) or type(error).__name__}"
            within = f" in {self.config.timeout:g} s" if late else ""
            raise ResourceError(f"no whole answer{within}{reason}", where=url) from error
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            said = body[:200].decode("utf-8", "replace").strip()
            raise ResourceError(f"HTTP {answer.status} {answer.reason}: {said}", where=url)
        return answer.getheader("Content-Type") or "", body

    def _read(self, answer: http.client.HTTPResponse, url: str, deadline: float) -> bytes:
        blocks, size = [], 0
        while block := answer.read1(1 << 20):
            blocks.append(block)
            size += len(block)
            if size > self.config.max_bytes:
                raise ResourceError(f"an answer over {self.config.max_bytes} bytes", where=url)
        if time.monotonic() >= deadline:  # what was cut off may look like an end
            raise TimeoutError
        promised = answer.getheader("Content-Length")
        if promised is not None and promised.isdigit() and size < int(promised):
            raise ResourceError(f"the answer broke off after {size} of {promised} bytes", where=url)
        return b"".join(blocks)


@contextlib.contextmanager
def _cut_off(sock: socket.socket, deadline: float) -> Iterator[None]:
    """Shut a connection down at a moment: its own limit starts anew with every byte that drips in."""

    def cut() -> None:
        with contextlib.suppress(OSError):  # closed meanwhile
            sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _pattern(graph: str | None, predicate: str = "?p") -> str:
    triple = f"?s {predicate} ?o"
    return triple if graph is None else f"GRAPH {named_node(graph)} {{ {triple} }}"


def _split(sparql: str) -> tuple[str, str]:
    """PREFIX and BASE declarations, and the query proper (which then fits into a subquery)."""
    end = len(match[0]) if (match := _PROLOGUE.match(sparql)) else 0
    return sparql[:end], sparql[end:]
