"""One seed of a simulation: the split, the beliefs before any answer, who answers, and the measure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from ..gnn.data import TrainingData
from ..gnn.kg_prior import KGPrior, KGPriorConfig
from ..gnn.laplace import fit_dense, inverse
from ..gnn.metrics import Ranking, mean, measure
from ..gnn.posterior import Posterior
from ..kg.coldstart import ColdStartOpen, cold_start_open
from ..kg.errors import UsageError, nearest
from ..kg.graph import FloatArray, Graph
from ..kg.split import pair_codes, rng_for
from ..kg.vocabulary import IntArray
from .pool import Pool
from .state import AskState
from .strategies import Strategy

Array = npt.NDArray[np.float64]
METRICS = ("ndcg@10", "recall@20")
ALL = "all-ndcg@10"  # warm held-out and cold items together
CUTOFF = 10
_MEASURED = {"ndcg@10": "ndcg@10", "recall@20": "capped_recall@20"}
PROTOCOLS = {
    "kg-coldstart-open": {"cold_share": 0.2},
    "kg-coldstart-open-80": {"cold_share": 0.8},
    "rated-only": {"cold_share": 0.2},
}
TARGETS = 512
_CELLS = 16_000_000  # scores held at once, a few arrays of them


@dataclass(frozen=True)
class WarmBest:
    """Each test user's ten best warm items: answers about cold ones never change them.

    Attributes:
        scores: (q, 10) float32, -inf where there are fewer. hits: (q, 10) whether held out.
        relevant: (q,) held-out positives of each user, on warm and cold items.
    """

    scores: FloatArray
    hits: npt.NDArray[np.bool_]
    relevant: IntArray

    @classmethod
    def of(cls, posterior: Posterior, case: ColdStartOpen, graph: Graph) -> WarmBest:
        """Rank the warm items that the users do not have in training, in blocks of users."""
        warm = np.setdiff1d(np.arange(graph.n_items), case.cold_items)
        trained = case.split.train.matrix(graph.n_users, graph.n_items)[:, warm]
        tested = case.split.test.matrix(graph.n_users, graph.n_items)
        width, users = min(CUTOFF, len(warm)), case.test_users
        scores = np.full((len(users), CUTOFF), -np.inf, np.float32)
        hits = np.zeros(scores.shape, bool)
        step = max(1, _CELLS // max(len(warm), 1))
        for low in range(0, len(users), step):
            part = slice(low, low + step)
            block = posterior.scores(users[part], warm)
            block[trained[users[part]].toarray() > 0] = -np.inf
            best = np.argsort(-block, axis=1, kind="stable")[:, :width]
            scores[part, :width] = np.take_along_axis(block, best, axis=1)
            held = tested[users[part]][:, warm].toarray() > 0
            hits[part, :width] = np.take_along_axis(held, best, axis=1)
        return cls(scores, hits, np.diff(tested[users].indptr))

    def ndcg_with(self, part: slice, cold: npt.NDArray[np.floating], truth: sp.csr_matrix) -> Array:
        """NDCG@10 over warm and cold items together, (q,); NaN without a held-out positive.

        Args:
            part: which of the test users. cold: their scores of the cold items, (q, C). truth: the
                positives among these, (q, C).
        """
        scores = np.concatenate([self.scores[part], cold], axis=1)
        hits = np.concatenate([self.hits[part], truth.toarray() > 0], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :CUTOFF]
        discount = 1.0 / np.log2(np.arange(2, 2 + CUTOFF))
        gain = (np.take_along_axis(hits, best, axis=1) * discount[: best.shape[1]]).sum(axis=1)
        relevant = np.minimum(self.relevant[part], CUTOFF)
        ideal = np.concatenate([[np.nan], np.cumsum(discount)])
        return np.asarray(gain / ideal[relevant])


@dataclass(frozen=True)
class World:
    """What is fixed for one seed, whatever the strategy.

    Attributes:
        case: panel, test users, cold items, hidden answers. posterior: beliefs before any answer.
        profile: KG profile of all items. popularity: training positives per item.
        truth: (test users, cold items) CSR of hidden positives. warm: the test users' best warm
        items. rated_only: pairs without a hidden event cannot be asked.
    """

    case: ColdStartOpen
    graph: Graph
    posterior: Posterior
    profile: sp.csr_matrix
    popularity: Array
    truth: sp.csr_matrix
    warm: WarmBest
    seed: int
    rated_only: bool = False

    def measure(self, posterior: Posterior) -> dict[str, float]:
        """Each metric's mean over the test users, every one ranking all cold items.

        `ALL` ranks the warm items without a training positive of the user among them.
        """
        users, cold = self.case.test_users, self.case.cold_items
        step, found = max(1, _CELLS // len(cold)), []
        for low in range(0, len(users), step):
            part = slice(low, low + step)
            scores, truth = posterior.scores(users[part], cold), self.truth[part]
            together = {ALL: self.warm.ndcg_with(part, scores, truth)}
            found.append(user_metrics(scores, truth) | together)
        return {name: mean(np.concatenate([one[name] for one in found])) for name in found[0]}

    def ceiling(self) -> dict[str, float]:
        """The same, trained on the answers to every pair of the pool."""
        posterior, panel, cold = self.posterior, self.case.panel_users, self.case.cold_items
        events = self.case.answers
        if self.rated_only:
            return self.measure(posterior.update(events.user, events.item, events.label))
        answers = events.matrix(self.graph.n_users, self.graph.n_items)[panel][:, cold]
        fitted = fit_dense(
            posterior.user_vectors[panel],
            sp.csc_matrix(answers),
            posterior.prior_mean[cold],
            inverse(np.ascontiguousarray(posterior.prior_covariance[cold])),
        )
        mean, covariance = posterior.mean.copy(), np.array(posterior.covariance)
        mean[cold], covariance[cold] = fitted.mean, fitted.covariance
        return self.measure(replace(posterior, mean=mean, covariance=covariance))

    def pool(self, largest_budget: int) -> Pool:
        """All pairs of panel and cold items, under the protocol's cap of questions per user."""
        case, graph = self.case, self.graph
        return Pool.build(
            sp.csr_matrix((graph.n_users, graph.n_items), dtype=np.float32),
            users=case.panel_users,
            items=case.cold_items,
            user_keys=graph.users.vocabulary,
            item_keys=graph.items.vocabulary,
            user_cap=max(10, int(np.ceil(3 * largest_budget / len(case.panel_users)))),
            only=(case.answers.user, case.answers.item) if self.rated_only else None,
        )


