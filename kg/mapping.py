"""RDF statements to a graph through a schema: whole properties at a time, on int32 columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .build import GraphBuilder
from .errors import DataError
from .event_mapping import EventEnds, event_ends, map_events
from .export import implied_class
from .features import Values
from .graph import Graph
from .ids import sorted_distinct, string_order
from .lists import Lists
from .merging import merge
from .minting import fits_template, mint
from .problems import Problem
from .quads import CodeArray, Quads
from .references import fallback
from .report import Findings, Report
from .schema import XSD, Feature, Hop, NodeType, Relation, Schema
from .statements import Pairs, Statements
from .subclasses import with_subclasses
from .unmatched import KIND as UNMATCHED
from .unmatched import find_unmatched
from .vocabulary import TEXT, Aliases, IntArray, local_name

BoolArray = npt.NDArray[np.bool_]
MAX_UNUSED = 1000
BOOLEAN = f"{XSD}boolean"


def graph_from_quads(quads: Quads, schema: Schema) -> tuple[Graph, Report]:
    """Build the graph that the schema's nodes, relations and events describe.

    The same statements give the same graph whatever their order and files: ids are sorted by IRI.

    Raises:
        DataError: no node of any type was found.
    """
    return Mapping(quads, schema).build()


class Mapping:
    """The state of one mapping.

    Attributes:
        statements: the quads, with merged and minted terms.
        members: node type -> mask of the terms of that type, (n_terms,).
        index: node type -> int32 node index of each term, -1 where it is of another type, (n_terms,).
    """

    def __init__(self, quads: Quads, schema: Schema) -> None:
        self.schema = schema
        self.findings = Findings()
        self.statements = Statements(quads)
        self.same_as: tuple[int, ...] = ()
        self.labels: list[tuple[str, CodeArray, pa.Array]] = []
        self.index: dict[str, CodeArray] = {}
        self.relations = [*schema.relations.values(), *self._open_relations()]

    def build(self) -> tuple[Graph, Report]:
        """Merge, mint, find the members of every type, give ids, then map all parts."""
        find_unmatched(self.statements.quads, self.schema, self.findings)
        self._merge_same()
        self.members = {name: self._typed(node) for name, node in self.schema.nodes.items()}
        pairs = [self._relation_pairs(relation) for relation in self.relations]
        ends = [event_ends(self, event) for event in self.schema.events.values()]
        self._claim(pairs, ends)
        if not any(mask.any() for mask in self.members.values()):
            problems = [one for one in self.findings.problems() if one.kind == UNMATCHED]
            told = f": {problems[0].iri}: {problems[0].message}" if problems else ""
            raise DataError(
                "the catalog is empty: there is no node of any type of the schema",
                where=self.schema.source,
                hint=f"compare the classes in the schema with those in the data{told}",
            )
        builder = GraphBuilder(
            self.schema,
            self._give_ids(),
            self.findings,
            rdf=True,
            terms=self.statements.terms,
            aliases=self._aliases(),
        )
        for name, node in self.schema.nodes.items():
            for feature in node.features:
                self._map_feature(builder, name, feature)
        for name, codes, text in self.labels:
            self._map_label(builder, name, codes, text)
        for relation, found in zip(self.relations, pairs, strict=True):
            self._map_relation(builder, relation, found)
        for event, found_ends in zip(self.schema.events.values(), ends, strict=True):
            map_events(self, builder, event, found_ends)
        graph = builder.graph()
        quads = self.statements.quads
        unused = self._unused()
        return graph, builder.report(
            graph, len(quads), quads.duplicates, unused=unused, same_as=self.same_as
        )

    def iri(self, code: int) -> str:
        """The IRI of a term, or a literal in N-Triples form."""
        if code < 0:
            return self.statements.quads.literal_text(-code - 1)
        return str(self.statements.terms[int(code)].as_py())

    def problems(self, kind: str, name: str, pairs: Pairs, message: Callable[[int], str]) -> None:
        """One problem per pair, about its start; `message` takes the end's code."""
        listed = [
            Problem(kind, self.iri(start), name, self.statements.where(int(row)), message(int(end)))
            for start, end, row in zip(
                *(column[: self.findings.room(kind, name)] for column in pairs.columns), strict=True
            )
        ]
        self.findings.add(kind, name, len(pairs.start), listed)

    def where_typed(self, code: int) -> str:
        """The file that gives a term its class."""
        types = self.statements.pairs_of(self.schema.type_properties)
        rows = types.row[types.start == code]
        return self.statements.where(int(rows[0])) if len(rows) else ""

    # which terms are nodes of which type

    def _open_relations(self) -> list[Relation]:
        """One relation for every further property of the form that the schema allows."""
        if not self.schema.open_relations:
            return []
        found = [self.schema.open_relation(iri) for iri in self._properties()]
        return [relation for relation in found if relation is not None]

    def _properties(self) -> list[str]:
        quads = self.statements.quads
        return [quads.term(int(code)) for code in sorted_distinct(quads.p)]

    def _merge_same(self) -> None:
        links = [self.statements.pairs(Hop(iri)) for iri in self.schema.same_as]
        links = [link.select(link.end >= 0) for link in links]
        if not sum(len(link.start) for link in links):
            return
        typed = {name: self._typed(node) for name, node in self.schema.nodes.items()}
        rank = np.full(len(self.statements), 2, np.int64)
        rank[np.logical_or.reduce([*typed.values()])] = 1
        for node in self.schema.nodes.values():
            if node.iri not in ("", "{}"):
                rank[fits_template(self.statements.terms, node.iri)] = 0
        merged = merge(
            len(self.statements),
            np.concatenate([link.start for link in links]),
            np.concatenate([link.end for link in links]),
            rank,
        )
        self._report_mixed(typed, merged.canon)
        self.statements.canon = merged.canon
        self.same_as = merged.sizes
        kind = "same-as-too-large"
        message = "more terms are said to be the same than is believable: left as they were"
        for code in merged.refused:
            place, name = self._first_link(links, code)
            problem = Problem(kind, self.iri(code), name, place, message)
            self.findings.add(kind, name, 1, [problem])

    def _first_link(self, links: Sequence[Pairs], code: int) -> tuple[str, str]:
        """File and property of a statement that says something to be the same as a term."""
        for name, link in zip(self.schema.same_as, links, strict=True):
            rows = link.row[(link.start == code) | (link.end == code)]
            if len(rows):
                return self.statements.where(int(rows[0])), name
        return "", ""

    def _report_mixed(self, typed: dict[str, BoolArray], canon: CodeArray) -> None:
        """Merged terms that were of different node types."""
        own = np.sum([*typed.values()], axis=0)
        after = [np.bincount(canon[mask], minlength=len(canon)) > 0 for mask in typed.values()]
        moved = canon != np.arange(len(canon))
        mixed = np.unique(canon[moved])
        mixed = mixed[np.sum(after, axis=0)[mixed] > np.maximum(own[mixed], 1)]
        kind, name = "same-as-types", self.schema.same_as[0]
        listed = []
        for code in mixed[: self.findings.room(kind, name)]:
            types = [each for each, mask in zip(typed, after, strict=True) if mask[code]]
            message = f"what is said to be the same is of several node types: {', '.join(types)}"
            where = self.where_typed(int(code))
            listed.append(Problem(kind, self.iri(code), name, where, message))
        self.findings.add(kind, name, len(mixed), listed)

    def _typed(self, node: NodeType) -> BoolArray:
        """Mask of the terms with a class of a node type (or the class that stands for no class)."""
        return self.with_class(node.classes or (implied_class(node.name),))

    def with_class(self, classes: Sequence[str]) -> BoolArray:
        """Mask of the terms that have one of these classes or one below them, (n_terms,)."""
        mask = np.zeros(len(self.statements), bool)
        types = self.statements.pairs_of(self.schema.type_properties)
        below = self.statements.pairs_of(self.schema.subclass_properties)
        own = {self.statements.code(iri) for iri in classes} - {-1}
        apart = {self.statements.code(iri) for iri in self.schema.classes} - own
        codes = with_subclasses(below.start, below.end, own, apart)
        mask[types.start[np.isin(types.end, codes)]] = True
        return mask

    def any_of(self, types: Sequence[str], codes: CodeArray) -> BoolArray:
        """Mask of the codes that are terms of one of these node types; literals are of none."""
        out = np.zeros(len(codes), bool)
        for name in types:
            out |= self.members[name][np.maximum(codes, 0)]
        return out & (codes >= 0)

    def is_open(self, types: Sequence[str]) -> bool:
        """Whether some of these node types take what has no type."""
        return fallback(types, self.schema.nodes) is not None

    @cached_property
    def lists(self) -> Lists:
        """The RDF lists, of merged terms."""
        return Lists(self.statements)

    def _relation_pairs(self, relation: Relation) -> Pairs:
        """All pairs of a relation, inverses turned round, lists expanded, literal ends minted where
        possible."""
        starts = None
        if not self.is_open(relation.sources):
            starts = np.logical_or.reduce([self.members[name] for name in relation.sources])
        pairs = self.statements.follow(relation.path, starts)
        if relation.inverse:
            back = self.statements.pairs(Hop(relation.inverse, inverse=True))
            pairs = pairs.join(back if starts is None else back.select(starts[back.start]))
        pairs, circular = self.lists.expand(pairs)
        message = "the list at its end runs in a circle: left out"
        self.problems("bad-list", relation.path.text, circular, lambda _: message)
        literal = pairs.end < 0
        target = next((t for t in relation.targets if self.schema.nodes[t].iri), "")
        if literal.any() and target:
            pairs = self._minted(pairs, literal, target)
        return pairs

    def _minted(self, pairs: Pairs, literal: BoolArray, target: str) -> Pairs:
        """Literal ends become nodes of a type by its template; of several languages, those of the
        preferred one."""
        node = self.schema.nodes[target]
        wanted = node.features[0].languages if node.label else self.schema.languages
        keep = self._in_best_language(pairs, wanted)
        pairs, literal = pairs.select(keep), literal[keep]
        literals, place = np.unique(-(pairs.end[literal] + 1), return_inverse=True)
        text = self.statements.quads.literals.value.take(pa.array(literals))
        codes = self.statements.add_terms(mint(text, node.iri))
        self._widen()
        if node.label and node.iri != "{}":
            made = codes >= 0
            self.labels.append((target, codes[made], text.filter(pa.array(made))))
        end = pairs.end.copy()
        end[literal] = np.where(codes >= 0, codes, -(literals + 1))[place.reshape(-1)]
        return Pairs(pairs.start, end, pairs.row)

    def _in_best_language(self, pairs: Pairs, wanted: Sequence[str]) -> BoolArray:
        """Mask of the pairs but those whose start has literals of a better language too; what has
        no language stays."""
        literals = self.statements.quads.literals
        index = np.maximum(-(pairs.end.astype(np.int64) + 1), 0)
        language = np.where(pairs.end < 0, literals.language[index], -1)
        tagged = language >= 0
        rank = self._language_rank(wanted)[index] * len(literals.languages) + language
        best = np.full(len(self.statements), np.iinfo(np.int64).max)
        np.minimum.at(best, pairs.start[tagged], rank[tagged])
        return np.asarray(~tagged | (rank == best[pairs.start]))

    def _widen(self) -> None:
        n = len(self.statements)
        for name, mask in self.members.items():
            self.members[name] = np.pad(mask, (0, n - len(mask)))

    def _claim(self, pairs: Sequence[Pairs], events: Sequence[EventEnds]) -> None:
        """Give what stands at ends and has no type to the types without class."""
        types = [(relation.sources, relation.targets) for relation in self.relations]
        ends = [(found.start, found.end) for found in pairs]
        for event in events:
            types.append(((self.schema.user_type,), (self.schema.item_type,)))
            ends.append(event.both())
        admissible = [
            (np.ones(len(start), bool) if self.is_open(sources) else self.any_of(sources, start))
            & (end >= 0 if self.is_open(targets) else self.any_of(targets, end))
            for (sources, targets), (start, end) in zip(types, ends, strict=True)
        ]
        sides = [
            (names, codes[good])
            for both, columns, good in zip(types, ends, admissible, strict=True)
            for names, codes in zip(both, columns, strict=True)
            if self.is_open(names)
        ]
        for names, codes in sides:
            if len(names) == 1:
                self.members[names[0]][codes] = True
        left = [
            (fallback(names, self.schema.nodes), codes[~self.any_of(names, codes)])
            for names, codes in sides
            if len(names) > 1
        ]
        for name, codes in left:
            if name is not None:
                self.members[name][codes] = True

    def _give_ids(self) -> dict[str, pa.Array]:
        """Sorted IRIs per node type; sets `index`."""
        out: dict[str, pa.Array] = {}
        given = len(self.statements.quads.terms)
        for name, mask in self.members.items():
            codes = np.flatnonzero(mask)
            iris = self.statements.terms.take(pa.array(codes))
            if len(codes) and codes[-1] >= given:
                order = np.asarray(string_order(iris))
                codes, iris = codes[order], iris.take(pa.array(order))
            self.index[name] = np.full(len(mask), -1, np.int32)
            self.index[name][codes] = np.arange(len(codes), dtype=np.int32)
            out[name] = iris
        return out

    def _aliases(self) -> dict[str, Aliases]:
        """By node type, the IRIs that were merged into another one."""
        canon = self.statements.canon
        if canon is None:
            return {}
        away = np.flatnonzero(canon != np.arange(len(canon)))
        out = {}
        for name, index in self.index.items():
            node = index[canon[away]].astype(np.int64)
            known = node >= 0
            out[name] = Aliases(self.statements.terms.take(pa.array(away[known])), node[known])
        return out

    # parts of the graph

    def _map_feature(self, builder: GraphBuilder, name: str, feature: Feature) -> None:
        pairs = self.statements.follow(feature.path, self.members[name])
        terms = pairs.end >= 0
        text = self.statements.quads.literals.value
        if feature.kind == "category":
            text = self._named_booleans(text)
        if terms.any() and feature.kind == "category":
            codes, place = np.unique(pairs.end[terms], return_inverse=True)
            names = [local_name(self.iri(code)) for code in codes]
            end = pairs.end.copy()
            end[terms] = -(len(text) + place.reshape(-1) + 1)
            pairs = Pairs(pairs.start, end, pairs.row)
            text = pa.concat_arrays([text, pa.array(names, TEXT)])
        elif terms.any():
            message = "expected a literal, got {}"
            self.problems(
                "not-a-literal",
                feature.path.text,
                pairs.select(terms),
                lambda end: message.format(self.iri(end)),
            )
            pairs = pairs.select(~terms)
        literals = -(pairs.end.astype(np.int64) + 1)
        rank = None
        if feature.kind == "text":
            rank = self._language_rank(feature.languages)[literals]
        node = self.index[name][pairs.start].astype(np.int64)
        values = Values(node, text.take(pa.array(literals)), rank)
        row = pairs.row
        builder.add_values(name, feature, values, lambda k: self.statements.where(int(row[k])))

    def _named_booleans(self, text: pa.Array) -> pa.Array:
        """Literals with the one name of each xsd:boolean, which may be written 1 and 0 as well."""
        code = self.statements.quads.find(BOOLEAN)
        if code < 0:  # as a datatype, -1 is that of plain strings
            return text
        boolean = self.statements.quads.literals.datatype == code
        for digit, name in (("1", "true"), ("0", "false")):
            same = pc.and_(pa.array(boolean), pc.equal(text, digit))
            text = pc.if_else(same, pa.scalar(name, text.type), text)
        return text

    def _language_rank(self, wanted: Sequence[str]) -> IntArray:
        """Rank of every literal by its language; a preferred "en" also takes "en-us"."""
        literals = self.statements.quads.literals
        ranks = np.full(len(literals.languages) + 1, len(wanted), np.int64)
        for code, tag in enumerate(("", *literals.languages)):
            fits = [k for k, w in enumerate(wanted) if tag == w.lower()]
            fits += [k for k, w in enumerate(wanted) if w and tag.startswith(w.lower() + "-")]
            ranks[code] = fits[0] if fits else len(wanted)
        return ranks[literals.language + 1]

    def _map_label(
        self, builder: GraphBuilder, name: str, codes: CodeArray, text: pa.Array
    ) -> None:
        index = self.index[name][codes]
        known = index >= 0
        rank = np.full(int(known.sum()), 1 << 20, np.int64)
        values = Values(index[known].astype(np.int64), text.filter(pa.array(known)), rank)
        builder.add_values(name, self.schema.nodes[name].features[0], values, lambda _: "")

    def _map_relation(self, builder: GraphBuilder, relation: Relation, pairs: Pairs) -> None:
        known = self.any_of(relation.sources, pairs.start)
        lost = known & ~self.any_of(relation.targets, pairs.end)
        if lost.any() and relation.name in self.schema.relations:
            wanted = " or ".join(relation.targets)
            self.problems(
                "dangling-iri",
                relation.path.text,
                pairs.select(lost),
                lambda end: f"{self.iri(end)} is not a node of type {wanted}",
            )
        pairs = pairs.select(known & ~lost)
        for source, from_node in self._first_type(relation.sources, pairs.start):
            for target, to_node in self._first_type(relation.targets, pairs.end):
                keep = (from_node >= 0) & (to_node >= 0)
                if keep.any():
                    key = (source, relation.name, target)
                    builder.add_edges(
                        key, from_node[keep].astype(np.int64), to_node[keep].astype(np.int64)
                    )

    def _first_type(self, types: Sequence[str], codes: CodeArray) -> list[tuple[str, CodeArray]]:
        """Per type: node indices, -1 where the node is of another type or of an earlier one."""
        out = []
        free = np.ones(len(codes), bool)
        for name in types:
            index = np.where(free, self.index[name][codes], np.int32(-1))
            free &= index < 0
            out.append((name, index))
        return out

    def _unused(self) -> dict[str, int]:
        """Statements per property that the schema does not speak of, the most frequent first."""
        taken = self.schema.spoken_of | {r.path.text for r in self.relations}
        taken |= set(self.schema.subclass_properties)
        counts = {
            iri: rows.stop - rows.start
            for iri in self._properties()
            if iri not in taken
            for rows in [self.statements.quads.rows_of(iri)]
        }
        first = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        return dict(first[:MAX_UNUSED])
