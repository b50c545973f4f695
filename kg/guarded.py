"""One stream of RDF -> pieces of N-Quads text, under limits that hold while the parser runs.

Used in the calling process for small Turtle and TriG, and as the program of the child process (see
`sandbox`) for all that can make a parser crash or grow. As a program it reads standard input, writes
N-Quads to standard output and a refusal as one line of JSON to standard error. It therefore imports
nothing of ours.
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Protocol
from xml.parsers import expat

import pyoxigraph as ox

SYNTAXES = {
    "ntriples": ox.RdfFormat.N_TRIPLES,
    "nquads": ox.RdfFormat.N_QUADS,
    "turtle": ox.RdfFormat.TURTLE,
    "trig": ox.RdfFormat.TRIG,
    "rdfxml": ox.RdfFormat.RDF_XML,
    "jsonld": ox.RdfFormat.JSON_LD,
}
REFUSED = 3  # exit status of the child after it has written a refusal
_NO_BASE = "https://relative.invalid/"  # stands in for a base to find what needs one
_RELATIVE = f"<{_NO_BASE}".encode()
_PIECE = 50_000  # statements per piece: some 5 MB of N-Quads
_MB = 1 << 20
_POSITION = re.compile(
    r"^Parser error (?:at|between) .*?column(?:s)? \d+(?: and (?:line )?.*?\d+)?: "
)


@dataclass(frozen=True)
class Limits:
    """Caps on input from outside; whatever exceeds one is refused with a ParseError.

    Attributes:
        statement_bytes: text of one statement: a line of N-Triples, or in another syntax whatever
            stands between two statements (prefixes, comments, a long literal). Parsers take up to 300
            bytes of memory per byte of it.
        statements: statements of one source, repeats included.
        nesting: depth of JSON-LD, of RDF/XML elements and of triple terms.
        prefixes: namespace prefixes of one file.
        decompressed_bytes: content of one source after decompression.
        ratio: decompressed bytes per compressed byte, looked at from 16 MiB of content on.
        members: entries of one archive.
        child_memory: bytes of address space of the child process.
        child_seconds: its CPU and wall time in seconds, to which every megabyte fed to it adds
            `child_seconds_per_mb`.
    """

    statement_bytes: int = 1 << 19
    statements: int = 500_000_000
    nesting: int = 100
    prefixes: int = 10_000
    decompressed_bytes: int = 1 << 37
    ratio: int = 500
    members: int = 10_000
    child_memory: int = 256 << 20
    child_seconds: float = 30.0
    child_seconds_per_mb: float = 1.0

    def seconds_for(self, fed_bytes: int) -> float:
        """Time the child may take for what it has been fed so far."""
        return self.child_seconds + self.child_seconds_per_mb * fed_bytes / _MB


class RefusedError(Exception):
    """A source breaks its syntax or a limit; the reader adds the file and raises a ParseError."""

    def __init__(self, message: str, *, line: int = 0, column: int = 0, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column
        self.hint = hint


def too_long(limits: Limits, line: int = 0) -> RefusedError:
    """The refusal of a statement that is longer than the limit."""
    return RefusedError(
        f"one statement takes more than {limits.statement_bytes:,} bytes",
        line=line,
        hint="raise the limit statement_bytes if this text is wanted",
    )


def too_large(line: int = 0) -> RefusedError:
    """The refusal of a term that is longer than the parser's own cap, which no limit moves."""
    message = "one term takes more than 16 MiB, which the parser does not take"
    return RefusedError(message, line=line, hint="cut the text")


def too_deep(limits: Limits, what: str, line: int = 0) -> RefusedError:
    """The refusal of a source that is nested deeper than the limit."""
    return RefusedError(
        f"{what} nested deeper than {limits.nesting} levels",
        line=line,
        hint="flatten the data, or raise the limit nesting if it is trusted",
    )


def from_syntax_error(error: SyntaxError, line: int | None = None) -> RefusedError:
    """The parser's own error; `line` replaces its line number where only a part was parsed."""
    message = _POSITION.sub("", error.msg)
    hint = ""
    if "LoadDocumentCallback" in message:
        message = "the JSON-LD context is a reference to another document"
        hint = "nothing is ever fetched: write the context into the file"
    elif "No scheme found" in message:
        hint = "write the IRI in full, declare a base in the file, or give a base (base_iri, --base-iri)"
    elif "language tag ''" in message:
        hint = (
            'xml:lang="" is not read: take it out, with the language around it, or convert the file'
        )
    at = line if line is not None else error.lineno or 0
    return RefusedError(message, line=at, column=error.offset or 0, hint=hint)


