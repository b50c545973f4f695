"""Speed and memory of the way from RDF and tables to HeteroData. Prints one JSON object.

    python bench/kg.py --triples 1000000 [--museum FOLDER] [--without-rdflib] [--folder KEEP]
    python bench/kg.py --large 50000000 [--folder KEEP]    # nothing but so many triples, read once

Every stage runs in a process of its own on one thread, reads a generated catalog (items with text, numbers
and categories; plain view edges; reified ratings; some repeated lines) and reports CPU seconds, statements
per CPU second, and peak memory above that of the imports. Ratios are between stages of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kg_files import BASE, generate  # type: ignore[import-not-found]  # beside this script


def scan(folder: Path) -> int:
    """The ceiling: read the file and count its lines."""
    lines = 0
    with (folder / "catalog.nt").open("rb") as source:
        while block := source.read(8 << 20):
            lines += block.count(b"\n")
    return lines


def quads_of(name: str) -> Callable[[Path], int]:
    """Read one file or folder to `Quads`."""

    def stage(folder: Path) -> int:
        from coldframe.kg.reader import read_quads

        return sum(source.triples for source in read_quads(folder / name).sources)

    return stage


def hetero_of(name: str) -> Callable[[Path], int]:
    """Read one RDF file through the schema to HeteroData."""

    def stage(folder: Path) -> int:
        from coldframe.kg.catalog import read
        from coldframe.kg.hetero import to_hetero

        catalog = read(folder / name, folder / "schema.toml")
        to_hetero(catalog.graph)
        report: Any = catalog.report
        return int(report.triples + report.duplicates)

    return stage


def through_rdflib(folder: Path) -> int:
    """The same through an rdflib graph."""
    import rdflib

    from coldframe.kg.catalog import read
    from coldframe.kg.hetero import to_hetero

    graph = rdflib.Graph()
    graph.parse(folder / "small.ttl", format="turtle")
    to_hetero(read(graph, folder / "schema.toml").graph)
    return len(graph)


def parquet(folder: Path) -> int:
    """Tables through the same schema to HeteroData; counts rows."""
    import pyarrow.parquet as pq

    from coldframe.kg.hetero import to_hetero
    from coldframe.kg.schema import Schema
    from coldframe.kg.tables import graph_from_tables

    paths = {name: folder / f"{name}.parquet" for name in ("items", "ratings")}
    schema = Schema.load(folder / "tables.toml")
    to_hetero(graph_from_tables(paths, schema)[0])
    return sum(pq.read_metadata(path).num_rows for path in paths.values())


def cache(folder: Path) -> int:
    """An ingested catalog to HeteroData; the catalog is made by the stage before."""
    from coldframe.kg.catalog import Catalog
    from coldframe.kg.hetero import to_hetero

    to_hetero(Catalog.open(folder / "catalog").graph)
    return scan(folder)


def ingest(folder: Path) -> int:
    """Into a catalog folder with its cache; the store waits for its first question."""
    from coldframe.kg.catalog import Catalog

    Catalog.ingest(folder / "catalog.nt", folder / "schema.toml", folder / "catalog", replace=True)
    return scan(folder)


def append_round(folder: Path) -> int:
    """A round of 1,000 answers as a named graph with PROV-O, durable; its wall time counts."""
    from coldframe.kg.catalog_store import CatalogStore
    from coldframe.kg.provenance import EventTerms, record_round

    rows = [
        {
            "user": f"{BASE}user/{k % 97}",
            "item": f"{BASE}item/{k}",
            "answer": "like" if k % 3 else "dislike",
            "annotator": "Ada",
            "time": 1.7e9 + k,
        }
        for k in range(1000)
    ]
    terms = EventTerms(rating=f"{BASE}stars", time=f"{BASE}at", like=4.0, dislike=3.0)
    with CatalogStore(folder / "catalog" / "store", None) as store:
        record_round(store, 1, rows, terms=terms)
    return len(rows)


def museum(folder: Path) -> int:
    """The museum's files through its schema to HeteroData; counts the distinct statements."""
    from coldframe.datasets.base import bundled_schema
    from coldframe.kg.catalog import read
    from coldframe.kg.hetero import to_hetero

    catalog = read(folder, bundled_schema("aac-npg-rdf"))
    to_hetero(catalog.graph)
    report: Any = catalog.report
    return int(report.triples)


def large(folder: Path) -> int:
    """N-Triples of a catalogue of distinct triples, ten for each item, to HeteroData."""
    from coldframe.datasets.triples import triples_schema
    from coldframe.kg.catalog import read
    from coldframe.kg.hetero import to_hetero

    catalog = read(folder / "large.nt", triples_schema())
    report: Any = catalog.report
    graph = catalog.graph
    del catalog  # and with it the statements, which nobody needs any more
    to_hetero(graph)
    return int(report.triples)


