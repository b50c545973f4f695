"""`verify` on a run: each file that a later command believes is looked at."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import run

from coldframe.datasets.generated import generate_catalog


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a learned and an open round, gold answers, an evaluation and a noisy export."""
    folder = tmp_path_factory.mktemp("finished")
    made = generate_catalog(folder / "data", size="tiny")
    out, catalog = folder / "run", folder / "catalog"
    run("ingest", *made.inputs, "--schema", made.schema, "--out", catalog)
    run("train", catalog, "--out", out, "--epochs", "2", "--dimensions", "8", "--text", "tfidf")
    run("acquire", out, "--budget", "8", "--out", folder / "asked.csv")
    lines = (folder / "asked.csv").read_text().splitlines()
    users_items = [line.replace('"', "").split(",")[1:3] for line in lines[1:]]
    told = "\n".join(f"{user},{item},like" for user, item in users_items)
    (folder / "answers.csv").write_text(f"user,item,answer\n{told}\n")
    run("label", out, folder / "answers.csv", "--gold", folder / "answers.csv")
    run("retrain", out)
    run("acquire", out, "--budget", "5")
    run("evaluate", out, "--models", "coldframe")
    run("export-counts", out, "--epsilon", "0.1", "--pseudonymous", "--at-least", "1")
    return folder


VOUCHED = (
    "run.json", "config.toml", "env.json", "split.parquet", "journal.jsonl", "journal.jsonl.head",
    "annotators.json", "metrics.json", "privacy.json", "pseudonyms.key", "checkpoints/LATEST",
    "rounds/000/metrics.json", "rounds/000/per-user.parquet", "rounds/001/labels.parquet", "rounds/001/metrics.json",
    "rounds/001/queries.parquet", "rounds/001/per-user.parquet", "rounds/002/queries.parquet",
)  # fmt: skip


def test_a_sound_run_is_sound_and_every_file_is_known(finished):
    found = run("verify", finished / "run")
    assert found["ok"] is True
    parts = " ".join(check["part"] for check in found["checks"])
    for name in VOUCHED:
        assert Path(name).name.split(".")[0] in parts, name
    known = {*VOUCHED, "events.jsonl", "journal.jsonl.lock"}
    for path in (finished / "run").rglob("*"):
        name = str(path.relative_to(finished / "run"))
        assert path.is_dir() or "/step-" in name or name in known, name


@pytest.mark.R(7)
@pytest.mark.parametrize("name", VOUCHED)
def test_verify_finds_a_file_that_was_cut(name, finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    path = tmp_path / "run" / name
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    found = run("verify", tmp_path / "run", code=4)
    assert found["ok"] is False
    assert [check for check in found["checks"] if not check["ok"]]


NEEDED = tuple(  # what a run of this state cannot be without
    name
    for name in VOUCHED
    if Path(name).name
    not in ("run.json", "metrics.json", "annotators.json", "privacy.json", "pseudonyms.key", "per-user.parquet")
    and "002" not in name
)  # fmt: skip


@pytest.mark.R(7)
@pytest.mark.parametrize("name", [*NEEDED, "checkpoints/step-000001"])
def test_verify_finds_a_file_that_is_gone(name, finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    path = tmp_path / "run" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert run("verify", tmp_path / "run", code=4)["ok"] is False


def test_verify_finds_a_journal_that_is_gone_with_its_head(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "journal.jsonl").unlink()
    (tmp_path / "run" / "journal.jsonl.head").unlink()
    assert run("verify", tmp_path / "run", code=4)["ok"] is False


def test_a_journal_without_its_head_is_believed_by_nobody(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "all")
    (tmp_path / "all" / "run" / "journal.jsonl.head").unlink()
    found = run("retrain", tmp_path / "all" / "run", code=4)
    assert found["error"]["kind"] == "integrity"
    assert "journal.jsonl.head" in found["error"]["message"]


def test_a_half_forgotten_user_is_told(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    (tmp_path / "run" / "forgetting").mkdir()
    assert "half forgotten" in run("verify", tmp_path / "run", code=4)["error"]["message"]


def test_an_event_that_was_cut_off_behind_a_brace_is_no_damage(finished, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    path = tmp_path / "run" / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"time": 1, "more": {"a": 1}')
    assert run("verify", tmp_path / "run")["ok"] is True
    path.write_bytes(b'{"time": 1, "more": {"a": 1}\n' + whole)
    assert run("verify", tmp_path / "run", code=4)["ok"] is False