class Stream(Protocol):
    """Anything that can be read."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" is the end."""


class Guard(Protocol):
    """Looks at the bytes before the parser does."""

    def feed(self, chunk: bytes) -> None:
        """Raise RefusedError if the source must not go on; an empty chunk is the end."""


class TripleTermGuard:
    """Bounds the depth of RDF 1.2 triple terms, which the parser builds and drops recursively.

    Counts `<<` since the last complete statement. Strings may hold some too, hence the slack of one
    buffer; the parser's stack lasts for some 12,000 levels.
    """

    _SLACK = 1024

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last = b""
        self.opened = 0

    def feed(self, chunk: bytes) -> None:
        """See `Guard`."""
        self.opened += (self._last + chunk).count(b"<<")
        self._last = chunk[-1:] if not chunk.endswith(b"<<") else b""
        if self.opened > self._limits.nesting + self._SLACK:
            raise too_deep(self._limits, "triple terms")


class JsonGuard:
    """Bounds depth and string length of JSON without building anything."""

    _OTHER = bytes(set(range(256)) - set(b"[]{}"))

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rest = b""
        self._in_string = False
        self._depth = 0
        self._run = 0

    def feed(self, chunk: bytes) -> None:
        """See `Guard`."""
        text = self._rest + chunk
        slashes = len(text) - len(text.rstrip(b"\\"))
        cut = len(text) - slashes % 2  # half an escape waits for the next chunk
        text, self._rest = text[:cut], text[cut:]
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = text.split(b'"')
        self._run = self._run + len(text) if len(parts) == 1 else len(parts[-1])
        if self._run > self._limits.statement_bytes:
            raise too_long(self._limits)
        outside = b"".join(parts[1 if self._in_string else 0 :: 2])
        self._in_string ^= len(parts) % 2 == 0
        self._nest(outside.translate(None, self._OTHER))

    def _nest(self, brackets: bytes) -> None:
        """Follow the depth; pairs are taken out layer by layer, so that flat text costs little."""
        rest, layers = brackets, 0
        while (inner := rest.replace(b"[]", b"").replace(b"{}", b"")) != rest:
            rest, layers = inner, layers + 2
        deepest = self._depth + layers + rest.count(b"[") + rest.count(b"{")
        if deepest > self._limits.nesting:  # at most so deep: look closely
            rest = brackets
        for bracket in rest:
            self._depth += 1 if bracket in b"[{" else -1
            if self._depth > self._limits.nesting:
                raise too_deep(self._limits, "JSON")


