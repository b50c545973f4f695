"""The `coldframe` command: its groups of commands, and what becomes of errors and signals."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import typer

from . import __version__
from .commands import (
    asking,
    care,
    catalogs,
    console,
    demo,
    models,
    options,
    serving,
    signals,
    taking_back,
    tuning,
)
from .kg.errors import ColdframeError, ResourceError, UsageError

GROUPS = (demo, catalogs, models, serving, asking, taking_back, tuning, care)

GO_ON = {
    "train": "run the same command again: it goes on after the last epoch that was kept",
    "retrain": "run it again: the run is as it was, the answers are in its journal",
    "acquire": "run it again: a round that was opened gives the same questions",
    "forget": "run it again for the same user: until then the run cannot be used",
    "rollback": "run it again: what is left to do is done then",
    "loop": "run it again: finished parts are kept and not repeated",
    "tune": "run it again: finished trials are kept",
    "label": "run it again with the same file: answers already taken in are not taken twice",
}
START_AGAIN = "nothing half-written is left behind; run the same command again"


class Commands(options.Group):
    """All commands; turns every error into one message and an exit code."""

    sections: ClassVar = {group.TITLE: group.COMMANDS for group in GROUPS}

    def main(  # type: ignore[override]  # the named arguments pass through `extra`
        self, args: Sequence[str] | None = None, **extra: Any
    ) -> Any:
        """Run a command; ends the process with the exit code of docs/FORMATS.md."""
        words = list(sys.argv[1:] if args is None else args) or ["--help"]
        debug = "--debug" in words or bool(os.environ.get("COLDFRAME_DEBUG"))
        words = [word for word in words if word != "--debug"]
        console.set_up_logging(debug)
        as_json = "--json" in words
        try:
            code = super().main(words, **{**extra, "standalone_mode": False})
        except BrokenPipeError:
            # The reader of our output has left, as `| head` does: no message, and no second error
            # when the interpreter flushes standard output on its way out.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            if debug:
                import traceback

                traceback.print_exc(file=sys.stderr)
            sys.exit(report_error(as_known(error), as_json))
        sys.exit(code if isinstance(code, int) else 0)


def farewell(words: Sequence[str]) -> str:
    """The line after an interrupt: how to go on with this command."""
    command = next((word for word in words if not word.startswith("-")), "")
    return f"interrupted: {GO_ON.get(command, START_AGAIN)}"


def as_known(error: Exception) -> ColdframeError:
    """Any exception as one of ours: what the user caused keeps its kind, the rest is "internal"."""
    if isinstance(error, ColdframeError):
        return error
    if hasattr(error, "format_message"):  # typer's usage errors, whichever typer is installed
        return _usage(error)
    if isinstance(error, MemoryError):
        return ResourceError("not enough memory", hint="use a smaller catalog, batch or dimension")
    if isinstance(error, ModuleNotFoundError):
        return ResourceError(
            f"package {error.name!r} is not installed", hint="see `coldframe doctor`"
        )
    if isinstance(error, OSError):
        where = str(error.filename or "")
        return ResourceError(error.strerror or str(error), where=where)
    unknown = ColdframeError(
        f"{type(error).__name__}: {error}",
        hint="this is a fault of Coldframe; --debug shows where",
    )
    unknown.kind = "internal"
    return unknown


def _usage(error: Any) -> ColdframeError:
    context = getattr(error, "ctx", None)
    where = context.command_path if context is not None else ""
    return UsageError(
        error.format_message(), where=where, hint=f"see `{where or 'coldframe'} --help`"
    )


def report_error(error: ColdframeError, as_json: bool) -> int:
    """Print one to three lines on standard error, or the error object; returns the exit code."""
    if as_json:
        sys.stdout.write(console.to_json({"error": error.as_dict()}) + "\n")
        sys.stdout.flush()
    else:
        console.note(f"error: {error.message}")
        if error.where:
            console.note(f"   in: {error.where}")
        if error.hint:
            console.note(f"  fix: {error.hint}")
    return error.exit_code


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"coldframe {__version__}")
        raise typer.Exit


@app.callback()
def coldframe(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and the library's log.")
    ] = False,
) -> None:
    """Recommendation for cold catalogs: a knowledge graph in, scores and questions worth asking out.

    The usual way: ingest, train, evaluate, acquire, label, retrain; `demo` walks it on made-up data.
    """


for group in GROUPS:
    group.register(app)


def main() -> None:
    """Entry point of the console script."""
    # One bar at a time, ours; and no advice from a library on how to load its models.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    signals.install(lambda: farewell(sys.argv[1:]))
    try:
        app()
    except signals.Interrupted as stop:  # in a command, or while the commands are put together
        console.note(farewell(sys.argv[1:]))
        signals.stop_children()
        sys.exit(stop.exit_code)


if __name__ == "__main__":
    main()
