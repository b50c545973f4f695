"""Simulated rounds: learning curves of strategies on any catalog, against random, with intervals."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..kg.cache import graph_hash
from ..kg.catalog import Catalog, graph_of
from ..kg.errors import UsageError, nearest
from ..kg.files import StrPath, read_json, safe_join, sha256_bytes, sha256_file, write_json
from ..kg.graph import Graph
from ..kg.typed_fields import check_fields
from .auto import KNOWN, OWN, find_strategy
from .own_strategy import held_to_contract
from .strategies import Strategy
from .summary import summarise
from .user_cold import build_town, check_strategy, interview_all
from .world import ALL, METRICS, build_world, play
from .world import PROTOCOLS as ITEM_PROTOCOLS

CUTS = (100, 200, 350, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000)
REACH = 32  # random's curve is followed up to so many times the largest budget
USER_COLD = "user-cold"
PROTOCOLS = (*ITEM_PROTOCOLS, USER_COLD)
# Strategies and budgets of the protocols that ask about cold items, and of the one that asks new users.
USUAL = (
    (("popularity", "predicted-popularity", "score-proportional", "auto"), (500, 1000, 2000)),
    (("popularity", "interview"), (5, 10, 15, 20)),
)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class SimulationConfig:
    """What is simulated.

    Attributes:
        protocol: a name of `PROTOCOLS`. strategies: names; random is always added. Empty = the
            protocol's usual ones.
        budgets: cumulative questions at which is measured, with `user-cold` those to each new user.
            Empty = the protocol's usual ones. seeds: one split each.
        at_least: positives an item (with `user-cold` a user) needs to be made cold.
    """

    protocol: str = "kg-coldstart-open"
    strategies: tuple[str, ...] = ()
    budgets: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    at_least: int = 20

    def __post_init__(self) -> None:
        if isinstance(self.strategies, list | tuple) and any(map(callable, self.strategies)):
            raise UsageError(
                "a strategy is a function, expected names",
                where="strategies",
                hint="give your own by name: simulate(catalog, config, own={'mine': function})",
            )
        check_fields(self)
        if self.protocol not in PROTOCOLS:
            raise UsageError(
                f"unknown protocol {self.protocol!r}", hint=nearest(self.protocol, PROTOCOLS)
            )
        strategies, budgets = USUAL[self.protocol == USER_COLD]
        object.__setattr__(self, "strategies", self.strategies or strategies)
        object.__setattr__(self, "budgets", self.budgets or budgets)
        for name in self.strategies:
            (check_strategy if self.protocol == USER_COLD else find_strategy)(name)
        if min(self.budgets) < 1 or len(set(self.budgets)) < len(self.budgets):
            raise UsageError(f"budgets are {self.budgets}, expected distinct numbers above 0")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UsageError(f"seeds are {self.seeds}, expected distinct numbers")


def simulate(
    catalog: Catalog | Graph,
    config: SimulationConfig | None = None,
    *,
    own: Mapping[str, Strategy] | None = None,
    workers: int = 1,
    folder: StrPath | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Play every strategy on every seed.

    Args:
        own: name -> strategy of your own, played beside those of the configuration, in this process;
            its outcomes are not kept, as nothing says when a function has changed.
        workers: processes; each plays whole seeds.
        folder: where finished seeds are kept; started again, only the others are played.
        progress: called with (done, all, what was finished).

    Returns:
        {"protocol", "budgets", "seeds", "left_out": seeds that hold out no like to measure by,
        "ceiling": {metric: x}, "prior": {metric: x}, "reference": random's longer curve,
        "strategies": {name: {"curve": {metric: [[value per budget] per seed]},
        "aulc_gain": {metric: {"mean", "low", "high"}},
        "aulc_against": {simple strategy: {metric: the same against it}},
        "labels_saved": {budget: x, or None below random's longer curve},
        "labels_saved_by": {metric: the same by that metric},
        "saved_at_least": {metric: {budget: whether that is only a lower bound}},
        "reaches_ceiling", "reaches_popularity": {metric: labels with which it has 90 % of the ceiling,
        or popularity's value at the largest budget, or None}}}, "verdict": sentences}. Gains are
        relative areas under the curve over log(budget) against random, paired by seed, with 95 % t
        intervals; low and high are None with one seed.

    Raises:
        UsageError: a wrong configuration. DataError: no item can be made cold, or nothing measured.
    """
    graph, config = graph_of(catalog), config or SimulationConfig()
    own = _checked_own(own or {}, config, alone=workers <= 1 and folder is None)
    names = list(dict.fromkeys(("random", *config.strategies, *own)))
    places = {} if folder is None else _places(folder, graph, config, names)
    results = _stored(places)
    waiting = [seed for seed in config.seeds if seed not in results]
    done = len(results)
    if progress and done:
        progress(done, len(config.seeds), f"{done} seeds were played before")
    for seed, outcome in _outcomes(graph, config, names, waiting, workers, own):
        results[seed] = outcome
        if seed in places:
            write_json(places[seed], outcome)
        done += 1
        if progress:
            progress(done, len(config.seeds), f"seed {seed}")
    return summarise(config, names, [results[seed] for seed in config.seeds])


