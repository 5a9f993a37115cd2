"""The barest MQTT client: logs in, stays, and notices when it is thrown out."""

from __future__ import annotations

import asyncio
import struct
from itertools import count

_numbers = count()


class Login:
    """One user of a broker on this machine."""

    def __init__(self, port: int, username: str, password: str) -> None:
        self._port = port
        client_id = f"login-{next(_numbers)}"
        texts = b"".join(map(_text, (client_id, username, password)))
        body = b"\x00\x04MQTT\x04\xc2\x00\x00" + texts
        self._packet = b"\x10" + _length(len(body)) + body
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def works(self) -> bool:
        """Say whether the broker lets the user in, who then stays."""
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
            self._writer.write(self._packet)
            answer = await self._reader.readexactly(4)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return False
        if answer[3]:
            self.close()
        return not answer[3]

    @property
    def is_closed(self) -> bool:
        """Whether the broker has ended the connection."""
        return self._reader is None or self._reader.at_eof()

    async def closed(self) -> None:
        """Return when the broker has ended the connection."""
        assert self._reader is not None
        await self._reader.read()
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def _length(number: int) -> bytes:
    assert number < 128 * 128
    return bytes([number]) if number < 128 else bytes([number % 128 | 128, number // 128])
