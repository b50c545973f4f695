"""Sources of RDF text: files, folders, globs and archives -> named byte streams under limits."""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import lzma
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyoxigraph as ox
import zstandard

from .errors import DataError, ParseError
from .guarded import Limits, RefusedError

SUFFIXES = {
    ".nt": "ntriples",
    ".n3": "n3",
    ".nq": "nquads",
    ".ttl": "turtle",
    ".trig": "trig",
    ".rdf": "rdfxml",
    ".xml": "rdfxml",
    ".owl": "owl",
    ".jsonld": "jsonld",
}
"""Suffix -> syntax; n3 (N-Triples or Turtle) and owl (RDF/XML or Turtle) are told by content."""

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_BOM = b"\xef\xbb\xbf"
_WINDOW = 128 << 20  # memory that a decompressor may take
_SMALL = 16 << 20  # with less content than this the ratio says nothing
_DAMAGED = (
    *(OSError, EOFError, RuntimeError, NotImplementedError),
    *(zlib.error, lzma.LZMAError, zstandard.ZstdError, zipfile.BadZipFile),
)


class Content:
    """The decompressed bytes of one source, hashed and counted against the limits."""

    def __init__(self, stream: Any, packed_size: Callable[[], int], limits: Limits) -> None:
        self._stream = stream
        self._packed_size = packed_size
        self._limits = limits
        self._digest = hashlib.sha256()
        self.size = 0
        self.marked = False  # whether it starts with a byte order mark

    @property
    def sha256(self) -> str:
        """Of what has been read so far."""
        return self._digest.hexdigest()

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" is the end.

        Raises:
            RefusedError: the source is damaged, or more is in it than the limits allow.
        """
        try:
            data: bytes = self._stream.read(size)
        except _DAMAGED as error:
            text = str(error) or type(error).__name__
            raise RefusedError(f"damaged after {self.size:,} bytes of content: {text}") from None
        self.size += len(data)
        if self.size > self._limits.decompressed_bytes:
            raise RefusedError(
                f"more than {self._limits.decompressed_bytes:,} bytes of content",
                hint="raise the limit decompressed_bytes",
            )
        if self.size > _SMALL and self.size > self._limits.ratio * self._packed_size():
            raise RefusedError(
                f"the content is more than {self._limits.ratio} times its compressed size",
                hint="unpack it yourself if it is trusted, or raise the limit ratio",
            )
        self._digest.update(data)
        if self.size == len(data):
            self.marked = data.startswith(_BOM)
        return data


@dataclass(frozen=True)
class Input:
    """One stream of RDF.

    Attributes:
        name: path as found; for a member of an archive `archive.zip!member`.
        syntax: a value of `SUFFIXES`.
        open: gives the content; may be called again.
    """

    name: str
    syntax: str
    open: Callable[[], AbstractContextManager[Content]]


def inputs_of(
    source: str | Path | Iterable[str | Path], syntax: str | None, limits: Limits
) -> list[Input]:
    """Every RDF stream of files, folders, globs and zip archives, sorted by name, each once.

    Folders are searched through for the suffixes of `SUFFIXES` (also behind .gz .bz2 .xz .zst .zip),
    leaving hidden files out. `syntax` overrules the suffix of files that are named one by one.
    """
    names = [source] if isinstance(source, str | Path) else list(source)
    found: dict[str, Input] = {}
    for name in names:
        for path, named in _paths(name):
            for item in _open_path(path, syntax if named else None, limits):
                found[item.name] = item
    return [found[name] for name in sorted(found)]


def _paths(name: str | Path) -> Iterator[tuple[Path, bool]]:
    """Files behind one name, and whether it names that very file."""
    path = Path(name)
    if path.is_dir():
        inside = [item for item in files_in(path) if is_rdf(item)]
        if not inside:
            raise DataError(
                "no RDF files in this folder", where=str(path), hint=f"looked for {_known()}"
            )
        yield from ((item, False) for item in inside)
    elif path.is_file():
        yield path, True
    elif is_pattern(path):
        yield from ((match, True) for match in matching(path))
    else:
        raise DataError("no such file or folder", where=str(name))


def is_pattern(path: Path) -> bool:
    """Whether a path stands for the files that it matches: nothing is called so itself."""
    return glob.has_magic(str(path)) and not path.exists()


def matching(pattern: Path) -> list[Path]:
    """The files that a pattern matches, sorted; a DataError where there are none."""
    matches = [Path(match) for match in sorted(glob.glob(str(pattern), recursive=True))]  # noqa: PTH207  # `**` and absolute patterns
    files = [match for match in matches if match.is_file()]
    if not files:
        raise DataError("no file matches this pattern", where=str(pattern))
    return files


def files_in(folder: Path) -> list[Path]:
    """Files below a folder, sorted; hidden ones, and those in hidden folders, are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(p.startswith(".") for p in path.relative_to(folder).parts)
    )


