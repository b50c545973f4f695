"""From files to a catalog and back: ingest, dataset, schema infer, check, sparql, export."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import StateError, UsageError
from .console import Bar, Output
from .drawing import draw
from .layers import settings
from .options import CatalogFolder, Group, Json, Replace

if TYPE_CHECKING:
    from ..kg.catalog import Catalog
    from ..kg.catalog_store import CatalogStore
    from ..kg.problems import Problem
    from ..kg.quads import Quads
    from ..kg.reading import Reading

TITLE = "Data"
COMMANDS = ("ingest", "dataset", "schema", "check", "sparql", "export")

Out = Annotated[Path, typer.Option("--out", "-o", help="The catalog folder to make.")]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="What an RDF file may cost: nesting=200, child_memory=1G, ...; repeatable.",
    ),
]
BaseIri = Annotated[
    str | None, typer.Option("--base-iri", help="What relative IRIs in RDF files stand below.")
]
ROWS = 50  # of an answer shown to a person; --json and --out have all
SHOWN = 3  # findings of a kind, and unused properties, shown to a person; --json has more


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(ingest)
    app.command()(dataset)
    schema = typer.Typer(cls=Group, rich_markup_mode=None, help="Draft a schema, or draw one.")
    schema.command("infer")(infer)
    schema.command("draw")(draw)
    schema.callback(invoke_without_command=False)(lambda: None)
    app.add_typer(schema, name="schema")
    app.command()(check)
    app.command()(sparql)
    app.command()(export)


def ingest(
    schema: Annotated[
        Path, typer.Option("--schema", "-s", exists=True, dir_okay=False, help="A TOML file.")
    ],
    out: Out,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True,
            help="RDF files, tables (CSV, TSV, Parquet, JSON lines, YAML), archives, or folders.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Read a SPARQL server over the network instead of inputs."
        ),
    ] = None,
    endpoint_timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for one request to the endpoint.")
    ] = 60.0,
    endpoint_page: Annotated[
        int, typer.Option(min=1, help="Rows for one request; at most the server's own cap.")
    ] = 10_000,
    limit: Limit = None,
    base_iri: BaseIri = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Read RDF or tables through a schema into a catalog folder.

    Files are read without any network. An endpoint that wants credentials gets the environment
    variable COLDFRAME_ENDPOINT_AUTHORIZATION as its Authorization header.
    """
    from ..kg.reading import Reading, limits_of

    if (endpoint is None) == (not inputs):
        raise UsageError("give files to read, or --endpoint URL", hint="one of the two")
    output, reading = Output(as_json), Reading(limits_of(limit or ()), base_iri)
    source: Any = inputs
    if endpoint is not None:
        source = _from_endpoint(output, endpoint, endpoint_timeout, endpoint_page, reading, schema)
    _ingest(output, source, schema, out, replace, reading)


