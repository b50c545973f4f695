"""Against careless and hostile annotators: gold questions, agreement, and quotas."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..kg.errors import UsageError
from .fold import label_of, last_answers
from .repeats import Record


@dataclass(frozen=True)
class QualityConfig:
    """When an annotator's answers count.

    Attributes:
        prior_right, prior_weight: accuracy assumed of a newcomer, worth so many questions.
        drop_below: annotators whose accuracy is below are left out.
        quota: largest share of a round's answers from one annotator that count; 1 = no quota.
    """

    prior_right: float = 0.85
    prior_weight: float = 6.0
    drop_below: float = 0.6
    quota: float = 1.0

    def __post_init__(self) -> None:
        for name in ("prior_right", "drop_below", "quota"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected a share in [0, 1]")


def trust(
    records: Iterable[Record],
    gold: Mapping[tuple[str, str], int],
    *,
    positive: float | None = None,
    config: QualityConfig | None = None,
) -> dict[str, float]:
    """Weight of each annotator's vote for `fold`: 2 x accuracy - 1, or 0 below `drop_below`.

    Accuracy counts gold questions (user, item) -> label, and agreement with the other annotators of
    the same edge where they are two or more (of two who differ nobody knows who is right), an edge
    counting by the share of the others on that side; both shrunk to `prior_right`. Who answered nothing that can be checked has the weight of a newcomer. Users who
    answer for themselves, without an annotator's name, keep their whole vote.
    """
    config = config or QualityConfig()
    votes = _votes(records, positive)
    start = [config.prior_right * config.prior_weight, config.prior_weight]
    scores = {who: list(start) for given in votes.values() for who in given if who}
    for edge, given in votes.items():
        for who, label in given.items():
            if not who:
                continue
            if edge in gold:
                scores[who][0] += float(label == gold[edge])
                scores[who][1] += 1.0
            elif len(given) > 2:
                others = [other for name, other in given.items() if name != who]
                scores[who][0] += sum(other == label for other in others) / len(others)
                scores[who][1] += 1.0
    accuracy = {who: score / weight for who, (score, weight) in scores.items()}
    return {
        who: max(2 * value - 1, 0.0) if value >= config.drop_below else 0.0
        for who, value in accuracy.items()
    }


def _votes(
    records: Iterable[Record], positive: float | None
) -> dict[tuple[str, str], dict[str, int]]:
    """Edge -> annotator -> label of the answer that counts, as `fold` has it; of several rounds the latest."""
    votes: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for record in sorted(last_answers(records), key=lambda one: one.answer.round):
        answer, label = record.answer, label_of(record.answer, positive)
        if label is not None:
            votes[answer.user, answer.item][answer.annotator] = label
    return votes


def gold_scores(
    records: Iterable[Record],
    gold: Mapping[tuple[str, str], int],
    *,
    positive: float | None = None,
) -> dict[str, tuple[int, int]]:
    """Per annotator: gold questions answered with a like or a dislike, and how many of them rightly.

    Of an annotator's answers to one the last counts; "" stands for the users who answer themselves.
    """
    scores: dict[str, tuple[int, int]] = {}
    for edge, given in _votes(records, positive).items():
        for who, label in given.items() if edge in gold else ():
            asked, right = scores.get(who, (0, 0))
            scores[who] = asked + 1, right + int(label == gold[edge])
    return scores


@dataclass(frozen=True)
class Agreement:
    """How far annotators agree.

    Attributes:
        annotators: who gave a usable answer (those who answer for themselves count as one each).
        edges: edges with usable answers of two or more. same: share of those where all agree.
        alpha: Krippendorff's alpha for like and dislike: 1 = always, 0 = as by chance; NaN where no
            edge has two answers or all answers are alike.
    """

    annotators: int
    edges: int
    same: float
    alpha: float


def agreement(records: Iterable[Record], *, positive: float | None = None) -> Agreement:
    """Agreement over all edges; of one annotator's answers to an edge the last one counts.

    alpha = 1 - observed / expected disagreement, every edge with m answers giving its pairs the weight
    1 / (m - 1) (Krippendorff, Content Analysis, 2nd ed. 2004, chapter 11, nominal data).
    """
    votes = _votes(records, positive)
    people = {(who, "" if who else user) for (user, _), given in votes.items() for who in given}
    shared = [list(given.values()) for given in votes.values() if len(given) > 1]
    if not shared:
        return Agreement(len(people), 0, math.nan, math.nan)
    yes, total = sum(map(sum, shared)), sum(map(len, shared))
    apart = sum(2 * sum(one) * (len(one) - sum(one)) / (len(one) - 1) for one in shared)
    expected = 2 * yes * (total - yes) / (total - 1)
    same = sum(len(set(one)) == 1 for one in shared) / len(shared)
    alpha = 1 - apart / expected if expected else math.nan
    return Agreement(len(people), len(shared), same, alpha)


def within_quota(records: Iterable[Record], config: QualityConfig) -> list[Record]:
    """The records within each annotator's quota of a round's answers, the first ones of each.

    One annotator may give at most `quota` of the answers taken in during a round, but always one;
    which round the answers themselves name makes no difference. A user who answers for herself,
    without an annotator's name, is an annotator of her own.
    """
    listed = list(records)
    if config.quota >= 1:
        return listed
    size = Counter(map(_taken_in, listed))
    taken: Counter[tuple[int, str, str]] = Counter()
    kept = []
    for record in listed:
        answer, number = record.answer, _taken_in(record)
        key = number, answer.annotator, "" if answer.annotator else answer.user
        # A share such as 0.29 of 100 may come out a hair below the whole number that it is.
        if taken[key] < max(1, math.floor(config.quota * size[number] + 1e-9)):
            taken[key] += 1
            kept.append(record)
    return kept


def _taken_in(record: Record) -> int:
    """The round in which a record was taken in; of old journals that did not note it, the named one."""
    return record.told if record.told >= 0 else record.answer.round
