"""Faults on demand: lines appended to a file, or typed by a person."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from core.errors import InvalidInput
from fleetgraph.simulator.faults import FaultRequest, parse_fault

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25

Inject = Callable[[FaultRequest], None]


def obey(line: str, inject: Inject) -> None:
    """Carry out one line; what cannot be understood is logged, never raised."""
    if not line.strip() or line.lstrip().startswith("#"):
        return
    try:
        inject(parse_fault(line))
    except InvalidInput as error:
        log.warning("cannot do %r: %s", line.strip(), error.message)


async def follow(path: Path, inject: Inject) -> None:
    """Carry out each line appended to a file from now on; the file may come later."""
    tail = _Tail(path)
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        for line in tail.new_lines():
            obey(line, inject)


async def listen(inject: Inject) -> None:
    """Carry out lines from standard input until it ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            obey(line.decode(errors="replace"), inject)
    finally:
        transport.close()


class _Tail:
    """The end of a file that grows, or is begun anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> list[str]:
        """Return the lines completed since the last look."""
        if not self._path.exists():
            return []
        if self._path.stat().st_size < self._position:
            self._position, self._rest = 0, b""
        with self._path.open("rb") as file:
            file.seek(self._position)
            fresh = file.read()
        self._position += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        return [line.decode(errors="replace") for line in lines]
