"""Interactions and splits as the tables that a run folder keeps."""

from __future__ import annotations

import pyarrow as pa

from ..kg.graph import Interactions
from ..kg.split import PARTS, Split

COLUMNS = ("user", "item", "label", "rating", "time", "round")


def rows_out(rows: Interactions) -> pa.Table:
    """Interactions as a table."""
    columns = {name: getattr(rows, name) for name in COLUMNS}
    columns["split"] = rows.split
    table = pa.table(columns)
    return table.replace_schema_metadata({"split_names": "\n".join(rows.split_names)})


def rows_in(table: pa.Table) -> Interactions:
    """The reverse of `rows_out`."""
    names = (table.schema.metadata or {}).get(b"split_names", b"").decode()
    columns = {name: table[name].to_numpy() for name in (*COLUMNS, "split")}
    users, items = columns.pop("user"), columns.pop("item")
    return Interactions.build(
        users, items, **columns, split_names=tuple(names.split("\n")) if names else ()
    )


def split_out(split: Split) -> pa.Table:
    """A split as one table, whose column `part` says what a row is for."""
    tables = []
    for part in PARTS:
        rows = rows_out(getattr(split, part))
        tables.append(rows.append_column("part", pa.array([part] * len(rows), pa.string())))
    return pa.concat_tables(tables).replace_schema_metadata(tables[0].schema.metadata)
