"""A run folder: what was trained on which catalog with what, its checkpoints, answers and rounds."""

from __future__ import annotations

import json
import os
import platform
import secrets
import shlex
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow.compute as pc

from ..kg.catalog import Catalog
from ..kg.errors import IntegrityError, StateError
from ..kg.files import (
    append_record,
    atomic_write,
    read_sealed,
    read_table,
    safe_join,
    sha256_file,
    write_json,
    write_sealed,
    write_table,
)
from ..kg.graph import Interactions
from ..kg.manifest import MANIFEST, read_manifest
from ..kg.origin import made_with
from ..kg.split import PARTS, Split
from ..kg.table_files import seal, unseal
from .checkpoint import checkpoint_name
from .config import RecommenderConfig
from .plain import from_plain, to_plain
from .recommender import Progress, Recommender
from .run_tables import rows_in, rows_out, split_out
from .toml_text import dumps
from .unfinished import UNFINISHED

RUN_FILE = "run.json"
FORMAT = "coldframe run 1"
_FILES = ("config.toml", "env.json")  # written once, with the run
_LOADED = ("catalog", "split", "model")
_RESTORE = "restore it from a copy, or train a new run"


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
        write_table(folder / "split.parquet", split_out(split))
        atomic_write(folder / "config.toml", dumps(to_plain(model.config)))
        write_json(folder / "env.json", environment())
        model.save(folder / "checkpoints", 0)
        about = {
            "format": FORMAT,
            "name": _new_name(folder),
            "catalog": str(catalog.path.resolve()),
            "catalog_from_run": os.path.relpath(catalog.path.resolve(), folder.resolve()),
            "content": catalog.content_hash,
            "schema": catalog.schema.content_hash,
            "split": {
                "name": split.name,
                "seed": split.seed,
                "sha256": sha256_file(folder / "split.parquet"),
                "cold_items": split.cold_items.tolist(),
                "cold_users": split.cold_users.tolist(),
            },
            "files": {name: sha256_file(folder / name) for name in _FILES},
            "refit": model.config.refit,
            "seed": model.seed,
            "round": 0,
        }
        write_sealed(folder / RUN_FILE, about)
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
        run = cls(folder, about, model.device, model.progress)
        run.log("trained", round=0)
        run._fill(catalog=catalog, model=model)
        return run

    @classmethod
    def open(
        cls, path: str | Path, *, device: str = "auto", progress: Progress | None = None
    ) -> Self:
        """Open a run folder; catalog and model are loaded when first used.

        Raises:
            StateError: there is no run. IntegrityError: run.json is damaged or of another version.
        """
        folder = Path(path)
        if not (folder / RUN_FILE).is_file():
            begun = (folder / UNFINISHED).is_dir()
            raise StateError(
                "its training is not finished" if begun else "this is no run folder",
                where=str(folder),
                hint=f"{'go on' if begun else 'make one'}: coldframe train",
            )
        about = read_sealed(folder / RUN_FILE, _RESTORE)
        if about.get("format") != FORMAT:
            raise IntegrityError("not a run of this version", where=str(folder / RUN_FILE))
        return cls(folder, about, device, progress)

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog it was trained on: as far from the run as it was, or where it was.

        Raises:
            StateError: it is in neither place. IntegrityError: its content or schema is another now.
        """
        catalog = Catalog.open(self._catalog_path())
        expected = self.about["content"], self.about["schema"]
        if (catalog.content_hash, catalog.schema.content_hash) != expected:
            raise IntegrityError(
                "the catalog is not the one this run was trained on",
                where=str(catalog.path),
                hint="train a new run on it; or ingest the later state to another folder, and say "
                "recommend --catalog FOLDER",
            )
        return catalog

    def _catalog_path(self) -> Path:
        """A run and its catalog that were moved together find each other; hashes decide."""
        known = Path(self.about["catalog"])
        way = self.about.get("catalog_from_run", known)
        beside = Path(os.path.normpath(self.path.resolve() / way))
        for path in (beside, known):
            if (path / MANIFEST).is_file() and self._is_catalog(path):
                return path
        return known if known.exists() or not beside.exists() else beside

    def _is_catalog(self, path: Path) -> bool:
        """Whether the catalog there is this run's; a damaged one is not, and says so when opened."""
        try:
            return bool(read_manifest(path)["content"] == self.about["content"])
        except IntegrityError:
            return False

    @cached_property
    def config(self) -> RecommenderConfig:
        """The settings of the training.

        Raises:
            IntegrityError: config.toml is not the one that was written.
        """
        self.check_file("config.toml")
        settings = tomllib.loads((self.path / "config.toml").read_text("utf-8"))
        return from_plain(RecommenderConfig, settings)

    def check_file(self, name: str) -> None:
        """IntegrityError unless one of the files written once, with the run, is as it was."""
        path = self.path / name
        if not path.is_file():
            raise IntegrityError("the file is missing", where=str(path), hint=_RESTORE)
        if sha256_file(path) != self.about["files"].get(name):
            raise IntegrityError(
                "its content was changed since the training", where=str(path), hint=_RESTORE
            )

    @cached_property
    def split(self) -> Split:
        """What was trained, tuned and tested on, without answers.

        Raises:
            IntegrityError: its file is not the one that was written.
        """
        path, about = self.path / "split.parquet", self.about["split"]
        if not path.is_file() or sha256_file(path) != about["sha256"]:
            raise IntegrityError(
                "the split was changed since the training", where=str(path), hint=_RESTORE
            )
        table = read_table(path)
        train, valid, test = (
            rows_in(table.filter(pc.equal(table["part"], part))) for part in PARTS
        )
        items, users = (np.array(about[key], np.int64) for key in ("cold_items", "cold_users"))
        return Split(train, valid, test, items, users, about["name"], about["seed"])

    @cached_property
    def model(self) -> Recommender:
        """The model of the last finished round; StateError where it must be trained anew."""
        if self.stale:
            raise StateError(
                f"the model is gone, as it had learned from what was taken out: {self.stale}",
                where=str(self.path),
                hint=f"train it anew: coldframe retrain {shlex.quote(str(self.path))}",
            )
        # Not the latest: a round that was cut off may have left a newer one.
        return Recommender.load(
            safe_join(self.path / "checkpoints", checkpoint_name(self.round)),
            self.catalog,
            device=self.device,
            progress=self.progress,
        )

    @property
    def round(self) -> int:
        """Number of the last round that the model has learned from; 0 = none."""
        return int(self.about["round"])

    @property
    def name(self) -> str:
        """Its name in the catalog's store; stays when the folder is moved."""
        return str(self.about["name"])

    @property
    def stale(self) -> str:
        """Why the model must be trained anew before it is used; "" = it need not."""
        return str(self.about.get("stale", ""))

    @property
    def journal_path(self) -> Path:
        return self.path / "journal.jsonl"

    def round_folder(self, number: int) -> Path:
        """rounds/NNN, made if it is not there."""
        folder = self.path / "rounds" / f"{number:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def labels(self, number: int) -> Interactions:
        """The labels that a finished round added to training; IntegrityError if they were changed."""
        path = self.path / "rounds" / f"{number:03d}" / "labels.parquet"
        return rows_in(unseal(read_table(path), path))

    def finish_round(
        self, model: Recommender, labels: Interactions, measured: Mapping[str, Any] | None = None
    ) -> Run:
        """Save a retrained model and what it learned from as the next round; returns the run then.

        run.json is replaced last: until then the run is as it was before the round.

        Args:
            measured: rows of the model's evaluations by what they are of, see `Learned`; they are in
                run.json in the same step.
        """
        number = self.round + 1
        self.set_labels(number, labels)
        model.save(self.path / "checkpoints", number)
        about = {**self.about, "round": number, "measured": dict(measured or {"rows": []})}
        write_sealed(self.path / RUN_FILE, about)
        run = replace(self, about=about)
        run._fill(model=model)
        run.log("retrained", round=number, labels=len(labels))
        return run

    def drop_model(self, why: str, **about: Any) -> Run:
        """Take the model away, as it knows what it must not; returns the run, which is stale then.

        Args:
            about: entries of run.json that change in the same step.
        """
        run = replace(self, about={**self.about, **about, "stale": why})
        write_sealed(self.path / RUN_FILE, run.about)
        for name in ("checkpoints", UNFINISHED):
            shutil.rmtree(self.path / name, ignore_errors=True)
        (self.path / "report.html").unlink(missing_ok=True)
        return run

    def renamed(self) -> Run:
        """The run under another name in the catalog's store, as a copy of a run needs it."""
        run = replace(self, about={**self.about, "name": _new_name(self.path)})
        write_sealed(self.path / RUN_FILE, run.about)
        run._fill(**{name: self.__dict__[name] for name in _LOADED if name in self.__dict__})
        run.log("renamed", name=run.name, before=self.name)
        return run

    def renew(self, model: Recommender) -> Run:
        """Save a model that was trained anew in the place of the one taken away."""
        model.save(self.path / "checkpoints", self.round)
        about = {key: value for key, value in self.about.items() if key != "stale"}
        write_sealed(self.path / RUN_FILE, about)
        shutil.rmtree(self.path / UNFINISHED, ignore_errors=True)
        run = replace(self, about=about)
        run._fill(model=model)
        run.log("trained anew", round=self.round)
        return run

    def _fill(self, **loaded: Any) -> None:
        """Enter what is at hand already, so that it is not loaded when first used."""
        self.__dict__.update(loaded)

    def set_labels(self, number: int, rows: Interactions) -> None:
        """Replace what a finished round added to training."""
        write_table(self.round_folder(number) / "labels.parquet", seal(rows_out(rows)))

    def log(self, event: str, **more: Any) -> None:
        """Append a line to events.jsonl."""
        line = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "event": event, **more}
        append_record(self.path / "events.jsonl", [json.dumps(line).encode()])


def _new_name(folder: Path) -> str:
    """The folder's name and what no other run has, so that none ever writes to another's graphs."""
    return f"{folder.resolve().name}-{secrets.token_hex(4)}"


def environment() -> dict[str, Any]:
    """Versions and machine, for env.json."""
    known = ("numpy", "pyarrow", "pyoxigraph", "scikit-learn", "scipy", "torch")
    versions = made_with(*known, "torch-geometric", "transformers")
    return {"platform": platform.platform(), **versions}
