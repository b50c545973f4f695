"""`schema draw`: the types and relations of a catalog as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..kg.errors import UsageError
from .console import Output
from .options import CatalogFolder, Json

SUFFIXES = (".svg", ".png")


def draw(
    catalog: CatalogFolder,
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, .svg or .png.")],
    as_json: Json = False,
) -> None:
    """Draw the schema graph: node types and relations, each with its count."""
    output = Output(as_json)
    if out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot draw into the suffix {out.suffix!r}",
            where=str(out),
            hint=f"use one of {', '.join(SUFFIXES)}",
        )
    from ..kg.catalog import Catalog
    from ..kg.drawing import draw_schema, schema_graph
    from ..kg.files import atomic_write

    graph = Catalog.open(catalog).graph
    if out.suffix.lower() == ".svg":
        atomic_write(out, draw_schema(graph))
    else:
        from ..report.plots import save
        from ..report.schema_picture import schema_figure

        save(schema_figure(graph), out)
    types = schema_graph(graph)
    told = {"path": str(out), "types": len(types), "relations": types.number_of_edges()}
    output.result(
        told,
        lambda shown: shown.say(
            f"{told['types']} types and {told['relations']} relations drawn in {out}"
        ),
    )
