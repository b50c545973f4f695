"""What building a graph found: counts, problems (capped, with totals), and what was not used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .problems import Problem

LISTED_PER_KIND = 100


@dataclass(frozen=True)
class Report:
    """The outcome of reading a source through a schema.

    Attributes:
        triples: distinct statements read (for tables: that the same rows amount to as RDF).
        duplicates: repeated statements or rows that were left out.
        nodes, edges: node type -> count; relation or event -> count.
        problems: at most `LISTED_PER_KIND` of each kind and property, then one line with the total.
        totals: (kind, property) -> number of problems found, listed or not.
        unused: property IRI -> statements that the schema does not speak of.
        same_as: sizes of the merged components, largest first.
    """

    triples: int
    duplicates: int
    nodes: Mapping[str, int]
    edges: Mapping[str, int]
    problems: tuple[Problem, ...] = ()
    totals: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unused: Mapping[str, int] = field(default_factory=dict)
    same_as: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The object of `--json`."""
        problems = [problem.as_dict() for problem in self.problems]
        return {
            "triples": self.triples,
            "duplicates": self.duplicates,
            "nodes": dict(self.nodes),
            "edges": dict(self.edges),
            "problems": problems,
            "totals": count_kinds(problems),
            "unused": dict(self.unused),
            "same_as": list(self.same_as),
        }


def count_kinds(problems: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Kind -> number of findings, those that are not listed too; `problems` as in `--json`."""
    kinds: dict[str, int] = {}
    for problem in problems:
        kinds[problem["kind"]] = kinds.get(problem["kind"], 0) + problem.get("count", 1)
    return kinds


def merged_problems(
    first: Iterable[dict[str, Any]], second: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The problems of two readings of one catalog, as in `--json`; what both found stands once.

    Both word some findings differently: those of one kind, term and property are the same one. Of
    two lines that close the same group, the one that counts more stands.
    """

    def place(problem: dict[str, Any]) -> tuple[str, str, str]:
        return problem["kind"], problem["iri"], problem["property"]

    out = [dict(problem) for problem in first]
    known = {place(problem): problem for problem in out}
    for problem in second:
        twin = known.get(place(problem)) if problem["iri"] or problem["count"] > 1 else None
        if twin is None:
            out.append(problem)
        elif problem["count"] > twin.get("count", 1):
            twin.update(problem)
    return list({tuple(sorted(one.items())): one for one in out}.values())


class Findings:
    """Collects problems while a graph is built; keeps the first of each kind and counts the rest."""

    def __init__(self) -> None:
        self._listed: dict[tuple[str, str], list[Problem]] = {}
        self.totals: dict[tuple[str, str], int] = {}

    def room(self, kind: str, property: str) -> int:
        """How many more problems of this kind and property are worth spelling out."""
        return LISTED_PER_KIND - len(self._listed.get((kind, property), ()))

    def add(self, kind: str, property: str, total: int, listed: Iterable[Problem]) -> None:
        """Count `total` problems and keep as many of `listed` as there is room for."""
        if total:
            key = (kind, property)
            self.totals[key] = self.totals.get(key, 0) + total
            room = self.room(kind, property)
            self._listed.setdefault(key, []).extend(list(listed)[:room])

    def problems(self) -> tuple[Problem, ...]:
        """All kept problems by kind and property, each group closed by its total where cut."""
        out: list[Problem] = []
        for (kind, name), listed in sorted(self._listed.items()):
            out += sorted(listed, key=lambda p: (p.iri, p.where, p.message))
            more = self.totals[kind, name] - len(listed)
            if more:
                out.append(Problem(kind, "", name, "", f"and {more} more of this kind", more))
        return tuple(out)
