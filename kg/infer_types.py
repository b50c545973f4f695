"""What statements say of node types: classes, the properties of their nodes, kinds of literals."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .ids import sorted_distinct
from .infer import IDENTIFIER, plain_name, unique_name
from .literals import parse_numbers, parse_times
from .quads import CodeArray, Quads
from .schema import RDF_TYPE
from .vocabulary import IntArray, local_name

SAMPLE = 20_000  # literals of one property that are looked at
SEVERAL = "several values per node"
MOST = 0.95  # a rule holds if it does for this share
SMALL = 0.02  # properties that fewer nodes of a type have are left out
_NOT_TYPES = (
    "http://www.w3.org/2002/07/owl#NamedIndividual",
    "http://www.w3.org/2000/01/rdf-schema#Resource",
)


@dataclass(frozen=True)
class Use:
    """One property as the nodes of one type use it.

    Attributes:
        subjects: distinct subjects of the type; rows: statements.
        literal: statements with a literal; targets: node type (-1 = none) -> statements.
    """

    property: str
    rows: npt.NDArray[np.int64]
    subjects: int
    literal: int
    targets: dict[int, int]


class Types:
    """Node types found by class, and which of them are only inner nodes.

    Attributes:
        of: type of every term, (n_terms,) int32, -1 = none.
        classes, names, count, uses: of each type: its class, a readable name, nodes, properties.
        hidden: types whose nodes are parts of another node, not things.
        joined: type -> the one that has taken its nodes.
    """

    def __init__(self, quads: Quads) -> None:
        self.quads = quads
        self.of = np.full(len(quads.terms), -1, np.int32)
        self.classes: list[str] = []
        rows = quads.rows_of(RDF_TYPE)
        subjects, classes = quads.s[rows], quads.o[rows]
        found, counts = np.unique(classes[classes >= 0], return_counts=True)
        by_class = subjects[np.argsort(classes, kind="stable")]
        start = len(classes) - np.cumsum(counts[::-1])[::-1]  # literals, below zero, come first
        for place in np.argsort(-counts, kind="stable"):
            iri = quads.term(int(found[place]))
            members = by_class[start[place] : start[place] + counts[place]]
            free = members[self.of[members] < 0]
            if iri in _NOT_TYPES or len(free) < 0.1 * len(members):
                continue
            self.of[free] = len(self.classes)
            self.classes.append(iri)
        named: dict[str, str] = {}
        for iri in self.classes:
            named[unique_name(plain_name(local_name(iri)), named)] = iri
        self.names = list(named)
        self.joined: dict[int, int] = {}
        self._pointed = np.bincount(quads.o[quads.o >= 0], minlength=len(quads.terms))
        self._look()

    def _look(self) -> None:
        self.count = np.bincount(self.of[self.of >= 0], minlength=len(self.classes))
        self._by_type = np.argsort(self.of, kind="stable")
        self._start = len(self.of) - np.cumsum(self.count[::-1])[::-1]
        self.uses = self._all_uses()
        self.hidden = {k for k in range(len(self.classes)) if self._is_hidden(k)}

    def join(self, groups: Iterable[Collection[int]]) -> None:
        """Make one type of each group that has several: the largest takes the others' nodes."""
        for group in groups:
            kinds = {self.joined.get(kind, kind) for kind in group}
            main = max(kinds, key=lambda kind: (self.count[kind], -kind))
            self.of[np.isin(self.of, list(kinds - {main}))] = main
            self.joined |= dict.fromkeys(kinds - {main}, main)
            for kind, into in self.joined.items():
                self.joined[kind] = self.joined.get(into, into)
        if self.joined:
            self._look()

    def classes_of(self, kind: int) -> tuple[str, ...]:
        """The classes of a type: its own, and those of the types that were joined to it."""
        others = [other for other, main in self.joined.items() if main == kind]
        return tuple(self.classes[each] for each in (kind, *others))

    def _all_uses(self) -> list[list[Use]]:
        """Of each type, the properties that enough of its nodes have."""
        quads = self.quads
        out: list[list[Use]] = [[] for _ in self.classes]
        for code in sorted_distinct(quads.p):
            iri, span = quads.term(int(code)), quads.rows_of(int(code))
            if iri == RDF_TYPE:
                continue
            kinds = self.of[quads.s[span]]
            order = np.argsort(kinds, kind="stable")
            starts = np.searchsorted(kinds[order], np.arange(len(out) + 1, dtype=np.int32))
            for kind in sorted_distinct(kinds[kinds >= 0]):
                use = self._use(iri, span.start + order[starts[kind] : starts[kind + 1]])
                if use.subjects >= SMALL * self.count[kind]:
                    out[kind].append(use)
        return out

    def _use(self, property: str, rows: npt.NDArray[np.int64]) -> Use:
        ends = self.quads.o[rows]
        kinds, counts = np.unique(self.of[ends[ends >= 0]], return_counts=True)
        targets = dict(zip(kinds.tolist(), counts.tolist(), strict=True))
        subjects = len(sorted_distinct(self.quads.s[rows]))
        return Use(property, rows, subjects, int((ends < 0).sum()), targets)

    def part(self, use: Use, nodes: CodeArray) -> Use | None:
        """A use, only from some nodes; None where few of them have it."""
        rows = use.rows[np.isin(self.quads.s[use.rows], nodes)]
        if len(rows) < SMALL * len(nodes) or not len(rows):
            return None
        return self._use(use.property, rows)

    def _is_hidden(self, kind: int) -> bool:
        """Nodes that exactly one statement points at: parts of another node, not things."""
        counts = self.pointing(kind)
        pointed = counts > 0
        return bool(
            pointed.sum() > MOST * self.count[kind] and (counts[pointed] == 1).mean() > MOST
        )

    def pointing(self, kind: int) -> npt.NDArray[np.int64]:
        """Statements that point at each node of a type, (count[kind],)."""
        start = self._start[kind]
        nodes = self._by_type[start : start + self.count[kind]]
        return np.asarray(self._pointed[nodes], np.int64)


