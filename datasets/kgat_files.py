"""Any folder in KGAT's format: `user item item ...` lines, integer triples, id lists.

Trap: some public sets of this format hold the user-item pairs, tests included, as triples of the KG.
A relation that copies interactions is found by its content and left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from ..kg.errors import DataError, ParseError
from ..kg.ids import sorted_distinct
from ..kg.infer import quoted
from ..kg.schema import Schema
from ..kg.vocabulary import IntArray, local_name
from .base import Loaded, encoded, freebase_iri
from .facts import Facts, fact_tables, merge_inverses
from .raw_files import find, locate, read_bytes, read_text

_LOG = logging.getLogger(__name__)
_PARTS = (("train", "train.txt"), ("valid", "valid.txt"), ("test", "test.txt"))


def load(folder: Path, *, name: str = "", base: str = "") -> Loaded:
    """Interactions of train.txt, valid.txt and test.txt (those there are), and kg_final.txt.

    A user's or item's id is the original one where a list gives it, else the integer of the files. An
    item is each integer up to the largest of interactions and list that stands in any of the files.

    Args:
        name: the catalog's name; the folder's by default.
        base: start of the IRIs of users and items; `https://example.org/<name>/` by default.
    """
    name = name or folder.resolve().name
    base = base or f"https://example.org/{name}/"
    user, item, split = _interactions(folder)
    user_names, item_names = (
        _originals(folder, "user_list.txt"),
        _originals(folder, "item_list.txt"),
    )
    facts = _without_copies(_facts(folder), user, item, np.asarray(split.indices))
    codes = _item_codes(facts, item, item_names)
    items = {
        name: f"{base}item/{encoded(item_names.get(name, name))}"
        for name in map(str, codes.tolist())
    }
    facts, _ = merge_inverses(facts, items)
    entities = _originals(folder, "entity_list.txt")
    tables = {
        "users": pa.table({"user": _names(np.unique(user), user_names)}),
        "items": pa.table({"item": _names(codes, item_names)}),
        **fact_tables(facts, items, lambda term: _entity_iri(entities.get(term, term), base)),
        "interactions": pa.table(
            {"user": _names(user, user_names), "item": _names(item, item_names), "split": split}
        ),
    }
    return tables, _schema(name, base, folder)


def _item_codes(facts: Facts, item: IntArray, names: Mapping[str, str]) -> IntArray:
    """The integers of the items, sorted: entities have larger ones."""
    listed = np.array([int(name) for name in names], np.int64)
    known = np.concatenate([item, listed])
    terms = np.array([int(term) for term in facts.terms if term.isdecimal()], np.int64)
    return np.unique(np.concatenate([known, terms[terms <= known.max(initial=-1)]]))


def _interactions(folder: Path) -> tuple[IntArray, IntArray, pa.Array]:
    """user, item int64 (n,), split (n,), of all parts in the order of the files."""
    found = [(split, find(folder, file)) for split, file in _PARTS]
    parts = [(split, *_pairs(path)) for split, path in found if path is not None]
    if not sum(len(users) for _, users, _ in parts):
        raise DataError("no interactions in train.txt, valid.txt or test.txt", where=str(folder))
    codes = np.repeat(np.arange(len(parts), dtype=np.int32), [len(users) for _, users, _ in parts])
    names = pa.array([split for split, _, _ in parts], pa.string())
    return (
        np.concatenate([users for _, users, _ in parts]),
        np.concatenate([items for _, _, items in parts]),
        pa.DictionaryArray.from_arrays(pa.array(codes), names),
    )


def _pairs(path: Path) -> tuple[IntArray, IntArray]:
    """Users and items of the lines `user item item ...`; one row per pair, repeats kept."""
    numbers, sizes = _integers(path, "user item item ...")
    first = np.cumsum(sizes) - sizes
    items = np.ones(len(numbers), bool)
    items[first] = False
    return np.repeat(numbers[first], sizes - 1), numbers[items]


def _integers(path: Path, expected: str) -> tuple[IntArray, IntArray]:
    """All numbers of a file, and how many each line that is not blank has."""
    data = read_bytes(path)
    if stray := re.search(rb"[^0-9 \t\r\n]|[0-9]{16}", data):
        line = data.count(b"\n", 0, stray.start()) + 1
        raise ParseError(f"expected integers: {expected}", where=f"{path}:{line}")
    lines = data.split(b"\n")
    sizes = np.fromiter((len(line.split()) for line in lines), np.int64, len(lines))
    if not sizes.any():
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.fromstring(data.decode("ascii"), np.int64, sep=" "), sizes[sizes > 0]


def _facts(folder: Path) -> Facts:
    path = locate(folder, "kg_final.txt", "kg.txt")
    numbers, sizes = _integers(path, "head relation tail")
    if (wrong := sizes != 3).any():
        row = int(np.flatnonzero(wrong)[0])
        raise ParseError(
            f"expected head relation tail, got {sizes[row]} numbers", where=f"{path}: row {row + 1}"
        )
    facts = Facts.from_numbers(*numbers.reshape(-1, 3).T)
    relations = _originals(folder, "relation_list.txt")
    named = tuple(local_name(relations.get(r, f"relation-{r}")) for r in facts.relations)
    if len(set(named)) < len(named):
        raise DataError("two relations share one name", where=str(folder / "relation_list.txt"))
    return replace(facts, relations=named)


def _originals(folder: Path, file: str) -> dict[str, str]:
    """Integer of the files -> original id, from a list with a header; empty if there is no list."""
    path = find(folder, file)
    if path is None:
        return {}
    lines = read_text(path).splitlines()
    header = lines[0].split() if lines else []
    if "org_id" not in header or "remap_id" not in header:
        raise ParseError(
            f"expected a header with org_id and remap_id, got {header}", where=f"{path}:1"
        )
    org, remap = header.index("org_id"), header.index("remap_id")
    if remap < org:
        raise ParseError("expected org_id before remap_id", where=f"{path}:1")
    out: dict[str, str] = {}
    for number, line in enumerate(lines[1:], 2):
        fields = line.split()
        if not fields:
            continue
        more = len(fields) - len(header)  # an original id may hold blanks
        if more < 0 or not fields[remap + more].isdecimal():
            raise ParseError(f"expected {' '.join(header)}", where=f"{path}:{number}")
        out[fields[remap + more]] = " ".join(fields[org : org + more + 1])
    if len(set(out.values())) < len(out):
        _LOG.warning("%s: original ids repeat; the integers are used instead", path)
        return {}
    return out


def _names(codes: IntArray, originals: dict[str, str]) -> pa.Array:
    distinct, inverse = np.unique(codes, return_inverse=True)
    names = pa.array([originals.get(str(code), str(code)) for code in distinct], pa.string())
    return names.take(pa.array(inverse.reshape(-1)))


def _entity_iri(name: str, base: str) -> str:
    return freebase_iri(name) or f"{base}entity/{encoded(name)}"


def _without_copies(facts: Facts, user: IntArray, item: IntArray, part: IntArray) -> Facts:
    """The facts without the relations that are the interactions under another name.

    A relation is a copy if most of its heads (or tails) with two or more neighbours have exactly
    the items of one user: all of them, or those of one file.

    Args:
        part: the file of each interaction, (n,).
    """
    rng = np.random.default_rng(0)
    number = np.array([int(t) if t.isdecimal() else -1 for t in facts.terms], np.int64)
    distinct = np.unique(np.concatenate([item, number]))
    code = rng.integers(1, 1 << 62, len(distinct), dtype=np.int64)
    code_of_term = code[np.searchsorted(distinct, number)]
    owner = np.unique(user, return_inverse=True)[1].reshape(-1)
    pairs = owner * len(distinct) + np.searchsorted(distinct, item)
    known = []
    for rows in (np.ones(len(part), bool), *(part == one for one in np.unique(part))):
        owners, places = np.divmod(sorted_distinct(pairs[rows]), len(distinct))
        known.append(_set_codes(owners, code[places])[0])
    copies = np.zeros(len(facts.relations), bool)
    for relation in range(len(copies)):
        rows = facts.relation == relation
        for ends, others in ((facts.head, facts.tail), (facts.tail, facts.head)):
            sets, sizes = _set_codes(ends[rows], code_of_term[others[rows]])
            sets = sets[sizes > 1]
            copies[relation] |= len(sets) >= 5 and max(np.isin(sets, k).mean() for k in known) > 0.5
    for copy in np.flatnonzero(copies):
        _LOG.warning("relation %r copies the interactions; left out", facts.relations[copy])
    return facts.select(~copies[facts.relation])


def _set_codes(owner: IntArray, code: IntArray) -> tuple[IntArray, IntArray]:
    """Per owner: the sum of its members' codes (equal sets, equal sums), and their number."""
    _, inverse, sizes = np.unique(owner, return_inverse=True, return_counts=True)
    sums = np.zeros(len(sizes), np.int64)
    np.add.at(sums, inverse.reshape(-1), code)
    return sums, sizes


