"""The interview: which few items to ask a new user about, one at a time, each answer counting at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp
from scipy.special import expit

from ..gnn.ranking import RECOMMENDATIONS
from ..kg.errors import DataError, UsageError
from ..kg.in_memory import whole
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .answers import CANNOT_TELL, RATING, SKIP, Answer, read_answers
from .beliefs import Askable
from .costs import node_factors
from .fold import label_of
from .newcomer import Array, Newcomer, Population


@dataclass(frozen=True)
class InterviewConfig:
    """How a new user is asked.

    Attributes:
        questions: after so many answers `next` gives None.
        familiarity: how much it counts that the user is likely to know the item: the gain is
            multiplied by (share of users who know it, of the best-known item's) to this power.
            0 = not at all; 1 asks for blockbusters.
    """

    questions: int = 10
    familiarity: float = 0.25

    def __post_init__(self) -> None:
        check_fields(self)
        if self.questions < 1:
            raise UsageError(f"questions is {self.questions}, expected at least 1")
        if not 0 <= self.familiarity <= 10:
            raise UsageError(f"familiarity is {self.familiarity}, expected 0 to 10")


@dataclass(frozen=True)
class Question:
    """One item to ask about.

    Attributes:
        item: its IRI. title: its name. gain: expected drop of rank-weighted variance.
        answer_chance: how well-known the item is, in (0, 1]. like_chance: of the answer yes.
    """

    item: str
    title: str
    gain: float
    answer_chance: float
    like_chance: float


class Interview:
    """Asks one new user, or one of the catalog's, item by item; learns from each answer at once.

    A like is 1, a dislike 0. "cannot tell" counts as a no where others have interactions with the
    item, as silence does in training, and for nothing where nobody has; "skip" counts for nothing.
    The model itself is not changed.

    Args:
        model: a fitted recommender, or anything with `posterior`, `graph` and `known`.
        user: id of a user of the catalog, whose history counts; None = somebody new.
        items: ids that may be asked about; None = all. item_weight: id -> priority, 0 forbids.
        positive: ratings from here on are a like; None = a rating must be 0 or 1.

    Raises:
        UnknownIdError: an id that the catalog does not have. UsageError: a weight that is none.
        StateError: there is no posterior, or nobody has interactions.
    """

    def __init__(
        self,
        model: Askable,
        *,
        user: str | None = None,
        items: Iterable[str] | None = None,
        item_weight: Mapping[str, float] | None = None,
        positive: float | None = None,
        config: InterviewConfig | None = None,
    ) -> None:
        self.config, self.graph, self.positive = config or InterviewConfig(), model.graph, positive
        self.user = user
        self.answers: dict[str, str] = {}
        self._labels: dict[int, float] = {}
        self._known, liked = _history(model, user)
        self.beliefs: Newcomer = Population.of(model.posterior, model.known).newcomer(liked)
        self._weight: Array = node_factors(
            self.graph, "item", item_weight, "item_weight", least=0.0
        )
        if items is not None:
            others = np.ones(len(self._weight), bool)
            others[self.graph.items.vocabulary.indices(items, kind="item")] = False
            self._weight[others] = 0.0

    def next(self) -> Question | None:
        """The item to ask about now; None when all questions are asked or no item is left."""
        open_items = self._left()
        asked = open_items[self._weight[open_items] > 0]
        if len(self.answers) >= self.config.questions or not len(asked):
            return None
        gain = self.beliefs.gain(asked, open_items)
        known = self.beliefs.population.familiarity[asked]
        best = int(np.argmax(gain * known**self.config.familiarity * self._weight[asked]))
        item = int(asked[best])
        chance = float(expit(self.beliefs.scores(asked[[best]])[0]))
        return Question(
            self.graph.items.vocabulary[item],
            self.graph.items.titles[item],
            float(gain[best]),
            float(known[best]),
            chance,
        )

    def tell(self, item: str, answer: Any) -> Self:
        """Take in an answer, asked for or not; a second one about the same item replaces the first.

        Args:
            answer: like, dislike, cannot tell, skip (or what `label` takes for them), a bool, or a
                rating.

        Raises:
            UnknownIdError: no such item. DataError: no such answer, or a rating without `positive`.
        """
        place = int(self.graph.items.vocabulary.indices([item], kind="item")[0])
        iri = self.graph.items.vocabulary[place]
        row = {"user": self.user or "newcomer", "item": iri, "answer": answer}
        found = read_answers([row], round=0)[0][1]
        if not isinstance(found, Answer):
            raise DataError(found or "the answer is blank", where=iri)
        label = self._label(found, place)
        self._labels.pop(place, None)
        if label is not None:
            self._labels[place] = label
        self.beliefs = self.beliefs.given(self._labels)
        self.answers[iri] = str(answer) if found.answer == RATING else found.answer
        return self

    def recommend(self, k: int = 10) -> pa.Table:
        """The k best items that were neither answered about nor known: user, item, rank, score, std.

        The score is the logit of the expected chance of a like, std that of the logit.
        """
        k, left = whole(k, "k"), self._left()
        scores = self.beliefs.scores(left)
        best = np.argsort(-scores, kind="stable")[:k]
        items = self.graph.items.vocabulary
        columns = {
            "user": [self.user or ""] * len(best),
            "item": [items[int(item)] for item in left[best]],
            "rank": np.arange(1, len(best) + 1),
            "score": scores[best],
            "std": np.sqrt(self.beliefs.variance(left[best])),
        }
        schema = pa.schema([RECOMMENDATIONS.field(name) for name in columns])
        return pa.table(columns).cast(schema)

    def _left(self) -> IntArray:
        """Items that are neither known nor answered about."""
        left = np.ones(len(self.graph.items), bool)
        left[self._known] = False
        left[self.graph.items.vocabulary.indices(self.answers, kind="item")] = False
        return np.flatnonzero(left)

    def _label(self, answer: Answer, item: int) -> float | None:
        if answer.answer == SKIP:
            return None
        if answer.answer == CANNOT_TELL:
            return 0.0 if self.beliefs.population.seen[item] else None
        label = label_of(answer, self.positive)
        return None if label is None else float(label)


def _history(model: Askable, user: str | None) -> tuple[IntArray, IntArray]:
    """Items that the model knows of with this user, and those of them that she likes."""
    if user is None:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    row = int(model.graph.users.vocabulary.indices([user], kind="user")[0])
    known = sp.csr_matrix(model.known)[row].indices.astype(np.int64)
    events, told = model.graph.interactions, model.posterior.answers
    likes = events.item[(events.user == row) & (events.label == 1)]
    yes = told.item[(told.user == row) & (told.label > 0.5)]
    # What the graph has and the model was not trained on stays unknown: it may be tested on.
    return known, np.intersect1d(known, np.concatenate([likes, yes]))
