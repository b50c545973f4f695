"""The frame of the command line: help, errors, exit codes, signals, JSON."""

from __future__ import annotations

import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from coldframe import cli
from coldframe.commands import console
from coldframe.kg.errors import DataError, IntegrityError, ResourceError, UsageError

RUNNER = CliRunner()
HEAVY = (
    "numpy", "torch", "transformers", "torch_geometric", "rdflib", "sklearn", "matplotlib", "networkx",
)  # fmt: skip
PYTHON = (sys.executable, "-c")


def command(*words: str) -> list[str]:
    """The command in a process of its own, by the module that the console script calls."""
    code = "import sys; from coldframe.cli import main; sys.argv[0] = 'coldframe'; main()"
    return [*PYTHON, code, *words]


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['coldframe', '--help']\n"
        "from coldframe.cli import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        f"print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([*PYTHON, code], capture_output=True, text=True, check=True)
    assert "LOADED []" in done.stdout


def test_every_command_has_help_and_is_listed():
    listed = RUNNER.invoke(cli.app, ["--help"]).output
    for group in cli.GROUPS:
        for name in group.COMMANDS:
            assert re.search(rf"^  {name} ", listed, re.M), name
            shown = RUNNER.invoke(cli.app, [name, "--help"])
            assert shown.exit_code == 0, name
            assert "Usage:" in shown.output
    assert not re.search(r"\w\.\.\.$", listed, re.M), "a first sentence is too long for the list"


def test_unknown_command_names_the_nearest():
    done = RUNNER.invoke(cli.app, ["recomend"])
    assert done.exit_code == 2
    assert "did you mean 'recommend'" in done.stderr


def test_unknown_flag_as_json_is_one_object():
    done = RUNNER.invoke(cli.app, ["doctor", "--nope", "--json"])
    assert done.exit_code == 2
    error = json.loads(done.stdout)["error"]
    assert set(error) == {"kind", "message", "where", "hint"}
    assert error["kind"] == "usage"
    assert "--nope" in error["message"]


@pytest.mark.parametrize(
    "error, code, kind",
    [
        (UsageError("x"), 2, "usage"),
        (DataError("x"), 3, "data"),
        (IntegrityError("x"), 4, "integrity"),
        (ResourceError("x"), 5, "resource"),
        (MemoryError(), 5, "resource"),
        (PermissionError(13, "Permission denied", "/x"), 5, "resource"),
        (ModuleNotFoundError("no", name="optuna"), 5, "resource"),
        (ZeroDivisionError("x"), 1, "internal"),
    ],
)
def test_errors_become_exit_codes(error, code, kind, monkeypatch):
    def fail() -> None:
        raise error

    monkeypatch.setattr("coldframe.commands.care.examine", fail)
    done = RUNNER.invoke(cli.app, ["doctor", "--json"])
    assert done.exit_code == code
    assert json.loads(done.stdout)["error"]["kind"] == kind
    spoken = RUNNER.invoke(cli.app, ["doctor"])
    assert spoken.exit_code == code
    assert spoken.stdout == ""
    assert 1 <= len(spoken.stderr.strip().splitlines()) <= 3
    assert "Traceback" not in spoken.stderr


