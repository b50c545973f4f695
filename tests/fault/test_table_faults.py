"""Sealed Parquet files under flipped bits and cuts: refused, or the same table; never a wrong number."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from coldframe.kg.errors import ColdframeError, IntegrityError
from coldframe.kg.table_files import read_table, seal, unseal, write_table


def labels(n: int = 60) -> pa.Table:
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "user": rng.integers(0, 1000, n),
            "label": rng.integers(0, 2, n).astype(np.int8),
            "rating": np.where(rng.random(n) < 0.5, np.nan, rng.random(n)).astype(np.float32),
            "name": [f"https://e.org/{k}" if k % 7 else None for k in range(n)],
        }
    )
    return table.replace_schema_metadata({"split_names": "a\nb"})


def flip_tables(folder: Path, flips: int, seed: int) -> None:
    """Damage a sealed table at one place at a time."""
    table, path = labels(), folder / "labels.parquet"
    write_table(path, seal(table))
    whole, rng, refused = path.read_bytes(), random.Random(seed), 0
    for trial in range(flips):
        raw = bytearray(whole)
        if trial % 4:
            raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        else:
            raw = raw[: rng.randrange(len(raw))]
        path.write_bytes(raw)
        try:
            found = unseal(read_table(path), path)
        except ColdframeError:
            refused += 1
            continue
        # What a flip may change without notice is what nobody reads: statistics, the writer's name.
        assert repr(found.to_pydict()) == repr(table.to_pydict())
        assert found.schema.metadata[b"split_names"] == b"a\nb"
    assert refused > flips // 2


@pytest.mark.R(7)
def test_flipped_bits_and_cut_files_are_detected(tmp_path: Path) -> None:
    flip_tables(tmp_path, 800, seed=7)


@pytest.mark.R(7)
def test_a_changed_table_under_an_old_seal_is_refused() -> None:
    table = seal(labels())
    assert repr(unseal(table, "x").to_pydict()) == repr(labels().to_pydict())
    with pytest.raises(IntegrityError, match="missing"):
        unseal(labels(), "x")
    forged = table.set_column(1, "label", pa.array(np.ones(60, np.int8)))
    with pytest.raises(IntegrityError, match="changed"):
        unseal(forged.replace_schema_metadata(table.schema.metadata), "x")
