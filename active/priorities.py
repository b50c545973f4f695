"""Priorities from the knowledge graph: which items to ask about more, less, or never.

A rule is SELECTOR:FACTOR. The factor multiplies the worth of a question; 0 forbids it. Selectors:

    genre=Horror          items with the relation `genre` to that node: its IRI, original id or title
    genre=*               items with any such relation
    habit=climbing        items whose category `habit` has that value
    year>=2000            items whose number is so; also <= and =
    added>=2000-12-31     items whose date is so
    @seasonal.rq          a SPARQL SELECT over the catalog's store: ?item, and ?weight in the factor's
                          place where it has that column

Several rules about an item multiply, and so do the weights of one that a query gives several times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ..kg.errors import DataError, UsageError, nearest
from ..kg.graph import Graph
from ..kg.writing import naming

Array = npt.NDArray[np.float64]
Select = Callable[[str], pa.Table]
_RULE = re.compile(r"(?P<name>[^=<>]+?)\s*(?P<sign>>=|<=|=)\s*(?P<value>.+)", re.S)
_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Rule:
    """One rule, taken apart.

    Attributes:
        text: as it was given. selector: which items; after an @ the file of a query.
        factor: of their priority; None where the query gives it.
    """

    text: str
    selector: str
    factor: float | None


def item_weights(
    graph: Graph,
    rules: Sequence[str],
    select: Select | None = None,
    *,
    dates: Collection[str] | None = None,
) -> dict[str, float]:
    """Item IRI -> priority, for the items that any rule names; for `AskConfig.item_weight`.

    Args:
        select: answers a SELECT query, such as a store's `select`; needed for rules with @.
        dates: which of the items' numbers are dates by the schema; None = not known, so that each
            takes both. The graph has both as numbers.

    Raises:
        UsageError: a rule that cannot be read, an unknown relation or feature. DataError: no item
        answers a rule. ResourceError: a query file cannot be read.
    """
    weight, named = np.ones(graph.n_items), np.zeros(graph.n_items, bool)
    for rule in map(parse, rules):
        factors = (
            _queried(graph, rule, select)
            if rule.selector[0] == "@"
            else _matched(graph, rule, dates)
        )
        touched = ~np.isnan(factors)
        if not touched.any():
            raise DataError("no item answers this rule", where=f"weight {rule.text!r}")
        weight[touched] *= factors[touched]
        named |= touched
    items = graph.items.vocabulary
    return {items[int(item)]: float(weight[item]) for item in np.flatnonzero(named)}


def parse(text: str) -> Rule:
    """A rule's parts; UsageError where it has none."""
    selector, _, last = text.rpartition(":")
    try:
        factor: float | None = float(last)
    except ValueError:
        selector, factor = text, None
    selector = selector.strip()
    if factor is not None and not (np.isfinite(factor) and factor >= 0):
        raise _wrong(text, f"the factor is {factor}, expected at least 0")
    if not selector or (selector[0] == "@" and not selector[1:]):
        raise _wrong(text, "it selects nothing")
    if selector[0] != "@" and factor is None:
        raise _wrong(text, "it has no factor")
    if selector[0] != "@" and not _RULE.fullmatch(selector):
        raise _wrong(text, f"{selector!r} is no condition")
    return Rule(text, selector, factor)


def _matched(graph: Graph, rule: Rule, dates: Collection[str] | None) -> Array:
    """The factor where a condition holds, NaN elsewhere, (n_items,)."""
    found = _RULE.fullmatch(rule.selector)
    assert found is not None
    name, sign, value = found["name"], found["sign"], found["value"].strip()
    items = graph.items
    relations = [kind for kind in graph.edges if kind[1] == name and kind[0] == graph.item_type]
    if name in items.numbers:
        bound = _number(rule, value, name, dates)
        holds = _compared(items.numbers[name], sign, bound)
    elif sign != "=":
        known = sorted(items.numbers)
        raise _wrong(rule.text, f"{name!r} is no number", hint=nearest(name, known))
    elif name in items.categories:
        category = items.categories[name]
        codes = [code for code, own in enumerate(category.names) if value in ("*", own)]
        holds = np.isin(category.codes, codes)
    elif relations:
        holds = np.zeros(graph.n_items, bool)
        for kind in relations:
            source, target = graph.edges[kind].index
            holds[source[np.isin(target, _nodes(graph, kind[2], value, rule))]] = True
    else:
        known = [*items.numbers, *items.categories]
        known += sorted({kind[1] for kind in graph.edges if kind[0] == graph.item_type})
        raise _wrong(rule.text, f"items have no {name!r}", hint=nearest(name, known))
    return np.where(holds, float(rule.factor or 0.0), np.nan)