def is_rdf(path: Path) -> bool:
    """Whether a file's suffix says that it is RDF, or an archive of it."""
    return _syntax(path.name) is not None or _is_zip(path.name)


def _syntax(name: str) -> str | None:
    """Syntax by suffix, looking behind a suffix of compression."""
    path = PurePosixPath(name.lower())
    if path.suffix in _COMPRESSED:
        path = path.with_suffix("")
    return SUFFIXES.get(path.suffix)


def _is_zip(name: str) -> bool:
    return name.lower().endswith(".zip")


def _known() -> str:
    return " ".join([*SUFFIXES, *_COMPRESSED, ".zip"])


def _open_path(path: Path, syntax: str | None, limits: Limits) -> list[Input]:
    if _is_zip(path.name):
        return _members(path, syntax, limits)
    told = syntax or _syntax(path.name)
    if told is None:
        raise DataError(
            "the suffix does not tell the RDF syntax",
            where=str(path),
            hint=f"known: {_known()}; or give the syntax",
        )
    return [Input(str(path), told, partial(_content, path, limits))]


@contextmanager
def _content(path: Path, limits: Limits) -> Iterator[Content]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise DataError(f"cannot be opened: {error.strerror}", where=str(path)) from None
        stream = stack.enter_context(_decompressed(path.name, file))
        yield Content(stream, lambda: max(1, file.tell()), limits)


def _decompressed(name: str, file: IO[bytes]) -> Any:
    """A context manager that reads what is inside `file`, by the suffix of `name`."""
    suffix = PurePosixPath(name.lower()).suffix
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=file)
    if suffix == ".bz2":
        return _Streams(file, bz2.BZ2Decompressor)
    if suffix == ".xz":
        make = partial(lzma.LZMADecompressor, memlimit=_WINDOW)
        return _Streams(file, make, padding=b"\0")
    if suffix == ".zst":
        unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
        return _Streams(file, unpacker.decompressobj, 1 << 11, bounded=False)
    return _Borrowed(file)


class _Borrowed:
    """A stream that leaves closing to its owner."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read = file.read

    def __enter__(self) -> _Borrowed:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Streams:
    """Compressed streams one after the other, each of which must be whole.

    The libraries' own file classes take a cut for an end (zstandard), leave out what follows a damaged
    stream (bz2), or have no cap on memory (lzma).

    Args:
        make: a decompressor of one stream. step: compressed bytes fed at a time. padding: bytes that
            may stand between streams. bounded: whether it takes a limit for its output; without one
            a step is small, since it may grow by a factor of thousands.
    """

    def __init__(
        self,
        file: IO[bytes],
        make: Callable[[], Any],
        step: int = 1 << 16,
        *,
        padding: bytes = b"",
        bounded: bool = True,
    ) -> None:
        self._file, self._make, self._step = file, make, step
        self._padding, self._bounded = padding, bounded
        self._unpacker, self._ready = make(), b""

    def __enter__(self) -> _Streams:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; b"" is the end."""
        while not self._ready:
            packed = b""
            if self._unpacker.eof:
                packed = self._unpacker.unused_data or self._file.read(self._step)
                packed = packed.lstrip(self._padding) if self._padding else packed
                if not packed:
                    return b""
                self._unpacker = self._make()
            elif not self._bounded or self._unpacker.needs_input:
                packed = self._file.read(self._step)
                if not packed:
                    raise EOFError("the compressed stream ends too early")
            limit = (size,) if self._bounded else ()
            self._ready = self._unpacker.decompress(packed, *limit)
        data, self._ready = self._ready[:size], self._ready[size:]
        return data


