"""A cold retail catalogue: products with descriptions and attributes, no users, no history."""

from __future__ import annotations

from pathlib import Path

from ..kg.errors import ParseError
from ..kg.record_tables import cell, yaml_records
from .base import Loaded, bundled_schema, string_table
from .raw_files import locate, read_bytes

_FIELDS = ("id", "name", "category", "style", "description", "price", "gender_affinity")


def load(folder: Path) -> Loaded:
    """Products of products.yaml; the fields are those the schema maps, missing ones stay missing."""
    path = locate(folder, "products.yaml", "products.yml")
    columns: dict[str, list[str | None]] = {name: [] for name in _FIELDS}
    for place, row in yaml_records(read_bytes(path), path):
        if "id" not in row or "name" not in row:
            raise ParseError("a product needs id and name", where=place)
        for name in _FIELDS:
            columns[name].append(cell(row.get(name), f"{place}: {name}"))
    return {"products": string_table(**columns)}, bundled_schema("retail")
