"""Taking a person out of a catalog: its statements, its rounds, its caches."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc
import pyoxigraph as ox

from .catalog import Catalog
from .catalog_folder import write_catalog
from .catalog_store import ROUNDS, CatalogStore
from .claims import claim, claims
from .errors import DataError
from .files import atomic_folder, write_sealed
from .manifest import MANIFEST, read_manifest
from .mapping import graph_from_quads
from .nquads import write_statements
from .person import Person
from .quads import BLANK_NODE_PREFIX, Quads
from .reader import read_own
from .schema import Schema
from .statements import Statements
from .subclasses import terms_of

Mask = npt.NDArray[np.bool_]


def without_person(catalog: Catalog, iri: str) -> tuple[Catalog, Person]:
    """The catalog as if a person had never been in it, in memory; and all names of the person.

    Taken out are the statements about the person and those that point to her, the events she is part
    of with all that is said of them, the same of what the schema's sameAs properties say is she, and
    blank nodes that nobody else points to. A catalog of tables becomes one of statements.

    Args:
        iri: a user of the catalog.

    Returns:
        the catalog, and the person: IRIs, original ids, and the IRIs as an annotator.

    Raises:
        DataError: nothing would be left.
    """
    quads = catalog.quads()
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "statements.nq"
        if quads is None:
            catalog.write_nquads(path)
            quads = read_own(path)
        gone, persons = _gone(quads, catalog, iri)
        keep = ~(gone[quads.s] | ((quads.o >= 0) & gone[np.maximum(quads.o, 0)]))
        rows = {name: getattr(quads, name)[keep] for name in ("s", "p", "o", "g")}
        if not keep.any():
            raise DataError("without this user the catalog is empty")
        write_statements(replace(quads, **rows, sources=(), origin=None), path)
        left = replace(read_own(path), sources=(), origin=None)
    graph, report = graph_from_quads(left, catalog.schema)
    new = Catalog(graph, catalog.schema, left.content_hash, report, statements=left)
    others = catalog.graph.users.vocabulary
    return new, Person.of(persons, others, _user_columns(catalog.schema))


def replace_catalog(old: Catalog, new: Catalog, person: Person) -> None:
    """Put `new` in the place of `old`'s folder in one step, with the rounds that do not name a person.

    Text embeddings and the filled store are left behind; both are made again when they are needed.

    Raises:
        LockedError: another process has the store open. Until the new folder is there nobody else has.
    """
    assert old.path is not None
    # The old store is held until the new folder stands in its place: what another run wrote meanwhile
    # would be lost.
    with old.store(facts=False) as store:
        rounds = {
            graph: list(_anonymous(list(store.quads(graph)), person))
            for graph in store.graphs()
            if graph.startswith(ROUNDS)
        }
        store.rest()  # an engine that is open writes to its folder, by name
        with atomic_folder(old.path, replace=True) as folder:
            _write_again(new, folder, rounds, claims(store.folder), read_manifest(old.path))


def _write_again(
    new: Catalog,
    folder: Path,
    rounds: Mapping[str, Sequence[ox.Quad]],
    names: Mapping[str, str],
    manifest: Mapping[str, Any],
) -> None:
    """A catalog with rounds by graph, places of runs by name, and the inputs of the old manifest."""
    write_catalog(new, folder)
    with CatalogStore(folder / "store", None) as store:
        for graph, quads in rounds.items():
            store.add(quads, graph)
    for name, place in names.items():
        claim(folder / "store", name, place)
    forgotten = int(manifest.get("forgotten", 0)) + 1
    about = {**read_manifest(folder), "inputs": manifest["inputs"], "forgotten": forgotten}
    write_sealed(folder / MANIFEST, about)


def _user_columns(schema: Schema) -> set[str]:
    """The schema's word for users, and the columns of its tables that hold them."""
    events = [table.columns for table in schema.tables.values() if table.kind == "events"]
    return {schema.user_type, *(columns["user"].name for columns in events if "user" in columns)}


def _gone(quads: Quads, catalog: Catalog, iri: str) -> tuple[Mask, list[str]]:
    """Mask of the terms that go, (n_terms,), and the IRIs among them that are the person."""
    gone = np.zeros(len(quads.terms), bool)
    code = quads.find(iri)
    if code >= 0:
        gone[code] = True
    _follow_same(quads, catalog, gone)
    persons = [iri, *(quads.term(int(one)) for one in np.flatnonzero(gone))]
    is_term = quads.o >= 0
    gone |= _events_of(quads, catalog.schema, gone)
    blank = np.asarray(pc.starts_with(quads.terms, BLANK_NODE_PREFIX), bool)
    while True:
        reached = np.zeros(len(gone), bool)
        reached[quads.o[gone[quads.s] & is_term]] = True
        shared = np.zeros(len(gone), bool)
        shared[quads.o[~gone[quads.s] & is_term]] = True
        more = blank & reached & ~shared & ~gone
        if not more.any():
            return gone, list(dict.fromkeys(persons))
        gone |= more


def _events_of(quads: Quads, schema: Schema, gone: Mask) -> Mask:
    """Mask of the events, of any kind of the schema, that a term that goes is part of, (n_terms,)."""
    is_term, ends = quads.o >= 0, np.maximum(quads.o, 0)
    out = np.zeros(len(gone), bool)
    for event in schema.events.values():
        events = terms_of(quads, schema, event.classes)
        out[quads.s[events[quads.s] & is_term & gone[ends]]] = True
        out[quads.o[gone[quads.s] & is_term & events[ends]]] = True
        for path in event.roles.values():
            pairs = Statements(quads).follow(path, events)
            out[pairs.start[(pairs.end >= 0) & gone[np.maximum(pairs.end, 0)]]] = True
    return out


def _follow_same(quads: Quads, catalog: Catalog, gone: Mask) -> None:
    """Add what is said to be the same as a term that goes, in either direction, link by link."""
    links = [np.arange(len(quads))[quads.rows_of(iri)] for iri in catalog.schema.same_as]
    rows = np.concatenate([*links, np.zeros(0, np.int64)]).astype(np.int64)
    rows = rows[quads.o[rows] >= 0]
    s, o = quads.s[rows], quads.o[rows]
    while True:
        before = int(gone.sum())
        gone[o[gone[s]]] = True
        gone[s[gone[o]]] = True
        if int(gone.sum()) == before:
            return


def _anonymous(quads: list[ox.Quad], person: Person) -> Iterator[ox.Quad]:
    """The quads of a round without answers about the person or by her."""

    def named(term: object) -> bool:
        if isinstance(term, ox.NamedNode):
            return person.is_named(term.value)
        return isinstance(term, ox.Literal) and person.mentions(term.value)

    answers = {str(quad.subject) for quad in quads if named(quad.object)}
    for quad in quads:
        if str(quad.subject) not in answers and not named(quad.subject):
            yield quad
