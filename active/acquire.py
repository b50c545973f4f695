"""`acquire`: from a fitted model to a table of user-item edges worth asking about."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..gnn.profiles import item_profile
from ..kg.errors import UsageError, nearest
from ..kg.graph import Graph, Interactions
from ..kg.in_memory import as_pairs, numbers_by_id, whole
from ..kg.split import rng_for
from ..kg.vocabulary import IntArray, several
from .answers import CRITERION
from .auto import Plan, find_strategy, plan
from .beliefs import Askable as Askable
from .beliefs import View as View
from .beliefs import beliefs_of, played_without_beliefs
from .costs import Factors, node_factors
from .coverage import known_cover
from .criteria import CRITERIA, evaluate_pairs
from .own_strategy import held_to_contract, name_of
from .pool import AnswerChance, Pool
from .state import AskState
from .strategies import Picks, Strategy

TARGETS = 512
PLAN = b"coldframe.plan"  # key of a table's metadata


@dataclass(frozen=True)
class AskConfig:
    """Which pairs may be asked, and at what price.

    Attributes:
        users, items: IRIs or original ids of the panel and of the items asked about; None = all.
        targets: for whom rankings shall become right; None = a sample of 512 of all users.
        user_cap: most questions per user over all rounds, answered or not; None = max(10, 3 x the
            even share).
        item_cap: most questions per item, likewise; None = no limit.
        coverage: what covering the graph means, a name of `coverage.COVERS`.
        criteria: names of `criteria.CRITERIA`, whose values are told of every question picked.
        user_cost, item_cost, item_weight: id -> cost or priority where it is not 1; weight 0 forbids.
    """

    users: Iterable[str] | None = None
    items: Iterable[str] | None = None
    targets: Iterable[str] | None = None
    user_cap: int | None = None
    item_cap: int | None = None
    coverage: str = "similar"
    criteria: tuple[str, ...] = ()
    user_cost: Mapping[str, float] | None = None
    item_cost: Mapping[str, float] | None = None
    item_weight: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        known_cover(self.coverage)
        for kind in ("users", "items", "targets"):
            if (names := getattr(self, kind)) is not None:  # read more than once
                object.__setattr__(self, kind, tuple(several(names, kind.removesuffix("s"))))
        for kind in ("user_cost", "item_cost", "item_weight"):
            if (numbers := getattr(self, kind)) is not None:
                object.__setattr__(self, kind, numbers_by_id(numbers, kind))
        if self.targets == ():
            raise UsageError("targets names nobody", hint="leave it out for a sample of all users")
        for kind in ("user_cap", "item_cap"):
            if (cap := getattr(self, kind)) is not None:
                object.__setattr__(self, kind, whole(cap, kind))
        chosen: Any = self.criteria
        if isinstance(chosen, str):
            raise UsageError(
                f"got {chosen!r}, expected several names",
                where="criteria",
                hint=f"give ({chosen!r},)",
            )
        object.__setattr__(self, "criteria", tuple(dict.fromkeys(chosen)))
        for name in self.criteria:
            if name not in CRITERIA:
                raise UsageError(f"unknown criterion {name!r}", hint=nearest(name, CRITERIA))

    @property
    def has_costs(self) -> bool:
        """Whether questions cost anything but 1."""
        return bool(self.user_cost or self.item_cost)


def acquire(
    model: Askable,
    budget: float,
    *,
    strategy: str | Strategy = "auto",
    seed: int = 0,
    round: int = 1,
    config: AskConfig | None = None,
    asked: Any = (),
    exclude: Any = (),
    chance: AnswerChance | None = None,
) -> pa.Table:
    """The edges to ask about within `budget`, in the order in which the strategy picked them.

    Args:
        model: anything with `posterior`, `graph` and `known`. A recommender that has learned from no
            interaction yet is asked with by the graph's coverage.
        budget: number of questions where each costs 1, else the cost they may sum up to.
        strategy: a name that `find_strategy` knows, or a function of your own that keeps the
            contract of `strategies`; its picks are held against it.
        seed, round: the picks depend on both, and on nothing else but the model and the pool.
        asked: pairs (user, item) by id that were asked before, or a table with these columns: they are
            not asked again, and count towards the caps, as those do that the model was told of.
        exclude: further pairs that must not be asked.
        chance: how likely an answer is; certain by default.

    Returns:
        columns round, user, item (IRIs), utility, gain, coverage, answer_chance, cost where costs
        are given, and criterion.NAME for each of `config.criteria`; fewer rows than the budget where
        pool or caps are exhausted. `plan_of` reads from its metadata what was played.

    Raises:
        UsageError: budget not above 0, a seed or round that is no whole number, an unknown strategy or
            one that breaks the contract, a cost or weight that is none, or something without a
            posterior in the place of the model. UnknownIdError: an unknown id.
        DataError: the catalog has no users.
    """
    _check_budget(budget)
    seed, round = whole(seed, "seed", 0), whole(round, "round", 0)
    for name, value, kind in (("config", config, AskConfig), ("chance", chance, AnswerChance)):
        if value is not None and not isinstance(value, kind):
            raise UsageError(f"got {value!r:.60}, expected {kind.__name__}", where=name)
    if not callable(strategy):
        find_strategy(strategy)
    beliefs, config = beliefs_of(model), config or AskConfig()
    state = ask_state(beliefs, budget, config, seed, asked, exclude, chance)
    flat = isinstance(beliefs, View) and beliefs.flat
    rng = rng_for(seed, f"acquire, round {round}")
    picks, played = _play(strategy, state, budget, rng, flat)
    table = picks_table(picks, model.graph, round, state.pool if config.has_costs else None)
    for name in config.criteria:
        values = evaluate_pairs(CRITERIA[name], state, picks.user, picks.item)
        table = table.append_column(CRITERION + name, pa.array(values.astype(np.float64)))
    return table.replace_schema_metadata({PLAN: json.dumps(played.as_dict())})


def _check_budget(budget: Any) -> None:
    if not isinstance(budget, Real) or not 0 < float(budget) < np.inf:
        raise UsageError(f"budget is {budget!r}, expected a number above 0", where="budget")


def _play(
    strategy: str | Strategy, state: AskState, budget: float, rng: np.random.Generator, flat: bool
) -> tuple[Picks, Plan]:
    """The picks, and what was played for them; no picks where the pool is empty."""
    name = name_of(strategy)
    if not state.pool.size:
        return Picks.none(), Plan(name, name)
    if not isinstance(strategy, str):
        return held_to_contract(strategy, name)(state, budget, rng), Plan(name, name)
    played = played_without_beliefs(strategy, state) if flat else strategy
    picks = find_strategy(played)(state, budget, rng)
    return picks, replace(plan(played, state, budget), strategy=name)


def plan_of(table: pa.Table) -> dict[str, Any] | None:
    """What was played for these questions (`Plan.as_dict`); None where the table does not say."""
    found = (table.schema.metadata or {}).get(PLAN)
    return None if found is None else dict(json.loads(found))


def ask_state(
    model: Askable,
    budget: float,
    config: AskConfig,
    seed: int = 0,
    asked: Any = (),
    exclude: Any = (),
    chance: AnswerChance | None = None,
) -> AskState:
    """The model and the limits as a strategy sees them."""
    graph, posterior = model.graph, model.posterior
    panel = _chosen(graph, "user", config.users)
    answers = posterior.answers
    before = _codes(graph, asked)
    closed = np.union1d(before, _codes(graph, exclude))
    before = np.union1d(before, answers.user * graph.n_items + answers.item)
    items = _chosen(graph, "item", config.items)
    user_cost = node_factors(graph, "user", config.user_cost, "user_cost")
    item_cost = node_factors(graph, "item", config.item_cost, "item_cost")
    questions = budget / (_mean(user_cost, panel) * _mean(item_cost, items))
    share = 3.0 * (questions + len(before)) / max(len(panel), 1)
    pool = Pool.build(
        _with_pairs(model.known, closed),
        users=panel,
        items=items,
        user_keys=graph.users.vocabulary,
        item_keys=graph.items.vocabulary,
        user_cap=max(10, int(np.ceil(share))) if config.user_cap is None else config.user_cap,
        item_cap=config.item_cap,
        asked_user=np.bincount(before // graph.n_items, minlength=graph.n_users),
        asked_item=np.bincount(before % graph.n_items, minlength=graph.n_items),
        user_cost=user_cost,
        item_cost=item_cost,
        item_weight=node_factors(graph, "item", config.item_weight, "item_weight", least=0.0),
        chance=chance,
    )
    return AskState(
        posterior,
        pool,
        _targets(graph, config.targets, seed),
        profile=item_profile(graph),
        popularity=_likes(model),
        labels=np.bincount(answers.item, minlength=graph.n_items),
        coverage=config.coverage,
    )


def picks_table(picks: Picks, graph: Graph, round: int, costs: Pool | None = None) -> pa.Table:
    """Picks with IRIs, one row per question; with what each costs in a pool, if one is given."""
    users, items = graph.users.vocabulary, graph.items.vocabulary
    cost = {} if costs is None else {"cost": costs.cost(picks.user, picks.item)}
    return pa.table(
        {
            "round": pa.array(np.full(len(picks), round, np.int64)),
            "user": pa.array([users[int(u)] for u in picks.user], pa.string()),
            "item": pa.array([items[int(i)] for i in picks.item], pa.string()),
            "utility": picks.utility,
            "gain": picks.gain,
            "coverage": picks.coverage,
            "answer_chance": picks.answer_chance,
            **cost,
        }
    )


def _likes(model: Askable) -> Factors:
    """Known likes per item, those that were told included, (n_items,)."""
    graph, told = model.graph, model.posterior.answers
    said = Interactions.build(told.user, told.item, label=told.label == 1)
    liked = sum(rows.matrix(graph.n_users, graph.n_items) for rows in (graph.interactions, said))
    known = sp.csr_matrix(model.known).multiply(liked)
    return np.asarray((known > 0).sum(axis=0), np.float64).ravel()


def _chosen(graph: Graph, kind: str, names: Iterable[str] | None) -> IntArray:
    vocabulary = (graph.users if kind == "user" else graph.items).vocabulary
    if names is None:
        return np.arange(len(vocabulary), dtype=np.int64)
    return np.unique(vocabulary.indices(names, kind=kind))


def _targets(graph: Graph, names: Iterable[str] | None, seed: int) -> IntArray:
    """Sampled from the users in the order of their IRIs, so that numbering does not matter."""
    chosen = _chosen(graph, "user", names)
    if len(chosen) <= TARGETS:
        return chosen
    iris = graph.users.vocabulary
    ordered = np.array(sorted(chosen.tolist(), key=lambda user: iris[user]), np.int64)
    return rng_for(seed, "target users").choice(ordered, TARGETS, replace=False)


def _mean(values: Factors, chosen: IntArray) -> float:
    return float(values[chosen].mean()) if len(chosen) else 1.0


def _codes(graph: Graph, pairs: Any) -> IntArray:
    """user * n_items + item of pairs by id, sorted and distinct."""
    listed = as_pairs(pairs)
    users = graph.users.vocabulary.indices([user for user, _ in listed], kind="user")
    items = graph.items.vocabulary.indices([item for _, item in listed], kind="item")
    return np.unique(users * graph.n_items + items)


def _with_pairs(known: sp.csr_matrix, codes: IntArray) -> sp.csr_matrix:
    if not len(codes):
        return sp.csr_matrix(known)
    places = np.divmod(codes, known.shape[1])
    extra = sp.csr_matrix((np.ones(len(codes), np.float32), places), known.shape)
    return sp.csr_matrix(known + extra)
