"""Where quads are kept: one protocol over memory, an Oxigraph folder and a SPARQL endpoint.

Named graphs hold the rounds, so that dropping one graph takes one round back. All stores answer
SELECT with text columns, so that a caller cannot tell them apart. Stores keep numbers by value ("01" is
"1", xsd:int is xsd:integer): where the spelling matters, read the files.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

import pyarrow as pa
import pyarrow.csv as pacsv
import pyoxigraph as ox

from .errors import (
    ColdframeError,
    DataError,
    IntegrityError,
    ParseError,
    ResourceError,
    StateError,
    UsageError,
)
from .files import FolderLock, StrPath, atomic_write, naming, sync

Statement = ox.Triple | ox.Quad
Statements = Iterable[Statement] | bytes  # bytes are N-Triples
FORMATS = {
    ".nt": ox.RdfFormat.N_TRIPLES,
    ".nq": ox.RdfFormat.N_QUADS,
    ".ttl": ox.RdfFormat.TURTLE,
    ".trig": ox.RdfFormat.TRIG,
}
MAX_QUERY = (
    4_000  # characters; the engine recurses, and hostile queries of twice this length crash it
)
MAX_NESTING = 32
_BLOCK, _MOST = 1 << 20, (1 << 31) - 1  # bytes that Arrow parses at a time
# Escaped signs of a prefixed name come first: `ex:a\#b` begins no comment, and `ex:a\'b` no string.
_QUIET_PARTS = re.compile(
    r"""\\[_~.!$&'()*+,;=/?\#@%-]"""
    r"""|<[^<>"{}|^`\\\s]*>|\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}"""
    r"""|"(?:[^"\\\r\n]|\\.)*"|'(?:[^'\\\r\n]|\\.)*'|\#[^\r\n]*""",
    re.DOTALL,
)
_SIGNS = re.compile(rf"(?:[!+^-]\s*){{{MAX_NESTING}}}")
_NETWORK = re.compile(r"(?<![\w:?$@.-])(SERVICE|LOAD)(?![\w:-])", re.IGNORECASE)


@runtime_checkable
class Store(Protocol):
    """What every store does. `graph` is the IRI of a named graph; None is the default graph."""

    def add(self, statements: Statements, graph: str | None = None) -> None:
        """Add triples (or quads, whose own graph gives way to `graph`), all or none.

        N-Triples as bytes are the fast way in.
        """

    def drop(self, graph: str) -> None:
        """Remove a named graph; does nothing if there is none of that name."""

    def count(self, graph: str | None = None) -> int:
        """How many triples a graph holds."""

    def graphs(self) -> list[str]:
        """IRIs of the named graphs, sorted."""

    def select(self, sparql: str) -> pa.Table:
        """Answer of a SELECT query: one text column per variable (go by name), "" = unbound.

        IRIs stand bare, literals as their lexical form, blank nodes as `_:label`.
        """

    def load_file(self, path: StrPath, graph: str | None = None) -> None:
        """Add the content of an N-Triples, N-Quads, Turtle or TriG file."""

    def dump(self, path: StrPath) -> int:
        """Write everything as N-Quads, atomically; returns how many."""

    def close(self) -> None:
        """Give the store back; any use after it is a StateError."""


class MemoryStore:
    """A store that lives as long as the process.

    Raises (as every store): UsageError for a query that is not a plain SELECT, ParseError for a file
    that is not RDF, StateError after `close`.
    """

    def __init__(self) -> None:
        self._open: ox.Store | None = ox.Store()

    @property
    def _store(self) -> ox.Store:
        if self._open is None:
            raise StateError("the store is closed", hint="open it again")
        return self._open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, statements: Statements, graph: str | None = None) -> None:
        """Add in one transaction: a kill leaves all of them or none."""
        name = graph_name(graph)
        if isinstance(statements, bytes):
            with parsing("statements"):
                self._store.load(statements, ox.RdfFormat.N_TRIPLES, to_graph=name)
        else:
            self._store.extend([placed(each, graph, name) for each in statements])
        self._flush()

    def drop(self, graph: str) -> None:
        """Remove a named graph."""
        self._store.remove_graph(named_node(graph))
        self._flush()

    def count(self, graph: str | None = None) -> int:
        """How many triples a graph holds; None = the default graph."""
        where = "?s ?p ?o" if graph is None else f"GRAPH {named_node(graph)} {{ ?s ?p ?o }}"
        table = self.select(f"SELECT (COUNT(*) AS ?n) {{ {where} }}")
        return int(table["n"][0].as_py())

    def quads(self, graph: str | None = None) -> Iterator[ox.Quad]:
        """The statements of one graph, in the store's order; None = the default graph."""
        return self._store.quads_for_pattern(None, None, None, graph_name(graph))

    def graphs(self) -> list[str]:
        """IRIs of the named graphs, sorted."""
        return sorted(str(graph.value) for graph in self._store.named_graphs())

    def select(self, sparql: str) -> pa.Table:
        """Answer of a SELECT query as text columns; SERVICE is refused."""
        check_query(sparql)
        try:
            answer = self._store.query(sparql)
        except SyntaxError as error:
            raise UsageError(f"not a SPARQL query: {error.msg}") from None
        if not isinstance(answer, ox.QuerySolutions):
            raise UsageError("only SELECT queries are answered")
        names = [variable.value for variable in answer.variables]
        with naming("store", "query"):
            return csv_table(answer.serialize(format=ox.QueryResultsFormat.CSV) or b"", names)

    def load_file(self, path: StrPath, graph: str | None = None) -> None:
        """Add a file: streamed into an empty store, in one transaction otherwise.

        After an error the store holds what it held before.
        """
        kind, target = rdf_format(path), None if graph is None else named_node(graph)
        empty = len(self._store) == 0
        load = self._store.bulk_load if empty else self._store.load
        try:
            with parsing(path):
                load(path=str(path), format=kind, to_graph=target)
        except ColdframeError:
            if empty:
                self._store.clear()
            raise
        self._store.flush()

    def dump(self, path: StrPath) -> int:
        """Write everything as N-Quads."""
        store = self._store
        atomic_write(path, lambda out: store.dump(out, format=ox.RdfFormat.N_QUADS))
        return len(store)

    def close(self) -> None:
        """Give the store back."""
        self._open = None

    def _flush(self) -> None:
        """Make what was written durable; memory has nothing to do."""