class XmlGuard:
    """Refuses document types and entities, and bounds the depth of elements."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._depth = 0
        self._parser = expat.ParserCreate()
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end

    def feed(self, chunk: bytes) -> None:
        """See `Guard`."""
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            text = expat.ErrorString(error.code)
            raise RefusedError(
                f"not well-formed XML: {text}", line=error.lineno, column=error.offset + 1
            ) from None

    def _doctype(self, *_: object) -> None:
        line, column = self._parser.CurrentLineNumber, self._parser.CurrentColumnNumber
        raise RefusedError(
            "a document type (DOCTYPE) is not allowed: it can define entities",
            line=line,
            column=column + 1,
            hint="remove the DOCTYPE and write the entities out",
        )

    def _start(self, *_: object) -> None:
        self._depth += 1
        if self._depth > self._limits.nesting:
            raise too_deep(self._limits, "XML elements", self._parser.CurrentLineNumber)

    def _end(self, _: str) -> None:
        self._depth -= 1


class _Meter:
    """A reader for the parser: shows every chunk to the guard and bounds the text of a statement."""

    def __init__(self, stream: Stream, limits: Limits, guard: Guard, *, streaming: bool) -> None:
        self._stream = stream
        self._limits = limits
        self._guard = guard
        self._streaming = streaming
        self.since_statement = 0

    def read(self, size: int) -> bytes:
        chunk = self._stream.read(size)
        self._guard.feed(chunk)
        self.since_statement += len(chunk)
        # What the parser has in hand when a statement comes out belongs to the next ones.
        if self._streaming and self.since_statement > self._limits.statement_bytes:
            raise too_long(self._limits)
        return chunk


def nquads(
    stream: Stream, syntax: str, limits: Limits, base_iri: str | None = None
) -> Iterator[bytes]:
    """Pieces of N-Quads text, each of whole lines, of at most 50,000 statements.

    Args:
        stream: the decompressed bytes.
        syntax: a key of `SYNTAXES`.

    Raises:
        RefusedError: the text breaks its syntax or a limit, or has relative IRIs and no base.
    """
    # JSON-LD drops statements with relative IRIs where there is no base; all others refuse them.
    unresolved = 0
    stand_in = syntax == "jsonld" and base_iri is None
    guard: Guard
    if syntax == "jsonld":
        guard = JsonGuard(limits)
    elif syntax == "rdfxml":
        guard = XmlGuard(limits)
    else:
        guard = TripleTermGuard(limits)
    # JSON-LD may put its context last, so the parser may have to hold all of it before a statement.
    meter = _Meter(stream, limits, guard, streaming=syntax != "jsonld")
    statements = 0
    try:
        parser = ox.parse(meter, SYNTAXES[syntax], base_iri=_NO_BASE if stand_in else base_iri)  # type: ignore[arg-type]  # only reads
        watched = _watched(parser, meter, guard)
        while piece := ox.serialize(islice(watched, _PIECE), format=ox.RdfFormat.N_QUADS):
            statements += piece.count(b"\n")
            _check_totals(statements, len(parser.prefixes), limits)
            if stand_in and _RELATIVE in piece:
                unresolved += sum(_RELATIVE in line for line in piece.splitlines())
            yield piece
        _check_totals(statements, len(parser.prefixes), limits)
        if unresolved:
            raise RefusedError(
                f"{unresolved:,} statements have relative IRIs, and there is no base",
                hint="write IRIs in full, declare @base in the context, or give a base (base_iri, --base-iri)",
            )
    except SyntaxError as error:
        raise from_syntax_error(error) from None
    except MemoryError as error:
        if "buffer" in str(error):  # the parser's own cap on one token
            raise too_large() from None
        raise


def _watched(parser: ox.QuadParser, meter: _Meter, guard: Guard) -> Iterator[ox.Quad]:
    """The parser's statements; each one that comes out resets what is counted per statement."""
    if not isinstance(guard, TripleTermGuard):
        for quad in parser:
            meter.since_statement = 0
            yield quad
        return
    for quad in parser:
        meter.since_statement = guard.opened = 0
        yield quad


def _check_totals(statements: int, prefixes: int, limits: Limits) -> None:
    if statements > limits.statements:
        raise RefusedError(
            f"more than {limits.statements:,} statements", hint="raise the limit statements"
        )
    if prefixes > limits.prefixes:
        raise RefusedError(
            f"more than {limits.prefixes:,} prefixes", hint="raise the limit prefixes"
        )


class _Budgeted:
    """Standard input; every megabyte read raises the CPU limit of this process."""

    def __init__(self, stream: Stream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._fed = 0
        self._next = 0

    def read(self, size: int) -> bytes:
        if self._fed >= self._next:
            self._next += _MB
            seconds = math.ceil(self._limits.seconds_for(self._next))
            hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, hard))
        chunk = self._stream.read(size)
        self._fed += len(chunk)
        return chunk


def order(syntax: str, limits: Limits, base_iri: str | None) -> str:
    """The argument that tells the child process what to do."""
    return json.dumps({"syntax": syntax, "limits": asdict(limits), "base_iri": base_iri})


def main(argument: str) -> int:
    """Body of the child process."""
    task = json.loads(argument)
    limits = Limits(**task["limits"])
    resource.setrlimit(resource.RLIMIT_AS, (limits.child_memory, limits.child_memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # it has nothing to write but its pipes
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stream = _Budgeted(sys.stdin.buffer, limits)
    try:
        for piece in nquads(stream, task["syntax"], limits, task["base_iri"]):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except RefusedError as refusal:
        answer = {"message": refusal.message, "line": refusal.line}
        answer |= {"column": refusal.column, "hint": refusal.hint}
        sys.stderr.write(json.dumps(answer))
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
