"""Drafting a schema from tables: ids, events, features, links and columns of several values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from .delimited import Remarks
from .errors import DataError
from .infer import (
    CONSTANT,
    IDENTIFIER,
    LEFT_OUT,
    TOLD,
    VECTOR,
    Draft,
    DraftNode,
    DraftSection,
    key,
    looks_like_users,
    plain_name,
    quoted,
    unique_name,
    write_draft,
)
from .infer_columns import (
    CODES,
    ITEMS,
    ends,
    filled_text,
    id_column,
    is_key,
    is_label_of_rows,
    is_link,
    is_list,
    owner_name,
    separator,
    singular,
    speaks_of_events,
    tells_answers,
    words,
)
from .infer_dialect import find_dialect
from .infer_events import write_events
from .infer_files import Files
from .infer_triples import Ends, are_iris, section_of, triple_columns, typed_ends
from .infer_types import kind_of_text
from .infer_writing import read_as_written
from .schema import TableMap
from .table_inputs import joined, read_all
from .table_sources import is_text_table
from .vectors import is_readable, vector_length
from .vocabulary import TEXT

BASE = "urn:catalog:"
_NEARLY_ALL = 0.98  # of a table's rows have ids of their own: the rest are repeated by mistake
_FEW = 0.05  # rows that may be badly formed, of those that are not
_CONTAINED = 0.9  # of a column's values among a table's ids: it speaks of them


def draft_from_tables(tables: Mapping[str, Any]) -> str:
    """Draft a schema from tables by name: Arrow tables, and `Files`."""
    data, files = {}, {}
    for name, source in tables.items():
        if not isinstance(source, Files):
            data[name] = source
            continue
        section, lines = find_dialect(source.paths[0], name)
        parts, odd = zip(*(_read(path, section) for path in source.paths), strict=True)
        data[name], more = read_as_written(joined(list(parts), name), section)
        if any(odd):
            more.append(f"skip_bad_rows = true   # {sum(odd):,} have too many or too few cells")
        files[name] = [f"file = {quoted(source.file)}", *lines, *more]
    if not data or not any(len(table) for table in data.values()):
        raise DataError("the tables have no rows, so no schema can be drafted")
    return _Drafting(data, files).write()


def _read(path: Path, section: TableMap) -> tuple[pa.Table, int]:
    """A table without its badly formed rows, and how many these are; many are an error, and any in
    records, where the lines that are sound may say nothing of the others."""
    remarks: Remarks = []
    if not is_text_table(path):
        return read_all(path, section), 0
    table = read_all(path, replace(section, skip_bad_rows=True), remarks)
    odd = sum(remark.kind == "bad-row" for remark in remarks)
    return (read_all(path, section), 0) if odd > _FEW * len(table) else (table, odd)


@dataclass
class _Drafting:
    """The tables sorted into things and events, and the draft that grows from them.

    Attributes:
        files: table -> the lines of its section that say which file it is, and how that is written.
        ids: table -> the column that names its rows, or "".
        things: table (or a name in parentheses where there is none) -> node type.
        events: table of events -> its columns of the user and the item.
        vectors: table -> its columns that hold a vector per cell.
        triples: table -> its columns of head, relation and tail.
        known: table -> its ids, once they were asked for.
    """

    data: dict[str, pa.Table]
    files: dict[str, list[str]]
    draft: Draft = field(default_factory=Draft)
    ids: dict[str, str] = field(default_factory=dict)
    things: dict[str, DraftNode] = field(default_factory=dict)
    events: dict[str, tuple[str, ...]] = field(default_factory=dict)
    vectors: dict[str, list[str]] = field(default_factory=dict)
    triples: dict[str, Ends] = field(default_factory=dict)
    known: dict[str, pa.Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.draft.remarks = [
            "A draft: take out what is not needed, and check users and items.",
        ]
        for name in self.data:
            self.set_aside(name)
        triples = {name: triple_columns(table) for name, table in self.data.items()}
        self.triples = {name: columns for name, columns in triples.items() if columns}
        others = {name: table for name, table in self.data.items() if name not in self.triples}
        self.ids = {name: id_column(table, name) for name, table in others.items()}
        self.events = {name: found for name in others if (found := self.ends_of(name))}
        for name, table in others.items():
            if name not in self.events:
                self.ids[name] = self.ids[name] or id_column(table, name, _NEARLY_ALL)
            if self.ids[name] and name not in self.events:
                self.things[name] = DraftNode(singular(name), count=len(table))
        self.join_twins()

    def join_twins(self) -> None:
        """One node type for tables that describe the same things: most ids of one are another's."""
        order = sorted(self.things, key=lambda name: self.things[name].name not in ITEMS)
        for name in order[1:]:
            own = pc.unique(self.ids_of(name))
            if pc.all(pc.utf8_is_digit(own)).as_py() and not _is_code(self.ids[name]):
                continue  # numbers of the rows, which other tables count as well
            for other in order[: order.index(name)]:
                if self.contains(other, own):
                    self.things[name] = self.things[other]
                    break

    def set_aside(self, name: str) -> None:
        """Take the columns out of a table that are not read cell by cell; keep the others' values."""
        table = self.data[name]
        table = pa.table([_values(column) for column in table.columns], table.column_names)
        odd = [
            column
            for column in table.column_names
            if not is_readable(table[column]) or pa.types.is_large_binary(table[column].type)
        ]
        self.vectors[name] = [column for column in odd if vector_length(table[column])]
        self.draft.remarks += [
            f"the column {column!r} of {name!r} ({table[column].type}) is not read"
            for column in odd
            if column not in self.vectors[name]
        ]
        self.data[name] = table.drop_columns(odd)

    def write(self) -> str:
        """The whole draft as TOML."""
        owners = {
            name: tuple(self.owner(self.data[name], column) for column in columns)
            for name, columns in self.events.items()
        }
        for node in self.nodes():
            node.classes = (f"{BASE}{node.name}",)
            node.lines.append(f'iri = "{BASE}{node.name}:{{}}"')
        for name in [name for name in self.things if name in self.data]:
            self.describe(name)
        for name in self.events:
            self.write_event(name)
        if self.triples:
            self.write_triples()
        known = {*self.things, *self.events, *self.triples}
        left = [name for name in self.data if name not in known]
        self.draft.remarks += [
            f"the table {name!r} was not understood: {self.why_not(name)}" for name in left
        ]
        self.name_ends(list(owners.values()))
        self.draft.nodes = self.nodes()
        return write_draft(self.draft, [])

    def nodes(self) -> list[DraftNode]:
        """The node types, each once."""
        return list({id(node): node for node in self.things.values()}.values())

    def why_not(self, name: str) -> str:
        """Which column comes nearest to an id, and what is in its way."""
        table = self.data[name]
        share = {
            column: pc.count_distinct(filled_text(table[column])).as_py() / max(len(table), 1)
            for column in table.column_names
            if not is_list(table[column])
        }
        best = max(share, key=lambda column: share[column], default="")
        if not best:
            return "it has no column of single values"
        return f"no column names its rows; {best!r} comes nearest ({share[best]:.0%} distinct)"

    def ends_of(self, name: str) -> tuple[str, ...]:
        """User and item of a table of events; () where its rows are things."""
        own = self.ids[name]
        if own and not (speaks_of_events(name) or speaks_of_events(owner_name(own))):
            return ()
        known = {singular(other) for other, column in self.ids.items() if column}
        known |= {plain_name(column) for column in self.ids.values() if owner_name(column)}
        table = self.data[name]
        # Where every item was taken once only, the item's column looks like the rows' own id.
        return (own and ends(table.drop_columns([own]), known)) or ends(table, known)

    def thing_of(self, column: str) -> str:
        """The table that a column's name speaks of; "" if there is none."""
        word, plain = owner_name(column), plain_name(column)
        for name, node in self.things.items():
            if node.name == word:
                return name
        named = [n for n in self.things if plain_name(self.ids.get(n, "")) == plain and word]
        return named[0] if named else ""

    def owner(self, table: pa.Table, column: str) -> DraftNode:
        """The node type of an event's end: by name, by values, or made where there is none."""
        name = self.thing_of(column) or self.thing_with(table, column)
        if not name:
            word = owner_name(column) or plain_name(column)
            name = f"({word})"
            self.things[name] = DraftNode(word)
        return self.things[name]

    def thing_with(self, table: pa.Table, column: str) -> str:
        """The one table, users or not like the column, among whose ids the values are; else ""."""
        users, values = looks_like_users(column), pc.unique(filled_text(table[column]))
        fitting = [
            name
            for name, node in self.things.items()
            if name in self.data and looks_like_users(node.name) == users
            if self.contains(name, values)
        ]
        one = len({id(self.things[name]) for name in fitting}) == 1
        return fitting[0] if one else ""

    def contains(self, name: str, values: pa.Array) -> bool:
        """Whether distinct values are ids of a table."""
        known = self.ids_of(name)
        return bool(len(values)) and pc.mean(pc.is_in(values, known)).as_py() >= _CONTAINED

    def ids_of(self, name: str) -> pa.Array:
        """The ids of a table's rows, as trimmed text."""
        if name not in self.known:
            self.known[name] = filled_text(self.data[name][self.ids[name]])
        return self.known[name]

    def describe(self, name: str) -> None:
        """Features, links and the section of a table whose rows are things."""
        node, table = self.things[name], self.data[name]
        columns = [
            line
            for column in table.column_names
            if column != self.ids[name] and (line := self.describe_column(name, node, column))
        ]
        for column in self.vectors[name]:
            part = self.part_name(node, f"{column}_0")
            node.features.append(("number", part, f"{BASE}{part}", VECTOR))
            columns.append(f"# columns.{key(part)} = {quoted(f'{column}.0')}")
        body = [*self.files.get(name, [])]
        body += [f"nodes = {quoted(node.name)}", f"id = {quoted(self.ids[name])}", *columns]
        self.draft.sections.append(DraftSection("tables", name, body))

    def describe_column(self, name: str, node: DraftNode, column: str) -> str:
        """Enter one column into the draft; its line in the table's section, "" for an empty one."""
        values = self.data[name][column]
        part = self.part_name(node, column)
        if is_list(values):
            self.write_link(node, part, "")
            return f"columns.{key(part)} = {{ column = {quoted(column)} }}"
        text = filled_text(values)
        if not len(text):
            return ""
        if other := self.linked(name, column, text):
            self.write_link(node, part, other)
            return f"columns.{key(part)} = {quoted(column)}"
        sign = separator(column, values)
        if sign:
            self.write_link(node, part, "")
            more = f", separator = {quoted(sign)}"
            return f"columns.{key(part)} = {{ column = {quoted(column)}{more} }}"
        if is_link(column, text) or (is_key(column) and _repeat(text)):
            self.write_link(node, part, "")
            return f"columns.{key(part)} = {quoted(column)}"
        kind, remark = kind_of_text(text, several=False)
        remark = self.reason(name, column, text) or remark
        node.features.append((kind, part, f"{BASE}{part}", remark))
        start = "# " if remark in LEFT_OUT else ""
        return f"{start}columns.{key(part)} = {quoted(column)}"

    def linked(self, name: str, column: str, text: pa.Array) -> str:
        """The table whose rows a column's values name, by its name or by its values; "" if none."""
        values = pc.unique(text)
        other = self.thing_of(column)
        if other in self.data and other != name and self.contains(other, values):
            return other
        if "parent" in words(column) and self.contains(name, values):
            return name
        if pc.all(pc.utf8_is_digit(values)).as_py():
            return ""  # numbers are among any table's
        for each, node in self.things.items():
            if each in self.data and node is not self.things[name] and self.contains(each, values):
                return each
        return ""

    def part_name(self, node: DraftNode, column: str) -> str:
        """A name for a column that no feature of the type and no relation has yet."""
        taken = [feature[1] for feature in node.features]
        taken += self.draft.names("relations")
        name = plain_name(column)
        return name if name not in taken else unique_name(f"{node.name}_{name}", taken)

    def reason(self, name: str, column: str, text: pa.Array) -> str:
        """Why a feature is left out; "" if it is not."""
        if is_label_of_rows(column, text):
            return IDENTIFIER
        if tells_answers(column) and not looks_like_users(name):
            return TOLD
        same = len(text) == len(self.data[name]) > 1 and pc.count_distinct(text).as_py() == 1
        return CONSTANT if same else ""

    def write_link(self, node: DraftNode, part: str, other: str) -> None:
        """A relation to the things of another table, or to a type of its own."""
        if other:
            target = self.things[other].name
        else:
            taken = [known.name for known in self.things.values()]
            word = singular(owner_name(part) or part)
            target = word if word not in taken else unique_name(f"{node.name}_{word}", taken)
            made = DraftNode(target, (f"{BASE}{target}",), lines=['label = "rdfs:label"'])
            made.lines.append(f'iri = "{BASE}{target}:{{}}"')
            self.things[f"({target})"] = made
        body = [
            f'property = "{BASE}{part}"',
            f"from = {quoted(node.name)}",
            f"to = {quoted(target)}",
        ]
        if target == node.name:
            body.append("closure = true   # all that stand above count")
        self.draft.sections.insert(0, DraftSection("relations", part, body))

    def write_event(self, name: str) -> None:
        """The events of a table, and their sections."""
        table, ends, own = self.data[name], self.events[name], self.ids[name]
        types = [node.name for node in self.things.values()]
        write_events(self.draft, BASE, name, table, ends, own, types, self.files.get(name, []))

    def write_triples(self) -> None:
        """The sections of tables of triples, and the type of what no other table speaks of."""
        ids = self.ids_of_things()
        nodes = {node.name: node for node in self.things.values()}
        entity = unique_name("entity", list(nodes)) if "entity" in nodes else "entity"
        rest = DraftNode(entity, lines=[f'iri = "{BASE}{entity}:{{}}"'])
        relations = f"{BASE}{{}}"
        for name, columns in self.triples.items():
            table = self.data[name]
            found, remarks = typed_ends(table, columns, ids)
            self.draft.remarks += remarks
            types = {column: nodes.get(kind, rest) for column, kind in found.items()}
            if rest in types.values():
                self.things[f"({entity})"] = rest
            lines = [*self.files.get(name, []), *section_of(table, columns, types)]
            self.draft.sections.append(DraftSection("tables", name, lines))
            relations = "{}" if are_iris(table[columns[1]]) else relations
        if not nodes:  # everything is an item
            rest.count = sum(len(self.data[name]) for name in self.triples)
        self.draft.top.append(f"open_relations = {quoted(relations)}")

    def ids_of_things(self) -> dict[str, pa.Array]:
        """Node type -> the ids that tables of things and events give it; users have no facts."""
        ids = {
            node.name: self.ids_of(name)
            for name, node in self.things.items()
            if name in self.data and not looks_like_users(node.name)
        }
        for name, (_, item) in self.events.items():
            node = self.owner(self.data[name], item)
            ids.setdefault(node.name, filled_text(self.data[name][item]))
        return ids

    def name_ends(self, owners: list[tuple[DraftNode, ...]]) -> None:
        """Which types are users and items: from the first events, or else by name and size."""
        if owners:
            self.draft.users, self.draft.items = (node.name for node in owners[0])
            return
        own = [node for node in self.things.values() if node.count]
        if not own:
            raise DataError(
                "no table has a column of distinct ids, so no schema can be drafted",
                hint="name the column id or <thing>_id, or write the schema by hand",
            )
        items = [node for node in own if not looks_like_users(node.name)] or own
        self.draft.items = max(items, key=lambda node: (len(node.features), node.count)).name


def _repeat(text: pa.Array) -> bool:
    return bool(pc.count_distinct(text).as_py() < 0.9 * len(text))


def _is_code(column: str) -> bool:
    return words(column)[-1] in CODES


def _values(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A dictionary's values, and bytes as the text that they are; what is no UTF-8 stays bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        try:
            return column.cast(TEXT)
        except pa.ArrowInvalid:
            return column.cast(pa.large_binary())
    return column
