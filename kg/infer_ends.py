"""Drafting node types for what has no class: ends of relations that share nodes are of one type."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from .ids import sorted_distinct
from .infer import DraftNode, plain_name, unique_name
from .quads import CodeArray, Quads
from .vocabulary import local_name

# Of the smaller of two sets of nodes; one node must not become two of different types.
SHARED = 0.02
_LABELS = (
    ("http://www.w3.org/2000/01/rdf-schema#label", "rdfs:label"),
    ("http://www.w3.org/2004/02/skos/core#prefLabel", "skos:prefLabel"),
    ("https://schema.org/name", "schema:name"),
)


@dataclass(frozen=True)
class Loose:
    """A relation to nodes without class.

    Attributes:
        path: properties as `<iri>`, with `/` between them.
        source: name of the node type it starts from.
        ends: the nodes it leads to, distinct term codes; none where it leads to literals.
    """

    path: str
    source: str
    ends: CodeArray

    @property
    def name(self) -> str:
        """A readable name of the last property."""
        return plain_name(local_name(re.findall(r"<([^>]*)>", self.path)[-1]))


def loose_types(
    quads: Quads, loose: Sequence[Loose], taken: Iterable[str]
) -> list[tuple[DraftNode, list[Loose]]]:
    """One node type for all relations that lead, directly or in a chain, to common nodes."""
    out: list[tuple[DraftNode, list[Loose]]] = []
    names = list(taken)
    for group in _groups(len(quads.terms), loose):
        ends = np.concatenate([each.ends for each in group])
        node = DraftNode(_name(quads, group, ends, names), lines=_label_of(quads, ends))
        names.append(node.name)
        out.append((node, group))
    return out


def literal_type(name: str, taken: Container[str]) -> DraftNode:
    """A node type for values that are literals: each becomes a node, called as it reads."""
    name = unique_name(name, taken)
    return DraftNode(name, lines=['label = "rdfs:label"', f'iri = "urn:catalog:{name}:{{}}"'])


def _groups(n_terms: int, loose: Sequence[Loose]) -> list[list[Loose]]:
    group = list(range(len(loose)))
    mask = np.zeros(n_terms, bool)
    for i, one in enumerate(loose):
        mask[one.ends] = True
        for j in range(i):
            other = loose[j].ends
            if mask[other].sum() > SHARED * min(len(one.ends), len(other)):
                old = group[i]
                group = [group[j] if k == old else k for k in group]
        mask[one.ends] = False
    return [
        [each for each, k in zip(loose, group, strict=True) if k == number]
        for number in dict.fromkeys(group)
    ]


def _name(quads: Quads, group: list[Loose], ends: CodeArray, taken: Sequence[str]) -> str:
    """That of the relation; for several, or where it is taken or a mere verb, the IRIs' folder."""
    largest = max(group, key=lambda each: len(each.ends)).name
    folder = _folder(quads, ends)
    plain = len(group) == 1 and not re.match(r"(has|is|was)_", largest)
    tries = [largest, folder] if plain else [folder, largest]
    return next((t for t in tries if t and t not in taken), unique_name(largest, taken))


def _folder(quads: Quads, ends: CodeArray) -> str:
    """The word before the local names, as "person" in …/person/7, if nearly all have it; else ""."""
    sample = ends[:: max(1, len(ends) // 1000)]
    heads = []
    for iri in map(quads.term, sample.tolist()):
        heads.append(iri[: len(iri) - len(local_name(iri))].rstrip("/#"))
    common = max(set(heads), key=heads.count)
    word = plain_name(local_name(common))
    if heads.count(common) < 0.9 * len(heads) or not re.fullmatch(r"[a-z][a-z_]{2,}", word):
        return ""
    return word


def _label_of(quads: Quads, ends: CodeArray) -> list[str]:
    """The line that names the label of nodes without class, if many have one."""
    nodes = sorted_distinct(ends[ends >= 0])
    for iri, short in _LABELS:
        if np.isin(nodes, quads.s[quads.rows_of(iri)]).mean() > 0.3:
            return [f'label = "{short}"']
    return []
