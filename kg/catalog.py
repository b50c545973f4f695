"""The catalog: a knowledge graph and its schema, in memory or in a folder (`catalog_folder`)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from .cache import cache_key, graph_hash, intact, read_graph, read_quads_cache, write_graph
from .catalog_folder import SCHEMA_FILE, check_free, rebuilt, write_catalog
from .catalog_inputs import check_source, leave_out, said, sorted_out
from .errors import DataError, ResourceError, StateError, UsageError
from .export import write_nquads
from .files import atomic_folder
from .graph import Graph
from .in_memory import as_sources
from .manifest import MANIFEST, read_manifest
from .mapping import graph_from_quads
from .nquads import write_statements
from .origin import hashed
from .quads import Quads, Source
from .reading import Reading
from .report import Report
from .schema import Schema
from .table_sources import Sources, files_of, find_tables
from .tables import graph_from_tables

if TYPE_CHECKING:
    from .catalog_store import CatalogStore

_LOG = logging.getLogger(__name__)
Advance = Callable[[float, float], None]
Tables = Mapping[str, Any]


@dataclass(frozen=True)
class Catalog:
    """A knowledge graph with its schema.

    Attributes:
        graph: nodes, edges and interactions.
        schema: how they were read.
        content_hash: sha256 of what was read; with the schema's hash it names the cache.
        report: counts and problems of the reading; None for a catalog that was opened.
        path: the folder; None for a catalog in memory.
        statements: the RDF statements; None where the source was tables. Use `quads()`.
        tables: where tables are ingested: the columns and rows of them that the schema's sections read, by
            the names of these.
        inputs: files that it was read from, and their hashes; empty for a catalog that was opened.
    """

    graph: Graph
    schema: Schema
    content_hash: str
    report: Report | None = None
    path: Path | None = None
    statements: Quads | None = field(default=None, repr=False)
    tables: Mapping[str, pa.Table] | None = field(default=None, repr=False)
    inputs: tuple[Source, ...] = field(default=(), repr=False)

    def __repr__(self) -> str:
        return f"Catalog({self.graph!r}, path={None if self.path is None else str(self.path)!r})"

    @property
    def name(self) -> str:
        """The name that the schema gives."""
        return self.graph.name

    def quads(self) -> Quads | None:
        """The RDF statements, from memory or from the folder; None where there are none.

        Raises:
            IntegrityError: their files are damaged.
        """
        if self.statements is None and self.path is not None:
            folder = self.path / "cache" / "quads"
            return read_quads_cache(folder) if folder.exists() else None
        return self.statements

    def store(self, progress: Advance | None = None, *, facts: bool = True) -> CatalogStore:
        """Open the folder's store, for writing; close it again.

        Its first question ever fills it with the catalog's statements (5 M take a minute or so).

        Args:
            progress: called with (done, total) bytes while it is filled.
            facts: False leaves it unfilled, for who only asks after the rounds.

        Raises:
            StateError: the catalog is in memory.
            LockedError: another process has it open.
        """
        from .catalog_store import CatalogStore

        if self.path is None:
            raise StateError("a catalog in memory has no store", hint="ingest it into a folder")
        return CatalogStore(self.path / "store", self.write_nquads if facts else None, progress)

    def write_nquads(self, path: str | Path | BinaryIO) -> int:
        """Write the statements as N-Quads, those of tables by the schema; returns how many.

        Args:
            path: a file, which is written atomically, or one that is open for writing bytes.

        Raises:
            IntegrityError: their files are damaged.
        """
        quads = self.quads()
        if quads is not None:
            return write_statements(quads, path)
        return write_nquads(self.graph, self.schema, path)

    @property
    def text_folder(self) -> Path | None:
        """Where text embeddings are kept; None in memory."""
        return None if self.path is None else self.path / "text"

    @classmethod
    def open(cls, path: str | Path) -> Catalog:
        """Open a catalog folder: from its cache, or where that is stale or damaged, rebuilt.

        What was rebuilt goes to the cache; where nothing can be written it is a warning.

        Raises:
            StateError: there is no catalog.
            IntegrityError: nothing intact is left to rebuild from.
        """
        folder = Path(path)
        if not (folder / MANIFEST).is_file():
            raise StateError(
                "this is no catalog folder", where=str(folder), hint="make one: coldframe ingest"
            )
        manifest = read_manifest(folder)
        schema = Schema.load(folder / SCHEMA_FILE)
        content = str(manifest["content"])
        cache = folder / "cache" / cache_key(content, schema.content_hash)
        graph = intact(read_graph, cache)
        if graph is None:
            _LOG.info("%s: the cache is stale or damaged and is built again", folder)
            graph = rebuilt(folder, schema, manifest)
            try:
                write_graph(graph, cache)
            except ResourceError as error:  # such as on a disk that is mounted read-only
                _LOG.warning("%s; the stale cache stays, and each opening builds anew", error)
        return cls(graph, schema, content, path=folder)

    @classmethod
    def ingest(
        cls,
        inputs: str | Path | Sequence[str | Path] | Tables | Quads,
        schema: str | Path | Schema,
        out: str | Path,
        *,
        replace: bool = False,
        sources: Iterable[Path] = (),
        reading: Reading = Reading(),
        progress: Advance | None = None,
    ) -> tuple[Catalog, Report]:
        """Read RDF or tables, or both, through a schema into a catalog folder; all or nothing.

        Args:
            inputs: files and folders; tables by the names of the schema's sections; or `Quads`.
            schema: a schema, or the path of its file.
            out: the folder to make.
            replace: put it in the place of an existing catalog.
            sources: files that Arrow tables were made of, for the manifest.
            reading: limits of RDF files and their base IRI.
            progress: called with (done, total) steps.
        """
        target = Path(out)
        check_free(target, replace)
        advance = progress or _silent
        source = _read(inputs, schema, reading, {})
        source = replaced(source, inputs=source.inputs + hashed(sources))
        assert source.report is not None
        advance(2, 4)
        with atomic_folder(target, replace=replace) as folder:
            write_catalog(source, folder)
        advance(4, 4)
        return cls.open(target), source.report


def read(
    source: Any, schema: str | Path | Schema | None = None, *, reading: Reading = Reading()
) -> Catalog:
    """Read a catalog folder, or RDF or tables through a schema into memory.

    Args:
        source: a catalog folder; RDF or table files, folders or globs; an rdflib graph; `Quads`; or
            tables by the names of the schema's `[tables.*]` sections: Arrow tables, data frames,
            whatever else `in_memory.as_table` takes, or paths.
        schema: the schema or its file. Without one, `schema.toml` beside the data is taken, or
            else a draft is inferred from the data.
        reading: limits of RDF files and their base IRI.

    Raises:
        SchemaError, ParseError, DataError: schema, syntax or content is wrong.
        UsageError: the source or the schema is nothing of these.
    """
    return _read(source, schema, reading)


def _read(
    source: Any,
    schema: str | Path | Schema | None,
    reading: Reading,
    kept: dict[str, pa.Table] | None = None,
) -> Catalog:
    """As `read`; `kept` takes what is read of tables, and becomes the catalog's."""
    source = list(source) if isinstance(source, Iterator) else source
    check_source(source)
    if isinstance(source, str | Path) and (Path(source) / MANIFEST).is_file() and schema is None:
        return Catalog.open(source)
    if isinstance(source, Mapping):
        given = as_sources(source)
        return _from_tables(given, _schema(schema, given), kept)
    if not isinstance(source, str | Path | Sequence):
        return _from_rdf(source, schema, reading)
    paths = [source] if isinstance(source, str | Path) else list(source)
    rdf, tables, found = sorted_out(paths)
    if schema is None and len(found) == 1:
        schema = found[0]
    if not tables or (rdf and schema is None):
        leave_out(tables)
        return _from_rdf(rdf, schema, reading)
    declared = _schema(schema, tables)
    wanted = find_tables(tables, declared)
    if not wanted and not rdf:
        raise DataError(
            f"the schema has no [tables.*] section, so {tables[0].name} cannot be read",
            where=declared.source,
            hint="`coldframe schema infer` drafts one from the table",
        )
    used = set(files_of(wanted))
    leave_out(path for path in tables if path not in used)
    if not wanted:
        return _from_rdf(rdf, declared, reading)
    if not rdf:
        return _from_tables(wanted, declared, kept)
    return _from_both(rdf, wanted, declared, reading)


