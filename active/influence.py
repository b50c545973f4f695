"""How much of the lists hangs on one annotator: the top k with and without what he or she said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from ..gnn.data import TrainingData
from ..gnn.hybrid import Hybrid
from ..gnn.runs import Run
from ..kg.errors import StateError, nearest
from ..kg.graph import Interactions
from ..kg.split import rng_for
from ..kg.vocabulary import IntArray
from .cycle import rounds_of
from .fold import positive_from

_MOST_USERS = 2_000
_BLOCK = 256


@dataclass(frozen=True)
class Influence:
    """What an annotator changes.

    Attributes:
        answers: that count. labels: learned ones that would be another or none without them, and
            those that there would be of pairs on which annotators were of two minds.
        replaced: mean share of a user's top k that would be other items.
        users: share of the users whose top k would change. looked_at: how many users that is of.
    """

    annotator: str
    answers: int
    labels: int
    replaced: float
    users: float
    looked_at: int


def influences(run: Run, annotators: Iterable[str] | None = None, k: int = 10) -> list[Influence]:
    """Each annotator's influence on the top k, the largest first.

    Every linear part and the posterior is fitted without the annotator's answers, as `fold` settles
    the edges then; the encoder meets the changed interactions, but keeps its weights, and the gate
    its own. So it is a lower bound where the encoder was trained on many answers. Answers that wait for
    `retrain` change nothing yet.

    Args:
        annotators: whose; None = all who gave answers that count.

    Raises:
        StateError: nobody of that name answered, or nothing was learned yet.
    """
    rounds = rounds_of(run)
    records = rounds.journal.records()
    answers = Counter(record.answer.annotator for record in records)
    names = sorted(answers) if annotators is None else list(annotators)
    for name in names:
        if name not in answers:
            raise StateError(f"no answers by annotator {name!r}", hint=nearest(name, answers))
    model = run.model
    data, scorer = model.data, model.scorer
    if not run.round or scorer is None or not scorer.parts:
        raise StateError("no answers were learned yet", where=str(run.path))
    users = _sample(data, model.seed)
    before = _lists(scorer.refresh(data), data, users, k)
    positive = positive_from(run.catalog.schema)
    records = [record for record in records if record.told <= run.round]
    whole = _labels(rounds.verdicts(records, positive=positive))
    out = []
    for name in names:
        others = [record for record in records if record.answer.annotator != name]
        without = _labels(rounds.verdicts(others, positive=positive))
        rows, changed = _relabelled(
            data, {edge: without.get(edge) for edge in whole if without.get(edge) != whole[edge]}
        )
        replaced = np.zeros(len(users))
        if changed:
            changed_data = data.with_train(rows)
            after = _lists(scorer.refresh(changed_data), data, users, k)
            same = [len(set(a) & set(b)) for a, b in zip(before, after, strict=True)]
            replaced = 1 - np.array(same) / before.shape[1]
        share = float((replaced > 0).mean())
        out.append(
            Influence(name, answers[name], changed, float(replaced.mean()), share, len(users))
        )
    return sorted(out, key=lambda one: -one.replaced)


def _labels(verdicts: pa.Table) -> dict[tuple[str, str], int | None]:
    return {(row["user"], row["item"]): row["label"] for row in verdicts.to_pylist()}


def _relabelled(
    data: TrainingData, label: dict[tuple[str, str], int | None]
) -> tuple[Interactions, int]:
    """The training rows with other labels for some edges, and how many differ from what rounds taught."""
    users, items = data.graph.users.vocabulary, data.graph.items.vocabulary
    rows, untaught = data.train, dict(label)
    labels, keep = rows.label.copy(), np.ones(len(rows), bool)
    for row in np.flatnonzero(rows.round > 0):
        edge = users[int(rows.user[row])], items[int(rows.item[row])]
        if edge in label:
            said = untaught.pop(edge)
            keep[row] = said is not None
            labels[row] = labels[row] if said is None else said
    changed = int((~keep).sum() + (labels != rows.label).sum())
    more = [(user, item, said) for (user, item), said in untaught.items() if said is not None]
    added = Interactions.build(
        users.indices([user for user, _, _ in more], kind="user"),
        items.indices([item for _, item, _ in more], kind="item"),
        label=[said for _, _, said in more],
        round=1,
        split_names=rows.split_names,
    )
    return replace(rows, label=labels).select(keep).concat(added), changed + len(added)


def _lists(scorer: Hybrid, data: TrainingData, users: IntArray, k: int) -> IntArray:
    """Items of the top k, (len(users), k), without what was trained on before."""
    known = data.positives + data.negatives
    blocks = []
    for start in range(0, len(users), _BLOCK):
        block = users[start : start + _BLOCK]
        scores = scorer.score(block)
        scores = np.where(known[block].toarray() > 0, -np.inf, np.nan_to_num(scores, nan=-np.inf))
        blocks.append(np.argsort(-scores, axis=1, kind="stable")[:, :k])
    return np.concatenate(blocks)


def _sample(data: TrainingData, seed: int) -> IntArray:
    known = np.flatnonzero(data.user_degree > 0)
    chosen = rng_for(seed, "influence").choice(known, min(len(known), _MOST_USERS), replace=False)
    return np.sort(chosen)