def dataset(
    name: Annotated[str, typer.Argument(help="Its name; `list` shows them all.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The folder with its files, as downloaded.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The catalog folder.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="KEY=VALUE", help="Of this data set; repeatable."),
    ] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Turn a public data set, or a folder in the KGAT or RecBole layout, into a catalog."""
    from ..datasets.raw_files import files_read
    from ..datasets.registry import DATASETS, dataset_name, load_dataset

    output = Output(as_json)
    if name == "list":
        rows = [{"name": each.name, "about": each.about} for each in DATASETS.values()]
        output.result({"datasets": rows}, lambda out: out.table(rows))
        return
    name = dataset_name(name)
    if source is None or out is None:
        files = ", ".join(DATASETS[name].files)
        raise UsageError("give --from FOLDER and --out CATALOG", hint=f"the folder holds {files}")
    options = {key: value for key, (_, value) in settings(option or ()).items()}
    with output.progress(f"read {name}"), files_read() as read:
        tables, schema = load_dataset(name, source, **options)
    _ingest(output, tables, schema, out, replace, sources=read)


def infer(
    inputs: Annotated[list[Path], typer.Argument(exists=True, help="RDF files or tables.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the draft here.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a schema from data; a person then trims it."""
    from ..kg.files import atomic_write
    from ..kg.infer import infer_schema

    output = Output(as_json)
    with output.progress("look at the data"):
        text = infer_schema(inputs)
    if out is None:
        output.result({"schema": text}, lambda o: o.say(text.rstrip()))
        return
    if out.exists():
        raise StateError("the file exists already", where=str(out), hint="choose another name")
    atomic_write(out, text)
    output.result({"schema": text, "path": str(out)}, lambda o: o.say(f"draft written to {out}"))


def check(
    catalog: CatalogFolder,
    shapes: Annotated[
        Path | None,
        typer.Option("--shapes", exists=True, dir_okay=False, help="SHACL shapes, an RDF file."),
    ] = None,
    limit: Limit = None,
    base_iri: BaseIri = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on any finding.")] = False,
    as_json: Json = False,
) -> None:
    """Look for dangling links, bad numbers, leaks and cold items that nothing connects.

    --limit and --base-iri are for the file of shapes; the catalog was read by ingest.
    """
    from ..kg.catalog import Catalog
    from ..kg.manifest import read_manifest
    from ..kg.reading import Reading, limits_of
    from ..kg.report import count_kinds, merged_problems
    from ..kg.validate import check as find_problems

    output, reading = Output(as_json), Reading(limits_of(limit or ()), base_iri)
    with output.progress("check"):
        opened = Catalog.open(catalog)
        report = read_manifest(catalog)["report"]
        found = find_problems(opened.graph, opened.schema, opened.quads())
        if shapes is not None:
            found += _shape_problems(opened, shapes, reading)
    problems = merged_problems(report["problems"], [problem.as_dict() for problem in found])
    report |= {"problems": problems, "totals": count_kinds(problems)}
    _show_report(output, report, f"{opened.name}: {catalog}")
    if strict and report["problems"]:
        raise typer.Exit(3)


def sparql(
    catalog: CatalogFolder,
    query: Annotated[
        str,
        typer.Argument(
            help="A SELECT query. The default graph is the catalog, rounds are named graphs."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the rows here (.csv, .tsv, .jsonl, .parquet)."),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.001, help="Seconds for the answer; filling does not count.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Ask the catalog a SPARQL query. The first one ever fills its store."""
    from ..kg.files import write_table

    output = Output(as_json)
    with output.progress("fill the store") as advance, _store(catalog, advance) as store:
        table = store.select_within(query, timeout)
    rows = table.slice(0, None if as_json else ROWS).to_pylist()
    found: dict[str, Any] = {"columns": table.column_names, "count": len(table), "rows": rows}
    if out is not None:
        write_table(out, table)
        found = {"columns": table.column_names, "count": len(table), "path": str(out)}
        output.result(found, lambda o: o.say(f"{len(table):,} rows written to {out}"))
        return

    def show(o: Output) -> None:
        o.table(rows, table.column_names)
        if len(table) > ROWS:
            o.say(f"... and {len(table) - ROWS:,} more; --out FILE writes all")

    output.result(found, show)


def export(
    catalog: CatalogFolder,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="An RDF file: .nq, .trig (with the rounds), .nt, .ttl; or .nq.gz, ...",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Write the catalog as RDF, each round's answers in a named graph."""
    from ..kg.catalog import Catalog
    from ..kg.rdf_files import write_rdf

    count = write_rdf(Catalog.open(catalog), out)
    Output(as_json).result(
        {"path": str(out), "statements": count},
        lambda o: o.say(f"{count:,} statements written to {out}"),
    )


def _store(catalog: Path, advance: Bar) -> CatalogStore:
    from ..kg.catalog import Catalog

    return Catalog.open(catalog).store(advance)


def _shape_problems(catalog: Catalog, shapes: Path, reading: Reading) -> list[Problem]:
    from ..kg.shapes import check_shapes

    quads = catalog.quads()
    if quads is None:
        raise UsageError("a catalog made from tables has no statements to hold against shapes")
    return check_shapes(quads, shapes, reading=reading)


def _from_endpoint(
    output: Output, url: str, timeout: float, page: int, reading: Reading, schema: Path
) -> Quads:
    from ..kg.endpoint import EndpointConfig
    from ..kg.endpoint_source import read_endpoint
    from ..kg.schema import Schema

    Schema.load(schema)  # what is wrong with it need not wait for the network
    secret = os.environ.get("COLDFRAME_ENDPOINT_AUTHORIZATION")
    headers = {"Authorization": secret} if secret else {}
    config = EndpointConfig(page=page, timeout=timeout, headers=headers)
    with output.progress(f"fetch {url}"):
        return read_endpoint(url, config, reading=reading)


def _ingest(
    output: Output,
    inputs: Any,
    schema: Any,
    out: Path,
    replace: bool,
    reading: Reading | None = None,
    sources: Iterable[Path] = (),
) -> None:
    from ..kg.catalog import Catalog
    from ..kg.reading import Reading

    with output.progress(f"ingest into {out}") as advance:
        catalog, report = Catalog.ingest(
            inputs,
            schema,
            out,
            replace=replace,
            sources=sources,
            reading=reading or Reading(),
            progress=advance,
        )
    _show_report(output, report.as_dict(), f"{catalog.name}: catalog in {out}")


def _show_report(output: Output, report: dict[str, Any], headline: str) -> None:
    def show(out: Output) -> None:
        out.say(headline)
        out.say(f"{report['triples']:,} triples, {report['duplicates']:,} duplicates dropped")
        out.table([{"nodes": name, "count": n} for name, n in report["nodes"].items()])
        out.table([{"edges": name, "count": n} for name, n in report["edges"].items()])
        _show_unused(out, report["unused"])
        _show_problems(out, report["problems"], report["totals"])

    output.result(report, show)


def _show_unused(out: Output, unused: dict[str, int]) -> None:
    """The most frequent properties that the schema does not use."""
    if unused:
        first = [{"property": iri, "statements": n} for iri, n in list(unused.items())[:SHOWN]]
        out.say(f"{len(unused):,} properties that the schema does not use, such as:")
        out.table(first)


def _spread(problems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of each property, then the second of each, and so on."""
    seen: Counter[str] = Counter()
    ranks = []
    for problem in problems:
        ranks.append(seen[problem["property"]])
        seen[problem["property"]] += 1
    order = sorted(range(len(problems)), key=lambda k: ranks[k])
    return [problems[k] for k in order]


def _show_problems(out: Output, problems: list[dict[str, Any]], totals: dict[str, int]) -> None:
    """Findings counted by kind, the first few of each in full."""
    if not problems:
        out.say("no findings")
        return
    counts = ", ".join(f"{n:,} {kind}" for kind, n in totals.items())
    out.say(f"{sum(totals.values()):,} findings: {counts}")
    for kind, total in totals.items():
        own = [each for each in problems if each["kind"] == kind and each.get("count", 1) == 1]
        for problem in _spread(own)[:SHOWN]:
            place = " ".join(problem[key] for key in ("where", "iri", "property") if problem[key])
            out.say(f"  {kind}: {place}: {problem['message']}")
        if total > SHOWN:
            out.say(f"  ... and {total - SHOWN:,} more {kind}; --json lists more")
