"""What stands among the inputs of a catalog: RDF, tables and schemas."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import DataError, UsageError
from .quads import Quads
from .table_sources import SUFFIXES as TABLE_SUFFIXES
from .table_sources import is_table

_LOG = logging.getLogger(__name__)
_LAYOUTS = (("*.inter*", "atomic"), ("train.txt*", "kgat"))


def check_source(source: Any) -> None:
    """Refuse what `catalog.read` cannot read; an rdflib graph is known by its `triples`.

    Raises:
        UsageError: it is no source, and how to make one of it.
    """
    if isinstance(source, str | Path | Mapping | Quads) or hasattr(source, "triples"):
        return
    hint = "a path or several, an rdflib graph, or tables by name: {'ratings': frame}"
    if hasattr(source, "adjacency"):  # networkx
        hint = "give its edges as a table: {'facts': networkx.to_pandas_edgelist(graph)}"
    elif isinstance(source, Sequence) and all(isinstance(one, str | Path) for one in source):
        return
    raise UsageError(f"got {type(source).__name__}, expected a source", where="source", hint=hint)


def sorted_out(paths: Iterable[str | Path]) -> tuple[list[str | Path], list[Path], list[Path]]:
    """Inputs that are (left to the reader of) RDF, table files, and `schema.toml` files.

    A pattern such as `orders/*.csv` stands for the files that it matches.

    Raises:
        DataError: a folder without RDF and tables, a file that is neither by its suffix, or a pattern that
            matches no file.
    """
    from .archives import SUFFIXES as RDF_SUFFIXES
    from .archives import files_in, is_pattern, is_rdf, matching

    known = " ".join([*RDF_SUFFIXES, ".zip", *TABLE_SUFFIXES])
    rdf: list[str | Path] = []
    tables: list[Path] = []
    schemas: list[Path] = []
    expanded: list[str | Path] = []
    for path in paths:
        expanded += matching(Path(path)) if is_pattern(Path(path)) else [path]
    for path in expanded:
        here = Path(path)
        if not here.is_dir():
            if is_table(here):
                tables.append(here)
            elif here.is_file() and not is_rdf(here):
                raise DataError(
                    "the suffix says neither RDF nor a table",
                    where=str(path),
                    hint=f"known: {known}, also packed",
                )
            else:
                rdf.append(path)
            continue
        inside = files_in(here)
        here_tables = [child for child in inside if is_table(child)]
        tables += here_tables
        schemas += [child for child in inside if child.name == "schema.toml"]
        if any(is_rdf(child) for child in inside):
            rdf.append(path)
        elif not here_tables:
            hint = f"looked for {known}, also packed"
            layout = next((name for file, name in _LAYOUTS if list(here.glob(file))), "")
            if layout:
                hint = f"its files are in a layout of their own: coldframe dataset {layout} --from {path}"
            raise DataError("no RDF files and no tables in this folder", where=str(path), hint=hint)
    return rdf, tables, schemas


def leave_out(tables: Iterable[Path]) -> None:
    """Say which tables are not read."""
    for path in tables:
        _LOG.warning("%s: no [tables.*] section of the schema reads it, so it is left out", path)


def said(source: Any) -> str:
    """What to call the source in an error."""
    if isinstance(source, Quads):
        return ", ".join(one.path for one in source.sources)
    paths = [source] if isinstance(source, str | Path) else source
    return ", ".join(map(str, paths)) if isinstance(paths, list) else type(source).__name__
