"""Table files by name: which are parts of one table, and how a section says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .infer import unique_name

_HEX = r"[0-9a-f-]{8,}"  # names that writers make up


@dataclass(frozen=True)
class Files:
    """The files of one table.

    Attributes:
        file: what a section says of them: a name, with its folder where others are called so as well;
            of several, what fits them all.
    """

    paths: tuple[Path, ...]
    file: str


def single_files(paths: Mapping[str, Path]) -> dict[str, Files]:
    """Files that are a table each, by its name."""
    called = Counter(path.name for path in paths.values())
    return {
        name: Files((path,), path.name if called[path.name] == 1 else "/".join(path.parts[-2:]))
        for name, path in paths.items()
    }


def named_files(tables: Iterable[Path], inputs: Sequence[Path]) -> dict[str, Files]:
    """Table files by name.

    Parts in folders such as `orders/dt=2026-01-01` are one table, called as the folder above these;
    where files of several names lie there, as `movies.csv` and `ratings.csv` do, those of one name are.

    Args:
        inputs: the folders, or files, among or in which the tables were found: folders above them part nothing.
    """
    groups: dict[tuple[tuple[str, ...], int, str], list[Path]] = {}
    for path in tables:
        groups.setdefault(_group(path, inputs), []).append(path)
    sharing = Counter(above for above, _, _ in groups)
    names: dict[str, tuple[Path, ...]] = {}
    forms: dict[str, str] = {}
    for (above, depth, word), paths in groups.items():
        one_of_several = sharing[above] > 1
        if not depth or (one_of_several and len(paths) == 1):
            names[unique_name(paths[0].name.split(".")[0], names)] = (paths[0],)
            continue
        folder = above[-1] if above else ""
        name = unique_name((word if one_of_several else folder) or "table", names)
        start = word if one_of_several else ""
        names[name] = tuple(paths)
        forms[name] = "/".join(
            [*filter(None, [folder]), *["*"] * depth, f"{start}*{paths[0].suffix}"]
        )
    singles = single_files({name: paths[0] for name, paths in names.items() if name not in forms})
    return {
        name: Files(paths, forms[name]) if name in forms else singles[name]
        for name, paths in names.items()
    }


def _group(path: Path, inputs: Sequence[Path]) -> tuple[tuple[str, ...], int, str]:
    """What the parts of one table have in common: the folders above those that part it, how many these
    are, and the word that its name begins with; of a file in no such folder, the file itself and 0."""
    outside = next((len(root.parent.parts) for root in inputs if root in path.parents), 0)
    folders = path.parts[outside:-1]
    first = next((place for place, folder in enumerate(folders) if "=" in folder), None)
    if first is None:
        return path.parts, 0, ""
    depth = len(folders) - first
    stem = path.name.split(".")[0]
    word = "" if re.fullmatch(_HEX, stem) else re.split(r"[0-9-]", stem)[0].strip("_ ")
    return path.parts[: -depth - 1], depth, word
