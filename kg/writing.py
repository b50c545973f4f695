"""The seam through which everything is written: all or nothing, durable, and never outside a folder.

Every writer of the package ends in `atomic_write`, `atomic_folder` or `append_record`, so that tests
can fail the N-th system call and so that a kill, a full disk or a lost permission leaves the old
artefact as it was. Operating-system errors become `ResourceError`, naming the path and the reason.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .errors import DataError, ResourceError, StateError

StrPath = str | os.PathLike[str]

_LOG = logging.getLogger(__name__)
_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
_TEMPORARY = re.compile(r"\.cf-(?P<host>[0-9a-f]{6})-(?P<pid>\d+)-[0-9a-f]{8}\.tmp")
_ABANDONED_AFTER = 7 * 86_400.0  # seconds; for temporary files of other machines
_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EFBIG: "the file is larger than this process may write",
    errno.EACCES: "check who may write there",
    errno.EPERM: "check who may write there",
    errno.EROFS: "the disk is mounted read-only",
    errno.ENOENT: "check that the path exists",
    errno.EMFILE: "raise the limit of open files",
}
# Temporary names of this process that are in use: a process id alone may be an earlier one's.
_in_use: set[str] = set()


@contextmanager
def naming(path: StrPath, action: str) -> Iterator[None]:
    """Turn an OSError inside into a ResourceError: "path: cannot <action>: reason"."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        hint = _HINTS.get(error.errno or 0, "")
        raise ResourceError(f"cannot {action}: {reason}", where=str(path), hint=hint) from error


def atomic_write(
    path: StrPath, data: bytes | str | Callable[[BinaryIO], object], *, mode: int = 0o666
) -> None:
    """Write a whole file so that, whatever happens, either the old or the new content is there.

    Temporary file in the same folder, fsync, rename, fsync of the folder. Missing parent folders are
    made. An existing file keeps its permission bits.

    Args:
        data: the content (text as UTF-8), or a function that writes it to the open file it is given.
        mode: permission bits of a new file, before the process's mask.

    Raises:
        ResourceError: it could not be written; the old file is untouched and nothing is left behind.
    """
    target = Path(path)
    with naming(target, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        with _temporary(target.parent) as temporary:
            _write_new(temporary, target, data, mode)
            _publish(temporary, target)


def _write_new(
    temporary: Path, target: Path, data: bytes | str | Callable[[BinaryIO], object], mode: int
) -> None:
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as out:
        with contextlib.suppress(OSError):
            os.chmod(temporary, target.stat().st_mode & 0o7777)  # noqa: PTH101
        if callable(data):
            data(out)
        else:
            out.write(data.encode() if isinstance(data, str) else data)
        out.flush()
        os.fsync(out.fileno())


def _publish(temporary: Path, target: Path) -> None:
    """Rename into place; undone if the folder cannot be made durable afterwards."""
    with _temporary(target.parent) as backup:
        with contextlib.suppress(OSError):  # no old file, or a disk without hard links
            os.link(target, backup, follow_symlinks=False)
        os.replace(temporary, target)  # noqa: PTH105  # the seam that tests fail
        try:
            sync(target.parent)
        except OSError:
            if os.path.lexists(backup):
                os.replace(backup, target)  # noqa: PTH105
            else:
                target.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: StrPath, *, replace: bool = False) -> Iterator[Path]:
    """Fill a folder under a temporary name; it appears at `path` whole, or not at all.

    Args:
        replace: exchange it with an existing folder in one step; else an existing, non-empty `path`
            is an error.

    Yields:
        the temporary folder to write into, beside `path`.

    Raises:
        StateError: `path` exists and `replace` is false.
        ResourceError: it could not be written; `path` is as it was and nothing is left behind.
    """
    target = Path(path)
    with naming(target, "write"):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        if not replace and target.exists() and any(target.iterdir()):
            raise StateError(
                "the folder exists already", where=str(target), hint="choose another or replace it"
            )
        with _temporary(target.parent) as temporary:
            temporary.mkdir()
            yield temporary
            _sync_tree(temporary)
            _publish_folder(temporary, target)


