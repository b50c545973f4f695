"""One seed of the protocol `user-cold`: hidden users are interviewed about half of the items.

Every strategy asks each of them the same number of questions about the same half; the others are
ranked, so no question gives away what is measured. A like is answered 1; a low rating and none look
the same and are answered 0, as in KG-ColdStart-Open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..gnn.data import TrainingData
from ..gnn.kg_prior import KGPrior, KGPriorConfig
from ..kg.coldstart import resolve
from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Graph
from ..kg.split import hold_out_users, rng_for
from ..kg.vocabulary import IntArray
from .interview import InterviewConfig
from .newcomer import Newcomer, Population
from .world import METRICS, rank_metrics

Array = npt.NDArray[np.float64]
STRATEGIES = ("random", "popularity", "interview")
HIDDEN_SHARE = 0.2
MOST = 500  # hidden users who are interviewed


@dataclass(frozen=True)
class Town:
    """What is fixed for one seed, whatever the strategy.

    Attributes:
        population: what the other users say. popularity: their likes per item, (n_items,).
        asked, ranked: the two halves of the items, catalog indices.
        likes: (n, n_items) bool, of the hidden users. seed: of the split.
    """

    population: Population
    popularity: IntArray
    asked: IntArray
    ranked: IntArray
    likes: npt.NDArray[np.bool_]
    seed: int

    def measure(self, people: list[Newcomer]) -> dict[str, float]:
        """Each metric's mean over the hidden users, every one ranking `ranked`."""
        scores = np.stack([person.scores(self.ranked) for person in people])
        truth = sp.csr_matrix(self.likes[:, self.ranked].astype(np.float32))
        return rank_metrics(scores, truth)

    def ceiling(self) -> dict[str, float]:
        """The same after every answer there is."""
        means, covariances = self.population.told_all(self.asked, self.likes[:, self.asked])
        start = self.population.newcomer()
        told = zip(means, covariances, strict=True)
        return self.measure(
            [Newcomer(self.population, start.mean, start.covariance, m, c) for m, c in told]
        )


def build_town(
    graph: Graph, seed: int, *, at_least: int = 20, model: KGPriorConfig | None = None
) -> Town:
    """Hide a fifth of the users with `at_least` likes, fit the model on the others, halve the items.

    Raises DataError where no user can be hidden.
    """
    events = resolve(graph.interactions, graph.n_items)
    positives = events.select(events.label == 1)
    hidden = hold_out_users(
        positives, graph.n_users, HIDDEN_SHARE, rng_for(seed, "cold users"), at_least=at_least
    )
    order = rng_for(seed, "asked items").permutation(graph.n_items)
    asked, ranked = np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :])
    liked = positives.matrix(graph.n_users, graph.n_items)
    hidden = hidden[np.diff(liked[hidden][:, ranked].indptr) > 0]
    if not len(hidden):
        raise DataError(
            f"no user of catalog {graph.name!r} has {at_least} positive interactions, or the share "
            "of hidden users rounds to none",
            hint="lower at_least (--at-least)",
        )
    people = np.sort(rng_for(seed, "interviewed").permutation(hidden)[:MOST])
    data = TrainingData(graph, positives.select(~np.isin(positives.user, hidden)))
    return Town(
        Population.of(KGPrior(model).fit(data).posterior, data.positives),
        data.item_degree,
        asked,
        ranked,
        np.asarray(liked[people].toarray() > 0),
        seed,
    )


def interview_all(town: Town, name: str, budgets: list[int]) -> dict[str, list[float]]:
    """Ask everyone; the metrics after each number of questions in `budgets` (increasing).

    Raises UsageError where there are fewer items to ask about.
    """
    if budgets[-1] > len(town.asked):
        raise UsageError(
            f"a budget of {budgets[-1]} is more than the {len(town.asked)} items to ask about",
            where="budgets",
            hint=f"give budgets up to {len(town.asked)}",
        )
    start = town.population.newcomer()
    told: list[list[Newcomer]] = []
    for row, likes in enumerate(town.likes):
        if name == "interview":
            told.append(_adaptive(town, start, likes, budgets))
        else:
            order = _fixed_order(town, name, row)
            told.append([start.given(_answers(order[:n], likes)) for n in budgets])
    measured = [town.measure([steps[at] for steps in told]) for at in range(len(budgets))]
    return {metric: [each[metric] for each in measured] for metric in METRICS}


def check_strategy(name: str) -> None:
    """UsageError naming the nearest where the protocol has no such strategy."""
    if name not in STRATEGIES:
        raise UsageError(
            f"the protocol user-cold has no strategy {name!r}", hint=nearest(name, STRATEGIES)
        )


def _adaptive(
    town: Town, start: Newcomer, likes: npt.NDArray[np.bool_], budgets: list[int]
) -> list[Newcomer]:
    """Beliefs about one user at each budget, asked as `Interview` asks."""
    familiarity = town.population.familiarity[town.asked] ** InterviewConfig().familiarity
    answers: dict[int, float] = {}
    person, steps = start, []
    for number in range(1, budgets[-1] + 1):
        value = person.gain(town.asked, town.ranked) * familiarity
        value[np.isin(town.asked, list(answers))] = -1.0
        item = int(town.asked[np.argmax(value)])
        answers |= _answers(np.array([item]), likes)
        person = person.given(answers)
        if number in budgets:
            steps.append(person)
    return steps


def _fixed_order(town: Town, name: str, row: int) -> IntArray:
    if name == "popularity":
        return town.asked[np.argsort(-town.popularity[town.asked], kind="stable")]
    return rng_for(town.seed, f"random questions, user {row}").permutation(town.asked)


def _answers(items: IntArray, likes: npt.NDArray[np.bool_]) -> dict[int, float]:
    return {int(item): float(likes[item]) for item in items}
