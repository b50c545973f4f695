"""From files to a catalog: ingest, dataset, schema infer, check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import Output
from .options import CatalogFolder, Group, Json, Replace

if TYPE_CHECKING:
    pass

TITLE = "Data in"
COMMANDS = ("ingest", "dataset", "schema", "check")

Out = Annotated[Path, typer.Option("--out", "-o", help="The catalog folder to make.")]
SHOWN = 12  # findings shown in full to a person; --json has them all


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(ingest)
    app.command()(dataset)
    schema = typer.Typer(cls=Group, rich_markup_mode=None, help="Draft a schema from data.")
    schema.command("infer")(infer)
    schema.callback(invoke_without_command=False)(lambda: None)
    app.add_typer(schema, name="schema")
    app.command()(check)


def ingest(
    inputs: Annotated[
        list[Path], typer.Argument(help="RDF files, tables (CSV, TSV, Parquet) or folders of them.")
    ],
    schema: Annotated[Path, typer.Option("--schema", "-s", help="The schema, a TOML file.")],
    out: Out,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Read RDF or tables through a schema into a catalog folder."""
    from ..kg.catalog import Catalog

    output = Output(as_json)
    with output.progress("ingest") as advance:
        catalog, report = Catalog.ingest(inputs, schema, out, replace=replace, progress=advance)
    _show_report(output, report.as_dict(), f"{catalog.name}: catalog in {out}")


def dataset(
    name: Annotated[str, typer.Argument(help="Name of the data set, or `list`.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="The folder with its files, as downloaded.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The catalog folder.")] = None,
    replace: Replace = False,
    as_json: Json = False,
) -> None:
    """Turn a public data set, or a folder in the KGAT or RecBole layout, into a catalog."""


def infer(
    inputs: Annotated[list[Path], typer.Argument(help="RDF files or tables.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the draft here.")] = None,
    as_json: Json = False,
) -> None:
    """Draft a schema from data; a person then trims it."""


def check(
    catalog: CatalogFolder,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 on any finding.")] = False,
    as_json: Json = False,
) -> None:
    """Look for dangling links, bad numbers, leaks and cold items that nothing connects."""


def _show_report(output: Output, report: dict[str, Any], headline: str) -> None:
    def show(out: Output) -> None:
        out.say(headline)
        out.say(f"{report['triples']:,} triples, {report['duplicates']:,} duplicates dropped")
        out.table([{"nodes": name, "count": n} for name, n in report["nodes"].items()])
        out.table([{"edges": name, "count": n} for name, n in report["edges"].items()])
        show_problems(out, report["problems"])

    output.result(report, show)


def show_problems(out: Output, problems: list[dict[str, Any]]) -> None:
    """Findings counted by kind, the first few in full."""
    if not problems:
        out.say("no findings")
        return
    kinds: dict[str, int] = {}
    for problem in problems:
        kinds[problem["kind"]] = kinds.get(problem["kind"], 0) + 1
    out.say(f"{len(problems):,} findings: " + ", ".join(f"{n:,} {k}" for k, n in kinds.items()))
    for problem in problems[:SHOWN]:
        place = " ".join(problem[key] for key in ("where", "iri", "property") if problem[key])
        out.say(f"  {problem['kind']}: {place}: {problem['message']}")
    if len(problems) > SHOWN:
        out.say(f"  ... and {len(problems) - SHOWN:,} more; --json has all")
