"""A program of ours as a child process, with everything that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.tools import until

ROOT = Path(__file__).parents[2]
_PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One process of this machine; `started` keeps a number that was given away apart."""

    pid: int
    started: int

    @property
    def lives(self) -> bool:
        status = _status(self.pid)
        return status is not None and status[1] == self.started and status[2] != "Z"

    @property
    def command(self) -> str:
        with suppress(OSError):
            return (_PROC / str(self.pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return ""

    @property
    def pss_bytes(self) -> int:
        """Memory, with shared pages divided among those who share them."""
        with suppress(OSError):
            for line in (_PROC / str(self.pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    return int(line.split()[1]) * 1024
        return 0

    def kill(self) -> None:
        if self.lives:
            os.kill(self.pid, signal.SIGKILL)


class Program:
    """`python -m …` in an environment without our settings; what it says goes to files."""

    def __init__(
        self,
        *arguments: str | Path,
        folder: Path,
        module: str = "fleetgraph",
        name: str = "program",
        settings: Mapping[str, object] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        self.started_at = time.monotonic()
        with self._out.open("wb") as out, self._err.open("ab") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                env=environment(folder) | {key: str(to) for key, to in (settings or {}).items()},
                start_new_session=True,
            )
        self.pid = self._process.pid
        self._seen: set[Process] = set()

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tree(self) -> set[Process]:
        """Return the processes that it and its children are now."""
        found = descendants(self.pid)
        self._seen |= found
        return found

    async def says(self, text: str, *, seconds: float = 60.0) -> str:
        """Wait until it printed `text`, and return all it printed."""

        def look() -> str | None:
            printed = self.out
            if text in printed:
                return printed
            assert self.running, f"it ended with {self._process.returncode}: {self.err[-3000:]}"
            return None

        return await until(look, f"prints {text!r}: {self.err[-3000:]}", seconds=seconds)

    async def logs(self, text: str, *, times: int = 1, seconds: float = 60.0) -> None:
        """Wait until its log holds `text`."""

        def look() -> bool:
            assert self.running, f"it ended with {self._process.returncode}: {self.err[-3000:]}"
            return self.err.count(text) >= times

        await until(look, f"logs {text!r}", seconds=seconds)

    async def ended(self, *, seconds: float = 30.0) -> int:
        """Return its exit status."""
        await until(lambda: not self.running, f"ends: {self.err[-3000:]}", seconds=seconds)
        return self._process.returncode

    async def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Signal it and return the seconds until it was gone with all that it had started."""
        tree, begun = self.tree(), time.monotonic()
        self._process.send_signal(number)
        await self.ended()
        await until(
            lambda: not any(process.lives for process in tree),
            f"nothing is left of {[process.command for process in tree]}",
        )
        return time.monotonic() - begun

    def kill(self) -> set[Process]:
        """Kill it alone, as a crash would, and return what it had started."""
        children = self.tree() - descendants(self.pid, deep=False)
        self._process.kill()
        self._process.wait()
        return children

    def close(self) -> None:
        """End it, and whatever of it was seen, in any way."""
        if self.running:
            self.tree()
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        self._process.kill()
        self._process.wait()
        for process in self._seen:
            process.kill()


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a person who never heard of our settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLEETGRAPH_")}
    return kept | {"HOME": str(home), "PYTHONPATH": str(ROOT)}


def descendants(pid: int, *, deep: bool = True) -> set[Process]:
    """Return a process and, when `deep`, all that descend from it."""
    status = {int(p.name): _status(int(p.name)) for p in _PROC.iterdir() if p.name.isdecimal()}
    found, wave = set(), {pid}
    while wave:
        found |= {Process(one, s[1]) for one in wave if (s := status.get(one)) and s[2] != "Z"}
        wave = {one for one, s in status.items() if deep and s and s[0] in wave} - {
            process.pid for process in found
        }
    return found


def processes_of(folder: Path) -> list[str]:
    """Return the command lines of all processes that name a folder."""
    found = []
    for path in _PROC.iterdir():
        status = _status(int(path.name)) if path.name.isdecimal() else None
        command = Process(int(path.name), status[1]).command if status else ""
        if str(folder) in command:
            found.append(command)
    return found


def _status(pid: int) -> tuple[int, int, str] | None:
    """Return parent, start time in ticks, and state."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return int(fields[1]), int(fields[19]), fields[0]
