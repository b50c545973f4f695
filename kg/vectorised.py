"""N-Triples and N-Quads in whole blocks: one scan for white space, then Arrow dictionaries.

A canonical line is cut at its first two spaces and before its final ` .`; the pieces are encoded without
being copied, and only distinct ones are looked at further. Whatever is unusual goes back to the strict
parser: a piece that is one term but not plainly valid (escapes, other alphabets, rare language tags) by
itself, a line that is not canonical (comments, tabs, triple terms, errors) as a line. The result is
exactly that of the parser; a property test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyoxigraph as ox

from .assemble import Block, Rows
from .guarded import Limits, Stream, from_syntax_error, too_deep, too_large, too_long
from .quads import XSD_STRING, CodeArray
from .tokens import rows, token

Positions = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BLOCK_BYTES = 8 << 20
_DENSE_BYTES = 1 << 20
_SPACE, _NEWLINE, _DOT, _LESS, _MORE, _QUOTE, _LOW = b' \n.<>"_'

# Plainly valid, so that nothing needs to ask the parser.
_CHARACTER = r"(?:[A-Za-z0-9._~/:@!$&'()*+,;=?-]|%[0-9A-Fa-f]{2})"
_HTTP = rf"https?://[A-Za-z0-9.-]+(?::[0-9]{{1,5}})?(?:[/?]{_CHARACTER}*)?"
_IRI = rf"<(?:{_HTTP}|urn:[a-z0-9]{{2,20}}:{_CHARACTER}+)(?:#{_CHARACTER}*)?>"
_NODE = rf"(?:{_IRI}|_:[A-Za-z0-9]+)"
_LITERAL = rf'"[^"\\]*"(?:@[a-z]{{2,3}}(?:-[a-z]{{2}})?|\^\^{_IRI})?'
# Certainly one term or an error, so that it can be shown to the parser by itself.
_ONE_IRI = r"<[^<>\s]*>"
_ONE_NODE = rf'(?:{_ONE_IRI}|_:[^\s<>"#]+)'
_ONE_LITERAL = rf'"(?:[^"\\]|\\.)*"(?:@[A-Za-z0-9-]+|\^\^{_ONE_IRI})?'


@dataclass(frozen=True)
class _Role:
    """One position of a statement: what is valid there, and a line that holds only such a term."""

    name: str
    plain: str
    single: str
    before: bytes
    after: bytes


_S, _P, _O = b"<urn:s>", b"<urn:p>", b"<urn:o>"
_ROLES = (
    _Role("subject", _NODE, _ONE_NODE, b"", b" %b %b .\n" % (_P, _O)),
    _Role("predicate", _IRI, _ONE_IRI, _S + b" ", b" %b .\n" % _O),
    _Role(
        "object",
        f"(?:{_NODE}|{_LITERAL})",
        f"(?:{_ONE_NODE}|{_ONE_LITERAL})",
        b"%b %b " % (_S, _P),
        b" .\n",
    ),
    _Role("graph_name", _NODE, _ONE_NODE, b"%b %b %b " % (_S, _P, _O), b" .\n"),
)


def line_blocks(stream: Stream, limits: Limits, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
    """Blocks of whole lines, each ending in a newline.

    A line that grows beyond the limit is handed out as far as it has been read; `encode` refuses it.
    """
    rest = b""
    while data := stream.read(block_bytes):
        cut = data.rfind(b"\n") + 1
        if cut:
            yield rest + data[:cut]
            rest = data[cut:]
        else:
            rest += data
            if len(rest) > limits.statement_bytes:
                break
    if rest:
        yield rest + b"\n"


@dataclass(frozen=True)
class _Layout:
    """Where the pieces of the canonical lines stand, and which lines are not canonical.

    Attributes:
        pieces: (start, end) per role, each shape (n canonical lines,).
        lines: line index of each canonical line, shape (n,).
        starts, ends: of every line, shape (n lines,); `ends` is the position of its newline.
        odd: mask of the lines that are not canonical, shape (n lines,).
    """

    pieces: list[tuple[Positions, Positions]]
    lines: Positions
    starts: Positions
    ends: Positions
    odd: Mask


def encode(
    data: bytes,
    source: int,
    line: int = 1,
    *,
    named: bool,
    limits: Limits,
    lenient: bool = False,
) -> tuple[list[Block], int]:
    """Encode whole lines of N-Triples, or of N-Quads if `named`.

    Args:
        data: lines, each ending in a newline.
        source: index of the file, stored in the blocks.
        line: number of the first line, for errors.
        lenient: IRIs are taken as they stand.

    Returns:
        A block of the canonical lines, and one of the others if there are any; the number of lines.

    Raises:
        RefusedError: a line is not valid or exceeds a limit.
    """
    if b"\r" in data:  # much faster to look for than both bytes
        data = data.replace(b"\r\n", b"\n")
    raw = np.frombuffer(data, np.uint8)
    blank = raw <= _SPACE
    if len(data) > _DENSE_BYTES and 3 * np.count_nonzero(blank) > len(data):
        # The positions of so much white space would take much memory: do it in two parts.
        cut = data.rfind(b"\n", 0, len(data) // 2) + 1 or data.find(b"\n") + 1
        if cut < len(data):
            part = partial(encode, named=named, limits=limits, lenient=lenient)
            first, lines = part(data[:cut], source, line)
            second, more = part(data[cut:], source, line + lines)
            return first + second, lines + more
        if len(data) > limits.statement_bytes:
            raise too_long(limits, line)
    layout = _lay_out(raw, blank, named=named)
    longest = int((layout.ends - layout.starts).argmax())
    if layout.ends[longest] - layout.starts[longest] > limits.statement_bytes:
        raise too_long(limits, line + longest)
    columns = []
    for role, (start, end) in zip(_ROLES, layout.pieces, strict=False):
        column = _Column(data, start, end)
        unsettled = column.settle(role)
        if len(unsettled):
            layout.odd[layout.lines[np.isin(column.codes, unsettled)]] = True
        columns.append(column)
    if not layout.odd.any():
        return [_joined(columns, source)], len(layout.starts)
    kept = ~layout.odd[layout.lines]
    for column in columns:
        column.keep(kept)
    others = _odd_lines(data, layout, source, line, named, limits, lenient)
    return [_joined(columns, source), others], len(layout.starts)


def _joined(columns: list[_Column], source: int) -> Block:
    """One block of the columns, whose dictionaries are put one behind the other."""
    codes, offset = [], 0
    for column in columns:
        codes.append(column.codes + np.int32(offset))
        offset += len(column.tokens)
    graph = None
    if len(columns) == 4 and len(columns[3].tokens):
        graph = np.where(columns[3].codes < 0, np.int32(-1), codes[3])
    tokens = pa.concat_arrays([column.tokens for column in columns])
    return Block(tokens, Rows(codes[0], codes[1], codes[2], graph, source))


def _odd_lines(
    data: bytes,
    layout: _Layout,
    source: int,
    line: int,
    named: bool,
    limits: Limits,
    lenient: bool,
) -> Block:
    """Read the lines that are not canonical with the parser, one by one as it sees them."""
    numbers = np.flatnonzero(layout.odd & (layout.ends > layout.starts))
    spans = zip(layout.starts[numbers].tolist(), layout.ends[numbers].tolist(), strict=True)
    lines = [data[start : end + 1] for start, end in spans]
    for number, text in zip(numbers.tolist(), lines, strict=True):
        if text.count(b"<<") > limits.nesting:
            raise too_deep(limits, "triple terms", line + number)
    syntax = ox.RdfFormat.N_QUADS if named else ox.RdfFormat.N_TRIPLES
    try:
        return block_of(ox.parse(b"".join(lines), syntax, lenient=lenient), source)
    except MemoryError:
        longest = max(range(len(lines)), key=lambda k: len(lines[k]))
        raise too_large(line + int(numbers[longest])) from None
    except SyntaxError as error:
        # The parser may see the end of a cut line only in the next one.
        near = max(0, (error.lineno or 1) - 2)
        for number, text in zip(numbers[near:].tolist(), lines[near:], strict=True):
            _check_line(text, syntax, line + number)
        raise from_syntax_error(error) from None


def _check_line(text: bytes, syntax: ox.RdfFormat, number: int) -> None:
    try:
        for _ in ox.parse(text, syntax):
            pass
    except SyntaxError as error:
        raise from_syntax_error(error, number) from None


def block_of(quads: Iterable[ox.Quad], source: int) -> Block:
    """Encode parsed statements one by one."""
    table: dict[str, int] = {}
    codes = [
        [table.setdefault(name, len(table)) if name else -1 for name in row]
        for quad in quads
        for row in rows(quad)
    ]
    s, p, o, g = np.array(codes, np.int32).reshape(-1, 4).T.copy()
    return Block(pa.array(table, pa.large_string()), Rows(s, p, o, g, source))


def _lay_out(raw: npt.NDArray[np.uint8], blank: Mask, *, named: bool) -> _Layout:
    """Find the lines `A B C .` and, where allowed, `A B C D .` whose white space is single spaces."""
    blanks = np.flatnonzero(blank)
    kinds = raw[blanks]
    last = np.flatnonzero(kinds == _NEWLINE)  # place in `blanks` of each line's end
    ends = blanks[last]
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1] + 1])
    first = np.concatenate([np.zeros(1, np.int64), last[:-1] + 1])
    odd = last - first < 3
    controls = np.flatnonzero((kinds < _SPACE) & (kinds != _NEWLINE))
    odd[np.searchsorted(last, controls)] = True
    # blanks[last - 1] is the blank before the final dot; index -1 can only meet a line that is odd.
    odd |= (blanks[last - 1] != ends - 2) | (raw[ends - 1] != _DOT)
    lines = np.flatnonzero(~odd)
    space_1, space_2, stop = blanks[first[lines]], blanks[first[lines] + 1], ends[lines] - 2
    pieces = [(starts[lines], space_1), (space_1 + 1, space_2), (space_2 + 1, stop)]
    if named:
        cut = _graph_cut(raw, blanks[last[lines] - 2], space_2, stop)
        pieces[2] = (space_2 + 1, cut)
        pieces.append((np.minimum(cut + 1, stop), stop))
    # Two blanks in a row make an empty piece: such a line is for the parser.
    full = np.logical_and.reduce([start < end for start, end in pieces[:3]])
    if not full.all():
        odd[lines[~full]] = True
        lines = lines[full]
        pieces = [(start[full], end[full]) for start, end in pieces]
    return _Layout(pieces, lines, starts, ends, odd)


def _graph_cut(
    raw: npt.NDArray[np.uint8], blank: Positions, space: Positions, stop: Positions
) -> Positions:
    """Where the object ends: before a last piece that looks like an IRI or blank node, or at `stop`.

    A literal may end in such a piece too (`"see <x"^^<y>`). Cut wrongly, neither part is one term, so
    that the line goes to the parser.
    """
    begins, closes = raw[blank + 1], raw[stop - 1]
    iri = (begins == _LESS) & (closes == _MORE)
    node = (begins == _LOW) & (closes != _QUOTE)
    return np.where((blank > space) & (iri | node), blank, stop)


class _Column:
    """The pieces of one role, encoded.

    Attributes:
        tokens: distinct pieces, large_string; settled ones are tokens as in `tokens`.
        codes: code of each canonical line, int32; -1 = an empty piece (no graph).
    """

    def __init__(self, data: bytes, start: Positions, end: Positions) -> None:
        # The bytes between two pieces become null entries, which cost next to nothing.
        bounds = np.empty(2 * len(start) + 1, np.int32)
        bounds[0:-1:2], bounds[1::2], bounds[-1] = start, end, len(data)
        valid = np.full(len(start) // 4 + 1, 0b01010101, np.uint8)
        absent = np.flatnonzero(start == end)
        if len(absent):
            kept = np.zeros((len(start), 2), bool)
            kept[:, 0] = start < end
            valid = np.packbits(kept, bitorder="little")
        pieces = pa.StringArray.from_buffers(
            2 * len(start), pa.py_buffer(bounds), pa.py_buffer(data), pa.py_buffer(valid)
        )
        encoded = pieces.dictionary_encode()
        self.tokens = encoded.dictionary.cast(pa.large_string())
        codes = np.frombuffer(encoded.indices.buffers()[1], np.int32)
        self.codes = codes[: 2 * len(start) : 2].copy()
        self.codes[absent] = -1

    def keep(self, kept: Mask) -> None:
        """Drop the other lines, and the tokens that only they had."""
        self.codes = self.codes[kept]
        used = np.zeros(len(self.tokens), bool)
        used[self.codes[self.codes >= 0]] = True
        place = np.append(np.cumsum(used, dtype=np.int32) - 1, np.int32(-1))
        self.codes = place[self.codes]
        self.tokens = self.tokens.filter(pa.array(used))

    def settle(self, role: _Role) -> CodeArray:
        """Make every piece a valid token; returns the codes of those for which lines must be read."""
        if not len(self.tokens):
            return np.empty(0, np.int32)
        try:
            self.tokens.validate(full=True)
        except pa.ArrowInvalid:  # not UTF-8: find out where by reading the lines
            return np.arange(len(self.tokens), dtype=np.int32)
        plain = _matches(self.tokens, role.plain)
        if role.name == "object":
            plain &= ~np.asarray(pc.ends_with(self.tokens, "angString>"))  # needs a language tag
        unsure = np.flatnonzero(~plain).astype(np.int32)
        if len(unsure):
            unsure = self._ask(role, unsure)
        if role.name == "object":
            self._drop_string_type()
        return unsure

    def _ask(self, role: _Role, unsure: CodeArray) -> CodeArray:
        """Show unsure pieces to the parser, one per line; returns those that need their whole line."""
        texts = self.tokens.take(pa.array(unsure))
        single = _matches(texts, role.single)
        asked = unsure[single]
        lines = [
            role.before + text.encode() + role.after
            for text in texts.filter(pa.array(single)).to_pylist()
        ]
        try:
            quads = list(ox.parse(b"".join(lines), ox.RdfFormat.N_QUADS))
        except (SyntaxError, MemoryError):  # or a term that is longer than the parser takes
            return unsure
        if len(quads) != len(lines):
            return unsure
        answers = [token(getattr(quad, role.name)) for quad in quads]
        places = np.arange(len(self.tokens))
        places[asked] = len(self.tokens) + np.arange(len(asked))
        both = pa.concat_arrays([self.tokens, pa.array(answers, pa.large_string())])
        self.tokens = both.take(pa.array(places))
        return unsure[~single]

    def _drop_string_type(self) -> None:
        """`"x"^^xsd:string` and `"x"` are the same literal."""
        ending = f'"^^<{XSD_STRING}>'
        typed = pc.ends_with(self.tokens, ending)
        if pc.any(typed).as_py():
            short = pc.utf8_slice_codeunits(self.tokens, 0, 1 - len(ending))
            self.tokens = pc.if_else(typed, short, self.tokens)


def _matches(texts: pa.LargeStringArray, pattern: str) -> Mask:
    found: Mask = np.array(pc.match_substring_regex(texts, f"^(?:{pattern})$"), bool)
    return found
