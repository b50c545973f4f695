"""Pairs that must not be asked, from a table: a person who was asked elsewhere, an item she sells."""

from __future__ import annotations

from ..kg.errors import DataError
from ..kg.files import StrPath
from ..kg.graph import Graph
from .table_rows import numbered_rows, text_of

PAIR = ("user", "item")
Pair = tuple[str, str]


def read_pairs(path: StrPath, graph: Graph) -> set[Pair]:
    """The pairs (user, item) of a table's rows as IRIs.

    Raises:
        DataError: a column or a cell is missing. UnknownIdError: the catalog does not have an id.
        ParseError, ResourceError: the file cannot be read.
    """
    named: dict[str, list[str]] = {kind: [] for kind in PAIR}
    for line, row in numbered_rows(path, PAIR, "pairs"):
        if isinstance(row, str):
            raise DataError(row, where=f"{path}:{line}")
        for kind in PAIR:
            if not (name := text_of(row.get(kind))):
                raise DataError(f"no {kind} is named", where=f"{path}:{line}")
            named[kind].append(name)
    columns = []
    for kind, nodes in zip(PAIR, (graph.users, graph.items), strict=True):
        places = nodes.vocabulary.indices(named[kind], kind=kind)
        columns.append([nodes.vocabulary[int(place)] for place in places])
    return set(zip(*columns, strict=True))