def test_debug_shows_the_traceback(monkeypatch):
    def fail() -> None:
        raise DataError("broken")

    monkeypatch.setattr("coldframe.commands.care.examine", fail)
    done = RUNNER.invoke(cli.app, ["doctor", "--debug"])
    assert done.exit_code == 3
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("busy", ["while True: pass", "import time; time.sleep(60)", "lock"])
@pytest.mark.R(23)
def test_signals_end_what_would_go_on_for_a_minute(number, code, busy):
    """In Python code, in a system call, and where the main thread never gets back to Python."""
    if busy == "lock":
        busy = "import ctypes; ctypes.CDLL(None).sleep.restype = int; ctypes.CDLL(None).sleep(60)"
        busy += "\n[ctypes.CDLL(None).sleep(60) for _ in range(9)]"
    body = "\n".join("    " + line for line in busy.splitlines())
    code_text = (
        "import sys; sys.argv = ['coldframe', 'doctor']\n"
        "from coldframe.commands import care\n"
        f"def stuck():\n    print('ready', flush=True)\n{body}\n"
        "care.examine = stuck\n"
        "from coldframe.cli import main\nmain()"
    )
    process = subprocess.Popen(
        [*PYTHON, code_text], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    _, words = process.communicate(timeout=20)
    assert process.returncode == code
    assert words.startswith("interrupted: ")
    assert "Traceback" not in words


def test_a_signal_while_a_module_loads_is_not_thrown_into_it(tmp_path):
    """Thrown into the start of an extension in C++ it would abort the process."""
    (tmp_path / "slow_module.py").write_text(
        "import time\nprint('ready', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept BaseException:\n    print('thrown', flush=True)\n    raise\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['coldframe', 'doctor']\n"
        "from coldframe.commands import care\n"
        "care.examine = lambda: __import__('slow_module')\n"
        "from coldframe.cli import main\nmain()"
    )
    process = subprocess.Popen(
        [*PYTHON, code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    rest, words = process.communicate(timeout=20)
    assert process.returncode == 143
    assert rest == ""
    assert words.startswith("interrupted: ")


def test_how_to_go_on_is_told_of_the_command_and_not_of_a_folder_of_its_name():
    assert cli.farewell(["--debug", "train", "label"]).endswith(cli.GO_ON["train"])
    assert cli.farewell(["evaluate", "train"]).endswith(cli.START_AGAIN)


def test_a_reader_that_leaves_is_no_error():
    shell = shlex.join(command("--help"))
    done = subprocess.run(["bash", "-c", f"{shell} | true"], capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_doctor_tells_versions_and_devices():
    done = RUNNER.invoke(cli.app, ["doctor", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["devices"][0]["name"] == "cpu"
    assert found["packages"]["pyoxigraph"]
    assert found["broken"] == []


def test_doctor_says_what_is_missing(monkeypatch):
    from coldframe.commands import care

    real = care._version
    monkeypatch.setattr(care, "_version", lambda name: None if name == "optuna" else real(name))
    done = RUNNER.invoke(cli.app, ["doctor"])
    assert "coldframe[tune]" in done.stdout


def test_json_is_strict():
    data = {"a": math.nan, "b": np.float32(1.5), "c": np.arange(2), "d": Path("x"), "e": {1: (2,)}}
    assert json.loads(console.to_json(data)) == {
        "a": None, "b": 1.5, "c": [0, 1], "d": "x", "e": {"1": [2]},
    }  # fmt: skip


def test_text_from_data_cannot_steer_the_terminal(capsys):
    console.Output().table([{"title": "a\x1b[2Jb", "n": 3, "x": math.nan}])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "a\\x1b[2Jb" in shown
    assert "-" in shown


def test_an_iri_is_written_as_it_is(capsys):
    """`:book:` and the like are names of pictures to the library that prints."""
    out, iri = console.Output(), "urn:book:7"
    out.say(iri)
    out.table([{iri: iri}], title=iri)
    out.note(iri)
    shown = capsys.readouterr()
    assert (shown.out.count(iri), shown.err.count(iri)) == (4, 1)


def test_titles_names_of_columns_and_the_log_cannot_either(capsys):
    console.Output().table([{"a\x1b[2J[b]": "x"}], title="of [red]\x1b[2J[/nothing]")
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "a\\x1b[2J[b]" in shown
    assert "of[red]\\x1b[2J[/nothing]" in "".join(shown.split())  # a title is wrapped
    code = (
        "import logging; from coldframe.commands import console; console.set_up_logging(False)\n"
        "logging.getLogger('coldframe.x').warning('in %s: line', 'a\\x1b[2Jb')"
    )
    done = subprocess.run([*PYTHON, code], capture_output=True, text=True, check=True)
    assert done.stderr == "WARNING coldframe.x: in a\\x1b[2Jb: line\n"


def test_a_bar_shows_no_control_characters(monkeypatch):
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, color_system=None, width=80)
    monkeypatch.setattr(console, "_stderr", lambda: terminal)
    with console.progress_bar("read", after=0.0) as bar:
        bar.stage("of a\x1b]0;b", 1, 2)
        while "of a" not in screen.getvalue():
            time.sleep(0.01)
    assert "\x1b]0;b" not in screen.getvalue()
    assert "of a\\x1b]0;b" in screen.getvalue()


def test_pipes_get_whole_rows(capsys):
    console.Output().table([{"iri": "http://example.org/" + "x" * 300, "n": 1}])
    assert "x" * 300 in capsys.readouterr().out


def test_a_title_of_several_lines_stays_in_its_row(capsys):
    console.Output().table([{"title": "Rose\r\nred\n", "n": 1}])
    assert capsys.readouterr().out.splitlines()[1].split() == ["Rose", "red", "1"]


def test_version_matches_the_package():
    import coldframe

    done = RUNNER.invoke(cli.app, ["--version"])
    assert done.output == f"coldframe {coldframe.__version__}\n"
    assert os.environ.get("COLDFRAME_DEBUG") is None
