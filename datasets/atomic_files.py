"""Any folder of RecBole atomic files: tab-separated, header `name:type`, suffixes .inter .item ...

Types: token (one value), token_seq (values parted by blanks or commas, or a text), float, float_seq (left out).
Reference: https://recbole.io/docs/user_guide/data/atomic_files.html
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..kg.errors import DataError, ParseError, UsageError, nearest
from ..kg.infer import quoted
from ..kg.literals import parse_numbers
from ..kg.schema import Schema
from .base import Loaded, encoded, freebase_iri
from .facts import Facts, fact_tables, merge_inverses
from .raw_files import matching, plain_name, read_columns

_LOG = logging.getLogger(__name__)
_TYPES = ("token", "token_seq", "float", "float_seq")
_FEW_VALUES = 200
_MOST_RATINGS = 11  # 0 to 10
_TEXT_NAME = re.compile(r"title|name|description|summary|review|text")


@dataclass(frozen=True)
class _Section:
    """What a table's columns become: lines of TOML for its node type, and for its table."""

    features: list[str] = field(default_factory=list)
    relations: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)


def load(
    folder: Path,
    *,
    name: str = "",
    base: str = "",
    positive: int | float | str = "auto",
    user: str = "",
    item: str = "",
    rating: str = "",
    time: str = "",
) -> Loaded:
    """Interactions with rating, time and split where there are, item and user features, KG.

    Args:
        name: the catalog's name; the folder's by default.
        base: start of the IRIs of users and items; `https://example.org/<name>/` by default.
        positive: rating from which on an interaction is positive. "auto": 0.8 of the highest where
            there are at most eleven distinct ratings (4 of 5 stars, 8 of 0 to 10), and all positive
            otherwise; "none": all positive.
        user, item, rating, time: columns of the interactions. By default user_id and item_id, else the
            first column of the .user and .item files, else the first column and the one after it;
            rating, label or stars; timestamp or date.

    Raises:
        UsageError: a column is named that the interactions do not have.
    """
    name = name or folder.resolve().name
    base = base or f"https://example.org/{name}/"
    inter = _interactions(folder)
    tables = {"interactions": inter}
    given = {"user": user, "item": item, "rating": rating, "time": time}
    roles = _roles(folder, inter.column_names, given)
    user, item = roles["user"], roles["item"]
    threshold = _threshold(inter, roles.get("rating"), positive)
    sections: dict[str, _Section] = {}
    for kind, id_column in (("user", user), ("item", item)):
        tables[f"{kind}s"], sections[kind] = _nodes(folder, kind, inter[id_column])
    graph = _graph(folder, f"{base}item/", base)
    tables |= graph
    text = _toml(name, base, sections, tables, roles, threshold)
    return tables, Schema.loads(text, source=f"{name} (atomic files)")


def _roles(folder: Path, names: list[str], given: dict[str, str]) -> dict[str, str]:
    """Role of an event -> column of the interactions: as given, else by name, else by place."""
    for role, column in given.items():
        if column and column not in names:
            hint = nearest(column, names)
            raise UsageError(
                f"{role} is {column!r}, no column has that name", where="*.inter", hint=hint
            )
    out = dict(given)
    for role in ("user", "item"):
        ids = [f"{role}_id"]
        if ids[0] not in names:
            ids = [_read(path)[0].column_names[0] for path in matching(folder, f"*.{role}")]
        out[role] = out[role] or next((one for one in ids if one in names), "")
    others = [name for name in names if name not in (out["user"], out["item"])]
    out["user"] = out["user"] or others[0]
    after = [name for name in names[names.index(out["user"]) + 1 :] if name in others]
    out["item"] = out["item"] or next(name for name in (*after, *others) if name != out["user"])
    if out["user"] == out["item"]:
        raise UsageError(f"{out['user']!r} is the column of users and of items", where="*.inter")
    left = [name for name in names if name not in (out["user"], out["item"])]
    usual = {
        "rating": ("rating", "label", "stars"),
        "time": ("timestamp", "date"),
        "split": ("split",),
    }
    for role, known in usual.items():
        out[role] = out.get(role) or next((name for name in known if name in left), "")
    return {role: column for role, column in out.items() if column}


