"""What a trained model says: recommend, similar, explain, report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import DataError, UnknownIdError, UsageError
from .console import Output
from .inputs import check_ids, check_suffix, chosen_items, held_out_note, read_ids, with_ids
from .options import Device, Ids, Json, Later, Never, Only, RunFolder, TopK

if TYPE_CHECKING:
    import pyarrow as pa

    from ..gnn.explanation import Explanation
    from ..gnn.recommender import Recommender
    from ..kg.graph import NodeSet

TITLE = "Recommendations"
COMMANDS = ("recommend", "similar", "explain", "report")
TREC = (".trec", ".run")
SHOWN = 30  # rows shown to a person where no file was asked for


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    for command in (recommend, similar, explain, report):
        app.command()(command)


def recommend(
    run: RunFolder,
    users: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A user per line, or a table with a column user."
        ),
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Only these items, in such a file."),
    ] = None,
    only: Only = None,
    never: Never = None,
    top: TopK = 10,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help=".csv, .tsv, .jsonl, .parquet, .trec or .run file."),
    ] = None,
    new: Annotated[
        int,
        typer.Option(
            min=0,
            help="At least so many of each list are items that nobody had liked, answers to questions apart.",
        ),
    ] = 0,
    include_known: Annotated[
        bool, typer.Option("--include-known", help="Also items the user is known to have.")
    ] = False,
    uncertainty: Annotated[
        str,
        typer.Option(
            help="What the column std holds: laplace (the posterior's), mc-dropout, or ensemble "
            "(train with --set hybrid.ensemble=3)."
        ),
    ] = "laplace",
    skip_unknown: Annotated[
        bool,
        typer.Option("--skip-unknown", help="Leave out users and items that the catalog lacks."),
    ] = False,
    ids: Ids = "iri",
    catalog: Later = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The best items for each user, cold ones included, known ones left out."""
    from ..gnn.ranking import RECOMMENDATIONS
    from ..gnn.runs import Run
    from ..gnn.uncertainty import known_method
    from ..kg.catalog import Catalog

    output = Output(as_json)
    check_suffix(out, TREC)
    check_ids(ids)
    method = known_method(uncertainty)
    wanted = None if users is None else read_ids(users, "user")
    among = None if items is None else read_ids(items, "item")
    with output.progress("recommend") as bar:
        opened = Run.open(run, device=device, progress=bar.stage)
        later = None if catalog is None else Catalog.open(catalog)
        chosen = chosen_items(later or opened.catalog, only, never)
        model = opened.model if later is None else opened.model.extend(later)
        if not model.graph.n_users:
            raise DataError(
                "the catalog has no users to recommend to", hint="`similar` works without any"
            )
        kept = partial(_known, skip=skip_unknown)
        wanted, lost_users = kept(users, wanted, model.graph.users, "user")
        among, lost_items = kept(items, among, model.graph.items, "item")
        skipped = lost_users + lost_items
        if later is not None:  # what is gone there is for nobody, unless it is named
            wanted = list(later.graph.users.vocabulary) if wanted is None else wanted
            if among is None and chosen is None:
                chosen = list(later.graph.items.vocabulary)
        among = _both(model.graph.items, among, chosen)
        found = model.recommend_batches(
            wanted, top, exclude_known=not include_known, items=among, new=new, uncertainty=method
        )
        batches = (with_ids(table, model.graph, ids) for table in found)
        told: dict[str, Any]
        if out is not None:
            rows = write_recommendations(out, batches, run.resolve().name)
            told = {"path": str(out), "rows": rows}
        else:
            listed = [row for table in batches for row in table.to_pylist()]
            told = {"columns": RECOMMENDATIONS.names, "recommendations": listed}

    def show(shown: Output) -> None:
        if out is not None:
            shown.say(f"{rows:,} rows in {out}")
        else:
            _show_first(shown, listed, model.graph.items)
        if skipped:
            shown.say(f"{skipped:,} ids left out, as the catalog does not have them")
        if held_out := held_out_note(opened):
            shown.say(held_out)

    output.result(told | ({"skipped": skipped} if skip_unknown else {}), show)