def graph_of(catalog: Catalog | Graph) -> Graph:
    """The graph of a catalog, or the graph itself.

    Raises:
        UsageError: it is neither.
    """
    if isinstance(catalog, Catalog):
        return catalog.graph
    if not isinstance(catalog, Graph):
        raise UsageError(
            f"got {type(catalog).__name__}, expected a catalog or a graph",
            where="catalog",
            hint="coldframe.read(folder) gives one",
        )
    return catalog


def _silent(_done: float, _total: float) -> None:
    """Nobody wants to know."""


def _schema(schema: str | Path | Schema | None, data: Any) -> Schema:
    if isinstance(schema, Schema):
        return schema
    if schema is not None:
        if not isinstance(schema, str | Path) or "\n" in str(schema):
            got = "a text" if isinstance(schema, str) else type(schema).__name__
            raise UsageError(
                f"got {got}, expected a schema or the path of one",
                where="schema",
                hint="Schema.loads(text) reads one from a text",
            )
        return Schema.load(schema)
    from .infer import infer_schema

    _LOG.info("no schema given: a draft is inferred from the data")
    draft = Schema.loads(infer_schema(data), source="inferred schema")
    for event in draft.events.values():
        if "rating" in event.roles and event.positive is None:
            _LOG.warning(
                "the draft takes every %s for a like, however low its rating: take infer_schema(data) and "
                "say `positive` where that is wrong",
                event.name,
            )
    return draft


