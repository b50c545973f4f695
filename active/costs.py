"""What questions cost, from a table: per user, per item, or both."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..kg.errors import DataError
from ..kg.files import StrPath, read_table
from .answers import first_line


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
    # As text: one bad cell would make the whole column text, and the first row the culprit.
    table = read_table(path, text=("user", "item", "cost"))
    names = table.column_names
    if "cost" not in names or not {"user", "item"} & set(names):
        raise DataError(
            f"there are the columns {', '.join(names)}", where=str(path),
            hint="needed: cost, and user or item",
        )  # fmt: skip
    found = Costs()
    for line, row in enumerate(table.to_pylist(), first_line(path)):
        user, item = row.get("user") or "", row.get("item") or ""
        if bool(user) == bool(item):
            raise DataError(
                "a cost is of one user or of one item",
                where=f"{path}:{line}",
                hint="a question costs its user's times its item's cost",
            )
        kind, name = (found.user, user) if user else (found.item, item)
        if name in kind:
            raise DataError(f"{name!r} stands twice", where=f"{path}:{line}")
        kind[name] = _cost(row["cost"], f"{path}:{line}")
    return found


def _cost(value: object, where: str) -> float:
    try:
        cost = float(str(value))
    except ValueError:
        cost = math.nan
    if math.isfinite(cost) and cost > 0:
        return cost
    raise DataError(f"cost is {value!r}, expected a number above 0", where=where)
