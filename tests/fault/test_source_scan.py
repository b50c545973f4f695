"""No call that runs what it reads stands in the source or the benchmarks (tests make such files)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not any(part.startswith(".") or part in ("build", "dist", "tests") for part in path.relative_to(ROOT).parts)
)  # fmt: skip
MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {
    "torch.load",
    "torch.save",
    "torch.hub.load",
    "fs.torch_load",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "pd.read_pickle",
    "pandas.read_pickle",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
}
METHODS = {"to_pickle", "read_pickle", "torch_load"}
# trust_remote_code=False is allowed: it says in so many words that nothing is run.
KEYWORDS = {"allow_pickle": (False,), "trust_remote_code": (False,), "shell": (False,)}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def forbidden(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names]
            for name in named:
                if name.split(".")[0] in MODULES:
                    yield node.lineno, f"import {name}"
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            last = name.rpartition(".")[2]
            if name in BUILTINS or name in ATTRIBUTES or ("." in name and last in METHODS):
                yield node.lineno, f"{name}()"
            for keyword in node.keywords:
                allowed = KEYWORDS.get(keyword.arg or "")
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if allowed is not None and value not in allowed:
                    yield node.lineno, f"{name}({keyword.arg}=...)"


@pytest.mark.R(21)
def test_no_forbidden_call_anywhere() -> None:
    assert len(SOURCES) > 50
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in SOURCES
        for line, what in forbidden(ast.parse(path.read_bytes(), str(path)))
    ]
    assert not found, "\n".join(found)


@pytest.mark.R(21)
@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import dump",
        "import numpy, dill as d",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "torch.save(x, path)",
        "fs.torch_load(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=flag)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "frame.to_pickle(path)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_the_scan_sees_it(line: str) -> None:
    assert list(forbidden(ast.parse(line)))


@pytest.mark.R(21)
@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile('a')",
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
    ],
)
def test_the_scan_passes_what_is_safe(line: str) -> None:
    assert not list(forbidden(ast.parse(line)))