def _checked_own(
    own: Mapping[str, Strategy], config: SimulationConfig, *, alone: bool
) -> dict[str, Strategy]:
    """Strategies of one's own, held to their contract."""
    if own and config.protocol == USER_COLD:
        raise UsageError(f"the protocol {USER_COLD} interviews, it plays no functions", where="own")
    if own and not alone:
        raise UsageError(
            "functions are played in this process, and their outcomes are not kept",
            where="own",
            hint="leave workers and folder out",
        )
    for name, strategy in own.items():
        if not callable(strategy):
            raise UsageError(
                f"{name!r} is {type(strategy).__name__}, expected a function", where="own"
            )
        if name in KNOWN:
            raise UsageError(f"there is a strategy {name!r} already", where="own")
    return {name: held_to_contract(strategy, name) for name, strategy in own.items()}


def play_seed(
    graph: Graph,
    config: SimulationConfig,
    names: Sequence[str],
    seed: int,
    own: Mapping[str, Strategy] | None = None,
) -> dict[str, Any]:
    """One seed: {"curves": {strategy: {metric: [...]}}, "ceiling", "prior", "reference"}."""
    if config.protocol == USER_COLD:
        return _play_users(graph, config, names, seed)
    world = build_world(graph, config.protocol, seed, at_least=config.at_least)
    budgets = sorted(config.budgets)
    cuts = sorted({*budgets, *(cut for cut in CUTS if cut < budgets[-1])})
    size = len(world.case.panel_users) * len(world.case.cold_items)
    if world.rated_only:
        size = len(world.case.answers)
    if budgets[-1] > size // 2:
        raise UsageError(
            f"a budget of {budgets[-1]} is more than half of the pool of {size} pairs",
            where="budgets",
            hint=f"give budgets up to {size // 2}",
        )
    played = {name: (own or {}).get(name) or find_strategy(name) for name in names}
    curves = {name: play(world, strategy, cuts, budgets) for name, strategy in played.items()}
    far = _far_cuts(budgets[0], min(REACH * budgets[-1], size // 2))
    reference = play(world, find_strategy("random"), far, far)
    return {
        "curves": curves,
        "ceiling": world.ceiling(),
        "prior": world.measure(world.posterior),
        "reference": {"labels": far, **reference},
    }


def _play_users(
    graph: Graph, config: SimulationConfig, names: Sequence[str], seed: int
) -> dict[str, Any]:
    """The same where new users are asked."""
    town = build_town(graph, seed, at_least=config.at_least)
    budgets = sorted(config.budgets)
    far = _far_cuts(budgets[0], min(REACH * budgets[-1], len(town.asked)))
    return {
        "curves": {name: interview_all(town, name, budgets) for name in names},
        "ceiling": town.ceiling(),
        "prior": town.measure([town.population.newcomer()] * len(town.likes)),
        "reference": {"labels": far, **interview_all(town, "random", far)},
    }


def _far_cuts(first: int, last: int) -> list[int]:
    count = max(2, round(np.log2(last / max(first / 4, 1)) * 2) + 1)
    return sorted({round(v) for v in np.geomspace(max(first / 4, 1), last, count)})


def _outcomes(
    graph: Graph,
    config: SimulationConfig,
    names: list[str],
    seeds: list[int],
    workers: int,
    own: Mapping[str, Strategy],
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each seed with its outcome, as soon as it is played."""
    if workers <= 1 or len(seeds) <= 1:
        for seed in seeds:
            yield seed, play_seed(graph, config, names, seed, own)
        return
    context, others = get_context("spawn"), set(active_children())
    with ProcessPoolExecutor(min(workers, len(seeds)), mp_context=context) as executor:
        with _workers_deaf():
            jobs = {executor.submit(play_seed, graph, config, names, seed): seed for seed in seeds}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            for worker in {*active_children()} - others:  # a seed takes minutes
                worker.kill()
            raise


@contextmanager
def _workers_deaf() -> Iterator[None]:
    """Processes started here leave Ctrl-C, which a terminal sends to all, to the one that started them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _places(
    folder: StrPath, graph: Graph, config: SimulationConfig, names: list[str]
) -> dict[int, Path]:
    """Where each finished seed is kept; what its outcome depends on is in the file's name."""
    policies = [sha256_file(name.removeprefix(OWN)) for name in names if name.startswith(OWN)]
    told = [config.protocol, names, policies, sorted(config.budgets), config.at_least]
    told += [METRICS, ALL, graph.name, graph_hash(graph), __version__]
    key = sha256_bytes(repr(told).encode())[:16]
    return {seed: safe_join(folder, f"seed-{seed}-{key}.json") for seed in config.seeds}


def _stored(places: dict[int, Path]) -> dict[int, dict[str, Any]]:
    """The outcomes that were kept, by seed."""
    found = {seed: read_json(path) for seed, path in places.items() if path.exists()}
    return {seed: outcome for seed, outcome in found.items() if isinstance(outcome, dict)}
