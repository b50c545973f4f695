"""Where an artefact comes from: versions, the revision of the source, hashes of the files it was read from."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import cache
from importlib import metadata
from pathlib import Path

from .. import __version__
from .files import sha256_file
from .quads import Source

_ROOT = Path(__file__).resolve().parent.parent
_HEX = frozenset("0123456789abcdef")


def made_with(*packages: str) -> dict[str, str]:
    """Versions of Coldframe, Python and some packages; "git" where the package lies in a checkout."""
    versions = {"coldframe": __version__, "python": platform.python_version()}
    revision = git_revision()
    if revision:
        versions["git"] = revision
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


@cache
def git_revision(root: Path = _ROOT) -> str:
    """The commit that is checked out where the package lies; "" where that is no checkout.

    Read from git's files; changes that are not committed do not show.
    """
    try:
        folder = _git_folder(root)
        head = (folder / "HEAD").read_text("utf-8").strip()
        if head.startswith("ref: "):
            head = _resolved(folder, head.removeprefix("ref: "))
    except (OSError, ValueError):
        return ""
    return head if len(head) in (40, 64) and set(head) <= _HEX else ""


def _git_folder(root: Path) -> Path:
    """The folder of HEAD: `.git`, or where that is a file, as in a work tree, what it names."""
    git = root / ".git"
    if git.is_file():
        return root / git.read_text("utf-8").strip().removeprefix("gitdir: ")
    return git


def _resolved(folder: Path, name: str) -> str:
    """The commit of a branch, from a file of its own or from the packed ones."""
    shared = folder / "commondir"
    common = folder / shared.read_text("utf-8").strip() if shared.is_file() else folder
    if (common / name).is_file():
        return (common / name).read_text("utf-8").strip()
    for line in (common / "packed-refs").read_text("utf-8").splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return ""


def hashed(paths: Iterable[Path]) -> tuple[Source, ...]:
    """Files as they lie, with the sha256 of their bytes; no statements are counted in them."""
    return tuple(Source(str(path), sha256_file(path), 0) for path in paths)
