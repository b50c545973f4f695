"""RDF in any syntax, from anywhere on disk or from rdflib, into one canonical `Quads`.

    from coldframe.kg.reader import read_quads
    quads = read_quads("catalog/*.nt.gz")

Every syntax ends up as N-Triples or N-Quads text in blocks, which one vectorised path encodes. Nothing is
ever fetched from a network.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pyarrow as pa
import pyarrow.compute as pc

from . import from_rdflib, guarded, sandbox
from .archives import Content, Input, inputs_of, settled_syntax
from .assemble import Block, assemble
from .errors import ParseError, UsageError, nearest
from .guarded import Limits, RefusedError, Stream
from .quads import BLANK_NODE_PREFIX, Quads, Source
from .vectorised import block_of, encode, line_blocks

if TYPE_CHECKING:
    import rdflib

Progress = Callable[[str, int], None]
"""Called after each block with the name of the source and its statements so far."""

_LINES = ("ntriples", "nquads")
_CHILD = ("rdfxml", "jsonld")
# Turtle and TriG up to this size are parsed here: a process costs 50 ms, and brackets nested as deep as
# so few bytes allow cost 70 MB. Longer ones could cost gigabytes, so they go to the child.
_SMALL = 1 << 17
# Of statements that we wrote: what was let in once is under no limit.
_OWN = Limits(statement_bytes=1 << 40, nesting=1 << 40, decompressed_bytes=1 << 62)
_ALIASES = {"nt": "ntriples", "nq": "nquads", "ttl": "turtle", "xml": "rdfxml", "json-ld": "jsonld"}


def read_quads(
    source: str | Path | Iterable[str | Path] | bytes | rdflib.Graph,
    *,
    syntax: str | None = None,
    base_iri: str | None = None,
    limits: Limits = Limits(),
    progress: Progress | None = None,
    own: Mapping[str, Path] | None = None,
) -> Quads:
    """Read RDF.

    Args:
        source: a file, folder, glob or archive, or several of them; bytes (then `syntax` is needed);
            or an rdflib Graph or Dataset.
        syntax: ntriples, nquads, turtle, trig, rdfxml or jsonld; by default told by the suffix.
        base_iri: against which relative IRIs are resolved; without it they are errors.
        limits: what a source may cost.
        progress: see `Progress`.
        own: files that we wrote ourselves (see `read_own`), to be read beside the source, by the
            names to call them by.

    Returns:
        The distinct statements of all sources. Blank nodes have become IRIs that are unique to the
        content of their file; annotations (RDF 1.2) have become reified statements.

    Raises:
        ParseError: a source breaks its syntax or a limit; `where` is file:line:column.
        DataError: there is no such file, or nothing in it that is RDF.
        UsageError: no such syntax, or bytes without one.
    """
    known = _syntax(syntax)
    blocks: list[Block] = []
    sources: list[Source] = []
    if isinstance(source, bytes):
        if known is None:
            raise UsageError("bytes need a syntax", hint=f"one of {', '.join(guarded.SYNTAXES)}")
        inputs = [_from_bytes(source, known, limits)]
    elif hasattr(source, "triples"):
        blocks.append(block_of(from_rdflib.statements(cast("rdflib.Graph", source)), 0))
        name_blank_nodes(blocks, f"{BLANK_NODE_PREFIX}rdflib:", renumber=False)
        inputs = []
    else:
        inputs = inputs_of(source, known, limits)
    for number, item in enumerate(inputs):
        parts, read = _read(item, number, base_iri, limits, progress)
        blocks += parts
        sources.append(read)
    for number, (name, path) in enumerate((own or {}).items(), len(inputs)):
        parts, read = _read_own(name, path, number)
        blocks += parts
        sources.append(read)
    return assemble(blocks, sources)


def read_own(path: Path) -> Quads:
    """Read N-Quads that we wrote ourselves: without limits, and with rare IRIs that no parser lets in.

    Raises:
        ParseError: a text is longer than the parser takes.
    """
    blocks, source = _read_own(str(path), path, 0)
    return assemble(blocks, [source])


def _syntax(name: str | None) -> str | None:
    if name is None:
        return None
    found = _ALIASES.get(name, name)
    if found not in guarded.SYNTAXES:
        raise UsageError(f"unknown RDF syntax {name!r}", hint=nearest(name, guarded.SYNTAXES))
    return found


def _from_bytes(data: bytes, syntax: str, limits: Limits) -> Input:
    size = max(1, len(data))
    return Input(
        "<bytes>", syntax, lambda: nullcontext(Content(io.BytesIO(data), lambda: size, limits))
    )


def _read(
    item: Input, number: int, base_iri: str | None, limits: Limits, progress: Progress | None
) -> tuple[list[Block], Source]:
    """Blocks of one source, its blank nodes named after its content."""
    blocks: list[Block] = []
    statements = 0
    content = None
    try:
        syntax = settled_syntax(item)
        with item.open() as content:
            for block in _blocks(content, syntax, number, base_iri, limits):
                blocks.append(block)
                statements += len(block.rows)
                if statements > limits.statements:
                    raise RefusedError(
                        f"more than {limits.statements:,} statements",
                        hint="raise the limit statements",
                    )
                if progress is not None:
                    progress(item.name, statements)
            while content.read(1 << 20):
                pass  # the hash is of all of it, whatever the parser left
    except RefusedError as refusal:
        place = f":{refusal.line}:{refusal.column}" if refusal.line else ""
        hint = refusal.hint
        if content is not None and content.marked and refusal.line == 1:
            hint = "the file starts with a byte order mark: save it as UTF-8 without one"
        raise ParseError(refusal.message, where=f"{item.name}{place}", hint=hint) from None
    prefix = f"{BLANK_NODE_PREFIX}{content.sha256[:16]}:"
    name_blank_nodes(blocks, prefix, renumber=syntax not in _LINES)
    return blocks, Source(item.name, content.sha256, statements)


def _read_own(name: str, path: Path, number: int) -> tuple[list[Block], Source]:
    """Blocks of our own statements, in which blank nodes are IRIs already."""
    (item,) = inputs_of(path, "nquads", _OWN)
    try:
        with item.open() as content:
            blocks = list(_encoded(content, number, _OWN, named=True, own_lines=True, lenient=True))
    except RefusedError as refusal:  # its line is one of a file that nobody else sees
        raise ParseError(refusal.message, where=name, hint=refusal.hint) from None
    return blocks, Source(name, content.sha256, sum(len(block.rows) for block in blocks))


def _blocks(
    content: Content, syntax: str, number: int, base_iri: str | None, limits: Limits
) -> Iterator[Block]:
    if syntax in _LINES:
        yield from _encoded(content, number, limits, named=syntax == "nquads", own_lines=True)
        return
    head = _Head(content)
    alone = syntax in _CHILD or len(head.start) > _SMALL
    parse = sandbox.nquads if alone else guarded.nquads
    text = _Pieces(parse(head, syntax, limits, base_iri))
    yield from _encoded(text, number, limits, named=True, own_lines=False)


def _encoded(
    stream: Stream,
    number: int,
    limits: Limits,
    *,
    named: bool,
    own_lines: bool,
    lenient: bool = False,
) -> Iterator[Block]:
    """Blocks of a stream of N-Triples or N-Quads; `own_lines` if its lines are those of the file."""
    line = 1
    for data in line_blocks(stream, limits):
        try:
            blocks, lines = encode(data, number, line, named=named, limits=limits, lenient=lenient)
        except RefusedError as refused:
            if own_lines:
                raise
            raise RefusedError(refused.message, hint=refused.hint) from None
        yield from blocks
        line += lines


class _Head:
    """A stream of which the start has been looked at."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.start = b""
        while len(self.start) <= _SMALL and (data := content.read(_SMALL)):
            self.start += data
        self._at = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" is the end."""
        if self._at >= len(self.start):
            return self._content.read(size)
        data = self.start[self._at : self._at + size]
        self._at += len(data)
        return data


class _Pieces:
    """An iterator of pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, size: int) -> bytes:  # noqa: ARG002  # a piece is as long as it is
        """The next piece."""
        return next(self._pieces, b"")


def name_blank_nodes(blocks: list[Block], prefix: str, *, renumber: bool) -> None:
    """Turn blank nodes into IRIs.

    Labels are kept, or with `renumber` replaced by the order of first appearance: parsers invent
    random labels for nodes without one.
    """
    places: dict[str, int] = {}
    for index, block in enumerate(blocks):
        blank = pc.starts_with(block.tokens, "_")
        if not pc.any(blank).as_py():
            continue
        labels = block.tokens.filter(blank).to_pylist()
        if renumber:
            names = [f"<{prefix}b{places.setdefault(label, len(places))}>" for label in labels]
        else:
            names = [f"<{prefix}{label[2:]}>" for label in labels]
        tokens = pc.replace_with_mask(block.tokens, blank, pa.array(names, pa.large_string()))
        blocks[index] = replace(block, tokens=tokens)
