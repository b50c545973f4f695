"""What several commands take in: runs to change, files of ids, rules of priority, names of files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..kg.errors import DataError, UsageError

if TYPE_CHECKING:
    import pyarrow as pa

    from ..gnn.runs import Run
    from ..kg.catalog import Catalog
    from ..kg.graph import Graph
    from ..kg.vocabulary import Vocabulary

IDS = ("iri", "original")


@contextmanager
def held_run(
    folder: Path,
    purpose: str,
    *,
    device: str = "auto",
    progress: Callable[[str, int, int], None] | None = None,
) -> Iterator[Run]:
    """A run that no other command changes meanwhile.

    Raises:
        StateError: there is no run. LockedError: another command holds it.
    """
    from ..gnn.runs import Run
    from ..kg.locks import FolderLock

    Run.open(folder)  # a folder that is no run gets no lock file
    with FolderLock(folder, purpose=purpose):
        yield Run.open(folder, device=device, progress=progress)


def read_ids(path: Path, kind: str) -> list[str]:
    """Ids from a table's column of that name, or one per line of any other file.

    Raises:
        DataError: no UTF-8 text, no such column, or no id.
    """
    from ..kg.files import read_table
    from ..kg.table_files import SUFFIXES, spreadsheet_hint

    if path.suffix.lower() not in SUFFIXES:
        try:
            lines = path.read_text("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            message, hint = f"not UTF-8 text at byte {error.start}", spreadsheet_hint(path)
            raise DataError(message, where=str(path), hint=hint) from None
        ids = [line.strip() for line in lines if line.strip()]
    else:
        table = read_table(path, text=(kind,))
        if kind not in table.column_names:
            raise DataError(
                f"column {kind!r} is missing; there are {', '.join(table.column_names)}",
                where=str(path),
            )
        ids = [value for value in table[kind].to_pylist() if value]
    if not ids:
        raise DataError(f"the file names no {kind}", where=str(path))
    return list(dict.fromkeys(ids))


def weights_of(catalog: Catalog, rules: list[str] | None) -> dict[str, float] | None:
    """The items' priorities that rules of --weight give; None without rules."""
    from ..active.priorities import item_weights, parse

    if not rules:
        return None
    graph, items = catalog.graph, catalog.schema.nodes[catalog.schema.item_type]
    dates = {feature.name for feature in items.features if feature.kind == "date"}
    if not any(parse(rule).selector.startswith("@") for rule in rules):
        return item_weights(graph, rules, dates=dates)
    with catalog.store() as store:
        return item_weights(graph, rules, store.select_within, dates=dates)


def chosen_items(
    catalog: Catalog, only: list[str] | None, never: list[str] | None
) -> list[str] | None:
    """IRIs of the items that all selectors of --only take and none of --never; None without any.

    Raises:
        UsageError, DataError: a selector cannot be read, or takes no item. DataError: no item is left.
    """
    if not only and not never:
        return None
    kept = list(catalog.graph.items.vocabulary)
    for selectors, wanted, flag in ((only, True, "--only"), (never, False, "--never")):
        for selector in selectors or ():
            try:
                taken = weights_of(catalog, [f"{selector}:0"]) or {}
            except (UsageError, DataError) as error:
                where = f"{flag} {selector!r}"
                raise type(error)(error.message, where=where, hint=error.hint) from None
            kept = [item for item in kept if (item in taken) == wanted]
    if not kept:
        raise DataError("no item is left", where="--only, --never")
    return kept


def held_out_note(run: Run) -> str:
    """What who asks or serves real people must know of a run that is tested; "" where it is not."""
    held = int((run.split.test.label == 1).sum())
    if not held:
        return ""
    return (
        f"{held:,} liked pairs are held out for testing and count as unknown; `train --protocol all` "
        "makes a run for real people"
    )


def with_ids(table: pa.Table, graph: Graph, ids: str) -> pa.Table:
    """A table with its users and items by IRI, or, with "original", by the ids that they came with.

    An id that two users or two items share stays an IRI.
    """
    import pyarrow as pa

    if ids == IDS[0]:
        return table
    for kind, nodes in (("user", graph.users), ("item", graph.items), ("similar", graph.items)):
        if kind not in table.column_names:
            continue
        names = [_original(iri, nodes.vocabulary) for iri in table[kind].to_pylist()]
        field = table.schema.field(kind)
        at = table.schema.get_field_index(kind)
        table = table.set_column(at, field, pa.array(names, field.type))
    return table


def _original(iri: str, vocabulary: Vocabulary) -> str:
    from urllib.parse import unquote

    from ..kg.vocabulary import local_name

    name = unquote(local_name(iri))
    place = vocabulary.find(name)
    return name if place >= 0 and vocabulary[place] == iri else iri


def check_ids(ids: str) -> None:
    """UsageError where `--ids` says neither of `IDS`."""
    if ids not in IDS:
        raise UsageError(f"got {ids!r}", where="--ids", hint=f"say {' or '.join(IDS)}")


def check_suffix(out: Path | None, more: Sequence[str] = ()) -> None:
    """Before the work: UsageError for a suffix that names no format of tables, nor one of `more`."""
    from ..kg.table_files import SUFFIXES

    if out is not None and out.suffix.lower() not in (*SUFFIXES, *more):
        raise UsageError(
            f"cannot tell the format from the suffix {out.suffix!r}",
            where=str(out),
            hint=f"use one of {', '.join((*SUFFIXES, *more))}",
        )
