"""docs/PYTHON.md runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coldframe.datasets.generated import generate_catalog
from coldframe.gnn.convolutions import CONVOLUTIONS
from coldframe.gnn.parts import PARTS
from coldframe.kg.catalog import Catalog

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "PYTHON.md"


def test_the_examples_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = generate_catalog(tmp_path / "data", size="tiny")
    Catalog.ingest(list(made.inputs), made.schema, tmp_path / "catalog")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CONVOLUTIONS, "gat", None)  # what the examples put there goes again
    monkeypatch.setitem(PARTS, "profile-sum", PARTS["popularity"])
    scope: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT.read_text("utf-8"), re.S):
        exec(compile(block, str(DOCUMENT), "exec"), scope)
    found, rows = scope["found"], scope["rows"]
    assert found.value("profile-sum", "cold-only", "ndcg@10") > 0
    assert {row["against"] for row in rows} == set(found.models) - {"coldframe"}
    assert set(scope["mixed"].scorer.parts) == {"rp3beta", "kg-knn", "profile-sum"}
    assert len(scope["questions"]) == 20
    assert {"optimistic", "thompson"} < set(scope["played"]["strategies"])
    assert scope["table"].column_names == ["model", "user", "ndcg@10", "recall@20"]
