"""The broker's acknowledgements of what we publish, which the MQTT library keeps to itself."""

from __future__ import annotations

import asyncio


class Acknowledgements:
    """Stands where the library keeps packets until they are acknowledged, for one connection.

    The library would send stored packets again on reconnects of its own. Those are off, so the
    packets themselves need not be kept, only who waits for each.
    """

    is_empty = True

    def __init__(self) -> None:
        self._newest = 0
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    @property
    def missing(self) -> int:
        """Return how many packets are waited for."""
        return len(self._waiting)

    def of_newest(self) -> asyncio.Future[bool]:
        """Return what turns True when the packet sent last is acknowledged, False when it is lost."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[self._newest] = future
        return future

    def lose(self) -> None:
        """Tell all who wait that the connection is gone."""
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(False)

    # What the library calls.

    def push_message(self, packet_id: int, _packet: bytes) -> None:
        """Note the number of a packet that goes out."""
        self._newest = packet_id

    def remove_message_by_mid(self, packet_id: int) -> None:
        """Tell who waits for a packet that it is acknowledged."""
        future = self._waiting.pop(packet_id, None)
        if future is not None and not future.done():
            future.set_result(True)

    async def wait_empty(self) -> None:
        """Return at once: nothing is kept."""

    def get_all(self) -> list[tuple[int, bytes]]:
        """Return nothing, for nothing is to be sent again."""
        return []

    def clear(self) -> None:
        """Do nothing, for nothing is kept."""
