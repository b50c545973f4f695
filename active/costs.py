"""What questions cost: factors per user, per item, or both, from a table or by id."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..kg.errors import DataError, UsageError
from ..kg.files import StrPath
from ..kg.graph import Graph
from ..kg.in_memory import numbers_by_id
from .table_rows import numbered_rows, text_of

if TYPE_CHECKING:
    from .acquire import AskConfig

Factors = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Costs:
    """Cost factors by id; a question costs its user's times its item's, 1 where nothing is said."""

    user: dict[str, float] = field(default_factory=dict)
    item: dict[str, float] = field(default_factory=dict)


def read_costs(path: StrPath) -> Costs:
    """Columns cost and user, or item, or both of them with one left empty in each row.

    Raises:
        DataError: a column is missing; a row names none or both; an id stands twice; a cost is no
            number above 0. ParseError, ResourceError: the file cannot be read.
    """
    found = Costs()
    for line, row in numbered_rows(path, ("cost",), "costs"):
        where = f"{path}:{line}"
        if isinstance(row, str):
            raise DataError(row, where=where)
        user, item = text_of(row.get("user")), text_of(row.get("item"))
        if bool(user) == bool(item):
            raise DataError(
                "a cost is of one user or of one item, in a column user or item",
                where=where,
                hint="a question costs its user's times its item's cost",
            )
        kind, name = (found.user, user) if user else (found.item, item)
        if name in kind:
            raise DataError(f"{name!r} stands twice", where=where)
        kind[name] = _cost(row.get("cost"), where)
    return found


def node_factors(
    graph: Graph,
    kind: str,
    values: Mapping[str, float] | None,
    where: str,
    *,
    least: float | None = None,
) -> Factors:
    """One number per user or item (`kind`), 1 where `values` gives none, (n,).

    Args:
        where: what errors call the numbers.
        least: the smallest that may be given; None = it must be above 0.

    Raises:
        UsageError: one is no number, not above 0, or below `least`; one stands twice, by IRI and original id.
        UnknownIdError: an id that the catalog does not have.
    """
    vocabulary = (graph.users if kind == "user" else graph.items).vocabulary
    column, given = np.ones(len(vocabulary)), np.zeros(len(vocabulary), bool)
    numbers = {} if values is None else numbers_by_id(values, where)
    for name, place in zip(numbers, vocabulary.indices(numbers, kind=kind), strict=True):
        number = numbers[name]
        if not np.isfinite(number) or not (number > 0 if least is None else number >= least):
            bound = "above 0" if least is None else f"from {least:g} on"
            raise UsageError(
                f"{kind} {name!r} has {number:g}, expected a number {bound}", where=where
            )
        if given[place]:
            raise UsageError(
                f"{kind} {vocabulary[int(place)]!r} has a number twice, by two names", where=where
            )
        column[place], given[place] = number, True
    return column


def costs_of(graph: Graph, config: AskConfig, pairs: Iterable[tuple[str, str]]) -> list[float]:
    """What asking about each pair (user, item) of IRIs costs."""
    listed = list(pairs)
    users = graph.users.vocabulary.indices((user for user, _ in listed), kind="user")
    items = graph.items.vocabulary.indices((item for _, item in listed), kind="item")
    of_user = node_factors(graph, "user", config.user_cost, "user_cost")
    of_item = node_factors(graph, "item", config.item_cost, "item_cost")
    return [float(cost) for cost in of_user[users] * of_item[items]]


def _cost(value: object, where: str) -> float:
    try:
        cost = float(str(value))
    except ValueError:
        cost = math.nan
    if math.isfinite(cost) and cost > 0:
        return cost
    hint = "write decimals with a point, as 2.5" if "," in str(value) else ""
    raise DataError(f"cost is {value!r}, expected a number above 0", where=where, hint=hint)
