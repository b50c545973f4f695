"""Graphs and statements as memory-mapped Arrow files: a later run never parses."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .arrow_folder import FORMAT, read_arrow_folder, write_arrow_folder
from .errors import ColdframeError, IntegrityError
from .graph import COLUMNS, Category, EdgeSet, EdgeType, Graph, Interactions, NodeSet, Texts
from .nquads import joined_bytes
from .quads import Literals, Quads, Source
from .vocabulary import TEXT, Aliases, Vocabulary


def cache_key(content_hash: str, schema_hash: str) -> str:
    """Name of the cache folder of some content read through some schema."""
    return hashlib.sha256(f"{FORMAT} {content_hash} {schema_hash}".encode()).hexdigest()[:32]


def graph_hash(graph: Graph) -> str:
    """sha256 over everything in a graph but aliases; what stands for the content where there are no
    statements."""
    digest = hashlib.sha256(repr((graph.user_type, graph.item_type)).encode())
    for _, content in _parts_of(graph):
        for piece in content:
            digest.update(piece)
    return digest.hexdigest()


def part_hashes(graph: Graph) -> dict[str, str]:
    """sha256 of each part of a graph: of each type of nodes and edges, and of the interactions.

    Two graphs are the same if these are; parts in another order are the same.
    """
    out = {"types": hashlib.sha256(repr((graph.user_type, graph.item_type)).encode()).hexdigest()}
    for name, content in _parts_of(graph):
        digest = hashlib.sha256()
        for piece in content:
            digest.update(piece)
        out[name] = digest.hexdigest()
    return out


def _parts_of(graph: Graph) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Name and bytes, piece by piece, of each part of a graph."""
    for kind, nodes in graph.nodes.items():
        yield f"node type {kind}", _node_bytes(kind, nodes)
    for key, edges in graph.edges.items():
        content = repr(key).encode() + np.ascontiguousarray(edges.index).tobytes()
        yield f"edges {' - '.join(key)}", (content,)
    yield "interactions", _interaction_bytes(graph.interactions)


def _node_bytes(kind: str, nodes: NodeSet) -> Iterator[bytes]:
    yield f"{kind} {nodes.vocabulary.content_hash}".encode()
    for key, numbers in nodes.numbers.items():
        yield key.encode() + np.ascontiguousarray(numbers).tobytes()
    for key, category in nodes.categories.items():
        yield repr((key, category.names)).encode()
        yield np.ascontiguousarray(category.codes).tobytes()
    for key in nodes.texts:
        column = nodes.text_array(key)
        sizes = np.asarray(pc.binary_length(column))
        yield key.encode() + sizes.tobytes() + bytes(joined_bytes(column))


def _interaction_bytes(rows: Interactions) -> Iterator[bytes]:
    for name in COLUMNS:
        yield np.ascontiguousarray(getattr(rows, name)).tobytes()
    yield repr(rows.split_names).encode()
    if rows.event is not None:
        yield (
            b"event" + repr(rows.event_names).encode() + np.ascontiguousarray(rows.event).tobytes()
        )
    if rows.iri is not None:
        iris = pc.fill_null(rows.iri, "")
        sizes = np.asarray(pc.binary_length(iris))
        yield b"iri" + sizes.tobytes() + bytes(joined_bytes(iris))


def write_graph(graph: Graph, folder: Path) -> None:
    """Write a graph; atomic."""
    tables: dict[str, pa.Table] = {}
    about: dict[str, Any] = {
        "kind": "graph",
        "name": graph.name,
        "user_type": graph.user_type,
        "item_type": graph.item_type,
        "splits": list(graph.interactions.split_names),
        "nodes": [],
        "edges": [],
    }
    for name, nodes in graph.nodes.items():
        tables[f"nodes {name}"] = _node_table(nodes)
        if aliases := nodes.vocabulary.aliases:
            columns = {"name": aliases.names, "index": aliases.index}
            tables[f"aliases {name}"] = pa.table(columns)
        about["nodes"].append(
            {
                "type": name,
                "numbers": list(nodes.numbers),
                "texts": list(nodes.texts),
                "categories": {key: list(c.names) for key, c in nodes.categories.items()},
            }
        )
    for number, (key, edges) in enumerate(graph.edges.items()):
        tables[f"edges {number}"] = pa.table({"index": edges.index.reshape(-1)})
        about["edges"].append(list(key))
    rows = {name: getattr(graph.interactions, name) for name in COLUMNS}
    if graph.interactions.iri is not None:
        rows["iri"] = graph.interactions.iri
    if graph.interactions.event is not None:
        rows["event"] = graph.interactions.event
        about["events"] = list(graph.interactions.event_names)
    tables["interactions"] = pa.table(rows)
    write_arrow_folder(folder, tables, about)


