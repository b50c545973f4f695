"""`interview`: ask one new user, item by item, and recommend at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..kg.errors import ColdframeError, DataError, UsageError
from .console import Output, note, show_rejected
from .inputs import check_suffix, held_out_note, read_ids, weights_of
from .options import Device, Json, RunFolder, TopK, Weight

if TYPE_CHECKING:
    from ..active.interview import Interview, Question

KEEPING = (
    "to keep the answers of a user that the catalog does not have, add the user to its tables, ingest, "
    "train a new run, then label"
)
KEYS = {"y": "like", "n": "dislike", "?": "cannot tell", "": "cannot tell", "s": "skip"}


def interview(
    run: RunFolder,
    user: Annotated[
        str | None,
        typer.Option("--user", help="A user of the catalog, by id; somebody new if none."),
    ] = None,
    named: Annotated[
        str | None,
        typer.Option("--as", metavar="ID", help="Whom --out names, where it is somebody new."),
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, help="How many at most.")] = 10,
    answers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="Answers so far, a table as for `label`; then only the next question is given.",
        ),
    ] = None,
    items: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="Ask only about these items.")
    ] = None,
    weight: Weight = None,
    top: TopK = 10,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the answers there, for `label`.")
    ] = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Ask a new user about the few items that tell most, each answer counting at once.

    On a terminal the questions come one by one. With --answers or --json nothing is asked: the answers
    are taken in, and the next question and the recommendations are given. The run is not changed.
    `label` takes the answers of the catalog's users. To keep those of somebody new, add the user to the
    tables that the catalog is made of (no interactions are needed), ingest, train, and then label.
    """
    from ..active.fold import positive_from
    from ..active.interview import Interview, InterviewConfig
    from ..gnn.runs import Run

    output = Output(as_json)
    if named is not None and user is not None:
        raise UsageError("--user is in the catalog already", where="--as", hint="give one of them")
    check_suffix(out)
    among = None if items is None else read_ids(items, "item")
    with output.progress("interview"):
        opened = Run.open(run, device=device)
        talk = Interview(
            opened.model,
            user=user,
            items=among,
            item_weight=weights_of(opened.catalog, weight),
            positive=positive_from(opened.catalog.schema),
            config=InterviewConfig(questions),
        )
    others, rejected = 0, list[tuple[int, str]]()
    if answers is not None:
        others, rejected = take_in(talk, answers)
    elif not as_json:
        converse(talk)
    if out is not None:
        _write(talk, out, user or named or "newcomer")
        if user is None:
            output.note(f"answers of somebody new in {out}: {KEEPING}")
    told = _outcome(talk, top) | {
        "of_others": others,
        "rejected": [{"line": line, "reason": reason} for line, reason in rejected],
    }
    output.result(told, lambda shown: _show(shown, told, held_out_note(opened)))


def take_in(talk: Interview, path: Path) -> tuple[int, list[tuple[int, str]]]:
    """Tell an interview the answers of a file; of several users' only those of its own.

    Of several about an item the last counts: by `time` where both say one, else by line.

    Returns:
        how many rows are of other users, and (line, reason) of those that cannot be used.

    Raises:
        UsageError: the file is about several users and none was named. DataError: no row can be used.
    """
    from ..active.answers import RATING, Answer, read_answers
    from ..active.fold import is_older

    rows = read_answers(path, round=0)
    rejected = [(line, row) for line, row in rows if isinstance(row, str)]
    given = [(line, row) for line, row in rows if isinstance(row, Answer)]
    own = given
    if talk.user is not None:
        find = talk.graph.users.vocabulary.find
        own = [(line, row) for line, row in given if find(row.user) == find(talk.user)]
    elif len({row.user for _, row in given}) > 1:
        raise UsageError("the answers are of several users", where=str(path), hint="say --user")
    last: dict[int, Answer] = {}
    for line, row in own:
        item = talk.graph.items.vocabulary.find(row.item)
        if item in last and is_older(row, last[item]):
            continue
        try:
            talk.tell(row.item, row.rating if row.answer == RATING else row.answer)
        except ColdframeError as error:
            rejected.append((line, error.message))
        else:
            last[item] = row
    if rejected and not talk.answers:
        line, reason = min(rejected)
        raise DataError(f"none of the answers can be used: {reason}", where=f"{path}:{line}")
    return len(given) - len(own), sorted(rejected)


def converse(talk: Interview) -> None:
    """Ask on standard error, read from standard input; the end of the input ends the interview."""
    note("y = like, n = dislike, ? or nothing = cannot tell, s = skip, a rating, q = enough")
    while (question := talk.next()) is not None:
        note(f"{len(talk.answers) + 1}. {question.title}")
        try:
            word = input().strip()
        except EOFError:
            return
        if word.lower() in ("q", "quit"):
            return
        try:
            talk.tell(question.item, KEYS.get(word.lower(), word))
        except DataError as error:
            note(error.message)


def _outcome(talk: Interview, top: int) -> dict[str, Any]:
    from dataclasses import asdict

    names, titles = talk.graph.items.vocabulary, talk.graph.items.titles
    following: Question | None = talk.next()
    return {
        "user": talk.user,
        "answers": [{"item": item, "answer": said} for item, said in talk.answers.items()],
        "next": None if following is None else asdict(following),
        "recommendations": [
            {**row, "title": titles[names.find(row["item"])]}
            for row in talk.recommend(top).to_pylist()
        ],
    }


def _write(talk: Interview, path: Path, user: str) -> None:
    import pyarrow as pa

    from ..kg.files import write_table

    columns = {"user": [user] * len(talk.answers)}
    columns |= {"item": list(talk.answers), "answer": list(talk.answers.values())}
    write_table(path, pa.table({name: pa.array(v, pa.string()) for name, v in columns.items()}))


def _show(out: Output, told: dict[str, Any], held_out: str) -> None:
    out.say(f"{len(told['answers'])} answers")
    if told["of_others"]:
        out.say(f"{told['of_others']:,} answers of other users are left out")
    show_rejected(out, told["rejected"])
    out.table(told["recommendations"], ("rank", "title", "score", "std", "item"))
    if told["next"] is not None:
        out.say(f"next question: {told['next']['title']} ({told['next']['item']})")
    if held_out:
        out.say(held_out)
