"""The last step of every front end: ids, raw values, index pairs and events -> `Graph` and `Report`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from .edges import edge_set, transitive
from .events import Events, heap_of, interactions
from .features import Values, category_column, number_column, text_column
from .graph import Category, EdgeSet, EdgeType, FloatArray, Graph, Interactions, NodeSet, Texts
from .literals import DAY, EXPECTED, parse_numbers, parse_times
from .problems import Problem
from .report import Findings, Report
from .schema import Event, Feature, Schema
from .vocabulary import TEXT, Aliases, IntArray, Vocabulary, is_text
from .written_values import advice


class GraphBuilder:
    """Collects the parts of a graph in node indices and puts them into canonical form.

    Args:
        members: node type -> sorted distinct IRIs (large_string).
        rdf: problems name the property, not the feature.
        terms: IRIs that the codes of event nodes stand for.
        aliases: node type -> further IRIs of its members.
    """

    def __init__(
        self,
        schema: Schema,
        members: Mapping[str, pa.Array],
        findings: Findings,
        *,
        rdf: bool = False,
        terms: pa.Array | None = None,
        aliases: Mapping[str, Aliases] | None = None,
    ) -> None:
        self.schema = schema
        self.members = members
        self.findings = findings
        self.rdf = rdf
        self.terms = terms
        self.aliases = aliases or {}
        self.repeated = 0
        self._values: dict[tuple[str, str], list[Values]] = {}
        self._places: dict[tuple[str, str], list[tuple[IntArray, Callable[[int], str]]]] = {}
        self._pairs: dict[EdgeType, list[tuple[IntArray, IntArray]]] = {}
        self._events: dict[str, list[Events]] = {}

    def add_edges(self, edge_type: EdgeType, source: IntArray, target: IntArray) -> None:
        """Index pairs of one type; repeats are counted and left out."""
        self._pairs.setdefault(edge_type, []).append((source, target))

    def add_events(self, name: str, events: Events) -> None:
        """Rows of one kind of event."""
        if self.schema.events[name].positive is not None and events.rating is not None:
            self._report_heap(self.schema.events[name], events.rating)
        self._events.setdefault(name, []).append(events)

    def _report_heap(self, event: Event, rating: npt.NDArray[np.float64]) -> None:
        heap = heap_of(rating)
        if heap is not None:
            kind, (value, count) = "rating-heap", heap
            name = event.roles["rating"].text if self.rdf else event.name
            message = (
                f"{count:,} ratings are {value:g}, set apart from the rest: if that means that there "
                f"is none, say unrated = [{value:g}] in [events.{event.name}]"
            )
            self.findings.add(kind, name, 1, [Problem(kind, "", name, "", message)])

    def _report_threshold(self, event: Event, parts: Sequence[Events]) -> None:
        """A threshold that nothing reaches leaves a catalog without a like to learn from."""
        rated = [part.rating for part in parts if part.rating is not None and len(part.user)]
        if event.positive is None or not rated or any(part.label.any() for part in parts):
            return
        kind, name = "no-likes", event.roles["rating"].text if self.rdf else event.name
        low, high = min(map(np.min, rated)), max(map(np.max, rated))
        message = (
            f"none of the {sum(map(len, rated)):,} ratings, {low:g} to {high:g}, reaches positive = "
            f"{event.positive:g} in [events.{event.name}]: all are dislikes"
        )
        self.findings.add(kind, name, 1, [Problem(kind, "", name, "", message)])

    def add_values(
        self, node_type: str, feature: Feature, values: Values, where: Callable[[int], str]
    ) -> None:
        """Raw values of a feature; `where` names the source of the k-th for a problem."""
        if feature.kind != "text":
            self._places.setdefault((node_type, feature.name), []).append((values.node, where))
        if feature.kind in EXPECTED:
            values = self._parsed(node_type, feature, values, where)
        elif feature.kind == "category":
            text = pc.utf8_trim_whitespace(values.value.cast(TEXT))
            values = _filled(Values(values.node, text, values.rank))
        else:
            values = _filled(values)
        self._values.setdefault((node_type, feature.name), []).append(values)

    def _parsed(
        self, node_type: str, feature: Feature, values: Values, where: Callable[[int], str]
    ) -> Values:
        text = values.value
        if is_text(text):
            text = pc.utf8_trim_whitespace(text.cast(TEXT))
        number = parse_numbers(text) if feature.kind == "number" else parse_times(text)
        if feature.kind == "date":
            number = np.floor(number / DAY)
        with np.errstate(over="ignore"):
            bad = np.flatnonzero(~np.isfinite(number.astype(np.float32)))
        kind, name = f"bad-{feature.kind}", self._property(feature)
        more = "" if self.rdf or not len(bad) else advice(feature.kind, text.take(pa.array(bad)))
        listed = [
            Problem(
                kind,
                self.members[node_type][int(values.node[k])].as_py(),
                name,
                where(int(k)),
                f"{values.value[int(k)].as_py()!r} is not {EXPECTED[feature.kind]}{more}",
            )
            for k in bad[: self.findings.room(kind, name)]
        ]
        self.findings.add(kind, name, len(bad), listed)
        return Values(values.node, pa.array(number))

    def graph(self) -> Graph:
        """The finished graph."""
        schema = self.schema
        nodes = {name: self._node_set(name) for name in schema.nodes}
        if schema.user_type not in nodes:
            nodes[schema.user_type] = NodeSet(Vocabulary([]))
        return Graph(
            nodes=nodes,
            edges=self._edges(),
            interactions=self._interactions(),
            user_type=schema.user_type,
            item_type=schema.item_type,
            name=schema.name,
        )

    def statements(self) -> int:
        """How many RDF statements the collected parts amount to, repeats included."""
        schema = self.schema
        hops = {name: len(relation.path.hops) for name, relation in schema.relations.items()}
        total = sum(len(ids) for name, ids in self.members.items() if schema.nodes[name].classes)
        total += sum(len(part.node) for parts in self._values.values() for part in parts)
        for (_, relation, _), pairs in self._pairs.items():
            total += hops.get(relation, 1) * sum(len(source) for source, _ in pairs)
        for name, kinds in self._events.items():
            for kind in kinds:
                fields = 1 if schema.events[name].property else 3
                total += len(kind.user) * fields + sum(
                    0 if column is None else int(np.sum(~np.isnan(column)))
                    for column in (kind.rating, kind.time)
                )
                total += 0 if kind.split is None else len(kind.split) - kind.split.null_count
        return total

    def report(self, graph: Graph, triples: int, duplicates: int, **more: object) -> Report:
        """Counts and problems of the finished graph."""
        edges = dict.fromkeys(self.schema.relations, 0)
        for (_, relation, _), edge in graph.edges.items():
            edges[relation] = edges.get(relation, 0) + len(edge)
        for name, kinds in self._events.items():
            edges[name] = sum(len(kind.user) for kind in kinds)
        return Report(
            triples=triples,
            duplicates=duplicates,
            nodes={name: len(node) for name, node in graph.nodes.items()},
            edges=edges,
            problems=self.findings.problems(),
            totals=dict(self.findings.totals),
            **more,  # type: ignore[arg-type]
        )

    def _node_set(self, name: str) -> NodeSet:
        n = len(self.members[name])
        numbers: dict[str, FloatArray] = {}
        categories: dict[str, Category] = {}
        texts: dict[str, pa.Array] = {}
        for feature in self.schema.nodes[name].features:
            values = self._joined(name, feature)
            several: npt.NDArray[np.int64] = np.zeros(0, np.int64)
            if feature.kind == "text":
                texts[feature.name] = text_column(n, values, join=feature.join)
            elif feature.kind == "category":
                categories[feature.name], several = category_column(n, values)
            else:
                column = np.asarray(values.value, np.float64)
                numbers[feature.name], several = number_column(n, values.node, column)
            self._several(name, feature, several)
        ids = Vocabulary.trusted(self.members[name], self.aliases.get(name, Aliases()))
        return NodeSet(ids, numbers, categories, Texts(texts))

    def _joined(self, node_type: str, feature: Feature) -> Values:
        parts = self._values.get((node_type, feature.name))
        if not parts:
            kind = pa.float64() if feature.kind in EXPECTED else TEXT
            return Values(np.zeros(0, np.int64), pa.array([], kind))
        joined = parts[0]
        for part in parts[1:]:
            joined = joined.join(part)
        return joined

    def _several(self, node_type: str, feature: Feature, nodes: IntArray) -> None:
        kind, name = "several-values", self._property(feature)
        message = f"several values of one {feature.kind}: the first is taken"
        listed = [
            Problem(
                kind,
                self.members[node_type][int(k)].as_py(),
                name,
                self._place(node_type, feature, int(k)),
                message,
            )
            for k in nodes[: self.findings.room(kind, name)]
        ]
        self.findings.add(kind, name, len(nodes), listed)

    def _place(self, node_type: str, feature: Feature, node: int) -> str:
        """The source of a node's last value of a feature."""
        for nodes, where in reversed(self._places.get((node_type, feature.name), [])):
            found = np.flatnonzero(nodes == node)
            if len(found):
                return where(int(found[-1]))
        return ""

    def _property(self, feature: Feature) -> str:
        return feature.path.text if self.rdf else feature.name

    def _edges(self) -> dict[EdgeType, EdgeSet]:
        out: dict[EdgeType, EdgeSet] = {}
        rank = {name: k for k, name in enumerate(self.schema.relations)}
        for key in sorted(self._pairs, key=lambda k: (rank.get(k[1], len(rank)), k)):
            source = np.concatenate([pair[0] for pair in self._pairs[key]])
            target = np.concatenate([pair[1] for pair in self._pairs[key]])
            edges = edge_set(source, target, len(self.members[key[2]]))
            self.repeated += len(source) - len(edges)
            relation = self.schema.relations.get(key[1])
            if relation is not None and relation.closure:
                edges = transitive(edges, len(self.members[key[2]]))
            if len(edges):
                out[key] = edges
        return out

    def _interactions(self) -> Interactions:
        kinds = {name: self._events.get(name, []) for name in self.schema.events}
        for name, parts in kinds.items():
            self._report_threshold(self.schema.events[name], parts)
        return interactions(kinds, self.schema.splits, self.terms)


def _filled(values: Values) -> Values:
    """Without empty text."""
    text = values.value.cast(TEXT)
    empty = np.asarray(pc.equal(pc.utf8_trim_whitespace(text), ""), bool)
    if not empty.any():
        return Values(values.node, text, values.rank)
    keep = ~empty
    rank = None if values.rank is None else values.rank[keep]
    return Values(values.node[keep], text.filter(pa.array(keep)), rank)
