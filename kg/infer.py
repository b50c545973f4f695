"""A draft of a schema from the data, as commented TOML that a person only trims."""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .errors import DataError
from .schema import FEATURE_KINDS, WELL_KNOWN_PREFIXES
from .vocabulary import local_name

_LOG = logging.getLogger(__name__)
IDENTIFIER = "looks like an identifier"
TOLD = "may give the answers away"
CONSTANT = "the same everywhere"
VECTOR = "a vector: name each number that is to be used"
LEFT_OUT = (IDENTIFIER, TOLD, CONSTANT, VECTOR)  # remarks of features that are commented out
USER_WORDS = (
    "user", "person", "customer", "member", "reader", "visitor", "agent", "account",
    "client", "buyer", "shopper", "reviewer", "subscriber", "listener", "borrower",
    "patron",
)  # fmt: skip


@dataclass
class DraftNode:
    """A node type of a draft.

    Attributes:
        features: (kind, name, property path or "" for a plain column, remark).
        lines: further lines of its section, such as `iri = …`.
    """

    name: str
    classes: tuple[str, ...] = ()
    count: int = 0
    lines: list[str] = field(default_factory=list)
    features: list[tuple[str, str, str, str]] = field(default_factory=list)


@dataclass
class DraftSection:
    """A relation, an event or a table of a draft.

    Attributes:
        kind: "relations", "events" or "tables".
    """

    kind: str
    name: str
    lines: list[str]


@dataclass
class Draft:
    """What inference found, before it is written as TOML.

    Attributes:
        sections: relations, events and tables, in order.
        remarks: comment lines for the top.
    """

    users: str = ""
    items: str = ""
    top: list[str] = field(default_factory=list)
    nodes: list[DraftNode] = field(default_factory=list)
    sections: list[DraftSection] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def names(self, kind: str) -> list[str]:
        """The names of the sections of one kind."""
        return [section.name for section in self.sections if section.kind == kind]


def infer_schema(data: Any) -> str:
    """Draft a schema as TOML text.

    Args:
        data: `Quads`; tables or their paths by name, as `catalog.read` takes them; or a path or
            paths of RDF files or tables.

    Raises:
        DataError: there is nothing to draft from.
    """
    from .quads import Quads

    if isinstance(data, Quads):
        from .infer_rdf import draft_from_quads

        return draft_from_quads(data)
    if isinstance(data, Mapping):
        from .in_memory import as_sources
        from .infer_files import single_files
        from .infer_tables import draft_from_tables

        given = as_sources(data)
        files = {name: Path(one) for name, one in given.items() if isinstance(one, str | Path)}
        return draft_from_tables({**given, **single_files(files)})
    paths = [Path(p) for p in ([data] if isinstance(data, str | Path) else data)]
    return _from_paths(paths)


def _from_paths(paths: Sequence[Path]) -> str:
    """From the RDF among the paths; from the tables where there is none."""
    from .catalog_inputs import sorted_out
    from .infer_files import named_files
    from .infer_rdf import draft_from_quads
    from .infer_tables import draft_from_tables
    from .reader import read_quads

    rdf, tables, _ = sorted_out(paths)
    if tables and not rdf:
        return draft_from_tables(named_files(tables, paths))
    if not rdf:
        raise DataError("no RDF and no tables among the inputs", where=", ".join(map(str, paths)))
    for path in tables:
        _LOG.warning("%s: left out, as a draft is of RDF or of tables; draft it alone", path)
    return draft_from_quads(read_quads(rdf))


def write_draft(draft: Draft, iris: Iterable[str]) -> str:
    """TOML text; `iris` are the properties and classes for which prefixes are made."""
    prefixes = make_prefixes(iris)
    lines = [f"# {remark}" for remark in draft.remarks]
    lines += ['name = "catalog"']
    lines += [f"users = {quoted(draft.users)}"] if draft.users else []
    lines += [f"items = {quoted(draft.items)}", *draft.top]
    own = {name: ns for name, ns in prefixes.items() if WELL_KNOWN_PREFIXES.get(name) != ns}
    if own:
        lines += ["", "[prefixes]", *(f"{key(name)} = {quoted(ns)}" for name, ns in own.items())]
    for node in draft.nodes:
        count = f"   # {node.count:,}" if node.count else ""
        lines += ["", f"[nodes.{key(node.name)}]{count}"]
        if node.classes:
            classes = [quoted(short(iri, prefixes)) for iri in node.classes]
            value = classes[0] if len(classes) == 1 else f"[{', '.join(classes)}]"
            lines.append(f"class = {value}")
        lines += node.lines
        for kind in FEATURE_KINDS:
            lines += [
                _feature_line(kind, name, shorten(path, prefixes), remark)
                for found, name, path, remark in node.features
                if found == kind
            ]
    for section in draft.sections:
        lines += ["", f"[{section.kind}.{key(section.name)}]"]
        lines += [shorten(line, prefixes) for line in section.lines]
    return "\n".join(lines) + "\n"