def similar(
    run: RunFolder,
    item: Annotated[
        str | None, typer.Option("--item", help="One item, by IRI or original id.")
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="An item per line, or a table with a column item; every item without --item and --items.",
        ),
    ] = None,
    top: TopK = 10,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help=".csv, .tsv, .jsonl or .parquet file.")
    ] = None,
    ids: Ids = "iri",
    catalog: Later = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """The items nearest to one, or to each, whether anybody has touched them or not."""
    from ..gnn.neighbours import NEIGHBOURS
    from ..gnn.runs import Run
    from ..kg.table_files import write_batches

    output = Output(as_json)
    check_suffix(out)
    check_ids(ids)
    if item is not None and items is not None:
        raise UsageError("give --item or --items, not both", where="--items")
    if item is None and items is None and out is None:
        raise UsageError(
            "whose neighbours?",
            where="--item",
            hint="say --item ID, --items FILE, or --out FILE for all",
        )
    wanted = [item] if item is not None else None if items is None else read_ids(items, "item")
    with output.progress("similar"):
        model = _extended(Run.open(run, device=device).model, catalog)
        if items is not None:
            _check_known(items, wanted, model.graph.items, "item")
        batches = (with_ids(t, model.graph, ids) for t in model.similar_batches(wanted, top))
        if out is not None:
            rows = write_batches(out, batches, NEIGHBOURS)
            told: dict[str, Any] = {"path": str(out), "rows": rows}
        else:
            told = {"similar": [row for table in batches for row in table.to_pylist()]}

    def show(shown: Output) -> None:
        if out is not None:
            shown.say(f"{rows:,} rows in {out}")
        else:
            _show_some(shown, told["similar"])

    output.result(told, show)


