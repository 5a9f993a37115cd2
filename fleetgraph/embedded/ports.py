"""Is a port free, and is somebody listening?"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket

from core.errors import Conflict

_TRIES = 51


def find_free_port(host: str, preferred: int) -> int:
    """Return the first free port of `preferred` … `preferred` + 50. Raises Conflict when none is."""
    for port in range(preferred, min(preferred + _TRIES, 65536)):
        if is_free(host, port):
            return port
    raise Conflict(f"No free port from {preferred} to {preferred + _TRIES - 1} on {host}")


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen there now."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def dial_host(host: str) -> str:
    """Return the address under which a server that listens on `host` is reached from here."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


async def accepts(host: str, port: int) -> bool:
    """Say whether a connection is accepted."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(2.0):
            _, writer = await asyncio.open_connection(dial_host(host), port)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True
    return False
