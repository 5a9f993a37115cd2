"""Find and end processes of ours by their command line, never by their number alone (Linux).

Where there is no /proc nothing is found, so nothing is ever ended there.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def command_line(pid: int) -> list[str]:
    """Return the arguments of a living process; empty when there is none or it is a zombie."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(part) for part in raw.rstrip(b"\0").split(b"\0")] if raw else []


def find_processes(program: str, argument: str) -> list[int]:
    """Return the processes whose program name starts so and that carry exactly this argument."""
    return [pid for pid in _pids() if _is_ours(command_line(pid), program, argument)]


def find_titles(title: str) -> list[int]:
    """Return the processes that renamed themselves to something beginning with `title`."""
    return [pid for pid in _pids() if " ".join(command_line(pid)).startswith(title)]


async def end_process(
    pid: int, program: str, argument: str, *, first: signal.Signals, seconds: float
) -> bool:
    """Ask a process of ours to end, insist after `seconds`; say whether it is gone.

    The process is held by a descriptor while its command line is checked, so that a number that
    was given away in between cannot hit a stranger.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not _is_ours(command_line(pid), program, argument):
            return True
        for number, patience in ((first, seconds), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
            if await _ended(descriptor, patience):
                return True
    finally:
        os.close(descriptor)
    return False


def end_with_parent(number: signal.Signals, parent: int) -> Callable[[], None] | None:
    """Return what a fresh child calls so that the kernel signals it when its parent ends.

    To be called after the child changed its account, which makes the kernel forget. None where
    the kernel knows no such thing.
    """
    if _LIBC is None:
        return None
    libc = _LIBC

    def ask_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it ended before the kernel knew
            os._exit(1)

    return ask_kernel


async def _ended(descriptor: int, seconds: float) -> bool:
    """Wait on the descriptor: a command line is empty before locks and ports are given back."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not select.select([descriptor], [], [], 0)[0]:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True


def _is_ours(arguments: list[str], program: str, argument: str) -> bool:
    return (
        bool(arguments)
        and Path(arguments[0]).name.startswith(program)
        and argument in arguments[1:]
    )


def _pids() -> list[int]:
    try:
        return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    except OSError:
        return []