def _publish_folder(temporary: Path, target: Path) -> None:
    if not target.exists() or not any(target.iterdir()):
        os.rename(temporary, target)  # noqa: PTH104
        undo = (target, temporary)
    elif _exchange(temporary, target):
        undo = None
    else:
        # Two steps; a kill between them is undone by the next `sweep` of the parent folder.
        aside = _aside(target)
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(target, aside)  # noqa: PTH104
        try:
            os.rename(temporary, target)  # noqa: PTH104
        except OSError:
            os.rename(aside, target)  # noqa: PTH104
            raise
        os.rename(aside, temporary)  # noqa: PTH104
        undo = None
    try:
        sync(target.parent)
    except OSError:
        if undo is not None:
            os.rename(*undo)  # noqa: PTH104
        elif not _exchange(temporary, target):
            _LOG.warning("%s is the new folder, but may not survive a power cut", target)
        raise


def _exchange(first: Path, second: Path) -> bool:
    """Swap two names in one step (Linux renameat2 with RENAME_EXCHANGE); False if unsupported."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(rename(here, os.fsencode(first), here, os.fsencode(second), exchange) == 0)


def _aside(target: Path) -> Path:
    return target.with_name(f".{target.name}.cf-old")


def append_record(path: StrPath, lines: Iterable[bytes]) -> None:
    """Append whole lines to a log and make them durable: one write, one fsync, under a file lock.

    A line that a killed writer left unfinished is closed first, so that no record joins it.

    Args:
        lines: records without newlines inside; a newline is added to each that has none at its end.

    Raises:
        ResourceError: nothing was appended; the file is as it was.
        DataError: a record holds a newline.
    """
    records = [line.removesuffix(b"\n") for line in lines]
    if any(b"\n" in record for record in records):
        raise DataError("a record of a log must be one line", where=str(path))
    if not records:
        return
    target, data = Path(path), b"".join(record + b"\n" for record in records)
    with naming(target, "append"):
        target.parent.mkdir(parents=True, exist_ok=True)
        while not _append_once(target, data):
            pass


def _append_once(target: Path, data: bytes) -> bool:
    """Append under the file's lock; False if the file was replaced or removed before we had it."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(target, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if not is_file_at(descriptor, target):
            return False
        size = os.fstat(descriptor).st_size
        try:
            if size == 0:
                sync(target.parent)
            _append(descriptor, size, data)
        except BaseException:
            if size == 0:
                target.unlink(missing_ok=True)
            raise
    finally:
        os.close(descriptor)
    return True


def is_file_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one that stands at a path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _append(descriptor: int, size: int, data: bytes) -> None:
    torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
    view = memoryview(b"\n" + data if torn else data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except BaseException:
        os.ftruncate(descriptor, size)  # safe: the lock keeps other writers out
        raise


def sweep(folder: StrPath) -> int:
    """Remove what killed writers left in a folder and finish a half-done replacement; returns how many."""
    swept = 0
    with os.scandir(folder) as entries:
        left = [entry.name for entry in entries if entry.name.startswith(".")]
    for name in left:
        path = Path(folder, name)
        if name.endswith(".cf-old"):
            target = path.with_name(name[1 : -len(".cf-old")])
            if not target.exists():
                os.rename(path, target)  # noqa: PTH104
                swept += 1
        elif _is_stale(path):
            _remove(path)
            swept += 1
    return swept


def _is_stale(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None or path.name in _in_use:
        return False
    if match["host"] != _HOST:
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _ABANDONED_AFTER
        return False
    return int(match["pid"]) == os.getpid() or not _is_running(int(match["pid"]))


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A fresh name in `folder` that does not exist; whatever stands there at the end is removed."""
    name = f".cf-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
    _in_use.add(name)
    try:
        yield folder / name
    finally:
        _remove(folder / name)
        _in_use.discard(name)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # disks that cannot sync folders
            raise
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for root, _, files in os.walk(folder):
        for name in files:
            path = Path(root, name)
            if not path.is_symlink():
                sync(path)
        sync(Path(root))
