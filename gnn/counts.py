"""How many users per item or group of items, fit to be given away: thresholds, noise, pseudonyms."""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from ..kg.errors import IntegrityError, StateError, UsageError, nearest
from ..kg.files import atomic_write, naming, read_sealed, write_sealed
from ..kg.split import PARTS
from ..kg.typed_fields import check_fields
from ..kg.vocabulary import IntArray
from .labels import corrections
from .runs import Run

LEDGER, KEY = "privacy.json", "pseudonyms.key"
BUDGET = 1.0  # of epsilon, where the first export names none
_LEAST_EPSILON = 1e-9  # per group; far below it the noise no longer fits 64 bits and cancels out


@dataclass(frozen=True)
class CountsConfig:
    """What is exported.

    Attributes:
        by: "item", or a relation of items, whose targets are the groups then.
        at_least: groups of fewer users are left out; judged by the noisy count where there is noise.
        epsilon: privacy loss of this export; 0 = exact counts.
        per_user: most groups that a user counts in, where there is noise.
        budget: epsilon of all exports together; None = as it was set, at first 1.
        pseudonymous: give groups by a keyed hash instead of their IRIs.
    """

    by: str = "item"
    at_least: int = 10
    epsilon: float = 0.0
    per_user: int = 1
    budget: float | None = None
    pseudonymous: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("at_least", "per_user"):
            if getattr(self, name) < 1:
                raise UsageError(f"must be at least 1, got {getattr(self, name)}", where=name)
        for name in ("epsilon", "budget"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise UsageError(f"must be a number of at least 0, got {value}", where=name)
        if 0 < self.epsilon / self.per_user < _LEAST_EPSILON:
            raise UsageError(
                f"{self.epsilon:g} for {self.per_user} groups per user leaves nothing but noise",
                where="epsilon",
                hint=f"give at least {_LEAST_EPSILON * self.per_user:g}, or 0 for exact counts",
            )


def counts(run: Run, config: CountsConfig) -> pa.Table:
    """Users with a positive interaction per group: columns group, users; the largest first.

    With epsilon > 0 the counts are differentially private for a user's whole data: a user counts in at
    most `per_user` groups, drawn at random, and each group of the catalog, empty ones too, gets
    two-sided geometric noise of parameter exp(-epsilon / per_user), the Laplace mechanism of whole
    numbers (Ghosh, Roughgarden, Sundararajan, STOC 2009). The noise is drawn from the system's
    randomness and cannot be repeated. What it costs is entered in the ledger before anything is counted.

    Raises:
        UsageError: there is no such relation of items. StateError: the budget does not cover epsilon.
    """
    names, groups = _groups(run, config.by)
    rng = np.random.default_rng(secrets.randbits(256))
    if config.epsilon > 0:
        spend(run, config)
    users = _members(run, groups)
    if config.epsilon > 0:
        users = _bounded(users, config.per_user, rng)
    found = np.asarray(users.sum(axis=0)).reshape(-1).astype(np.int64)
    if config.epsilon > 0:
        found += _noise(len(found), config.epsilon / config.per_user, rng)
    kept = np.flatnonzero(found >= config.at_least)
    kept = kept[np.argsort(-found[kept], kind="stable")]
    ids = [names[int(one)] for one in kept]
    if config.pseudonymous:
        key = pseudonym_key(run)
        ids = [pseudonym(key, iri) for iri in ids]
    return pa.table({"group": pa.array(ids, pa.string()), "users": pa.array(found[kept])})


def spend(run: Run, config: CountsConfig) -> float:
    """Enter an export in the run's ledger; returns what is left of the budget.

    Raises:
        StateError: the budget does not cover it, or is not the one that was set; nothing is entered.
        IntegrityError: the ledger cannot be read.
    """
    path = run.path / LEDGER
    ledger: dict[str, Any] = {"budget": BUDGET if config.budget is None else config.budget}
    ledger["spent"] = []
    if path.exists():
        ledger = read_sealed(path)
        try:
            left = float(ledger["budget"]) - sum(float(one["epsilon"]) for one in ledger["spent"])
        except (KeyError, TypeError, ValueError):
            raise IntegrityError("the ledger is not readable", where=str(path)) from None
        if config.budget not in (None, ledger["budget"]):
            raise StateError(
                f"the budget of this run is {ledger['budget']:g} and cannot be changed",
                where=str(path),
            )
    else:
        left = ledger["budget"]
    if not config.epsilon <= left + 1e-9:
        raise StateError(
            f"epsilon {config.epsilon:g} is more than the {max(left, 0):g} left of the budget",
            where=str(path),
            hint="ask for less; a budget that is spent does not come back",
        )
    now = datetime.now(UTC).isoformat(timespec="seconds")
    ledger["spent"].append({"time": now, "epsilon": config.epsilon, "by": config.by})
    write_sealed(path, ledger)
    return max(left - config.epsilon, 0.0)


def pseudonym_key(run: Run) -> bytes:
    """The run's key for pseudonyms, made when it is first needed; readable by its owner alone."""
    path = run.path / KEY
    if not path.exists():
        atomic_write(path, secrets.token_bytes(32), mode=0o600)
    with naming(path, "read"):
        key = path.read_bytes()
    if len(key) != 32:
        raise IntegrityError("this is no key", where=str(path))
    return key


def pseudonym(key: bytes, name: str) -> str:
    """A name's keyed hash (HMAC-SHA256, 80 bits): the same in all exports of a run."""
    return hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:20]


