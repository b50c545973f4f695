"""A run folder: what was trained on which catalog with what, its checkpoints, answers and rounds."""

from __future__ import annotations

import hashlib
import json
import logging
import platform
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .. import __version__
from ..kg.catalog import Catalog
from ..kg.errors import IntegrityError, StateError
from ..kg.files import (
    append_record,
    atomic_write,
    plain,
    read_json,
    read_table,
    safe_join,
    sha256_file,
    write_json,
    write_table,
)
from ..kg.graph import Interactions
from ..kg.split import Split
from .checkpoint import checkpoint_name
from .plain import to_plain
from .recommender import Progress, Recommender
from .toml_text import dumps

_LOG = logging.getLogger(__name__)

RUN_FILE = "run.json"
UNFINISHED = "unfinished"
FORMAT = "coldframe run 1"
PARTS = ("train", "valid", "test")
_COLUMNS = ("user", "item", "label", "rating", "time", "round")


@dataclass(frozen=True)
class Run:
    """An opened run folder.

        run.json (catalog, split, seed)   config.toml (effective)   env.json   events.jsonl
        split.parquet   checkpoints/   journal.jsonl   rounds/NNN/   metrics.json   report.html

    Attributes:
        path: the folder. about: the content of run.json. device, progress: for the model.
    """

    path: Path
    about: dict[str, Any]
    device: str = "auto"
    progress: Progress | None = None

    @classmethod
    def create(cls, path: str | Path, catalog: Catalog, split: Split, model: Recommender) -> Self:
        """Write a new run of a fitted model, all of it or nothing usable: run.json comes last.

        Raises:
            StateError: the folder holds a run already, or the catalog is in memory.
        """
        folder = Path(path)
        if (folder / RUN_FILE).exists():
            raise StateError(
                "this folder holds a run already", where=str(folder), hint="choose another --out"
            )
        if catalog.path is None:
            raise StateError("a catalog in memory has no run", hint="ingest it into a folder")
        folder.mkdir(parents=True, exist_ok=True)
        write_table(folder / "split.parquet", _split_out(split))
        atomic_write(folder / "config.toml", dumps(to_plain(model.config)))
        write_json(folder / "env.json", environment())
        model.save(folder / "checkpoints", 0)
        about = {
            "format": FORMAT,
            "catalog": str(catalog.path.resolve()),
            "content": catalog.content_hash,
            "schema": catalog.schema.content_hash,
            "split": {
                "name": split.name,
                "seed": split.seed,
                "sha256": sha256_file(folder / "split.parquet"),
                "cold_items": split.cold_items.tolist(),
                "cold_users": split.cold_users.tolist(),
            },
            "refit": model.config.refit,
            "seed": model.seed,
            "round": 0,
        }
        write_json(folder / RUN_FILE, about)
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        run = cls(folder, about, model.device, model.progress)
        run.log("trained", round=0)
        run.__dict__["catalog"], run.__dict__["model"] = catalog, model
        return run

    @classmethod
    def open(
        cls, path: str | Path, *, device: str = "auto", progress: Progress | None = None
    ) -> Self:
        """Open a run folder; catalog and model are loaded when first used.

        Raises:
            StateError: there is no run. IntegrityError: run.json is not readable.
        """
        folder = Path(path)
        if not (folder / RUN_FILE).is_file():
            raise StateError(
                "this is no run folder", where=str(folder), hint="make one: coldframe train"
            )
        about = read_json(folder / RUN_FILE)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            raise IntegrityError("not a run of this version", where=str(folder / RUN_FILE))
        return cls(folder, about, device, progress)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog it was trained on; IntegrityError if its content is another one now."""
        catalog = Catalog.open(self.about["catalog"])
        if catalog.content_hash != self.about["content"]:
            raise IntegrityError(
                "the catalog is not the one this run was trained on",
                where=self.about["catalog"],
                hint="train a new run on it",
            )
        return catalog

    @cached_property
    def split(self) -> Split:
        """What was trained, tuned and tested on, without answers.

        Raises:
            IntegrityError: its file is not the one that was written.
        """
        path, about = self.path / "split.parquet", self.about["split"]
        if sha256_file(path) != about["sha256"]:
            raise IntegrityError("the split was changed since the training", where=str(path))
        table = read_table(path)
        train, valid, test = (
            _rows_in(table.filter(pc.equal(table["part"], part))) for part in PARTS
        )
        items, users = (np.array(about[key], np.int64) for key in ("cold_items", "cold_users"))
        return Split(train, valid, test, items, users, about["name"], about["seed"])

    @cached_property
    def model(self) -> Recommender:
        """The model of the last finished round."""
        split = self.split
        train, valid = split.train, split.valid
        if self.about["refit"]:
            train, valid = train.concat(valid), Interactions.empty()
        for number in range(1, self.round + 1):
            train = train.concat(self.labels(number))
        # Not the latest: a round that was cut off may have left a newer one.
        return Recommender.load(
            safe_join(self.path / "checkpoints", checkpoint_name(self.round)),
            self.catalog,
            train,
            valid,
            device=self.device,
            progress=self.progress,
        )

    @property
    def round(self) -> int:
        """Number of the last round that the model has learned from; 0 = none."""
        return int(self.about["round"])

    @property
    def journal_path(self) -> Path:
        return self.path / "journal.jsonl"

    def round_folder(self, number: int) -> Path:
        """rounds/NNN, made if it is not there."""
        folder = self.path / "rounds" / f"{number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def labels(self, number: int) -> Interactions:
        """The labels that a finished round added to training."""
        return _rows_in(read_table(self.round_folder(number) / "labels.parquet"))

    def finish_round(self, model: Recommender, labels: Interactions) -> Run:
        """Save a retrained model and what it learned from as the next round; returns the run then.

        run.json is replaced last: until then the run is as it was before the round.
        """
        number = self.round + 1
        write_table(self.round_folder(number) / "labels.parquet", _rows_out(labels))
        model.save(self.path / "checkpoints", number)
        about = {**self.about, "round": number}
        write_json(self.path / RUN_FILE, about)
        run = replace(self, about=about)
        run.__dict__["model"] = model
        run.log("retrained", round=number, labels=len(labels))
        return run

    def log(self, event: str, **more: Any) -> None:
        """Append a line to events.jsonl."""
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **more}
        append_record(self.path / "events.jsonl", [json.dumps(line).encode()])


def unfinished_work(folder: Path, catalog: Catalog, split: Split, model: Recommender) -> Path:
    """Where the training of a run keeps what an interruption must not lose.

    The name is a hash of all that the training depends on, so that the same command finds its work
    again and another one starts its own. `Run.create` takes all of it away.
    """
    plan = {
        "version": __version__,
        "catalog": [catalog.content_hash, catalog.schema.content_hash],
        "config": to_plain(model.config),
        "seed": model.seed,
    }
    digest = hashlib.sha256(json.dumps(plain(plan), sort_keys=True).encode())
    for rows in (split.train, split.valid):
        for name in _COLUMNS:
            digest.update(np.ascontiguousarray(getattr(rows, name)).tobytes())
    return folder / UNFINISHED / digest.hexdigest()[:16]


def environment() -> dict[str, Any]:
    """Versions and machine, for env.json."""
    known = ("coldframe", "numpy", "pyarrow", "pyoxigraph", "scikit-learn", "scipy", "torch")
    versions = {}
    for name in (*known, "torch-geometric", "transformers"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {"python": platform.python_version(), "platform": platform.platform(), **versions}


def _rows_out(rows: Interactions) -> pa.Table:
    columns = {name: getattr(rows, name) for name in _COLUMNS}
    columns["split"] = rows.split
    table = pa.table(columns)
    return table.replace_schema_metadata({"split_names": "\n".join(rows.split_names)})


def _rows_in(table: pa.Table) -> Interactions:
    names = (table.schema.metadata or {}).get(b"split_names", b"").decode()
    columns = {name: table[name].to_numpy() for name in (*_COLUMNS, "split")}
    users, items = columns.pop("user"), columns.pop("item")
    return Interactions.build(
        users, items, **columns, split_names=tuple(names.split("\n")) if names else ()
    )


def _split_out(split: Split) -> pa.Table:
    tables = []
    for part in PARTS:
        rows = _rows_out(getattr(split, part))
        tables.append(rows.append_column("part", pa.array([part] * len(rows), pa.string())))
    return pa.concat_tables(tables).replace_schema_metadata(tables[0].schema.metadata)