def _members(path: Path, syntax: str | None, limits: Limits) -> list[Input]:
    """The RDF members of a zip archive; one that could hide something makes it refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except _DAMAGED as error:
        raise ParseError(f"damaged archive: {error}", where=str(path)) from None
    if len(entries) > limits.members:
        raise ParseError(f"more than {limits.members:,} archive members", where=str(path))
    found = []
    for entry in entries:
        _check_entry(entry, path)
        told = _syntax(entry.filename)
        if not entry.is_dir() and told is not None:
            opener = partial(_member_content, path, entry.filename, limits)
            found.append(Input(f"{path}!{entry.filename}", syntax or told, opener))
    if not found:
        hint = f"known: {_known()}; pack a table as .gz"
        if any(_is_zip(entry.filename) for entry in entries):
            hint = "archives within an archive are not opened: unpack the outer one"
        raise DataError("no RDF files in this archive", where=str(path), hint=hint)
    return found


def _check_entry(entry: zipfile.ZipInfo, path: Path) -> None:
    name = entry.orig_filename
    parts = name.replace("\\", "/").split("/")
    outside = ".." in parts or not parts[0] or ":" in parts[0] or "\0" in name
    link = stat.S_ISLNK(entry.external_attr >> 16)
    if outside or link or entry.flag_bits & 1:
        what = (
            "is a link" if link else "has a name that leads outside" if outside else "is encrypted"
        )
        raise ParseError(
            f"archive member {name[:200]!r} {what}",
            where=str(path),
            hint="unpack and look at it yourself",
        )


@lru_cache(maxsize=1)
def _archive(path: Path, _size: int, _changed: int) -> zipfile.ZipFile:
    """An open archive, kept for its next member: to open it is to read a directory of thousands."""
    return zipfile.ZipFile(path)


@contextmanager
def _member_content(path: Path, name: str, limits: Limits) -> Iterator[Content]:
    with ExitStack() as stack:
        try:
            found = path.stat()
            archive = _archive(path, found.st_size, found.st_mtime_ns)
            file = stack.enter_context(archive.open(name))
        except _DAMAGED as error:
            raise ParseError(f"damaged archive: {error}", where=f"{path}!{name}") from None
        stream = stack.enter_context(_decompressed(name, file))
        packed = max(1, archive.getinfo(name).compress_size)
        yield Content(stream, lambda: packed, limits)


def settled_syntax(item: Input) -> str:
    """The syntax of an input whose suffix allows two, told by its first 64 kB.

    A .n3 file is N-Triples if its first whole lines are, and Turtle otherwise. A .owl file is RDF/XML if
    it begins like XML, and Turtle otherwise.
    """
    if item.syntax not in ("n3", "owl"):
        return item.syntax
    with item.open() as content:
        head = content.read(1 << 16)
    if item.syntax == "owl":
        start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
        return "rdfxml" if start.startswith((b"<?xml", b"<!", b"<rdf:")) else "turtle"
    lines = head[: head.rfind(b"\n") + 1] if len(head) == 1 << 16 else head
    try:
        for _ in ox.parse(lines, ox.RdfFormat.N_TRIPLES):
            pass
    except (SyntaxError, MemoryError):
        return "turtle"
    return "ntriples"
