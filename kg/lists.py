"""RDF lists at the end of a relation: their members stand in their place."""

from __future__ import annotations

import numpy as np

from .ids import places_among
from .schema import RDF, Hop
from .statements import Pairs, Statements

FIRST, REST, NIL = f"{RDF}first", f"{RDF}rest", f"{RDF}nil"


class Lists:
    """The cells of all lists; a place is an index into them, -1 = none.

    Attributes:
        node: their terms, sorted. value, row: what each holds, and the statement that says so.
        after: place of the next cell. circular: mask of those from which no end is reached.
        nil: code of the empty list, -1 if no statement has it.
    """

    def __init__(self, statements: Statements) -> None:
        held, rest = statements.pairs(Hop(FIRST)), statements.pairs(Hop(REST))
        self.node, first = np.unique(held.start, return_index=True)
        self.value, self.row = held.end[first], held.row[first]
        self.after = np.full(len(self.node), -1, np.int64)
        here, there = (places_among(self.node, codes) for codes in (rest.start, rest.end))
        self.after[here[here >= 0]] = there[here >= 0]
        ahead = self.after
        for _ in range(len(self.node).bit_length()):  # each time twice as far
            ahead = np.where(ahead >= 0, ahead[ahead], -1)
        self.circular = ahead >= 0
        self.nil = statements.code(NIL)

    def expand(self, pairs: Pairs) -> tuple[Pairs, Pairs]:
        """Pairs with one end per member for each end that is a list, and the pairs that were left
        out since their list runs in a circle."""
        place = places_among(self.node, pairs.end)
        empty = (pairs.end >= 0) & (pairs.end == self.nil)
        listed = place >= 0
        if not (listed | empty).any():
            return pairs, pairs.select(np.zeros(len(place), bool))
        circular = np.zeros(len(place), bool)
        circular[listed] = self.circular[place[listed]]
        owner = np.flatnonzero(listed & ~circular)
        at, parts = place[owner], [pairs.select(~listed & ~empty)]
        while len(owner):
            parts.append(Pairs(pairs.start[owner], self.value[at], self.row[at]))
            at = self.after[at]
            owner, at = owner[at >= 0], at[at >= 0]
        joined = (np.concatenate(each) for each in zip(*(p.columns for p in parts), strict=True))
        return Pairs(*joined), pairs.select(circular)
