"""A catalog as RDF, whatever it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..kg.errors import UsageError
from .console import Output
from .options import CatalogFolder, Json


def export(
    catalog: CatalogFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="An N-Quads file (.nq).")],
    as_json: Json = False,
) -> None:
    """Write a catalog's statements as N-Quads, those of tables by its schema.

    The rounds' answers are none of them: they stand in named graphs, which `sparql` shows.
    """
    from ..kg.catalog import Catalog

    output = Output(as_json)
    if out.suffix.lower() != ".nq":
        raise UsageError(
            f"cannot write RDF as {out.suffix or 'a file without suffix'!r}",
            where=str(out),
            hint="name it .nq: N-Quads, which every RDF tool reads",
        )
    opened = Catalog.open(catalog)
    with output.progress("export"):
        statements = opened.write_nquads(out)
    output.result(
        {"path": str(out), "statements": statements},
        lambda shown: shown.say(f"{statements:,} statements in {out}"),
    )