def build_world(
    graph: Graph,
    protocol: str,
    seed: int,
    *,
    at_least: int = 20,
    model: KGPriorConfig | None = None,
) -> World:
    """Split, fit the KG-prior model on what is warm, and prepare the measure.

    Raises UsageError naming the nearest protocol where there is none of that name.
    """
    if protocol not in PROTOCOLS:
        raise UsageError(f"unknown protocol {protocol!r}", hint=nearest(protocol, PROTOCOLS))
    case = cold_start_open(graph, seed, at_least=at_least, **PROTOCOLS[protocol])
    data = TrainingData(graph, case.split.train)
    posterior = KGPrior(model).fit(data).posterior
    hidden = case.split.test.matrix(graph.n_users, graph.n_items)
    return World(
        case,
        graph,
        posterior,
        data.profile,
        data.item_degree.astype(np.float64),
        sp.csr_matrix(hidden[case.test_users][:, case.cold_items]),
        WarmBest.of(posterior, case, graph),
        seed,
        rated_only=protocol == "rated-only",
    )


def play(
    world: World, strategy: Strategy, cuts: list[int], budgets: list[int]
) -> dict[str, list[float]]:
    """Ask, answer and update round by round; the metrics at each budget.

    Args:
        cuts: cumulative questions after each round, increasing. budgets: those that are measured,
            some of the cuts.
    """
    curve: dict[str, list[float]] = {name: [] for name in (*METRICS, ALL)}
    for cut, posterior in rounds(world, strategy, cuts):
        if cut in budgets:
            for name, value in world.measure(posterior).items():
                curve[name].append(value)
    return curve


def rounds(world: World, strategy: Strategy, cuts: list[int]) -> Iterator[tuple[int, Posterior]]:
    """After each round: questions so far, and the beliefs, whose `answers` are all that was said."""
    graph, posterior = world.graph, world.posterior
    pool = world.pool(cuts[-1])
    hidden = world.case.answers
    liked = pair_codes(hidden.select(hidden.label == 1), graph.n_items)
    everyone = rng_for(world.seed, "target users").permutation(graph.n_users)
    targets = np.sort(everyone[:TARGETS])
    labels, popularity = np.zeros(graph.n_items, np.int64), world.popularity
    asked = 0
    for turn, cut in enumerate(cuts):
        state = AskState(posterior, pool, targets, world.profile, popularity, labels)
        picks = strategy(state, cut - asked, rng_for(world.seed, f"simulated round {turn}"))
        answers = np.isin(picks.user * graph.n_items + picks.item, liked).astype(np.float64)
        posterior = posterior.update(picks.user, picks.item, answers)
        pool = pool.after(picks.user, picks.item)
        labels = labels + np.bincount(picks.item, minlength=graph.n_items)
        popularity = popularity + np.bincount(picks.item, answers, graph.n_items)
        asked = cut
        yield cut, posterior


def rank_metrics(scores: npt.NDArray[np.floating], truth: sp.csr_matrix) -> dict[str, float]:
    """Means over the users of `user_metrics`."""
    return {name: mean(values) for name, values in user_metrics(scores, truth).items()}


def user_metrics(scores: npt.NDArray[np.floating], truth: sp.csr_matrix) -> dict[str, Array]:
    """`METRICS` by user, (q,), of dense scores (q, C) against relevant pairs (q, C).

    Equal scores stand by position; NaN for a user without a relevant item.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    ranks = np.empty(order.shape, np.int64)
    np.put_along_axis(ranks, order, np.arange(1, order.shape[1] + 1)[None], axis=1)
    pairs = truth.tocoo()
    rank = ranks[pairs.row, pairs.col]
    count: IntArray = np.full(len(scores), scores.shape[1], np.int64)
    ranking = Ranking(pairs.row.astype(np.int64), rank, rank.astype(np.float64), count)
    return {name: measure(ranking, _MEASURED[name]) for name in METRICS}
