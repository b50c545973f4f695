"""A world with a known truth: users with tastes, items with attributes, and the events that follow.

    utility(u, i) = a taste(u) . attributes(i) + c hidden taste(u) . hidden(i)
                  + t taste for traits(u) . traits(i) + p popularity(i) + noise

Attributes stand in the knowledge graph, traits only in the text, the hidden part in neither: that is
what collaborative models alone can learn. Each term has unit variance over all pairs before its weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..kg.split import rng_for
from ..kg.vocabulary import IntArray
from .seed_words import COLOURS, HABITS, TAXA, TRAITS, USES, ZONES

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
_DIM, _HIDDEN, _GROUPS = 8, 6, 6


@dataclass(frozen=True)
class PlantedConfig:
    """How many, and how strongly each part of a taste counts.

    Attributes:
        users, items, events: sizes; `events` is about how many the catalog shows.
        breeders: number of breeders.
        cold_share: share of the items that no one has an event with in the training part.
        attributes, hidden, traits, popularity, noise: weights of the terms of utility.
        exposure: how strongly utility (beside popularity) decides what a user comes across.
        random_kg: shuffle attributes and texts among the items, so that they tell nothing.
    """

    users: int = 600
    items: int = 900
    events: int = 25_000
    breeders: int = 40
    cold_share: float = 0.3
    attributes: float = 1.0
    hidden: float = 0.9
    traits: float = 0.6
    popularity: float = 0.8
    noise: float = 0.5
    exposure: float = 1.0
    random_kg: bool = False


@dataclass(frozen=True)
class Plants:
    """Attributes per item: codes int64 (n,), -1 = missing, or boolean (n, values) for several."""

    genus: IntArray
    colours: Bools
    uses: Bools
    zone: IntArray
    breeder: IntArray
    habit: IntArray
    traits: Bools
    height: Floats
    price: Floats

    def shuffled(self, order: IntArray) -> Plants:
        """All attributes of item order[i] given to item i."""
        return Plants(**{name: getattr(self, name)[order] for name in self.__dataclass_fields__})


@dataclass(frozen=True)
class World:
    """Everything that is written down, and what is kept back.

    Attributes:
        plants: the attributes as the catalog shows them (shuffled if `random_kg`).
        zone, skill: what is known of each user.
        user, item, stars, time: all events (n,), the hidden ones included; sorted by user, time.
        part: of each event: 0 train, 1 valid, 2 test, 3 kept back (panel users on cold items).
        cold_items: sorted item indices.
        panel: sorted indices of the users who may be asked about cold items.
    """

    config: PlantedConfig
    plants: Plants
    zone: IntArray
    skill: IntArray
    user: IntArray
    item: IntArray
    stars: IntArray
    time: IntArray
    part: IntArray
    cold_items: IntArray
    panel: IntArray


def genera() -> list[tuple[str, str, str]]:
    """(genus, family, order), in the order of the codes."""
    return [
        (genus, family, order)
        for order, families in TAXA.items()
        for family, names in families.items()
        for genus in names
    ]


def make_world(config: PlantedConfig, seed: int) -> World:
    """Draw a world; the same config and seed give the same world."""
    plants = _plants(config, rng_for(seed, "plants"))
    zone = rng_for(seed, "user zones").integers(0, len(ZONES), config.users)
    utility, popularity, skill = _utility(config, plants, zone, rng_for(seed, "tastes"))
    user, item = _exposures(config, utility, popularity, rng_for(seed, "exposures"))
    rng = rng_for(seed, "events")
    opinion = utility[user, item] + config.noise * rng.normal(size=len(user))
    stars = np.clip(np.round(2.7 + 0.85 * opinion), 1, 5).astype(np.int64)
    time = _times(user, config.users, rng)
    cold = np.sort(rng.permutation(config.items)[: round(config.cold_share * config.items)])
    panel = np.sort(rng.permutation(config.users)[: config.users // 2])
    part = _parts(user, item, cold, panel, rng)
    if config.random_kg:
        plants = plants.shuffled(rng.permutation(config.items))
    rows = np.lexsort((time, user))
    return World(
        config, plants, zone, skill, user[rows], item[rows], stars[rows], time[rows], part[rows], cold, panel
    )  # fmt: skip


def _plants(config: PlantedConfig, rng: np.random.Generator) -> Plants:
    n = config.items
    genus = _skewed(len(genera()), n, rng, 0.6)
    colours = _several(n, len(COLOURS), rng, (0.75, 0.25))
    breeder = _skewed(config.breeders, n, rng, 1.0)
    breeder[rng.random(n) < 0.05] = -1
    price = np.round(np.exp(rng.normal(1.1, 0.4, n)) * 20) / 20
    price[rng.random(n) < 0.1] = np.nan
    return Plants(
        genus=genus,
        colours=colours,
        uses=_several(n, len(USES), rng, (0.4, 0.4, 0.2)),
        zone=rng.integers(0, len(ZONES), n),
        breeder=breeder,
        habit=rng.integers(0, len(HABITS), n),
        traits=rng.random((n, len(TRAITS))) < 0.3,
        height=np.round(np.exp(rng.normal(4.0, 0.5, n)) / 5) * 5,
        price=price,
    )


def _skewed(values: int, n: int, rng: np.random.Generator, power: float) -> IntArray:
    """n codes below `values`, their frequencies falling like 1 / rank^power."""
    weight = 1.0 / np.arange(1, values + 1) ** power
    order = rng.permutation(values)
    return np.asarray(order[rng.choice(values, n, p=weight / weight.sum())], np.int64)


def _several(n: int, values: int, rng: np.random.Generator, chances: tuple[float, ...]) -> Bools:
    """(n, values): each row has 1, 2, ... true values, with these chances."""
    wanted = 1 + rng.choice(len(chances), n, p=chances)
    rank = rng.random((n, values)).argsort(axis=1).argsort(axis=1)
    return np.asarray(rank < wanted[:, None])


def _utility(
    config: PlantedConfig, plants: Plants, zone: IntArray, rng: np.random.Generator
) -> tuple[Floats, Floats, IntArray]:
    """Utility (users, items) without popularity, popularity (items,), skill of the users."""
    attributes, fame = _attribute_vectors(config, plants, rng)
    group = rng.integers(0, _GROUPS, config.users)
    centre = rng.normal(size=(_GROUPS, attributes.shape[1]))
    taste = 0.8 * centre[group] + 0.6 * rng.normal(size=(config.users, attributes.shape[1]))
    at_home = (zone[:, None] == plants.zone[None, :]).astype(float)
    known = _unit(_unit(taste @ attributes.T) + 0.3 * _unit(at_home))
    hidden_taste = rng.normal(size=(config.users, _HIDDEN))
    hidden = _unit(hidden_taste @ rng.normal(size=(_HIDDEN, config.items)))
    wishes = rng.normal(size=(config.users, len(TRAITS))) + 0.5
    traits = _unit(wishes @ (plants.traits - 0.3).T)
    skill = np.clip(np.round(1 + rng.normal(size=config.users) * 0.5 + 0.5 * wishes[:, 0]), 0, 2)
    utility = config.attributes * known + config.hidden * hidden + config.traits * traits
    popularity = _unit(0.4 * fame + 0.8 * rng.normal(size=config.items))
    return utility, popularity, skill.astype(np.int64)


def _attribute_vectors(
    config: PlantedConfig, plants: Plants, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """One vector per item from its attributes (items, d), and the fame these bring (items,)."""
    taxa = genera()
    orders = {name: rng.normal(size=_DIM) for name in TAXA}
    families = {family: rng.normal(size=_DIM) for _, family, _ in taxa}
    genus = np.array(
        [0.5 * orders[o] + 0.6 * families[f] + 0.6 * rng.normal(size=_DIM) for _, f, o in taxa]
    )
    colour, use = rng.normal(size=(len(COLOURS), _DIM)), rng.normal(size=(len(USES), _DIM))
    breeder = np.vstack([rng.normal(size=(config.breeders, _DIM)), np.zeros(_DIM)])
    habit = rng.normal(size=(len(HABITS), _DIM))
    vectors = (
        1.0 * genus[plants.genus]
        + 0.8 * plants.colours @ colour / np.sqrt(plants.colours.sum(1, keepdims=True))
        + 0.8 * plants.uses @ use / np.sqrt(plants.uses.sum(1, keepdims=True))
        + 0.6 * breeder[plants.breeder]
        + 0.4 * habit[plants.habit]
    )
    fame = np.append(rng.normal(size=config.breeders), 0.0)[plants.breeder]
    fame = (
        fame
        + plants.colours @ rng.normal(size=len(COLOURS))
        + plants.uses @ rng.normal(size=len(USES))
    )
    return vectors, _unit(fame)


def _unit(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / (values.std() + 1e-9))


def _exposures(
    config: PlantedConfig, utility: Floats, popularity: Floats, rng: np.random.Generator
) -> tuple[IntArray, IntArray]:
    """What each user came across: Gumbel top-k on popularity and utility, k by activity."""
    # Half of the events on cold items are kept back.
    total = config.events / (1.0 - 0.5 * config.cold_share)
    activity = np.exp(rng.normal(0.0, 0.7, config.users))
    count = np.clip(activity / activity.mean() * total / config.users, 5, config.items * 0.5)
    users, items = [], []
    for user in range(config.users):
        appeal = config.popularity * 1.5 * popularity + config.exposure * utility[user]
        appeal = appeal + rng.gumbel(size=config.items)
        k = int(count[user])
        chosen = np.argpartition(-appeal, k)[:k]
        items.append(np.sort(chosen))
        users.append(np.full(k, user))
    return np.concatenate(users), np.concatenate(items)


def _times(user: IntArray, n_users: int, rng: np.random.Generator) -> IntArray:
    """Seconds since 1970: each user starts on a day of 2021-2023 and goes on for up to a year."""
    start = 1_609_459_200 + rng.integers(0, 3 * 365, n_users) * 86_400
    return np.asarray(start[user] + rng.integers(0, 365 * 86_400, len(user)), np.int64)


def _parts(
    user: IntArray, item: IntArray, cold: IntArray, panel: IntArray, rng: np.random.Generator
) -> IntArray:
    part = rng.choice(3, len(user), p=(0.8, 0.1, 0.1))
    is_cold, asked = np.isin(item, cold), np.isin(user, panel)
    part[is_cold & ~asked] = 2
    part[is_cold & asked] = 3
    return np.asarray(part, np.int64)