def _read(path: Path, least: int = 1) -> tuple[pa.Table, dict[str, str]]:
    """A file of at least so many columns with their plain names, and column -> type."""
    table = read_columns(path, least=least)
    types = {}
    for head in table.column_names:
        column, colon, kind = head.partition(":")
        if not colon or kind not in _TYPES:
            raise ParseError(
                f"header field {head!r} is not name:type", where=f"{path}:1",
                hint=f"types: {', '.join(_TYPES)}",
            )  # fmt: skip
        types[column] = kind
    if len(types) < len(table.column_names):
        raise ParseError("two columns have one name", where=f"{path}:1")
    return table.rename_columns(list(types)), types


def _interactions(folder: Path) -> pa.Table:
    """All *.inter files; the split is the word before .inter where it is train, valid or test."""
    whole, parts = [], []
    for path in matching(folder, "*.inter"):
        split = plain_name(path).removesuffix(".inter").split(".")[-1]
        table, _ = _read(path)
        if len(table.column_names) < 2:
            raise ParseError("expected a user and an item column", where=f"{path}:1")
        if split in ("train", "valid", "test"):
            parts.append(table.append_column("split", pa.array([split] * len(table), pa.string())))
        else:
            whole.append(table)
    chosen = parts or whole
    if not chosen:
        raise DataError("the folder has no *.inter file", where=str(folder), hint="also .gz, .zip")
    if len(chosen) > 1 and not parts:
        raise DataError(
            "the folder has several data sets", where=str(folder), hint="one folder each"
        )
    if any(table.column_names != chosen[0].column_names for table in chosen):
        raise ParseError("the parts have different columns", where=str(folder))
    return pa.concat_tables(chosen)


def _threshold(inter: pa.Table, rating: str | None, positive: int | float | str) -> float | None:
    if isinstance(positive, str):
        if positive not in ("auto", "none"):
            try:
                return float(positive)
            except ValueError:
                raise UsageError(
                    f"positive is {positive!r}", hint="a number, auto or none"
                ) from None
        if positive == "none" or rating is None:
            return None
        values = pc.unique(inter[rating])
        if len(values) > _MOST_RATINGS or len(values) < 2:
            return None
        numbers = parse_numbers(values)
        bad = values.filter(pa.array(np.isnan(numbers) & np.asarray(pc.not_equal(values, ""))))
        if len(bad) or np.isnan(numbers).all():
            raise DataError(
                f"the column {rating!r} holds {bad[0].as_py()!r}, expected numbers"
                if len(bad)
                else f"the column {rating!r} is empty, expected numbers",
                where="*.inter",
                hint="write 1 and 0 for yes and no, or say --option positive=none: all are positive",
            )
        highest = float(np.nanmax(numbers))
        _LOG.info("ratings from %g on are positive", 0.8 * highest)
        return 0.8 * highest
    return float(positive)


def _nodes(folder: Path, kind: str, seen: pa.ChunkedArray) -> tuple[pa.Table, _Section]:
    """The table of users or items (also those without a row of their own), and what it becomes."""
    section = _Section()
    paths = matching(folder, f"*.{kind}")
    if len(paths) > 1:
        raise DataError(f"the folder has several *.{kind} files", where=str(folder))
    if not paths:
        return pa.table({"id": pc.unique(seen)}), section
    table, types = _read(paths[0])
    names = table.column_names
    for column in names[1:]:
        values = table[column]
        kind_of = _kind(column, values, types[column], kind)
        if kind_of is None:
            continue
        key = quoted(column)
        if kind_of in ("relation", "relations"):
            relation = quoted(_relation_name(kind, column))
            separator = ""
            if kind_of == "relations":
                separator = f", separator = {quoted(_separator(values))}"
            section.columns.append(f"{relation} = {{ column = {key}{separator} }}")
            section.relations.append(column)
        else:
            section.columns.append(f"{key} = {key}")
            section.features.append(f"{kind_of}.{key} = {quoted(f'this:{encoded(column)}')}")
    known = set(table[names[0]].to_pylist())
    others = [value for value in pc.unique(seen).to_pylist() if value not in known]
    rest = pa.table({names[0]: pa.array(others, pa.string())})
    return pa.concat_tables([table, rest], promote_options="default").rename_columns(
        ["id", *names[1:]]
    ), section


def _relation_name(kind: str, column: str) -> str:
    """The column's name, unless that may be a node type's or another table's."""
    clash = kind == "user" or column in ("user", "item", "entity")
    return f"{kind}_{column}" if clash else column


def _separator(values: pa.ChunkedArray) -> str:
    """A comma where most cells of several words have one behind a word, else a blank."""
    several = values.filter(pc.match_substring(values, " "))
    listed = pc.sum(pc.match_substring(several, ", ")).as_py() or 0
    return "," if 2 * listed > len(several) else " "


