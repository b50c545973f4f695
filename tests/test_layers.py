"""Imports run in one direction, and cheap imports stay cheap."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAY_IMPORT = {
    "kg": {"kg"},
    "datasets": {"datasets", "kg"},
    "gnn": {"gnn", "kg"},
    "active": {"active", "gnn", "kg"},
    "report": {"report", "active", "gnn", "kg"},
}


def imported_layers(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, top folder of ours) for every import of the package, relative or absolute."""
    package = ["coldframe", *path.relative_to(ROOT).parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = base + (node.module.split(".") if node.module else [])
            names = [[*module, alias.name] for alias in node.names]
        else:
            continue
        for parts in names:
            if parts[0] == "coldframe" and len(parts) > 1:
                yield node.lineno, parts[1]


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_no_import_runs_the_other_way(layer: str) -> None:
    wrong, seen = [], 0
    for path in sorted((ROOT / layer).rglob("*.py")):
        for line, target in imported_layers(path, ast.parse(path.read_bytes())):
            seen += 1
            if target not in MAY_IMPORT[layer] and target != "__version__":
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)
    assert seen > 3


def test_only_the_command_line_uses_rich_and_typer() -> None:
    wrong = []
    for layer in MAY_IMPORT:
        for path in sorted((ROOT / layer).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if {name.split(".")[0] for name in names} & {"rich", "typer"}:
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print":
                    wrong.append(f"{path.relative_to(ROOT)}:{node.lineno} prints")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("module", ["coldframe", "coldframe.kg"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    loaded = {name.split(".")[0] for name in json.loads(answer.stdout)}
    heavy = {"torch", "torch_geometric", "transformers", "rdflib", "networkx", "matplotlib"}
    assert not loaded & (heavy | {"sklearn", "pandas"})


def test_every_module_of_kg_imports_without_torch_and_rdflib() -> None:
    modules = sorted(f"coldframe.kg.{path.stem}" for path in (ROOT / "kg").glob("[!_]*.py"))
    code = (
        "import importlib, sys\n"
        "sys.modules.update(dict.fromkeys(('torch', 'torch_geometric', 'rdflib', 'networkx')))\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr


def test_no_top_level_package_of_others_is_shadowed() -> None:
    spec = find_spec("datasets")
    assert spec is None or not Path(str(spec.origin)).is_relative_to(ROOT)
    for name in ("kg", "gnn", "active", "bench"):
        found = find_spec(name)
        assert found is None or not Path(str(found.origin)).is_relative_to(ROOT)