def _from_rdf(source: Any, schema: str | Path | Schema | None, reading: Reading) -> Catalog:
    declared = None if schema is None else _schema(schema, None)
    quads = source if isinstance(source, Quads) else _quads(source, reading)
    if not len(quads):
        raise DataError("the catalog is empty: no statement was read", where=said(source))
    if declared is None:
        declared = _schema(None, quads)
    graph, report = graph_from_quads(quads, declared)
    return Catalog(
        graph, declared, quads.content_hash, report, statements=quads, inputs=quads.sources
    )


def _from_tables(tables: Sources, schema: Schema, kept: dict[str, pa.Table] | None) -> Catalog:
    graph, report = graph_from_tables(tables, schema, kept)
    files = hashed(files_of(tables))
    return Catalog(graph, schema, graph_hash(graph), report, tables=kept, inputs=files)


def _quads(source: Any, reading: Reading, own: Mapping[str, Path] | None = None) -> Quads:
    from .reader import read_quads

    return read_quads(source, base_iri=reading.base_iri, limits=reading.limits, own=own)


def _from_both(rdf: list[str | Path], tables: Sources, schema: Schema, reading: Reading) -> Catalog:
    """Tables are written as RDF first, so that both say the same thing in the same way."""
    graph, first = graph_from_tables(tables, schema)
    files = files_of(tables)
    named = ", ".join(map(str, files))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tables.nq"
        write_nquads(graph, schema, path)
        quads = _quads(rdf, reading, {named: path})
    graph, report = graph_from_quads(quads, schema)
    joined = Report(
        report.triples,
        report.duplicates + first.duplicates,
        report.nodes,
        report.edges,
        first.problems + report.problems,
        {**first.totals, **report.totals},
        report.unused,
        report.same_as,
    )
    inputs = tuple(one for one in quads.sources if one.path != named)
    inputs += hashed(files)
    return Catalog(graph, schema, quads.content_hash, joined, statements=quads, inputs=inputs)
