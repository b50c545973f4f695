"""The write seam, JSON, tables and names: what they promise when nothing goes wrong."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coldframe.kg import writing
from coldframe.kg.allocator import system_memory
from coldframe.kg.errors import (
    DataError,
    IntegrityError,
    ParseError,
    ResourceError,
    StateError,
    UsageError,
)
from coldframe.kg.files import (
    append_record,
    atomic_folder,
    atomic_write,
    read_json,
    read_sealed,
    read_table,
    sha256_bytes,
    sha256_file,
    sweep,
    write_json,
    write_sealed,
    write_table,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_text_bytes_and_by_function(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "file"
    for data, expected in (("ü", "ü".encode()), (b"\x00", b"\x00")):
        atomic_write(target, data)
        assert target.read_bytes() == expected
    atomic_write(target, lambda out: out.write(b"by function"))
    assert target.read_bytes() == b"by function"
    assert names(target.parent) == ["file"]


def test_keeps_the_permissions_of_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "private"
    atomic_write(target, "1")
    target.chmod(0o600)
    atomic_write(target, "2")
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_an_error_in_the_writer_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    atomic_write(target, "old")

    def broken(out: object) -> None:
        out.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        atomic_write(target, broken)
    assert target.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_replaces_a_link_and_not_what_it_points_at(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / "link").symlink_to(outside)
    atomic_write(tmp_path / "link", "new")
    assert outside.read_text() == "mine"
    assert (tmp_path / "link").read_text() == "new"


@pytest.mark.parametrize("one_step", [True, False])
def test_folders_appear_whole_and_are_exchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_step: bool
) -> None:
    if not one_step:
        monkeypatch.setattr(writing, "_exchange", lambda *_: False)
    target = tmp_path / "run"
    with atomic_folder(target) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
        assert not target.exists()
    with pytest.raises(StateError, match="exists"), atomic_folder(target):
        pass
    with atomic_folder(target, replace=True) as folder:
        (folder / "b").write_text("2")
    assert names(target) == ["b"]
    with pytest.raises(DataError, match="absent"):  # noqa: PT012, SIM117
        with atomic_folder(target, replace=True) as folder:
            (folder / "c").write_text("3")
            raise DataError("absent")
    assert names(target) == ["b"]
    assert names(tmp_path) == ["run"]


def test_a_half_done_replacement_is_finished_by_the_next_sweep(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("old")
    target.rename(tmp_path / ".run.cf-old")
    assert sweep(tmp_path) == 1
    assert (target / "a").read_text() == "old"
    assert names(tmp_path) == ["run"]


def test_sweeps_what_dead_writers_left_and_nothing_else(tmp_path: Path) -> None:
    host, dead, live = writing._HOST, 2**22 + 1, os.getppid()
    left = [f".cf-{host}-{dead}-0123abcd.tmp", f".cf-{host}-{os.getpid()}-0123abcd.tmp"]
    kept = [
        f".cf-{host}-{live}-0123abcd.tmp",
        f".cf-ffffff-{dead}-0123abcd.tmp",
        ".cf-notes.tmp",
        "data.tmp",
    ]
    for name in left + kept:
        (tmp_path / name).write_text("")
    atomic_write(tmp_path / "file", "x")
    assert names(tmp_path) == sorted([*kept, "file"])


def test_appends_whole_lines_and_closes_a_torn_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    append_record(log, [b"one", b"two\n"])
    append_record(log, [])
    assert log.read_bytes() == b"one\ntwo\n"
    log.write_bytes(b"one\ntw")
    append_record(log, [b"three"])
    assert log.read_bytes() == b"one\ntw\nthree\n"
    with pytest.raises(DataError, match="one line"):
        append_record(log, [b"a\nb"])


def test_json_is_strict_and_errors_name_the_place(tmp_path: Path) -> None:
    target = tmp_path / "x.json"
    write_json(target, {"a": np.float32("nan"), "b": np.arange(2), "c": {3: (np.int8(1), True)}})
    assert json.loads(target.read_text(), parse_constant=pytest.fail) == {
        "a": None,
        "b": [0, 1],
        "c": {"3": [1, True]},
    }
    write_json(target, "\ud800")
    assert read_json(target) == "\ud800"
    target.write_text('{"a": 1,\n "b": }')
    with pytest.raises(ParseError, match=r"x\.json:2:7"):
        read_json(target)
    target.write_text("[" * 100_000)
    with pytest.raises(ParseError):
        read_json(target)
    with pytest.raises(ResourceError, match="missing"):
        read_json(tmp_path / "missing.json")


def test_hashes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256_file(tmp_path / "f") == sha256_bytes(b"abc")
    assert sha256_bytes(b"abc").startswith("ba7816bf8f01cfea")


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)
RISKY = st.builds(lambda quotes, sign, rest: "'" * quotes + sign + rest,
                  st.integers(0, 3), st.sampled_from("=+-@\t\r"), CELLS)  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
@settings(max_examples=60, deadline=None)
@given(cells=st.lists(CELLS | RISKY, min_size=1, max_size=6))
def test_tables_come_back_as_they_went(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, cells: list[str]
) -> None:
    path = tmp_path_factory.mktemp("t") / f"t.{suffix}"
    table = pa.table({"=name": cells, "n": [1.5] * len(cells)})
    write_table(path, table)
    back = read_table(path, text=["=name"])
    assert back.to_pydict() == table.to_pydict()


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_no_cell_runs_in_a_spreadsheet(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    risky = ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "plain"]
    write_table(path, pa.table({"=x": risky, "n": [-1] * 7}))
    header, *lines = path.read_bytes().decode().removesuffix("\n").split("\n")
    assert header.startswith('"\'=x"')
    assert [line[1] for line in lines] == ["'"] * 6 + ["p"]
    assert all(line.endswith("-1") for line in lines), "numbers stay numbers"


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", "a,b\n1,2\n1,2,3\n", r"a\.csv:3"),
        ("a.csv", "a,a\n1,2\n", "twice"),
        ("a.csv", "", "a.csv"),
        ("a.csv", b"a\n\xff\xfe\n", "UTF-8"),
        ("a.jsonl", '{"a": 1}\n{"a": \n', r"a\.jsonl:2"),
        ("a.jsonl", '{"a": 1}\n[1]\n', r"a\.jsonl:2"),
        ("a.jsonl", '{"a": 1}\n{"a": "x"}\n', "'a'"),
        ("a.jsonl", '{"a": 1' + "0" * 30 + "}\n", "'a'"),
        ("a.parquet", "PAR1 not really PAR1", "a.parquet"),
    ],
)
def test_damaged_tables_are_parse_errors(
    tmp_path: Path, name: str, content: str | bytes, place: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(ParseError, match=place):
        read_table(path)


_COUNT_THREADS = """
import os, sys
from coldframe.kg.files import read_table
before = len(os.listdir("/proc/self/task"))
read_table(sys.argv[1])
print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are listed on Linux only")
def test_no_thread_is_left_that_could_abort_the_end_of_a_command(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_table(path, pa.table({f"c{n}": ["x"] * 50 for n in range(8)}))
    words = [sys.executable, "-c", _COUNT_THREADS, str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"


def test_ids_that_look_like_numbers_stay_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item,rating\n007,4\n,5\n")
    assert read_table(path, text=["item"]).to_pydict() == {"item": ["007", ""], "rating": [4, 5]}


def test_a_csv_may_be_parted_by_semicolons_or_tabs(tmp_path: Path) -> None:
    for mark in (";", "\t", ","):
        path = tmp_path / "t.csv"
        path.write_text(f"user{mark}item\n007{mark}x\n", "utf-8-sig")
        assert read_table(path, text=["user"]).to_pylist() == [{"user": "007", "item": "x"}]


def test_unknown_formats_and_columns_without_a_place(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="xlsx"):
        write_table(tmp_path / "a.xlsx", pa.table({}))
    with pytest.raises(UsageError) as caught:
        read_table(tmp_path / "a.xlsx")
    assert "as .csv" in caught.value.hint
    with pytest.raises(DataError, match="'lists'"):
        write_table(tmp_path / "a.csv", pa.table({"lists": [[1]]}))
    with pytest.raises(ResourceError):
        read_table(tmp_path / "missing.csv")


def test_a_sealed_object_is_read_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "sealed.json"
    content = {"b": [1, 2.5, None, "\ud800"], "a": {"ü": True}}
    write_sealed(target, content)
    assert read_sealed(target) == content
    assert list(read_json(target)) == ["b", "a", "sha256"]


@pytest.mark.R(7)
def test_no_byte_of_a_sealed_object_changes_unseen(tmp_path: Path) -> None:
    target = tmp_path / "sealed.json"
    content = {"round": 1, "name": "seeds", "parts": [1.5, "x"]}
    write_sealed(target, content)
    raw = target.read_bytes()
    for place in range(len(raw)):
        for spoiled in (raw[:place], raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]):
            target.write_bytes(spoiled)
            with contextlib.suppress(IntegrityError):
                assert read_sealed(target) == content  # only white space was touched


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"a": 1}', '{"sha256": 3}', "[" * 100_000])
def test_what_is_not_sealed_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(IntegrityError, match=r"x\.json"):
        read_sealed(tmp_path / "x.json")


def test_arrows_own_memory_is_back_after_the_systems():
    before = pa.default_memory_pool().backend_name
    during = []

    @system_memory()
    def fail():
        during.append(pa.default_memory_pool().backend_name)
        raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"):
        fail()
    assert during == ["system"]
    assert pa.default_memory_pool().backend_name == before


def test_times_are_written_as_lines_and_lists_are_no_text(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    write_table(tmp_path / "rows.jsonl", pa.table({"at": [moment], "day": [moment.date()]}))
    row = json.loads((tmp_path / "rows.jsonl").read_text())
    assert row == {"at": "2026-03-01 12:30:00+00:00", "day": "2026-03-01"}
    write_table(tmp_path / "rows.parquet", pa.table({"user": [["a", "b"]]}))
    with pytest.raises(ParseError, match=r"column 'user' holds list.*, expected text"):
        read_table(tmp_path / "rows.parquet", text=["user"])
