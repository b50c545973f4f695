"""The long counts of the reliability catalogue, by the tests' own code: one JSON object on stdout.

    python bench/faults.py                        all at their long counts (hours)
    python bench/faults.py --share 0.01           a hundredth of each
    python bench/faults.py --only R7,R10 --seconds 60

Each row: what was tried, how often, whether all passed, and the failure if not.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FAULTS = Path(__file__).resolve().parents[1] / "tests" / "fault"
CHUNK = 500  # mutated files between two looks at the clock


def load(name: str) -> ModuleType:
    """A module of tests, by its path: they are no package."""
    spec = importlib.util.spec_from_file_location(name, FAULTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def checkpoint_kills(folder: Path, count: int, _seconds: float) -> int:
    """Kill as many writers of checkpoints; `count` again, as the others return how many they did."""
    load("test_checkpoint_faults").kill_while_saving(folder, count)
    return count


def writer_kills(folder: Path, count: int, _seconds: float) -> int:
    """Kill writers of one journal, three at a time."""
    load("test_journal_faults").kill_writers(folder, count, seed=102)
    return count


def flips(folder: Path, count: int, _seconds: float) -> int:
    """A third each of checkpoints, journals and tables."""
    third = count // 3
    load("test_checkpoint_faults").flip_checkpoints(folder, third, seed=107)
    load("test_journal_faults").flip_journals(folder, third, seed=107)
    load("test_table_faults").flip_tables(folder, count - 2 * third, seed=107)
    return count


def mutated_rdf(_folder: Path, count: int, seconds: float) -> int:
    """As many as the time allows, in turns of all syntaxes; those parsed in a child are fewer."""
    module, done, seed, end = load("test_hostile_rdf"), 0, 108, time.monotonic() + seconds
    while done < count and time.monotonic() < end:
        for syntax, size in (("nquads", CHUNK), ("trig", CHUNK), ("rdfxml", 25), ("jsonld", 25)):
            module.survive(syntax, size, seed, cpu_seconds_each=1)
            done += size
        seed += 1
    return done


def bombs(folder: Path, _count: int, _seconds: float) -> int:
    """All of them, as there are no more."""
    return int(load("test_hostile_rdf").refuse_bombs(folder, cpu_seconds_each=2))


def malformed_text(folder: Path, count: int, _seconds: float) -> int:
    """Malform each kind of text file a quarter of the count; the kinds' own counts together."""
    return sum(load("test_malformed_text").malform(folder, count // 4, seed=110).values())


def forged_checkpoints(folder: Path, count: int, _seconds: float) -> int:
    """Load checkpoints whose manifest or tensors were forged."""
    load("test_checkpoint_faults").forge_checkpoints(folder, count, seed=119)
    return count


LONG: dict[str, tuple[str, int, Callable[[Path, int, float], int]]] = {
    "R1": ("kill -9 while a checkpoint is written", 1_000, checkpoint_kills),
    "R2": ("kill -9 of three writers of a journal", 2_000, writer_kills),
    "R7": ("bits flipped and bytes cut off", 50_000, flips),
    "R8": ("mutated RDF files", 1_000_000, mutated_rdf),
    "R9": ("bombs", 1, bombs),
    "R10": ("malformed schemas, settings and answers", 100_000, malformed_text),
    "R19": ("forged checkpoints", 100_000, forged_checkpoints),
}


def measure(number: str, share: float, seconds: float) -> dict[str, Any]:
    """One row: a number of the catalogue at a share of its long count, at least 4 trials."""
    what, count, run = LONG[number]
    wanted = max(4, int(count * share))
    row: dict[str, Any] = {"what": what, "long_count": count, "wanted": wanted, "done": 0}
    start = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            row["done"] = run(Path(folder), wanted, seconds)
        row |= {"passed": True, "failure": ""}
    except Exception as error:  # an AssertionError, or what the code under test let through
        row |= {"passed": False, "failure": f"{type(error).__name__}: {error}"[:2000]}
    return {**row, "seconds": round(time.monotonic() - start, 1)}


def main() -> int:
    """Run and print; 1 where a row did not pass."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", default=",".join(LONG), help="numbers, with commas")
    parser.add_argument("--share", type=float, default=1.0, help="of the long counts")
    parser.add_argument("--seconds", type=float, default=3600.0, help="limit of R8")
    given = parser.parse_args()
    names = [name.strip() for name in given.only.split(",")]
    if unknown := [name for name in names if name not in LONG]:
        parser.error(f"no long run of {unknown[0]}; there are {', '.join(LONG)}")
    rows = {}
    for name in names:
        rows[name] = measure(name, given.share, given.seconds)
        print(f"{name}: {rows[name]}", file=sys.stderr)
    print(json.dumps(rows, indent=1))
    return 0 if all(row["passed"] for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