def read_graph(folder: Path) -> Graph:
    """Open a graph; its arrays are read-only views of the mapped files.

    Raises:
        IntegrityError: the folder is missing, damaged, or of another version.
    """
    tables, about = read_arrow_folder(folder)
    try:
        if about["kind"] != "graph":
            raise IntegrityError("this is no graph", where=str(folder))
        nodes = {
            entry["type"]: _node_set(
                tables[f"nodes {entry['type']}"], tables.get(f"aliases {entry['type']}"), entry
            )
            for entry in about["nodes"]
        }
        edges: dict[EdgeType, EdgeSet] = {
            (key[0], key[1], key[2]): EdgeSet(_numpy(tables[f"edges {k}"], "index").reshape(2, -1))
            for k, key in enumerate(about["edges"])
        }
        rows = tables["interactions"]
        iri = rows["iri"].combine_chunks() if "iri" in rows.column_names else None
        interactions = Interactions(
            **{name: _numpy(rows, name) for name in COLUMNS},
            split_names=tuple(about["splits"]),
            event=_numpy(rows, "event") if "event" in rows.column_names else None,
            event_names=tuple(about.get("events", ())),
            iri=iri,
        )
        return Graph(
            nodes, edges, interactions, about["user_type"], about["item_type"], about["name"]
        )
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise IntegrityError(f"damaged: {error!r}", where=str(folder)) from None


def write_quads(quads: Quads, folder: Path) -> None:
    """Write statements; atomic."""
    rows = {name: getattr(quads, name) for name in ("s", "p", "o", "g")}
    if quads.origin is not None:
        rows["origin"] = quads.origin
    literals = quads.literals
    write_arrow_folder(
        folder,
        {
            "rows": pa.table(rows),
            "terms": pa.table({"term": quads.terms}),
            "literals": pa.table(
                {
                    "value": literals.value,
                    "datatype": literals.datatype,
                    "language": literals.language,
                }
            ),
        },
        {
            "kind": "quads",
            "languages": list(literals.languages),
            "duplicates": quads.duplicates,
            "sources": [[s.path, s.sha256, s.triples] for s in quads.sources],
        },
    )


def read_quads_cache(folder: Path) -> Quads:
    """Open statements.

    Raises:
        IntegrityError: as `read_graph`.
    """
    tables, about = read_arrow_folder(folder)
    try:
        if about["kind"] != "quads":
            raise IntegrityError("these are no statements", where=str(folder))
        rows = tables["rows"]
        literals = tables["literals"]
        return Quads(
            terms=_text(tables["terms"], "term"),
            **{name: _numpy(rows, name) for name in ("s", "p", "o", "g")},
            literals=Literals(
                _text(literals, "value"),
                _numpy(literals, "datatype"),
                _numpy(literals, "language"),
                tuple(about["languages"]),
            ),
            duplicates=int(about["duplicates"]),
            sources=tuple(Source(*entry) for entry in about["sources"]),
            origin=_numpy(rows, "origin") if "origin" in rows.column_names else None,
        )
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise IntegrityError(f"damaged: {error!r}", where=str(folder)) from None


def intact(reading: Any, folder: Path) -> Any:
    """What `reading(folder)` gives, or None where the folder is missing or damaged."""
    try:
        return reading(folder)
    except ColdframeError:
        return None


def _node_table(nodes: NodeSet) -> pa.Table:
    columns: dict[str, Any] = {"id": nodes.vocabulary.array}
    columns |= {f"number {name}": values for name, values in nodes.numbers.items()}
    columns |= {f"category {name}": c.codes for name, c in nodes.categories.items()}
    columns |= {f"text {name}": nodes.text_array(name) for name in nodes.texts}
    return pa.table(columns)


def _node_set(table: pa.Table, named: pa.Table | None, entry: Mapping[str, Any]) -> NodeSet:
    aliases = Aliases() if named is None else Aliases(_text(named, "name"), _numpy(named, "index"))
    return NodeSet(
        Vocabulary.trusted(_text(table, "id"), aliases),
        {name: _numpy(table, f"number {name}") for name in entry["numbers"]},
        {
            name: Category(_numpy(table, f"category {name}"), tuple(names))
            for name, names in entry["categories"].items()
        },
        Texts({name: _text(table, f"text {name}") for name in entry["texts"]}),
    )


def _text(table: pa.Table, name: str) -> pa.Array:
    column = table[name]
    return (
        column.chunk(0)
        if column.num_chunks == 1
        else pa.concat_arrays([pa.array([], TEXT), *column.chunks])
    )


def _numpy(table: pa.Table, name: str) -> npt.NDArray[Any]:
    column = table[name]
    if column.num_chunks == 1:
        return np.asarray(column.chunk(0).to_numpy(zero_copy_only=True))
    return np.asarray(column.to_numpy())