def explain(
    run: RunFolder,
    user: Annotated[str, typer.Option("--user", help="IRI or original id.")],
    item: Annotated[str, typer.Option("--item", help="IRI or original id.")],
    top: TopK = 5,
    catalog: Later = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Why this score: the parts' shares, the best paths through the graph, the nearest texts."""
    from ..gnn.runs import Run

    output = Output(as_json)
    with output.progress("explain"):
        found = _extended(Run.open(run, device=device).model, catalog).explain(user, item, top)
    output.result(found.as_dict(), lambda shown: _show_reasons(shown, found))


def report(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file; RUN/report.html.")
    ] = None,
    loop: Annotated[
        Path | None,
        typer.Option(exists=True, help="A loop.json (or its folder) to show as well."),
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """One self-contained HTML file: accuracy, rounds, the graph, coverage, examples, model card."""
    from ..gnn.runs import Run
    from ..kg.files import FolderLock, atomic_write
    from ..report.gather import gather
    from ..report.sections import render

    output = Output(as_json)
    opened = Run.open(run, device=device)
    target = out or opened.path / "report.html"
    with output.progress("report"), FolderLock.of_file(target, purpose="report"):
        found = loop / "loop.json" if loop is not None and loop.is_dir() else loop
        atomic_write(target, render(gather(opened, found)))
    output.result({"path": str(target)}, lambda shown: shown.say(f"report in {target}"))


def _extended(model: Recommender, later: Path | None) -> Recommender:
    """The model, with what a later state of its catalog adds, if one is given."""
    from ..kg.catalog import Catalog

    return model if later is None else model.extend(Catalog.open(later))


def _check_known(path: Path | None, ids: list[str] | None, nodes: NodeSet, kind: str) -> None:
    """Refuse ids that the catalog does not have, and name the file that they are in."""
    try:
        nodes.vocabulary.indices(ids or (), kind=kind)
    except UnknownIdError as error:
        more = "; somebody new is asked with `coldframe interview`" if kind == "user" else ""
        more += "; `recommend --skip-unknown` leaves such out"
        raise UnknownIdError(error.message, where=str(path), hint=error.hint + more) from None


def _both(items: NodeSet, named: list[str] | None, chosen: list[str] | None) -> list[str] | None:
    """The items of a file that are chosen as well; None = all."""
    if named is None or chosen is None:
        return named if chosen is None else chosen
    among = {int(place) for place in items.vocabulary.indices(chosen, kind="item")}
    kept = [one for one in named if items.vocabulary.find(one) in among]
    if not kept:
        raise DataError("no item of the file is left", where="--only, --never")
    return kept


def _known(
    path: Path | None, ids: list[str] | None, nodes: NodeSet, kind: str, *, skip: bool
) -> tuple[list[str] | None, int]:
    """The ids and 0, or with `skip` those that the catalog has, and how many it lacks.

    Raises:
        UnknownIdError: it lacks some, without `skip`. DataError: it has none of them.
    """
    if ids is None or not skip:
        _check_known(path, ids, nodes, kind)
        return ids, 0
    places = nodes.vocabulary.indices(ids, missing="mark", kind=kind)
    kept = [one for one, place in zip(ids, places, strict=True) if place >= 0]
    if not kept:
        raise DataError(f"the catalog has no {kind} of this file", where=str(path))
    return kept, len(ids) - len(kept)


def write_recommendations(path: Path, batches: Iterable[pa.Table], tag: str) -> int:
    """Write batch by batch, so that memory stays bounded; returns how many rows."""
    from ..gnn.ranking import RECOMMENDATIONS
    from ..kg.files import atomic_write
    from ..kg.table_files import write_batches

    if path.suffix.lower() not in TREC:
        return write_batches(path, batches, RECOMMENDATIONS)
    rows = 0

    def write(out: Any) -> None:
        nonlocal rows
        for line in _trec_lines(batches, tag):
            out.write(line.encode())
            rows += 1

    atomic_write(path, write)
    return rows


def _trec_lines(batches: Iterable[pa.Table], tag: str) -> Iterator[str]:
    """`user Q0 item rank score tag`; blanks inside an id become %20, as the format has no quotes."""
    word = "-".join(tag.split()) or "coldframe"
    for batch in batches:
        for row in batch.to_pylist():
            user, item = ("%20".join(row[name].split()) for name in ("user", "item"))
            yield f"{user} Q0 {item} {row['rank']} {row['score']:.6f} {word}\n"


def _show_first(out: Output, rows: list[dict[str, Any]], items: NodeSet) -> None:
    first = rows[:SHOWN]
    places = items.vocabulary.indices(row["item"] for row in first)
    titles = [items.titles[int(place)] for place in places]
    out.table([{**row, "title": title} for row, title in zip(first, titles, strict=True)])
    _say_rest(out, rows)


def _show_some(out: Output, rows: list[dict[str, Any]]) -> None:
    out.table(rows[:SHOWN])
    _say_rest(out, rows)


def _say_rest(out: Output, rows: list[dict[str, Any]]) -> None:
    if len(rows) > SHOWN:
        out.say(f"... and {len(rows) - SHOWN:,} more rows; --out FILE writes them all")


def _show_reasons(out: Output, found: Explanation) -> None:
    if not found.parts:
        _show_item(out, found)
        return
    out.say(f"{found.title} ({found.item}) for {found.user}: score {found.score:.4f}")
    shares = [{"part": name, "adds": share} for name, share in found.parts.items()]
    out.table(sorted(shares, key=lambda row: -abs(row["adds"])))
    for path in found.paths:
        out.say(f"  {path.text}")
    for near in found.texts:
        out.say(f"  reads like {near.title} ({near.similarity:.2f}), which the user liked")
    if not found.paths and not found.texts:
        out.say("  no path of two hops and no text joins it to what the user liked")


def _show_item(out: Output, found: Explanation) -> None:
    """What is known of an item where nothing was learned from interactions yet."""
    out.say(
        f"{found.title} ({found.item}): no score for {found.user} yet, as nothing was learned from "
        "interactions; the catalog says"
    )
    for relation, title in found.attributes:
        out.say(f"  {relation}: {title}")
    for near in found.similar:
        out.say(f"  like {near.title} ({near.similarity:.2f})")
    out.say("next: ask with `coldframe acquire`, or train on interactions")
