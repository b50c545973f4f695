"""The folder of a catalog: what is written into it, and what its graph is built from again.

catalog.toml     the schema
manifest.json    what was read: inputs with hashes, counts, problems
cache/quads/     the statements as Arrow columns (where the source was RDF)
cache/tables/    the tables' columns (where it was not)
cache/<key>/     the graph as Arrow columns, keyed by the hashes of content and schema
store/           the statements in an Oxigraph store, filled at the first question (`catalog_store`);
                 one named graph per round comes beside them
text/            text embeddings
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arrow_folder import read_arrow_folder, write_arrow_folder
from .cache import cache_key, graph_hash, intact, read_quads_cache, write_graph, write_quads
from .errors import IntegrityError, StateError, UsageError
from .files import atomic_write, write_sealed
from .graph import Graph
from .manifest import MANIFEST, manifest_of
from .mapping import graph_from_quads
from .schema import Schema
from .tables import graph_from_tables

if TYPE_CHECKING:
    from .catalog import Catalog

SCHEMA_FILE = "catalog.toml"


def write_catalog(source: Catalog, folder: Path) -> None:
    """Write a catalog that was read into an empty folder."""
    atomic_write(folder / SCHEMA_FILE, source.schema.text)
    (folder / "text").mkdir()
    (folder / "store").mkdir()
    key = cache_key(source.content_hash, source.schema.content_hash)
    write_graph(source.graph, folder / "cache" / key)
    _keep_source(source, folder / "cache")
    assert source.report is not None
    write_sealed(
        folder / MANIFEST,
        manifest_of(
            source.graph.name, source.content_hash, source.schema, source.report, source.inputs
        ),
    )


def check_free(target: Path, replace: bool) -> None:
    """Before any work: the folder must be free, or be a catalog that may be replaced.

    Raises:
        StateError: something is there. UsageError: what is to be replaced is no catalog.
    """
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not replace:
        raise StateError(
            "the folder exists already",
            where=str(target),
            hint="choose another, or replace it (--replace)",
        )
    if not (target / MANIFEST).is_file():
        raise UsageError("this is no catalog folder, so it is not replaced", where=str(target))


def rebuilt(folder: Path, schema: Schema, manifest: Mapping[str, Any]) -> Graph:
    """The graph from the statements or the tables that were kept, by a schema that may have changed.

    Raises:
        IntegrityError: neither is intact, or by the same schema the tables give another graph.
    """
    content = str(manifest["content"])
    quads = intact(read_quads_cache, folder / "cache" / "quads")
    if quads is not None and quads.content_hash == content:
        return graph_from_quads(quads, schema)[0]
    tables = intact(read_arrow_folder, folder / "cache" / "tables")
    if tables is not None:
        graph = graph_from_tables(tables[0], schema)[0]
        if schema.content_hash == manifest["schema"] and graph_hash(graph) != content:
            raise IntegrityError(
                "the tables that were kept do not give the graph that was read",
                where=str(folder / "cache" / "tables"),
                hint="ingest the source again",
            )
        return graph
    raise IntegrityError(
        "the cache is stale or damaged, and what it was built from is damaged too",
        where=str(folder),
        hint="ingest the source again",
    )


def _keep_source(source: Catalog, cache: Path) -> None:
    """What the graph can be built from again, under this schema or a changed one."""
    if source.statements is not None:
        write_quads(source.statements, cache / "quads")
    elif source.tables is not None:
        # An Arrow file holds one dictionary per column; files of categories have one each.
        tables = {name: table.unify_dictionaries() for name, table in source.tables.items()}
        write_arrow_folder(cache / "tables", tables, {"kind": "tables"})
