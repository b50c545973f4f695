"""A catalogue of any size for benchmarks: ten distinct triples per item, streamed to disk.

The same arguments give the same bytes, and the same graph from each format (`schemas/triples.toml`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..kg.errors import UsageError, nearest
from ..kg.files import StrPath, atomic_write
from ..kg.schema import RDF_TYPE, XSD, Schema
from ..kg.split import rng_for
from .base import bundled_schema

FORMATS = ("nt", "ttl", "parquet")
PER_ITEM = 10
_CHUNK = 50_000
_BASE = "https://bench.example.org/"
_WORDS = np.array(
    [
        "amber",
        "basin",
        "copper",
        "delta",
        "ember",
        "field",
        "grove",
        "harbour",
        "island",
        "juniper",
        "kiln",
        "lantern",
        "meadow",
        "north",
        "orchard",
        "pebble",
        "quarry",
        "river",
        "stone",
        "timber",
        "upland",
        "valley",
        "willow",
        "yarrow",
    ]
)
_RELATIONS = ("genre", "maker", "topic", "place", "similar")


@dataclass(frozen=True)
class TriplesReport:
    """What was written: `triples` are distinct; `targets` = genres, makers, topics, places drawn from."""

    path: Path
    triples: int
    items: int
    targets: dict[str, int]


def triples_schema() -> Schema:
    """The schema of what `generate_triples` writes, for RDF and for the Parquet table."""
    return bundled_schema("triples")


def generate_triples(
    path: StrPath, n: int, seed: int = 0, format: str | None = None
) -> TriplesReport:
    """Write about `n` triples (ten per item, rounded down, at least one item).

    Args:
        format: "nt", "ttl" or "parquet" (a table with one row per item); by the suffix if None.

    Raises:
        UsageError: unknown format, or n below ten.
        ResourceError: it cannot be written; no part of a file is left.
    """
    target = Path(path)
    kind = format or target.suffix.lstrip(".")
    if kind not in FORMATS:
        raise UsageError(f"unknown format {kind!r}", hint=nearest(kind, FORMATS))
    items = n // PER_ITEM
    if items < 1:
        raise UsageError(f"n is {n}, expected at least {PER_ITEM}")
    targets = {
        "genre": 200, "maker": max(items // 50, 10), "topic": max(items // 10, 20), "place": 1000
    }  # fmt: skip
    writers = {"nt": _write_lines, "ttl": _write_turtle, "parquet": _write_parquet}
    atomic_write(target, lambda out: writers[kind](out, items, targets, seed))
    return TriplesReport(target, items * PER_ITEM, items, targets)


def _chunks(items: int, targets: dict[str, int], seed: int) -> Iterator[pa.Table]:
    """Rows of items as text columns; each chunk has a generator of its own."""
    for start in range(0, items, _CHUNK):
        size = min(_CHUNK, items - start)
        rng = rng_for(seed, f"triples {start}")
        index = np.arange(start, start + size)
        columns = {"item": _text(index)}
        for name, count in targets.items():
            # Cubed: a few targets have most of the edges.
            columns[name] = _text((rng.random(size) ** 3 * count).astype(np.int64))
        columns["similar"] = _text((index + rng.integers(1, max(items, 2), size)) % max(items, 2))
        words = pa.array(_WORDS[rng.integers(0, len(_WORDS), (8, size))].reshape(-1))
        parts = [words.slice(k * size, size) for k in range(8)]
        columns["label"] = _join(parts[0], " ", parts[1], " ", columns["item"])
        columns["summary"] = pc.binary_join_element_wise(*parts[2:], " ")
        cents = rng.integers(100, 10_000, size)
        columns["price"] = _join(_text(cents // 100), ".", _text(10 + cents % 90))
        columns["released"] = _join(
            _text(rng.integers(1980, 2025, size)), "-", _text(rng.integers(10, 13, size)), "-",
            _text(rng.integers(10, 29, size)),
        )  # fmt: skip
        yield pa.table(columns)


def _text(values: np.ndarray) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _join(*parts: pa.Array | str) -> pa.Array:
    return pc.binary_join_element_wise(*parts, "")


def _write_lines(out: BinaryIO, items: int, targets: dict[str, int], seed: int) -> None:
    for table in _chunks(items, targets, seed):
        c = {name: table[name].combine_chunks() for name in table.column_names}
        subject = _join(f"<{_BASE}item/", c["item"], "> <")
        lines = [subject, f"{RDF_TYPE}> <{_BASE}Item> .\n"]
        for name in _RELATIONS:
            kind = "item" if name == "similar" else name
            lines += [subject, f"{_BASE}{name}> <{_BASE}{kind}/", c[name], "> .\n"]
        for name, iri, kind in _literals():
            lines += [subject, f'{iri}> "', c[name], f'"{kind} .\n']
        _append(out, _join(*lines))


def _literals() -> tuple[tuple[str, str, str], ...]:
    return (
        ("label", "http://www.w3.org/2000/01/rdf-schema#label", "@en"),
        ("summary", "http://purl.org/dc/terms/abstract", "@en"),
        ("price", f"{_BASE}price", f"^^<{XSD}decimal>"),
        ("released", f"{_BASE}released", f"^^<{XSD}date>"),
    )


def _write_turtle(out: BinaryIO, items: int, targets: dict[str, int], seed: int) -> None:
    out.write(f"@prefix : <{_BASE}> .\n@prefix xsd: <{XSD}> .\n".encode())
    for table in _chunks(items, targets, seed):
        c = {name: table[name].combine_chunks() for name in table.column_names}
        parts: list[pa.Array | str] = [f"<{_BASE}item/", c["item"], "> a :Item"]
        for name in _RELATIONS:
            kind = "item" if name == "similar" else name
            parts += [f" ;\n  :{name} <{_BASE}{kind}/", c[name], ">"]
        for name, iri, kind in _literals():
            parts += [f' ;\n  <{iri}> "', c[name], f'"{kind}']
        _append(out, _join(*parts, " .\n"))


def _append(out: BinaryIO, rows: pa.Array) -> None:
    """All strings of an array one after the other: its data buffer is just that."""
    _, offsets, data = rows.buffers()
    ends = np.frombuffer(offsets, np.int32)
    out.write(memoryview(data)[ends[rows.offset] : ends[rows.offset + len(rows)]])


def _write_parquet(out: BinaryIO, items: int, targets: dict[str, int], seed: int) -> None:
    writer: pq.ParquetWriter | None = None
    for table in _chunks(items, targets, seed):
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()
