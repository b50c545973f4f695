"""One writer per folder: a lock that names its holder and dies with it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import LockedError
from .writing import StrPath, is_file_at, naming

LOCK_NAME = ".coldframe.lock"

_LOG = logging.getLogger(__name__)


class FolderLock:
    """Hold a folder for one writer: `with FolderLock(folder, purpose="train"): ...`

    The kernel's lock (flock) decides, so a killed holder never blocks anybody; the lock file names
    the holder for the message, and is gone after release. The folder is made if missing. Readers
    need no lock: whatever they see is whole.

    Raises:
        LockedError: another holder, in this process or another; names it.
        ResourceError: the lock file cannot be made.
    """

    def __init__(self, folder: StrPath, purpose: str) -> None:
        self.path = Path(folder) / LOCK_NAME
        self.held_path = Path(folder)
        self.purpose = purpose
        self._descriptor: int | None = None

    @classmethod
    def of_file(cls, path: StrPath, purpose: str) -> Self:
        """Hold one file, or a folder that is not there yet, by a lock file beside it."""
        target = Path(path).absolute()
        lock = cls(target.parent, purpose)
        lock.path = target.with_name(f".{target.name}{LOCK_NAME}")
        lock.held_path = target
        return lock

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def held(self) -> bool:
        """Whether this object holds the folder now."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock or raise LockedError at once; never waits."""
        if self.held:
            raise self._locked_error()
        with naming(self.held_path, "lock"):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            while self._descriptor is None:
                self._descriptor = self._try_once()
            self._sign(self._descriptor)

    def _try_once(self) -> int | None:
        """An open, locked descriptor; None if the file was removed by a holder that just left."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_file_at(descriptor, self.path):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise self._locked_error() from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def _sign(self, descriptor: int) -> None:
        if os.fstat(descriptor).st_size:
            _LOG.info("recovered the lock of %s, left by %s", self.held_path, self._holder())
        holder = {
            "pid": os.getpid(),
            "host": platform.node(),
            "purpose": self.purpose,
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held.

        Where another folder was put in the place of the held one, its lock file is another holder's.
        """
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                if is_file_at(descriptor, self.path):
                    self.path.unlink()
            os.close(descriptor)

    def _holder(self) -> str:
        try:
            said = json.loads(self.path.read_bytes())
            return f"process {said['pid']} on {said['host']} ({said['purpose']}, since {said['since']})"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"

    def _locked_error(self) -> LockedError:
        return LockedError(
            f"in use by {self._holder()}",
            where=str(self.held_path),
            hint="wait until it has ended, or stop it",
        )
