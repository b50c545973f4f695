"""The git revision that artefacts carry, read from git's own files."""

from __future__ import annotations

from pathlib import Path

import pytest

from coldframe.kg.origin import git_revision, made_with

COMMIT, OTHER = "a" * 40, "b" * 40


def checkout(root: Path, head: str, **files: str) -> Path:
    (root / ".git" / "refs" / "heads").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text(head + "\n")
    for name, content in files.items():
        (root / ".git" / name.replace("__", "/").replace("_", "-")).write_text(content + "\n")
    return root


def test_a_branch_a_packed_branch_and_a_bare_commit(tmp_path):
    branch = checkout(tmp_path / "a", "ref: refs/heads/main", refs__heads__main=COMMIT)
    packed = f"# pack-refs with: peeled\n{OTHER} refs/heads/other\n{COMMIT} refs/heads/main"
    from_pack = checkout(tmp_path / "b", "ref: refs/heads/main", packed_refs=packed)
    bare = checkout(tmp_path / "c", COMMIT)
    assert [git_revision(root) for root in (branch, from_pack, bare)] == [COMMIT] * 3


def test_a_work_tree(tmp_path):
    main = checkout(tmp_path / "main", "ref: refs/heads/main", refs__heads__side=COMMIT)
    inside = main / ".git" / "worktrees" / "side"
    inside.mkdir(parents=True)
    (inside / "HEAD").write_text("ref: refs/heads/side\n")
    (inside / "commondir").write_text("../..\n")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {inside}\n")
    assert git_revision(tmp_path / "side") == COMMIT


@pytest.mark.parametrize("head", ["", "ref: refs/heads/gone", "nonsense", "\0", "ref: ../../../etc/passwd"])  # fmt: skip
def test_never_fails(tmp_path, head):
    assert git_revision(checkout(tmp_path / "broken", head)) == ""
    assert git_revision(tmp_path / "none") == ""
    (tmp_path / "bytes" / ".git").mkdir(parents=True)
    (tmp_path / "bytes" / ".git" / "HEAD").write_bytes(b"\xff\xfe")
    assert git_revision(tmp_path / "bytes") == ""


def test_a_package_that_is_missing_is_told():
    assert made_with("no-such-package")["no-such-package"] == "not installed"