class OxigraphStore(MemoryStore):
    """A store in a folder, with one writer at a time; survives kill -9 at any moment.

    Raises:
        LockedError: another process, or another store of this one, holds the folder; names it.
        IntegrityError: the folder holds a damaged store.
        ResourceError: the folder cannot be opened.
    """

    def __init__(self, folder: StrPath) -> None:
        self.folder = Path(folder)
        self._open = None
        self._lock = FolderLock(self.folder, purpose="store")
        self._lock.acquire()
        try:
            self._start()
        except BaseException:
            self._lock.release()
            raise

    def _start(self) -> None:
        self._open = open_engine(self.folder)

    def close(self) -> None:
        """Flush, close the folder and let the next writer in."""
        try:
            if self._open is not None:
                self._flush()
        finally:
            self._open = None
            self._lock.release()

    def _flush(self) -> None:
        """Sync the engine's write-ahead logs: a commit writes there, and an open replays them.

        One fsync, where the engine's own flush of all tables takes some thirty.
        """
        with naming(self.folder, "write"):
            for log in self.folder.glob("*.log"):
                with contextlib.suppress(FileNotFoundError):  # flushed and dropped meanwhile
                    sync(log)


def open_engine(folder: Path) -> ox.Store:
    """The engine on a folder; IntegrityError where the folder holds a damaged store."""
    try:
        with naming(folder, "open the store"):
            return ox.Store(str(folder))
    except RuntimeError as error:
        raise IntegrityError(f"the store is damaged: {error}", where=str(folder)) from None


@contextlib.contextmanager
def parsing(path: StrPath) -> Iterator[None]:
    """Turn what the engine raises while it reads RDF into ParseError or ResourceError."""
    try:
        yield
    except SyntaxError as error:
        place = f"{path}:{error.lineno}:{error.offset}" if error.lineno else str(path)
        raise ParseError(str(error.msg), where=place) from None
    except OSError as error:
        raise ResourceError(f"cannot load: {error}", where=str(path)) from error


def placed(
    statement: Statement, graph: str | None, name: ox.NamedNode | ox.DefaultGraph
) -> ox.Quad:
    """The statement in a graph (`name` is that of the IRI `graph`); a quad keeps its own for None."""
    if graph is None and isinstance(statement, ox.Quad):
        return statement
    return ox.Quad(statement.subject, statement.predicate, statement.object, name)


def named_node(iri: str) -> ox.NamedNode:
    """A checked IRI: what is not one never reaches a query."""
    try:
        return ox.NamedNode(iri)
    except ValueError as error:
        raise DataError(f"{iri[:80]!r} is not an IRI: {error}") from None


def graph_name(graph: str | None) -> ox.NamedNode | ox.DefaultGraph:
    """The graph of an IRI; None is the default graph."""
    return ox.DefaultGraph() if graph is None else named_node(graph)


def rdf_format(path: StrPath) -> ox.RdfFormat:
    """The RDF format of a suffix that a store loads by itself."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"a store does not load {suffix or 'files without a suffix'!r}",
            where=str(path),
            hint=f"use one of {', '.join(FORMATS)}, or ingest the file",
        )
    return FORMATS[suffix]


def csv_table(raw: bytes | pa.Buffer, names: list[str]) -> pa.Table:
    """The CSV answer of a SELECT as text columns in the order of `names`."""
    types = dict.fromkeys(names, pa.string())
    if not names:
        return pa.table({})
    return pacsv.read_csv(
        pa.BufferReader(raw),
        # One block: a literal may be longer than the usual one, and no row may cross its end.
        pacsv.ReadOptions(use_threads=False, block_size=min(max(len(raw), _BLOCK), _MOST)),
        pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        pacsv.ConvertOptions(column_types=types, include_columns=names),
    )


def check_query(sparql: str) -> None:
    """Refuse what would leave the store (SERVICE, LOAD) or crash the parser (length, nesting)."""
    if len(sparql) > MAX_QUERY:
        raise UsageError(f"a query of {len(sparql)} characters; at most {MAX_QUERY} are taken")
    for text in {sparql, _decoded(sparql)}:
        bare = _QUIET_PARTS.sub(" ", text)
        if match := _NETWORK.search(bare):
            raise UsageError(
                f"{match[1].upper()} is refused: a query stays inside its store",
                hint="load the other source and query it here",
            )
        if _depth(bare) > MAX_NESTING or _SIGNS.search(bare):
            raise UsageError(f"a query nested deeper than {MAX_NESTING}")


def _decoded(sparql: str) -> str:
    """With the \\u escapes that SPARQL allows anywhere taken out."""
    try:
        return re.sub(
            r"\\u([0-9A-Fa-f]{4})|\\U([0-9A-Fa-f]{8})",
            lambda match: chr(int(match[1] or match[2], 16)),
            sparql,
        )
    except (ValueError, OverflowError):
        raise UsageError("an escape in the query is no character") from None


def _depth(text: str) -> int:
    deepest = depth = 0
    for sign in re.findall(r"[()\[\]{}]", text):
        depth += 1 if sign in "([{" else -1
        deepest = max(deepest, depth)
    return deepest