def _kind(column: str, values: pa.ChunkedArray, declared: str, owner: str) -> str | None:
    """number, text, category, relation (one value) or relations (several); None = left out.

    A token_seq is a list of values if there are at most 1,000 and each is used five times on
    average (genres), and a text otherwise, or where its name says so (titles). A token is a category up
    to 200 values and a relation above; where nearly every item has its own, it is a text.
    """
    if declared == "float_seq":
        return None
    if declared == "float":
        return "number"
    distinct = len(pc.unique(values))
    if declared == "token_seq":
        if _TEXT_NAME.search(column.casefold()):
            return "text"
        parts = pc.split_pattern(values.combine_chunks(), _separator(values))
        words = pc.utf8_trim_whitespace(pc.list_flatten(parts))
        words = words.filter(pc.not_equal(words, ""))
        vocabulary = len(pc.unique(words))
        return "relations" if vocabulary <= 1000 and len(words) >= 5 * vocabulary else "text"
    if distinct <= _FEW_VALUES:
        return "category"
    if owner == "user":
        return None
    return "text" if distinct > 0.9 * len(values) else "relation"


def _graph(folder: Path, item_base: str, base: str) -> dict[str, pa.Table]:
    """Tables `facts` and `entities` of *.kg and *.link; {} without a KG."""
    kg = matching(folder, "*.kg") or matching(folder, "kg")
    link = matching(folder, "*.link") or matching(folder, "link")
    if not kg:
        return {}
    if not link:
        raise DataError("the folder has a *.kg file but no *.link file", where=str(folder))
    links, _ = _read(link[0], 2)
    items = {
        entity: item_base + encoded(item)
        for item, entity in zip(
            links.column(0).to_pylist(), links.column(1).to_pylist(), strict=True
        )
    }
    facts, _ = merge_inverses(Facts.from_table(_read(kg[0], 3)[0]), items)
    return fact_tables(facts, items, lambda entity: _entity_iri(entity, base))


def _entity_iri(entity: str, base: str) -> str:
    own = entity if "://" in entity else f"{base}entity/{encoded(entity)}"
    return freebase_iri(entity) or own


def _toml(
    name: str,
    base: str,
    sections: dict[str, _Section],
    tables: dict[str, pa.Table],
    roles: dict[str, str],
    threshold: float | None,
) -> str:
    lines = [
        f"name = {quoted(name)}", 'users = "user"', 'items = "item"',
        *(['splits = ["train", "valid", "test"]'] if "split" in roles else []),
        *([f"open_relations = {quoted(base + 'relation/{}')}"] if "facts" in tables else []),
        "", "[prefixes]", f"this = {quoted(base)}",
    ]  # fmt: skip
    for kind, section in sections.items():
        lines += [
            "",
            f"[nodes.{kind}]",
            f'class = "this:{kind.title()}"',
            f'iri = "this:{kind}/{{}}"',
        ]
        lines += section.features
        for column in section.relations:
            key = quoted(_relation_name(kind, column))
            lines += [
                "", f"[nodes.{key}]", f"iri = {quoted(f'this:{encoded(column)}/{{}}')}",
                'label = "rdfs:label"', "", f"[relations.{key}]",
                f"property = {quoted(f'this:has-{encoded(column)}')}", f'from = "{kind}"', f"to = {key}",
            ]  # fmt: skip
    if "facts" in tables:
        lines += ["", "[nodes.entity]", 'class = "this:Entity"', 'iri = "{}"']
    lines += ["", "[events.interaction]", 'class = "this:Interaction"']
    lines += [f'{role} = "this:{role}"' for role in roles]
    if threshold is not None and "rating" in roles:
        lines.append(f"positive = {threshold!r}")
    for kind, section in sections.items():
        lines += ["", f"[tables.{kind}s]", f'nodes = "{kind}"', 'id = "id"']
        lines += ["", f"[tables.{kind}s.columns]", *section.columns] if section.columns else []
    if "facts" in tables:
        lines += [
            "", "[tables.entities]", 'nodes = "entity"', 'id = "iri"', "", "[tables.facts]",
            'columns = { from = { column = "from", iri = "{}" }, relation = "relation", '
            'to = { column = "to", iri = "{}" } }',
        ]  # fmt: skip
    lines += [
        "",
        "[tables.interactions]",
        'events = "interaction"',
        "",
        "[tables.interactions.columns]",
    ]
    lines += [f"{role} = {quoted(column)}" for role, column in roles.items()]
    return "\n".join(lines) + "\n"
