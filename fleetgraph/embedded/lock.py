"""One program per data folder, held by the kernel, so that a killed program leaves no lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from core.errors import Conflict


class FolderLock:
    """An exclusive lock on a folder. `acquire` raises Conflict when another program has it."""

    def __init__(self, folder: Path, name: str = "fleetgraph.lock") -> None:
        self._folder = folder
        self._path = folder / name
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write our process number into it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise Conflict(
                f"The data folder {self._folder} is in use by process {holder}; "
                "stop it, or choose another folder",
                folder=str(self._folder),
                pid=holder,
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; the file stays, because removing it would race with the next one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