def _schema(name: str, base: str, folder: Path) -> Schema:
    relations = _originals(folder, "relation_list.txt").values()
    starts = {full[: len(full) - len(local_name(full))] for full in relations}
    start = starts.pop() if len(starts) == 1 else ""
    relation = (start if "://" in start else f"{base}relation/") + "{}"
    text = f"""\
name = {quoted(name)}
users = "user"
items = "item"
splits = ["train", "valid", "test"]
open_relations = {quoted(relation)}

[prefixes]
this = {quoted(base)}

[nodes.user]
class = "this:User"
iri = "this:user/{{}}"

[nodes.item]
class = "this:Item"
iri = "this:item/{{}}"

[nodes.entity]
class = "this:Entity"
iri = "{{}}"

[events.interaction]
class = "this:Interaction"
user = "this:user"
item = "this:item"
split = "this:split"

[tables.users]
nodes = "user"
id = "user"

[tables.items]
nodes = "item"
id = "item"

[tables.entities]
nodes = "entity"
id = "iri"

[tables.facts]
columns = {{ from = {{ column = "from", iri = "{{}}" }}, relation = "relation", to = {{ column = "to", iri = "{{}}" }} }}

[tables.interactions]
events = "interaction"
columns = {{ user = "user", item = "item", split = "split" }}
"""
    return Schema.loads(text, source=f"{name} (KGAT files)")
