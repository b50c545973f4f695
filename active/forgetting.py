"""Forgetting a person: out of catalog, journal, rounds and model, proved by a search of every file.

    forgetting/plan.json          who, and what the run is to be afterwards
    forgetting/split.parquet      the split without her, by the indices of the catalog without her
    forgetting/labels-NNN.parquet the same of the rounds

The plan is made first, whole; then each step can be repeated, and the plan goes last. So a process that
is killed anywhere is completed by the same call; until then the run cannot be used.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ..gnn.run_tables import rows_out, split_out
from ..gnn.runs import RUN_FILE, Run
from ..kg.catalog import Catalog
from ..kg.errors import UnknownIdError
from ..kg.files import (
    atomic_folder,
    atomic_write,
    read_sealed,
    read_table,
    sha256_file,
    write_sealed,
    write_table,
)
from ..kg.forgetting import replace_catalog, without_person
from ..kg.graph import Interactions
from ..kg.person import Person
from ..kg.scan import Scan, scan
from ..kg.split import Split
from ..kg.table_files import seal, unseal
from ..kg.vocabulary import IntArray, Vocabulary
from .cycle import FORGETTING
from .journal import Journal, is_about, standing
from .measure import PER_USER
from .panel import forget_from_panel
from .recording import graph_again, own
from .repeats import Record
from .replay import labels_left, rounds_about
from .rounds import Rounds

WHY = "a user is forgotten"


@dataclass(frozen=True)
class Forgotten:
    """What was taken out.

    Attributes:
        interactions: of the catalog, and labels of the run's rounds.
        records: of the journal.
        scan: the search of run and catalog afterwards.
    """

    interactions: int
    records: int
    scan: Scan


def forget(run: Run, user: str) -> Forgotten:
    """Take a user out of a run and its catalog; the run must be trained anew afterwards.

    Other runs on the catalog are refused from then on, as they still know her. The files that the
    catalog was made from, and copies elsewhere, are not touched.

    Args:
        user: IRI or original id, of the catalog or of the journal alone.

    Raises:
        UnknownIdError: neither has such a user, or another one is half forgotten.
    """
    plan = _plan(run, user)
    person = Person.restored(plan["person"])
    records = plan["records"]
    Journal(run.journal_path).forget(person)
    Rounds(run.path).forget_gold(person)
    forget_from_panel(run.path, person)
    _change_run(run, plan, person)
    place = Path(plan["catalog"])
    catalog = Catalog.open(place)
    if catalog.content_hash == plan["before"]:
        new, _ = without_person(catalog, plan["user"])
        replace_catalog(catalog, new, person)
    changed = own(Run.open(run.path))
    for number in plan["graphs"]:
        graph_again(changed, number, changed.labels(number))
    shutil.rmtree(run.path / FORGETTING)
    run.log("forgotten", interactions=plan["interactions"], records=records)
    return Forgotten(plan["interactions"], records, scan([run.path, place], person))


def _plan(run: Run, user: str) -> dict[str, Any]:
    """The plan that lies there, if it is this user's; else a new one, written whole."""
    path = run.path / FORGETTING / "plan.json"
    if path.exists():
        found: dict[str, Any] = read_sealed(path)
        if Person.restored(found["person"]).is_user(user):
            return found
        raise UnknownIdError(
            "another user is half forgotten", where=str(run.path), hint="forget that one first"
        )
    catalog = run.catalog
    records = Journal(run.journal_path).history()
    iri = _iri_of(user, catalog, records)
    new, person = without_person(catalog, iri)
    others = [record for record in records if not is_about(record, person)]
    plan = {
        "user": iri,
        "person": person.as_dict(),
        "catalog": str((catalog.path or Path()).resolve()),
        "before": catalog.content_hash,
        "records": len(records) - len(others),
    }
    with atomic_folder(run.path / FORGETTING, replace=True) as folder:
        labels = {number: run.labels(number) for number in range(1, run.round + 1)}
        said = standing(others)
        left = labels | labels_left(run, records, said)  # what she said of others goes as well
        graphs = rounds_about(run, records, said)
        interactions, about = _stage(run, new, left, folder)
        interactions += len(catalog.graph.interactions) - len(new.graph.interactions)
        interactions += sum(len(labels[number]) - len(left[number]) for number in labels)
        plan |= {"interactions": interactions, "about": about, "graphs": graphs}
        write_sealed(folder / "plan.json", plan)
    return plan