def _compared(values: npt.NDArray[np.float32], sign: str, bound: float) -> npt.NDArray[np.bool_]:
    # In the column's precision, or 0.1 in the data would not equal 0.1 in the rule.
    limit = np.float32(bound)
    if sign == ">=":
        return np.asarray(values >= limit)
    return np.asarray(values <= limit if sign == "<=" else values == limit)


def _number(rule: Rule, value: str, name: str, dates: Collection[str] | None) -> float:
    """A number, or a date as days since 1970-01-01, as the graph has it."""
    try:
        number = float(value)
    except ValueError:
        pass
    else:
        if dates is not None and name in dates:
            hint = f"say {name}>=2000-12-31"
            raise _wrong(rule.text, f"{name!r} is a date, and {value!r} is a number", hint=hint)
        return number
    try:
        days = float((date.fromisoformat(value) - _EPOCH).days)
    except ValueError:
        raise _wrong(rule.text, f"{value!r} is neither a number nor a date") from None
    if dates is not None and name not in dates:
        hint = f"say {name}>=2000, or make it date.{name} in the schema"
        raise _wrong(rule.text, f"{name!r} is a number, and {value!r} is a date", hint=hint)
    return days


def _nodes(graph: Graph, kind: str, value: str, rule: Rule) -> npt.NDArray[np.int64]:
    """Nodes of a type by IRI, original id or title; all of them for *."""
    nodes = graph.nodes[kind]
    if value == "*":
        return np.arange(len(nodes))
    by_id = nodes.vocabulary.find(value)
    if by_id >= 0:
        return np.array([by_id])
    titled = np.array([k for k, title in enumerate(nodes.titles) if title == value], np.int64)
    if not len(titled):
        raise DataError(
            f"no {kind} is called {value!r}",
            where=f"weight {rule.text!r}",
            hint=nearest(value, sorted(set(nodes.titles))),
        )
    return titled


def _queried(graph: Graph, rule: Rule, select: Select | None) -> Array:
    """The factors that a query gives, NaN for items it does not name, (n_items,)."""
    path = Path(rule.selector[1:])
    if select is None:
        raise UsageError("a catalog in memory answers no query", where=f"weight {rule.text!r}")
    with naming(path, "read"):
        raw = path.read_bytes()
    try:
        query = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 text at byte {error.start}", where=str(path)) from None
    table = select(query)
    if "item" not in table.column_names:
        raise UsageError("the query selects no ?item", where=str(path))
    weighted = "weight" in table.column_names
    if not weighted and rule.factor is None:
        hint = f"say --weight {rule.selector}:0, or select ?weight too"
        raise UsageError(
            "neither the query nor the rule gives a weight", where=str(path), hint=hint
        )
    factors = np.full(graph.n_items, np.nan)
    places = graph.items.vocabulary.indices(table["item"].to_pylist(), missing="mark")
    values = table["weight"].to_pylist() if weighted else [str(rule.factor)] * len(places)
    for place, value in zip(places, values, strict=True):
        if place < 0 or value == "":
            continue  # the query may name more than the catalog's items
        try:
            factor = float(value)
        except ValueError:
            raise DataError(f"the weight {value[:40]!r} is no number", where=str(path)) from None
        if not (np.isfinite(factor) and factor >= 0):
            raise DataError(f"a weight is {value}, expected at least 0", where=str(path))
        # Of one item several weights multiply; a rule's own factor counts once.
        before = factors[place] if weighted else np.nan
        factors[place] = factor if np.isnan(before) else before * factor
    return factors


def _wrong(text: str, what: str, *, hint: str = "") -> UsageError:
    return UsageError(
        what,
        where=f"weight {text!r}",
        hint=hint or "say genre=Horror:0, year>=2000:2 or @file.rq:0",
    )
