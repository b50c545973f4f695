"""Taking answers back: roll a round or an annotator back, and train anew on what is left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..gnn.recommender import Recommender
from ..gnn.runs import Run
from ..gnn.unfinished import unfinished_work
from ..kg.errors import StateError, nearest
from ..kg.graph import Interactions
from .cycle import Learned, keep_start, learn, rounds_of, unlearned
from .cycle import told as labels_told
from .fold import positive_from
from .journal import ROLLED_BACK, standing
from .measure import measured_rows
from .recording import graph_again, own
from .repeats import Record


@dataclass(frozen=True)
class RolledBack:
    """What a roll-back took out.

    Attributes:
        answers: of the journal that no longer count. labels: that the model had learned of them.
        rounds: whose labels and named graphs changed. run: as it stands now.
    """

    answers: int
    labels: int
    rounds: tuple[int, ...]
    run: Run


def roll_back(run: Run, *, round: int | None = None, annotator: str | None = None) -> RolledBack:
    """Take back what was told in one round, or by one annotator; a round without answers is dropped.

    The journal notes it and keeps the answers; labels and named graphs of the rounds that had learned
    from them are made anew from the answers that count; the model is taken away, if it had learned
    from any, until `relearn`. Killed on the way, the same call completes it.

    Raises:
        StateError: there is no such answer.
    """
    journal = rounds_of(run).journal
    answers = journal.roll_back(round=round, annotator=annotator)
    history = journal.history()
    if not answers and not any(_is_of(one, round, annotator) for one in history):
        if round is not None and rounds_of(run).drop(round):
            run.log("dropped", round=round)
            return RolledBack(0, 0, (), run)
        raise _nothing_to_take(history, round, annotator)
    run, labels, rounds = reconcile(run)
    run.log("rolled back", round=round, answers=answers, labels=labels)
    return RolledBack(answers, labels, rounds, run)


def _is_of(record: Record, round: int | None, annotator: str | None) -> bool:
    answer = record.answer
    if answer.answer != ROLLED_BACK:
        return False
    by = answer.extra.get("by")
    if annotator is not None:
        return by == "annotator" and answer.annotator == annotator
    return by == "round" and answer.round == round


def _nothing_to_take(history: list[Record], round: int | None, annotator: str | None) -> StateError:
    answers = [record.answer for record in standing(history)]
    if annotator is not None:
        names = {one.annotator for one in answers} - {""}
        hint = nearest(annotator, names) if names else "no answer has a column annotator"
        return StateError(f"no answers by annotator {annotator!r}", hint=hint)
    rounds = ", ".join(map(str, sorted({one.round for one in answers}))) or "none"
    return StateError(f"no answers in round {round}", hint=f"rounds with answers: {rounds}")


def reconcile(run: Run) -> tuple[Run, int, tuple[int, ...]]:
    """Labels and named graphs without what was rolled back; a pure function of the journal.

    Returns:
        the run, how many labels were taken out, and of which rounds.
    """
    history = rounds_of(run).journal.history()
    left = standing(history)
    changed = labels_left(run, history, left)
    labels = sum(len(run.labels(number)) - len(rows) for number, rows in changed.items())
    about = rounds_about(run, history, left)
    run = own(run) if about else run
    if changed:
        run = run.drop_model("answers were rolled back")
    for number in about:
        rows = changed.get(number, run.labels(number))
        graph_again(run, number, rows)
        if number in changed:
            run.set_labels(number, rows)  # last: what a kill leaves undone is found again by it
    return run, labels, tuple(changed)


def labels_left(run: Run, before: list[Record], after: list[Record]) -> dict[int, Interactions]:
    """Labels of the rounds that change when only some of the answers are left: round -> rows left.

    A label stays unless an answer to its edge goes and what is left does not say the same.
    """
    touched = _touched(before, after)
    positive = positive_from(run.catalog.schema)
    verdicts = rounds_of(run).verdicts(after, positive=positive).to_pylist()
    label = {(row["user"], row["item"]): row["label"] for row in verdicts}
    users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary
    changed: dict[int, Interactions] = {}
    for number in range(1, run.round + 1):
        rows = run.labels(number)
        edges = [(users[int(u)], items[int(i)]) for u, i in zip(rows.user, rows.item, strict=True)]
        said = zip(edges, rows.label.tolist(), strict=True)
        keep = np.array([edge not in touched or label.get(edge) == one for edge, one in said], bool)
        if not keep.all():
            changed[number] = rows.select(keep)
    return changed


def rounds_about(run: Run, before: list[Record], after: list[Record]) -> list[int]:
    """The rounds with labels of pairs some of whose answers go: their graphs may say who gave them."""
    touched = _touched(before, after)
    users, items = run.catalog.graph.users.vocabulary, run.catalog.graph.items.vocabulary

    def is_about(rows: Interactions) -> bool:
        pairs = zip(rows.user, rows.item, strict=True)
        return any((users[int(user)], items[int(item)]) in touched for user, item in pairs)

    return [number for number in range(1, run.round + 1) if is_about(run.labels(number))]


def _touched(before: list[Record], after: list[Record]) -> set[tuple[str, str]]:
    """Pairs of user and item of the answers that go."""
    left = {record.seq for record in after}
    gone = (record.answer for record in before if record.seq not in left)
    return {(answer.user, answer.item) for answer in gone}


def relearn(run: Run, *, measure: bool = True) -> Learned:
    """Train anew on the run's split and, round by round, on the labels left; then learn what is new.

    What comes is the model of a run that was never told what was taken out, and with `measure` the
    figures of its rounds; those of before were of models that are gone. An interrupted training goes on
    where it was.
    """
    run, _, _ = reconcile(run)
    model = Recommender(
        run.config,
        seed=int(run.about["seed"]),
        device=run.device,
        progress=run.progress,
    )
    work = unfinished_work(run.path, run.catalog, run.split, model)
    model.fit(run.catalog, run.split, work=work)
    rounds = rounds_of(run)
    measured = keep_start(run, model) if measure else []
    for number in range(1, run.round + 1):
        rows = run.labels(number)
        if len(rows):
            model.tell(rows).retrain()
        if measure:
            measured = measured_rows(run, model, run.round_folder(number))
        rounds.close(number, {"labels": labels_told(run, number), "rows": measured})
    done = run.renew(model)
    if len(unlearned(done, rounds_of(done))):
        return learn(done, measure=measure)
    return Learned(done, 0, labels_told(done), "", measured)
