"""RDF and tables in, validated columns, graphs and RDF out. Knows no model.

    from coldframe.kg import read, to_hetero
    catalog = read("museum.ttl", "schema.toml")
    data = to_hetero(catalog.graph)

Everything is loaded on first use; torch not before `to_hetero` or `from_hetero` is called.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalog import Catalog as Catalog
    from .catalog import read as read
    from .export import write_nquads as write_nquads
    from .graph import Graph as Graph
    from .hetero import from_hetero as from_hetero
    from .hetero import to_hetero as to_hetero
    from .infer import infer_schema as infer_schema
    from .mapping import graph_from_quads as graph_from_quads
    from .reader import read_quads as read_quads
    from .schema import Schema as Schema
    from .tables import graph_from_tables as graph_from_tables

_HOMES = {
    "Catalog": "catalog",
    "Graph": "graph",
    "Schema": "schema",
    "from_hetero": "hetero",
    "graph_from_quads": "mapping",
    "graph_from_tables": "tables",
    "infer_schema": "infer",
    "read": "catalog",
    "read_quads": "reader",
    "to_hetero": "hetero",
    "write_nquads": "export",
}

__all__ = [
    "Catalog",
    "Graph",
    "Schema",
    "from_hetero",
    "graph_from_quads",
    "graph_from_tables",
    "infer_schema",
    "read",
    "read_quads",
    "to_hetero",
    "write_nquads",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
