"""A cold retail catalogue: products with descriptions and attributes, no users, no history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..kg.errors import ParseError, ResourceError
from .base import Loaded, bundled_schema, string_table
from .raw_files import locate, read_bytes

_FIELDS = ("id", "name", "category", "style", "description", "price", "gender_affinity")


def load(folder: Path) -> Loaded:
    """Products of products.yaml; the fields are those the schema maps, missing ones stay missing."""
    path = locate(folder, "products.yaml", "products.yml")
    rows = _yaml(path)
    columns: dict[str, list[str | None]] = {name: [] for name in _FIELDS}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or "id" not in row or "name" not in row:
            raise ParseError("a product needs id and name", where=f"{path}: product {number}")
        for name in _FIELDS:
            columns[name].append(_cell(row.get(name), f"{path}: product {number}: {name}"))
    return {"products": string_table(**columns)}, bundled_schema("retail")


def _cell(value: object, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | int | float):
        raise ParseError(f"expected text or a number, got {type(value).__name__}", where=where)
    return " ".join(str(value).split())


def _yaml(path: Path) -> list[Any]:
    try:
        import yaml
    except ImportError as error:
        raise ResourceError("reading YAML needs PyYAML", hint="pip install pyyaml") from error
    # Both load plain data only; the C one is ten times faster where PyYAML was built with it.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        rows = _load(loader, read_bytes(path))
    except (yaml.YAMLError, RecursionError) as error:
        raise ParseError(f"not YAML: {str(error).splitlines()[0]}", where=str(path)) from error
    if not isinstance(rows, list):
        raise ParseError(f"expected a list of products, got {type(rows).__name__}", where=str(path))
    return rows


def _load(loader_class: Any, data: bytes) -> Any:
    loader = loader_class(data)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
