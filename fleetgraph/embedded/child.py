"""A server process of ours: started, listened to, stopped, and gone when we are gone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from core.errors import AppError
from fleetgraph.embedded.places import Account
from fleetgraph.embedded.processes import end_with_parent

_LINES_KEPT = 30


class StartFailed(AppError):
    """A server of ours did not start; the message ends with its own last words."""


class Child:
    """A running child process whose output goes to the log at debug level.

    On Linux the kernel sends it `death_signal` when the *thread* that started it ends, however
    that happens; so start it on the thread that lives as long as the program, which the event
    loop's is. Elsewhere a child outlives a killed program until the next start finds it.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)
        self._loop = asyncio.get_running_loop()
        self._exited = asyncio.Event()
        self._reader = threading.Thread(target=self._read, name=f"{name} output", daemon=True)
        self._waiter = threading.Thread(target=self._wait, name=f"{name} exit", daemon=True)
        self._reader.start()
        self._waiter.start()

    @classmethod
    def spawn(
        cls,
        name: str,
        command: Sequence[str | Path],
        *,
        account: Account | None = None,
        death_signal: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """Start a program, as another account when we are root. Raises StartFailed."""
        try:
            process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                # A Ctrl-C in the terminal is for us; we stop our children in our own order.
                start_new_session=True,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
                preexec_fn=end_with_parent(death_signal, os.getpid()),  # noqa: PLW1509 - one libc call, no lock
            )
        except OSError as error:
            raise StartFailed(f"{name} cannot be started: {error}") from error
        return cls(name, process)

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def last_words(self) -> str:
        """The last lines it printed."""
        return "\n".join(self._lines)

    async def wait(self) -> int:
        """Return the exit status once it has ended."""
        await self._exited.wait()
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.running:
            self._process.send_signal(number)

    async def stop(
        self, *signals: signal.Signals, seconds: float = 10.0, last: signal.Signals = signal.SIGKILL
    ) -> None:
        """Send the signals one after the other, `seconds` apart, until it has ended."""
        for number in (*signals, last):
            self.send(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._exited.wait()
                    return
        raise AppError(f"{self.name} (process {self.pid}) does not end")

    def failed(self, why: str) -> StartFailed:
        """Return the error that says why, with the child's last words."""
        words = self.last_words
        return StartFailed(f"{self.name} {why}" + (f":\n{words}" if words else ""))

    def _read(self) -> None:
        log = structlog.get_logger("fleetgraph.embedded")
        stream = self._process.stdout
        assert stream is not None
        with stream:
            for raw in stream:
                line = raw.decode(errors="replace").rstrip()
                self._lines.append(line)
                log.debug("child", child=self.name, line=line)

    def _wait(self) -> None:
        self._process.wait()
        # Grandchildren may hold the pipe open; the last words come within a moment or not at all.
        self._reader.join(timeout=0.5)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._exited.set)


async def run_to_end(
    name: str,
    command: Sequence[str | Path],
    *,
    account: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds: float = 120.0,
    allowed: tuple[int, ...] = (0,),
) -> str:
    """Run a short program and return its last lines. Raises StartFailed unless it ends well."""
    child = Child.spawn(name, command, account=account, env=env, cwd=cwd)
    try:
        async with asyncio.timeout(seconds):
            status = await child.wait()
    except TimeoutError:
        raise child.failed(f"did not end within {seconds:.0f} s") from None
    finally:
        if child.running:
            await child.stop(seconds=2.0)
    if status not in allowed:
        raise child.failed(f"ended with status {status}")
    return child.last_words
