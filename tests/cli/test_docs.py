"""The documents say what is true: schema examples parse, and every command line in them exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from coldframe import cli
from coldframe.kg.schema import Schema

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(document: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document.read_text("utf-8"), re.S)


def command_lines(document: Path) -> list[str]:
    """Lines of code blocks that call the command; a backslash joins it with the next line."""
    text = document.read_text("utf-8").replace("\\\n", " ")
    inside = re.findall(r"```(?:console|bash|sh)?\n(.*?)```", text, re.S)
    indented = re.findall(r"^    \S.*$", text, re.M)
    lines = [line.strip() for block in inside for line in block.splitlines()]
    lines += [line.strip() for line in indented]
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?coldframe ", line)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_schema_examples_parse(document):
    for text in blocks(document, "toml"):
        if "[nodes." in text:
            assert Schema.loads(text, source=document.name).nodes


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_command_lines_exist(document):
    root = typer.main.get_command(cli.app)
    for line in command_lines(document):
        words = shlex.split(line, comments=True)[1:]
        command, context = root, root.make_context("coldframe", [], resilient_parsing=True)
        while words and hasattr(command, "get_command") and not words[0].startswith("-"):
            command = command.get_command(context, words.pop(0))
            assert command is not None, line
        flags = {flag for option in command.params for flag in option.opts + option.secondary_opts}
        for word in words:
            if word.startswith("-") and not re.fullmatch(r"-\d+", word):
                assert word.split("=")[0] in flags | {"--help", "--debug"}, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8")):
        if not re.match(r"[a-z]+:", target):
            assert (document.parent / target).exists(), target
    for target in re.findall(r"<img src=\"([^\"]+)\"", document.read_text("utf-8")):
        assert (document.parent / target).exists(), target