def _feature_line(kind: str, name: str, path: str, remark: str) -> str:
    """One feature; what would only be learned by heart, or tells nothing, is commented out."""
    start = "# " if remark in LEFT_OUT else ""
    return f"{start}{kind}.{key(name)} = {quoted(path)}" + (f"   # {remark}" if remark else "")


def make_prefixes(iris: Iterable[str]) -> dict[str, str]:
    """Short names for the namespaces of some IRIs: well-known ones, or made from the namespace."""
    known = {namespace: name for name, namespace in WELL_KNOWN_PREFIXES.items()}
    out: dict[str, str] = {}
    for iri in sorted(set(iris)):
        namespace = iri[: len(iri) - len(local_name(iri))]
        if not namespace or namespace in out.values():
            continue
        words = [w for w in re.split(r"[^a-z0-9]+", namespace.lower()) if re.match(r"[a-z]", w)]
        words = [w for w in words if w not in ("http", "https", "www", "org", "com", "net", "ns")]
        name = known.get(namespace) or (words[-1] if words else "ns")
        if name not in known.values() or namespace not in known:
            base, number = name, 1
            while name in out or name in WELL_KNOWN_PREFIXES:
                number += 1
                name = f"{base}{number}"
        out[name] = namespace
    return out


def short(iri: str, prefixes: Mapping[str, str]) -> str:
    """prefix:local where the rest is plain, else <iri>."""
    for name, namespace in prefixes.items():
        rest = iri[len(namespace) :]
        if iri.startswith(namespace) and re.fullmatch(r"[A-Za-z0-9_.-]+", rest):
            return f"{name}:{rest}"
    return f"<{iri}>"


def shorten(text: str, prefixes: Mapping[str, str]) -> str:
    """Replace every <iri> in a path or line by its short form."""
    return re.sub(r"<([^<>\s]+)>", lambda match: short(match[1], prefixes), text)


def plain_name(text: str) -> str:
    """A readable TOML-friendly name from a local name or a column: lower case, `_` between words, letters without
    their accents.

    A leading class or property number, as in "E22_Man-Made_Object", is cut.
    """
    words = re.sub(r"^[A-Z]\d+[a-z]?_(?=.)", "", text)
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words)
    letters = unicodedata.normalize("NFKD", words.casefold())
    bare = "".join(sign for sign in letters if not unicodedata.combining(sign))
    return re.sub(r"[^a-z0-9]+", "_", bare).strip("_") or "thing"


def telling_name(path: str, owner: str, taken: Mapping[str, str]) -> str:
    """A name for what a path leads to: that of its last property, and where that is taken, with the
    step in which the paths differ, or with the node type it starts from.

    Args:
        path: properties as `<iri>`, with `/` between them.
        owner: name of the node type.
        taken: name -> path that has it.
    """
    iris = re.findall(r"<([^>]*)>", path)
    steps = [plain_name(local_name(iri)) for iri in iris]
    last = len(steps) - 1
    if last and steps[last] in ("value", "label"):
        last -= 1
    name = steps[last]
    if name not in taken:
        return name
    others = re.findall(r"<([^>]*)>", taken[name])
    different = [k for k, iri in enumerate(iris) if iri not in others and steps[k] != name]
    tries = ["_".join(steps[k] for k in sorted({k, last})) for k in different]
    return next(
        (t for t in [*tries, f"{owner}_{name}"] if t not in taken), unique_name(name, taken)
    )


def unique_name(wanted: str, taken: Container[str]) -> str:
    """`wanted`, or with a number where it is taken."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def looks_like_users(name: str) -> bool:
    """Whether a type's or column's name speaks of users."""
    return any(word in name.lower() for word in USER_WORDS)


def quoted(text: str) -> str:
    """A TOML string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    safe = "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped)
    return f'"{safe}"'


def key(name: str) -> str:
    """A TOML key, bare where it can be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else quoted(name)