def _iri_of(user: str, catalog: Catalog, records: list[Record]) -> str:
    """The user's IRI by the catalog, or else by answers that a race or an older version left behind."""
    users = catalog.graph.users.vocabulary
    if users.find(user) < 0:
        told = Vocabulary(sorted({record.answer.user for record in records} - {"", *users}))
        if (place := told.find(user)) >= 0:
            return str(told[place])
    (index,) = users.indices([user], kind="user")
    return str(users[int(index)])


def _stage(
    run: Run, new: Catalog, labels: Mapping[int, Interactions], folder: Path
) -> tuple[int, dict[str, Any]]:
    """Split and labels by the new indices; how many labels went, and what run.json is to say."""
    old = run.catalog.graph
    moves = (
        _moves(old.users.vocabulary, new.graph.users.vocabulary),
        _moves(old.items.vocabulary, new.graph.items.vocabulary),
    )
    split = run.split
    parts = {name: _moved(getattr(split, name), *moves) for name in ("train", "valid", "test")}
    cold_users, cold_items = (
        kept[kept >= 0] for kept in (moves[0][split.cold_users], moves[1][split.cold_items])
    )
    left = Split(
        parts["train"],
        parts["valid"],
        parts["test"],
        cold_items,
        cold_users,
        split.name,
        split.seed,
    )
    write_table(folder / "split.parquet", split_out(left))
    gone = 0
    for number, before in labels.items():
        rows = _moved(before, *moves)
        gone += len(before) - len(rows)
        write_table(folder / f"labels-{number:03d}.parquet", seal(rows_out(rows)))
    about = {
        "content": new.content_hash,
        "split": {
            **run.about["split"],
            "sha256": sha256_file(folder / "split.parquet"),
            "cold_items": cold_items.tolist(),
            "cold_users": cold_users.tolist(),
        },
    }
    return gone, about


def _moves(old: Vocabulary, new: Vocabulary) -> IntArray:
    """New index of every old one, -1 where it is gone, (len(old),)."""
    found = pc.index_in(old.array, value_set=new.array)
    return np.asarray(pc.fill_null(found, -1)).astype(np.int64)


def _moved(rows: Interactions, users: IntArray, items: IntArray) -> Interactions:
    moved = replace(rows, user=users[rows.user], item=items[rows.item])
    return moved.select((moved.user >= 0) & (moved.item >= 0))


def _change_run(run: Run, plan: dict[str, Any], person: Person) -> None:
    """Everything in the run's folder as it is to be; run.json first, so that nothing uses the rest."""
    if read_sealed(run.path / RUN_FILE).get("stale") != WHY:
        run.drop_model(WHY, **plan["about"])
    staged = run.path / FORGETTING
    atomic_write(run.path / "split.parquet", (staged / "split.parquet").read_bytes())
    for path in sorted(staged.glob("labels-*.parquet")):
        number = int(path.stem.partition("-")[2])
        atomic_write(run.round_folder(number) / "labels.parquet", path.read_bytes())
    for path in (run.path / "rounds").glob(f"*/{PER_USER}"):
        path.unlink()  # in the order of a split that she was in
    for path in sorted((run.path / "rounds").glob("*/queries.parquet")):
        table = unseal(read_table(path), path)
        hers = pa.array(sorted(person.iris | person.ids), table["user"].type)
        about = pa.array(sorted(person.iris), table["item"].type)
        keep = pc.invert(pc.or_(pc.is_in(table["user"], hers), pc.is_in(table["item"], about)))
        if not pc.all(keep, min_count=0).as_py():
            write_table(path, seal(table.filter(keep)))
