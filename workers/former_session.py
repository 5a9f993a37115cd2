"""The queue that the broker keeps under the client id of earlier releases, received to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from workers.mqtt import BrokerEndpoint, BrokerLink, Handler, drop_session

_log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 2.0
"""A queue that gives nothing for so long is empty."""

OVERLAP_SECONDS_MAX: Final = 60.0
"""How long the former session also gets what is new: while agents send it never falls silent."""

DRAIN_SECONDS_MAX: Final = 600.0
LATER_SECONDS: Final = (60.0, 600.0, 3_600.0)
"""When to try again what was not finished: another program may be at home under that id."""

_LOOK_SECONDS: Final = 0.1


class InheritingLink(BrokerLink):
    """The link of ingest, which once receives what waits under a former client id, too.

    What agents sent while no ingest ran was acknowledged to them, so it must not be lost when the
    client id changes. The broker tells whether it has such a session; where it has none, or no
    more, a start costs two connections. Messages may arrive by both links.
    """

    def __init__(
        self, endpoint: BrokerEndpoint, filters: Sequence[str], handler: Handler, former_id: str
    ) -> None:
        super().__init__(endpoint, filters, handler)
        self._former = _FormerSession(replace(endpoint, client_id=former_id), filters, handler)

    async def run(self) -> None:
        """Stay connected until cancelled, and inherit beside it."""
        inheriting = asyncio.create_task(self._inherit(), name="former session")
        try:
            await super().run()
        finally:
            inheriting.cancel()
            await asyncio.gather(inheriting, return_exceptions=True)

    def pause(self) -> None:
        """Stop reading, from both queues."""
        super().pause()
        self._former.pause()

    def resume(self) -> None:
        """Read again."""
        super().resume()
        self._former.resume()

    async def _inherit(self) -> None:
        # The former session may go only when nothing can pass by the new one.
        await self.subscribed.wait()
        for seconds in (*LATER_SECONDS, None):
            try:
                await self._former.receive()
            except OSError as error:
                _log.warning("what waits under the former client id is not received: %s", error)
            except Exception:
                _log.exception("what waits under the former client id is not received")
            else:
                return
            if seconds is not None:
                await asyncio.sleep(seconds)


class _FormerSession:
    """A session to be received once and ended."""

    def __init__(self, endpoint: BrokerEndpoint, filters: Sequence[str], handler: Handler) -> None:
        self._endpoint = endpoint
        self._filters = filters
        self._handler = handler
        self._received = self._in_hand = self._connections = 0
        self._heard_at = 0.0
        self._is_paused = False
        # Without filters: it takes what is queued, and a session that was not there stays empty.
        self._link = BrokerLink(endpoint, (), self._handle)

    def pause(self) -> None:
        self._is_paused = True
        self._link.pause()

    def resume(self) -> None:
        self._is_paused = False
        self._heard_at = _now()
        self._link.resume()

    async def receive(self) -> None:
        """Receive all that is queued and end the session; raises OSError while it cannot be done.

        The first lost connection ends it: whoever else is at home there must not be fought.
        """
        self._received, self._connections = 0, self._link.connections + 1
        running = asyncio.create_task(self._link.run(), name="link of the former session")
        try:
            async with asyncio.timeout(DRAIN_SECONDS_MAX):
                await self._link.connected.wait()
                was_kept = self._link.was_kept
                if was_kept:
                    await self._fall_silent()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        await drop_session(self._endpoint, self._endpoint.client_id)
        if was_kept:
            name = self._endpoint.client_id
            _log.info("received %d messages that waited under client id %s", self._received, name)

    async def _fall_silent(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(OVERLAP_SECONDS_MAX):
                await self._silence()
        self._link.unsubscribe(self._filters)
        await self._silence()

    async def _silence(self) -> None:
        self._heard_at = _now()
        while self._is_paused or self._in_hand or _now() - self._heard_at < QUIET_SECONDS:
            await asyncio.sleep(_LOOK_SECONDS)
            if not self._link.connected.is_set() or self._link.connections > self._connections:
                raise ConnectionResetError("the connection was lost, or another program uses it")

    async def _handle(self, topic: str, payload: bytes, retained: bool) -> None:
        self._in_hand += 1
        try:
            await self._handler(topic, payload, retained)
            self._received += 1
        finally:
            self._in_hand -= 1
            self._heard_at = _now()


def _now() -> float:
    return asyncio.get_running_loop().time()
