"""Speed and memory of the way from RDF and tables to HeteroData. Prints one JSON object.

    python bench/kg.py --triples 1000000 [--museum FOLDER] [--without-rdflib] [--folder KEEP]

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

BASE = "https://shop.example.org/"
XSD = "http://www.w3.org/2001/XMLSchema#"
SCHEMA = f"""
users = "user"
items = "item"
[prefixes]
ex = "{BASE}"
[nodes.item]
class = "ex:Item"
iri = "ex:item/{{}}"
text.title = "ex:title"
number.price = "ex:price"
category.colour = "ex:colour"
[nodes.brand]
iri = "ex:brand/{{}}"
[nodes.user]
iri = "ex:user/{{}}"
[relations.brand]
property = "ex:brand"
from = "item"
to = "brand"
[events.view]
property = "ex:viewed"
[events.rating]
class = "ex:Rating"
user = "ex:by"
item = "ex:of"
rating = "ex:stars"
time = "ex:at"
positive = 4
"""
TABLES = """
[tables.items]
nodes = "item"
id = "item"
columns = { title = "title", price = "price", colour = "colour", brand = "brand" }
[tables.ratings]
events = "rating"
columns = { user = "user", item = "item", rating = "stars", time = "at" }
"""
RDFLIB_STATEMENTS = 100_000  # rdflib needs a minute for more


def generate(folder: Path, statements: int) -> None:
    """A catalog of about `statements` lines, 15 % of them repeats, and the same ratings as Parquet."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    import pyoxigraph as ox

    random = np.random.default_rng(0)
    items, users, ratings = statements // 25, statements // 30, statements // 26
    words = np.array([f"word{i}" for i in range(3000)])
    table = {
        "item": np.arange(items),
        "title": [" ".join(row) for row in words[random.integers(0, 3000, (items, 6))]],
        "price": random.integers(1, 10_000, items) / 100,
        "colour": random.choice(["red", "green", "blue", "white"], items),
        "brand": random.integers(0, items // 50 + 1, items),
    }
    events = {
        "user": random.zipf(1.3, ratings) % users,
        "item": random.zipf(1.2, ratings) % items,
        "stars": random.integers(1, 6, ratings),
        "at": random.integers(1_500_000_000, 1_700_000_000, ratings),
    }
    views = np.stack([random.zipf(1.3, statements) % users, random.zipf(1.2, statements) % items])
    made = 0
    with (folder / "catalog.nt").open("w") as out:
        for lines in (_item_lines(table), _rating_lines(events), _view_lines(views)):
            for line in lines:
                if made >= statements:
                    break
                out.write(line)
                made += line.count("\n")
    pq.write_table(pa.table(table), folder / "items.parquet")
    pq.write_table(
        pa.table({k: np.tile(v, 20) for k, v in events.items()}), folder / "ratings.parquet"
    )
    for name, limit in (("catalog", None), ("small", RDFLIB_STATEMENTS)):
        with (
            (folder / "catalog.nt").open("rb") as source,
            (folder / f"{name}.ttl").open("wb") as out,
        ):
            rows = (row for number, row in enumerate(source) if limit is None or number < limit)
            quads = ox.parse(b"".join(rows), ox.RdfFormat.N_TRIPLES)
            prefixes = {"ex": BASE, "xsd": XSD}
            ox.serialize(quads, out, ox.RdfFormat.TURTLE, prefixes=prefixes)
    (folder / "schema.toml").write_text(SCHEMA)
    (folder / "tables.toml").write_text(SCHEMA + TABLES)


def _item_lines(table: dict[str, Any]) -> Iterator[str]:
    kind = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
    for i, title, price, colour, brand in zip(*table.values(), strict=True):
        s = f"<{BASE}item/{i}>"
        yield (
            f"{s} {kind} <{BASE}Item> .\n"
            f'{s} <{BASE}title> "{title}"@en .\n'
            f'{s} <{BASE}price> "{price}"^^<{XSD}decimal> .\n'
            f'{s} <{BASE}colour> "{colour}" .\n'
            f"{s} <{BASE}brand> <{BASE}brand/{brand}> .\n"
        )


def _rating_lines(events: dict[str, Any]) -> Iterator[str]:
    kind = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>"
    for n, (user, item, stars, at) in enumerate(zip(*events.values(), strict=True)):
        s = f"<{BASE}rating/{n}>"
        yield (
            f"{s} {kind} <{BASE}Rating> .\n"
            f"{s} <{BASE}by> <{BASE}user/{user}> .\n"
            f"{s} <{BASE}of> <{BASE}item/{item}> .\n"
            f'{s} <{BASE}stars> "{stars}"^^<{XSD}integer> .\n'
            f'{s} <{BASE}at> "{at}"^^<{XSD}integer> .\n'
        )


def _view_lines(views: Any) -> Iterator[str]:
    for user, item in views.T.tolist():
        yield f"<{BASE}user/{user}> <{BASE}viewed> <{BASE}item/{item}> .\n"


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

    Catalog.ingest(folder / "catalog.nt", folder / "schema.toml", folder / "catalog")
    return scan(folder)


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
    "museum_to_quads": quads_of(""),
}


def measure(stage: str, folder: Path) -> dict[str, float]:
    """Run one stage here, after everything it needs has been imported."""
    import pandas  # noqa: F401  # Arrow would import it on first use
    import pyarrow as pa
    import torch
    import torch_geometric.data  # noqa: F401

    import coldframe.kg.catalog
    import coldframe.kg.hetero
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
        generate(folder, options.triples)
        left_out = {"museum_to_quads"}
        if options.without_rdflib:
            left_out |= {"rdflib_to_hetero", "small_turtle_to_hetero"}
        stages = {stage: run(stage, folder) for stage in STAGES if stage not in left_out}
        if options.museum:
            stages["museum_to_quads"] = run("museum_to_quads", options.museum)
    print(
        json.dumps(
            {"triples": options.triples, "stages": stages, "ratios": ratios(stages)}, indent=2
        )
    )


if __name__ == "__main__":
    main()