def literal_sample(quads: Quads, use: Use) -> pa.Array:
    """About `SAMPLE` of a property's literals, as text."""
    codes = _codes(quads, use)
    return quads.literals.value.take(pa.array(codes[:: max(1, len(codes) // SAMPLE)]))


def _codes(quads: Quads, use: Use) -> IntArray:
    codes = -(quads.o[use.rows].astype(np.int64) + 1)
    return np.asarray(codes[codes >= 0])


def threshold_line(ratings: pa.Array) -> str:
    """Where a like might begin on the scale of these ratings, as a remark in an event's section."""
    numbers = parse_numbers(ratings)
    largest = float(np.nanmax(numbers)) if np.isfinite(numbers).any() else 0.0
    wanted = f"{0.8 * largest:.2g}" if largest > 0 else "..."
    return f"# positive = {wanted}   # without a threshold every event is positive"


def literal_kind(quads: Quads, use: Use) -> tuple[str, str]:
    """Kind of a literal property from a sample, and a remark on anything odd."""
    codes, text = _codes(quads, use), literal_sample(quads, use)
    several = len(use.rows) > 1.05 * use.subjects
    found, remark = kind_of_text(text, several=several)
    if IDENTIFIER not in remark and len(sorted_distinct(codes)) > 0.98 * len(codes) > 50:
        length = pc.mean(pc.utf8_length(text)).as_py() or 0
        spaces = pc.mean(pc.match_substring_regex(text, "[ .]").cast(pa.float64())).as_py() or 0
        links = pc.mean(pc.starts_with(text, "http").cast(pa.float64())).as_py() or 0
        if links > MOST or (found != "date" and length < 16 and spaces < 0.1):
            remark = IDENTIFIER
    return found, remark


def are_names(quads: Quads, use: Use) -> bool:
    """Whether texts, several per node, are few and short, as colours are: things of their own."""
    text = literal_sample(quads, use)
    distinct = pc.count_distinct(text).as_py() / max(1, len(text))
    return bool(distinct < 0.2 and (pc.mean(pc.utf8_length(text)).as_py() or 99) < 40)


def kind_of_text(text: pa.Array, *, several: bool) -> tuple[str, str]:
    """number, date, category or text, from a column of strings; and a remark."""
    n = max(1, len(text))
    numbers = 1 - np.isnan(parse_numbers(text)).mean() if len(text) else 0.0
    dates = 1 - np.isnan(parse_times(text)).mean() if len(text) else 0.0
    remark = SEVERAL if several else ""
    if numbers > MOST:
        return "number", remark
    if dates > MOST and numbers < MOST:
        return "date", remark
    for share, what in ((numbers, "number"), (dates, "date")):
        if share > 0.7:
            return what, f"{1 - share:.0%} of the values are no {what}"
    distinct = pc.count_distinct(text).as_py() / n
    length = pc.mean(pc.utf8_length(text)).as_py() or 0
    if distinct < 0.2 and length < 40 and not several:
        return "category", ""
    return "text", remark
