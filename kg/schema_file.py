"""Reading a schema: TOML text -> `Schema`, every key checked, every error naming file and key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .errors import ResourceError, SchemaError
from .literals import TIME_UNITS
from .schema import (
    EVENT_ROLES,
    FEATURE_KINDS,
    RDF_TYPE,
    SUBCLASS,
    Column,
    Event,
    Feature,
    NodeType,
    Relation,
    Schema,
    TableMap,
)
from .schema_overlaps import first_overlap
from .schema_values import Values

MAX_SCHEMA_BYTES = 4_000_000
_TOP = {"name", "users", "items", "languages", "same_as", "splits", "open_relations", "prefixes"}
_TOP |= {"nodes", "relations", "events", "tables", "type_properties", "subclass_properties"}
_NODE = {"class", "iri", "label", *FEATURE_KINDS}
_RELATION = {"property", "path", "from", "to", "inverse", "closure"}
_MEANINGS = ("positive", "negative", "auxiliary")  # of an event: at most one is said
_EVENT = {"class", "property", "inverse", "unrated", "time_unit", *_MEANINGS, *EVENT_ROLES}
_TABLE = {"file", "nodes", "relations", "events", "id", "columns", "delimiter", "encoding", "quote"}
_TABLE |= {"escape", "header", "missing", "where", "unless", "decimal", "dates", "timezone"}
_TABLE |= {"skip_bad_rows"}


def load_schema(path: Path) -> Schema:
    """Read and parse a schema file."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise SchemaError("no such schema file", where=str(path)) from error
    except OSError as error:
        raise ResourceError(f"cannot read the schema: {error.strerror}", where=str(path)) from error
    if len(raw) > MAX_SCHEMA_BYTES:
        raise SchemaError(
            f"the schema has {len(raw)} bytes, at most {MAX_SCHEMA_BYTES}", where=str(path)
        )
    try:
        return parse_schema(raw.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise SchemaError(
            f"the schema is not UTF-8 at byte {error.start}", where=str(path)
        ) from error


def parse_schema(text: str, source: str) -> Schema:
    """Parse TOML text into a checked `Schema`."""
    try:
        top = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise SchemaError(
            f"not TOML: {error}", where=source, hint="see the TOML 1.0 rules"
        ) from error
    return _Parser(source, top).schema(text)


class _Parser(Values):
    """Walks the TOML tree from the top."""

    def __init__(self, source: str, top: dict[str, Any]) -> None:
        super().__init__(source)
        self.top = top
        self.nodes: dict[str, NodeType] = {}
        self.relations: dict[str, Relation] = {}
        self.events: dict[str, Event] = {}
        self.languages: tuple[str, ...] = ("en", "")
        self.open_relations = ""

    def schema(self, text: str) -> Schema:
        top = self.top
        self.keys(top, _TOP, "")
        for name, iri in self.table(top, "prefixes", "").items():
            self.prefixes[name] = self.string(iri, f"prefixes.{name}")
        self.languages = self.words(top, "languages", "") or self.languages
        self.open_relations = self.template(top, "open_relations", "")
        for name, value in self.table(top, "nodes", "").items():
            self.nodes[name] = self.node(name, self.a_table(value, f"nodes.{name}"))
        if not self.nodes:
            raise self.fail("nodes", "the schema has no node type", "add a section [nodes.item]")
        user_type, item_type = self.roles()
        for name, value in self.table(top, "relations", "").items():
            self.relations[name] = self.relation(name, self.a_table(value, f"relations.{name}"))
        for name, value in self.table(top, "events", "").items():
            self.events[name] = self.event(name, self.a_table(value, f"events.{name}"))
        if self.events and user_type not in self.nodes:
            raise self.fail("users", "there are events but no node type of users")
        if overlap := first_overlap(self.nodes, self.relations, self.events):
            raise self.fail(*overlap)
        tables = {
            name: self.table_map(name, self.a_table(value, f"tables.{name}"))
            for name, value in self.table(top, "tables", "").items()
        }
        return Schema(
            name=self.string(top.get("name", "catalog"), "name"),
            nodes=self.nodes,
            relations=self.relations,
            events=self.events,
            tables=tables,
            user_type=user_type,
            item_type=item_type,
            languages=self.languages,
            type_properties=self.with_more(RDF_TYPE, "type_properties"),
            subclass_properties=self.with_more(SUBCLASS, "subclass_properties"),
            same_as=tuple(self.iri(word, "same_as") for word in self.words(top, "same_as", "")),
            splits=self.words(top, "splits", ""),
            open_relations=self.open_relations,
            prefixes=self.prefixes,
            source=self.source,
            text=text,
        )

    def with_more(self, standard: str, key: str) -> tuple[str, ...]:
        """The standard's property, and those that the schema names beside it."""
        named = (self.iri(word, key) for word in self.words(self.top, key, ""))
        return tuple(dict.fromkeys((standard, *named)))

    def roles(self) -> tuple[str, str]:
        """Names of the node types of users and items; users may be absent from `nodes`."""
        users = self.string(self.top.get("users", "user"), "users")
        if "users" in self.top:
            self.known(users, self.nodes, "users", "node type")
        if "items" in self.top:
            items = self.string(self.top["items"], "items")
            self.known(items, self.nodes, "items", "node type")
        elif "item" in self.nodes or len(self.nodes) == 1:
            items = "item" if "item" in self.nodes else next(iter(self.nodes))
        else:
            raise self.fail(
                "items", "the schema does not say which nodes are items", "add items = …"
            )
        if users == items:
            raise self.fail(
                "users",
                f"users and items are the same node type {users!r}",
                "give the items a node type of their own",
            )
        return users, items

    def node(self, name: str, table: dict[str, Any]) -> NodeType:
        key = f"nodes.{name}"
        self.keys(table, _NODE, key)
        features: list[Feature] = []
        if "label" in table:
            path = self.path(table["label"], f"{key}.label")
            if path.single is None:
                raise self.fail(f"{key}.label", "the label is one property, not a path")
            features.append(Feature("label", "text", path, self.languages))
        for kind in FEATURE_KINDS:
            for feature, value in self.table(table, kind, key).items():
                features.append(self.feature(feature, kind, value, f"{key}.{kind}"))
        self.distinct((feature.name for feature in features), key, "feature")
        return NodeType(
            name=name,
            classes=tuple(self.iri(w, f"{key}.class") for w in self.words(table, "class", key)),
            iri=self.template(table, "iri", key),
            label="label" in table,
            features=tuple(features),
        )

    def feature(self, name: str, kind: str, value: Any, key: str) -> Feature:
        languages = self.languages
        key = f"{key}.{name}"
        if isinstance(value, str):
            return Feature(name, kind, self.path(value, key), languages if kind == "text" else ())
        table = self.a_table(value, key)
        allowed = {"property", "languages", "join"} if kind == "text" else {"property"}
        self.keys(table, allowed, key)
        path = self.path(self.needed(table, "property", key), f"{key}.property")
        own = self.words(table, "languages", key) or languages
        join = self.flag(table, "join", key)
        return Feature(name, kind, path, own if kind == "text" else (), join)

    def relation(self, name: str, table: dict[str, Any]) -> Relation:
        key = f"relations.{name}"
        self.keys(table, _RELATION, key)
        if ("property" in table) == ("path" in table):
            raise self.fail(key, "a relation has either `property` or `path`")
        word = "property" if "property" in table else "path"
        ends: dict[str, tuple[str, ...]] = {}
        for end in ("from", "to"):
            self.needed(table, end, key)
            ends[end] = self.words(table, end, key)
            for node_type in ends[end]:
                self.known(node_type, self.nodes, f"{key}.{end}", "node type")
        closure = self.flag(table, "closure", key)
        if closure and (ends["from"] != ends["to"] or len(ends["from"]) != 1):
            raise self.fail(
                f"{key}.closure", "a closure needs one node type, the same at both ends"
            )
        return Relation(
            name=name,
            path=self.path(table[word], f"{key}.{word}"),
            sources=ends["from"],
            targets=ends["to"],
            inverse=self.iri(table["inverse"], f"{key}.inverse") if "inverse" in table else "",
            closure=closure,
        )

    def event(self, name: str, table: dict[str, Any]) -> Event:
        key = f"events.{name}"
        self.keys(table, _EVENT, key)
        plain = "property" in table
        if plain:
            for role in ("class", *EVENT_ROLES, "positive", "unrated", "time_unit"):
                if role in table:
                    hint = "leave `property` out and give `class`, `user` and `item`"
                    raise self.fail(f"{key}.{role}", "a plain property has no roles", hint)
        else:
            for role in ("class", "user", "item"):
                self.needed(table, role, key)
            if "inverse" in table:
                hint = "a path turns a property round: item = '^ex:ratedIn'"
                raise self.fail(f"{key}.inverse", "event nodes have no inverse", hint)
        said = [word for word in _MEANINGS if table.get(word, False) is not False]
        if len(said) > 1:
            message = f"an event cannot have both {said[0]!r} and {said[1]!r}"
            raise self.fail(f"{key}.{said[1]}", message, "keep one of them")
        return Event(
            name=name,
            classes=tuple(
                self.iri(word, f"{key}.class") for word in self.words(table, "class", key)
            ),
            property=self.iri(table["property"], f"{key}.property") if plain else "",
            inverse=self.iri(table["inverse"], f"{key}.inverse") if "inverse" in table else "",
            roles={r: self.path(table[r], f"{key}.{r}") for r in EVENT_ROLES if r in table},
            positive=self.threshold(table, key),
            negative=self.flag(table, "negative", key),
            auxiliary=self.flag(table, "auxiliary", key),
            unrated=self.unrated(table, key),
            time_unit=self.time_unit(table, key),
        )

    def threshold(self, table: dict[str, Any], key: str) -> float | None:
        value = table.get("positive")
        if value is None:
            return None
        number = self.number(value, f"{key}.positive")
        if "rating" not in table:
            raise self.fail(f"{key}.positive", "a threshold needs the role `rating`")
        return number

    def unrated(self, table: dict[str, Any], key: str) -> tuple[float, ...]:
        values, where = table.get("unrated", []), f"{key}.unrated"
        if not isinstance(values, list):
            raise self.fail(where, f"expected a list of numbers, got {values!r}", "say [0]")
        if values and "rating" not in table:
            raise self.fail(where, "ratings that are none need the role `rating`")
        return tuple(self.number(value, where) for value in values)

    def time_unit(self, table: dict[str, Any], key: str) -> str:
        unit = self.string(table.get("time_unit", "s"), f"{key}.time_unit")
        self.known(unit, TIME_UNITS, f"{key}.time_unit", "unit")
        return unit

    def table_map(self, name: str, table: dict[str, Any]) -> TableMap:
        key = f"tables.{name}"
        self.keys(table, _TABLE, key)
        kinds = [kind for kind in ("nodes", "relations", "events") if kind in table]
        if len(kinds) > 1:
            raise self.fail(key, f"a table maps to one of nodes, relations, events, not {kinds}")
        columns = {
            part: self.column(value, f"{key}.columns.{part}")
            for part, value in self.table(table, "columns", key).items()
        }
        if "id" in table:
            columns["id"] = self.column(table["id"], f"{key}.id")
        kind = kinds[0] if kinds else "relations"
        target = self.string(table[kind], f"{key}.{kind}") if kinds else ""
        needed, parts = self.parts(kind, target, columns, key)
        for part in columns:
            self.known(part, parts | needed, f"{key}.columns", "part")
        for part in sorted(needed - columns.keys()):
            place = f"{key}.id" if part == "id" else f"{key}.columns.{part}"
            raise self.fail(place, f"the table does not say which column is {part!r}")
        return TableMap(
            name=name,
            kind=kind,
            target=target,
            columns=columns,
            file=self.string(table.get("file", ""), f"{key}.file"),
            delimiter=self.one_byte(table.get("delimiter", ""), f"{key}.delimiter"),
            encoding=self.encoding(table, key),
            quote=self.flag(table, "quote", key, default=True),
            escape=self.one_byte(table.get("escape", ""), f"{key}.escape"),
            header=self.header(table, key),
            skip_bad_rows=self.flag(table, "skip_bad_rows", key),
            missing=self.words(table, "missing", key),
            where=self.choices(table, "where", key),
            unless=self.choices(table, "unless", key),
            decimal=self.decimal(table, key),
            dates=self.time_forms(table, key),
            timezone=self.timezone(table, key),
        )

    def parts(
        self, kind: str, target: str, columns: Mapping[str, Column], key: str
    ) -> tuple[set[str], set[str]]:
        """The parts that a table of this kind must and may have."""
        if kind == "nodes":
            self.known(target, self.nodes, f"{key}.nodes", "node type")
            features = {feature.name for feature in self.nodes[target].features}
            return {"id"}, features | {
                r.name for r in self.relations.values() if target in r.sources
            }
        if kind == "events":
            self.known(target, self.events, f"{key}.events", "event")
            return {"user", "item"}, set(self.events[target].roles)
        if target:
            self.known(target, self.relations, f"{key}.relations", "relation")
            return {"from", "to"}, set()
        if "relation" not in columns:
            hint = "give nodes, relations or events, or columns.relation"
            raise self.fail(key, "the table maps to nothing", hint)
        if not self.relations and not self.open_relations:
            raise self.fail(key, "no relation is declared", "declare some, or open_relations")
        return {"from", "relation", "to"}, set()

    def column(self, value: Any, key: str) -> Column:
        if isinstance(value, str):
            return Column(self.string(value, key))
        table = self.a_table(value, key)
        self.keys(table, {"column", "separator", "iri"}, key)
        return Column(
            name=self.string(self.needed(table, "column", key), f"{key}.column"),
            separator=self.string(table.get("separator", ""), f"{key}.separator"),
            iri=self.template(table, "iri", key),
        )
