"""Pairs that must not be asked, from a table: a person who was asked elsewhere, an item she sells."""

from __future__ import annotations

from ..kg.errors import DataError
from ..kg.files import StrPath, read_table
from ..kg.graph import Graph
from .answers import first_line

PAIR = ("user", "item")
Pair = tuple[str, str]


def read_pairs(path: StrPath, graph: Graph) -> set[Pair]:
    """The pairs (user, item) of a table's rows as IRIs.

    Raises:
        DataError: a column or a cell is missing. UnknownIdError: the catalog does not have an id.
        ParseError, ResourceError: the file cannot be read.
    """
    table = read_table(path, text=PAIR)
    missing = [kind for kind in PAIR if kind not in table.column_names]
    if missing:
        raise DataError(
            f"column {missing[0]!r} is missing; there are {', '.join(table.column_names)}",
            where=str(path),
            hint="needed: user and item",
        )
    columns = []
    for kind, nodes in zip(PAIR, (graph.users, graph.items), strict=True):
        names = table[kind].to_pylist()
        if not all(names):
            line = next(at for at, name in enumerate(names, first_line(path)) if not name)
            raise DataError(f"no {kind} is named", where=f"{path}:{line}")
        places = nodes.vocabulary.indices(names, kind=kind)
        columns.append([nodes.vocabulary[int(place)] for place in places])
    return set(zip(*columns, strict=True))
