"""Arguments and flags that several commands share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from ..kg.errors import UsageError, nearest


class Group(TyperGroup):
    """A group of commands that lists them in sections and names the nearest to an unknown word.

    Attributes:
        sections: title -> names of commands, in the order of the help.
    """

    sections: ClassVar[Mapping[str, Sequence[str]]] = {}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command of the first word; UsageError if there is none of that name."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            hint = nearest(args[0], self.list_commands(ctx))
            raise UsageError(f"there is no command {args[0]!r}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the commands under the titles of their sections."""
        sections = self.sections or {"Commands": self.list_commands(ctx)}
        for title, names in sections.items():
            known = [(name, self.get_command(ctx, name)) for name in names]
            lines = [(name, one.get_short_help_str(90)) for name, one in known if one is not None]
            if lines:
                with formatter.section(title):
                    formatter.write_dl(lines)


Json = Annotated[bool, typer.Option("--json", help="Exactly one JSON object on standard output.")]
CatalogFolder = Annotated[
    Path, typer.Argument(metavar="CATALOG", help="A catalog folder, made by ingest or dataset.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made by train.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", exists=True, dir_okay=False, help="TOML file of settings; flags beat it."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any setting by its dotted key; repeatable."),
]
PrintConfig = Annotated[
    bool, typer.Option("--print-config", help="Show each setting and its origin, then stop.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything drawn at random.")]
Replace = Annotated[bool, typer.Option("--replace", help="Replace the folder if it exists.")]
Weight = Annotated[
    list[str] | None,
    typer.Option(
        "--weight",
        metavar="RULE",
        help="genre=Horror:0 forbids, year>=2000:2 prefers, @query.rq asks SPARQL for ?item ?weight; "
        "repeatable.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        "--only",
        metavar="SELECTOR",
        help="Only items of which this holds: stock=yes, price<=50, @query.rq; repeatable.",
    ),
]
Never = Annotated[
    list[str] | None,
    typer.Option("--never", metavar="SELECTOR", help="No items of which this holds; repeatable."),
]
Later = Annotated[
    Path | None,
    typer.Option(
        "--catalog",
        exists=True,
        file_okay=False,
        help="A later state of the catalog, ingested to another folder: what is new there counts, "
        "untrained.",
    ),
]
TopK = Annotated[int, typer.Option("-k", "--top", min=1, help="How many.")]
Ids = Annotated[
    str, typer.Option("--ids", help="Name users and items by iri, or by original id where unique.")
]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: CUDA if there is any.")]


def listed(text: str) -> list[str]:
    """The words of a list with commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def numbers(text: str, flag: str) -> tuple[int, ...]:
    """Whole numbers with commas; `a-b` stands for all from a to b."""
    found: list[int] = []
    for word in listed(text):
        first, dash, last = word.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise UsageError(f"got {word!r}, expected whole numbers", where=flag, hint="say 0,1,2")
        if int(last or first) < int(first):
            raise UsageError(f"got {word!r}, which ends before it begins", where=flag)
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise UsageError("the list is empty", where=flag)
    return tuple(found)
