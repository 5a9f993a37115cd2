"""What tests of whole programs need: other programs, free ports, patience."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, overload

import pytest

T = TypeVar("T")


def require_program(name: str) -> Path:
    """Return the program called `name`: without it skip, but fail where CI says it has all."""
    found = shutil.which(name)
    if found:
        return Path(found)
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed here, and CI must not skip")
    pytest.skip(f"{name} is not installed here")


@overload
async def until(
    look: Callable[[], Awaitable[T | None]], what: str, *, seconds: float = ...
) -> T: ...
@overload
async def until(look: Callable[[], T | None], what: str, *, seconds: float = ...) -> T: ...
async def until(look: Callable[[], Any], what: str, *, seconds: float = 30.0) -> Any:
    """Return the first true answer of `look`; fails with `what` when none comes in time."""
    end = time.monotonic() + seconds
    while True:
        answer = look()
        found = await answer if isinstance(answer, Awaitable) else answer
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"after {seconds:.0f} s still not: {what}")
        await asyncio.sleep(0.02)


def free_ports(count: int) -> list[int]:
    """Return ports that nobody on this machine listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def say(text: str) -> None:
    """Print a figure for whoever runs the tests with -s or -rP."""
    sys.stdout.write(f"\n{text}\n")


@contextmanager
def reachable_folder() -> Iterator[Path]:
    """Make a folder that servers under other accounts reach; it vanishes afterwards.

    pytest's own folders are closed to them, and root's servers would then leave their data
    below /var/lib.
    """
    with TemporaryDirectory(prefix="fleetgraph-test-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)