STAGES: dict[str, Callable[[Path], int]] = {
    "scan": scan,
    "ntriples_to_quads": quads_of("catalog.nt"),
    "turtle_to_quads": quads_of("catalog.ttl"),
    "ntriples_to_hetero": hetero_of("catalog.nt"),
    "turtle_to_hetero": hetero_of("catalog.ttl"),
    "small_turtle_to_hetero": hetero_of("small.ttl"),
    "rdflib_to_hetero": through_rdflib,
    "parquet_to_hetero": parquet,
    "ingest": ingest,
    "cache_to_hetero": cache,
    "append_round": append_round,
    "museum_to_quads": quads_of(""),
    "museum_to_hetero": museum,
    "large_to_hetero": large,
}


def measure(stage: str, folder: Path) -> dict[str, float]:
    """Run one stage here, after everything it needs has been imported."""
    import pandas  # noqa: F401  # Arrow would import it on first use
    import pyarrow as pa
    import torch
    import torch_geometric.data  # noqa: F401

    import coldframe.kg.catalog
    import coldframe.kg.catalog_store
    import coldframe.kg.hetero
    import coldframe.kg.provenance
    import coldframe.kg.schema_file
    import coldframe.kg.tables  # noqa: F401

    if stage == "rdflib_to_hetero":
        import rdflib  # noqa: F401
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    pa.array(range(3), pa.int32()).to_numpy()
    before, start, wall = _memory(), _cpu(), time.perf_counter()
    with _Peak() as peak:
        units = STAGES[stage](folder)
    cpu = max(_cpu() - start, 1e-6)
    return {
        "units": units,
        "cpu_seconds": round(cpu, 3),
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "units_per_cpu_second": round(units / cpu),
        "peak_bytes_per_unit": round(max(peak.bytes - before, 0) / max(units, 1), 1),
    }


def _cpu() -> float:
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _memory() -> int:
    """Resident bytes of this process and its children now."""
    total = 0
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    for process in ["self", *children.split()]:
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1])
        except OSError:
            continue  # it has just ended
    return total * resource.getpagesize()


class _Peak:
    """Samples the memory of this process and its children every ten milliseconds.

    The peak that the system keeps (ru_maxrss) will not do: a child inherits that of its parent.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._done.wait(0.01):
            self.bytes = max(self.bytes, _memory())

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


def run(stage: str, folder: Path) -> dict[str, float]:
    """Run one stage in its own process."""
    done = subprocess.run(
        [sys.executable, __file__, "--stage", stage, "--folder", str(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"stage {stage} failed:\n{done.stderr}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def run_large(folder: Path, triples: int) -> dict[str, Any]:
    """Generate, read once, and say what it took."""
    from coldframe.datasets.triples import generate_triples

    made = generate_triples(folder / "large.nt", triples)
    size = made.path.stat().st_size
    return {
        "triples": made.triples,
        "bytes": size,
        "large_to_hetero": run("large_to_hetero", folder),
    }


def ratios(stages: dict[str, dict[str, float]]) -> dict[str, float]:
    """The figures that have a target."""

    def speed(stage: str) -> float:
        return stages[stage]["units_per_cpu_second"]

    found = {
        "ntriples_to_quads_share_of_scan": speed("ntriples_to_quads") / speed("scan"),
        "ntriples_to_hetero_share_of_scan": speed("ntriples_to_hetero") / speed("scan"),
    }
    if "rdflib_to_hetero" in stages:
        slow, fast = stages["rdflib_to_hetero"], stages["small_turtle_to_hetero"]
        found["turtle_times_faster_than_rdflib"] = speed("turtle_to_hetero") / speed(
            "rdflib_to_hetero"
        )
        found["turtle_times_less_memory_than_rdflib"] = (
            slow["peak_bytes_per_unit"] / stages["turtle_to_hetero"]["peak_bytes_per_unit"]
        )
        found["small_turtle_times_faster_than_rdflib"] = (
            fast["units_per_cpu_second"] / slow["units_per_cpu_second"]
        )
    return {name: round(value, 3) for name, value in found.items()}


def main() -> None:
    """Parse the command line and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--triples", type=int, default=1_000_000)
    parser.add_argument("--museum", type=Path, help="folder of real RDF files")
    parser.add_argument("--large", type=int, metavar="TRIPLES", help="run this alone, once")
    parser.add_argument("--without-rdflib", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the generated files here")
    parser.add_argument(
        "--stage", choices=STAGES, help="run only this one, on --folder, in this process"
    )
    options = parser.parse_args()
    if options.stage:
        print(json.dumps(measure(options.stage, options.folder)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if options.large:
            print(json.dumps(run_large(folder, options.large), indent=2))
            return
        generate(folder, options.triples)
        left_out = {"museum_to_quads", "museum_to_hetero", "large_to_hetero"}
        if options.without_rdflib:
            left_out |= {"rdflib_to_hetero", "small_turtle_to_hetero"}
        stages = {stage: run(stage, folder) for stage in STAGES if stage not in left_out}
        if options.museum:
            for stage in ("museum_to_quads", "museum_to_hetero"):
                stages[stage] = run(stage, options.museum)
    print(
        json.dumps(
            {"triples": options.triples, "stages": stages, "ratios": ratios(stages)}, indent=2
        )
    )


if __name__ == "__main__":
    main()