def _groups(run: Run, by: str) -> tuple[Sequence[str], sp.csr_matrix]:
    """Names of the groups, and which items are in them, binary (n_items, n_groups)."""
    graph = run.catalog.graph
    if by == "item":
        return graph.items.vocabulary, sp.eye(graph.n_items, dtype=np.int64, format="csr")
    relations = [key for key in graph.edges if key[0] == graph.item_type]
    chosen = [key for key in relations if key[1] == by]  # one for each type that it leads to
    if not chosen:
        raise UsageError(
            f"items have no relation {by!r}",
            where="by",
            hint=nearest(by, ["item", *(key[1] for key in relations)]),
        )
    names, members = [], []
    for key in chosen:
        index, target = graph.edges[key].index, graph.nodes[key[2]]
        ones = np.ones(index.shape[1], np.int64)
        names += list(target.vocabulary)
        members.append(sp.csr_matrix((ones, tuple(index)), (graph.n_items, len(target))))
    return names, sp.csr_matrix(sp.hstack(members))


def _members(run: Run, groups: sp.csr_matrix) -> sp.csr_matrix:
    """Which users like something of a group, binary (n_users, n_groups)."""
    graph = run.catalog.graph
    train, valid, test = (getattr(run.split, part) for part in PARTS)
    known = train.concat(valid).concat(test)
    for number in range(1, run.round + 1):  # a like that was taken back is none
        rows, corrected = corrections(known, run.labels(number), graph.n_items)
        known = known.select(~corrected).concat(rows)
    liked = known.matrix(graph.n_users, graph.n_items)
    members = sp.csr_matrix(sp.csr_matrix(liked > 0).astype(np.int64) @ groups)
    return sp.csr_matrix(members > 0).astype(np.int64)


def _bounded(members: sp.csr_matrix, most: int, rng: np.random.Generator) -> sp.csr_matrix:
    """At most so many groups of each user, drawn at random."""
    rows = np.repeat(np.arange(members.shape[0]), np.diff(members.indptr))
    order = np.lexsort((rng.random(len(rows)), rows))
    place = np.arange(len(rows)) - members.indptr[rows[order]]
    kept = order[place < most]
    ones = np.ones(len(kept), np.int64)
    return sp.csr_matrix((ones, (rows[kept], members.indices[kept])), members.shape)


def _noise(n: int, epsilon: float, rng: np.random.Generator) -> IntArray:
    """Two-sided geometric noise, P(k) proportional to exp(-epsilon |k|), (n,)."""
    chance = -math.expm1(-epsilon)
    return rng.geometric(chance, n).astype(np.int64) - rng.geometric(chance, n).astype(np.int64)
