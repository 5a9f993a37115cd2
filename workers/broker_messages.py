"""Publishes what the broker is to hold for agents: retained, at least once, the newest last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from core.context import Context
from core.errors import Unavailable
from core.events import BROKER_MESSAGES
from core.mqtt_topics import BadTopic, format_topic
from resolvers.broker_messages import (
    BrokerMessage,
    give_messages_back,
    publish_all_again,
    take_messages,
    tidy_up_messages,
)
from workers.mqtt import BrokerLink

_log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 5.0
TIDY_SECONDS: Final = 60.0
RETRY_SECONDS: Final = (0.1, 0.5, 1.0, 1.0)
"""Until the next attempts to give messages back; a clean stop takes no longer than that."""

BATCH_MAX: Final = 200
AT_ONCE: Final = 20
"""Unacknowledged publishes of one process; brokers may end a connection that has more."""

RATE_MAX: Final = 1_000
"""Messages per second and process: all of them go out after each loss of the broker."""


class BrokerMessages:
    """Publishes messages as they change, and all of them to a broker that comes back.

    Any number of processes share the work: whoever claims a message publishes it. `link` publishes
    under a client id of its own.
    """

    name = "broker-messages"

    def __init__(self, ctx: Context, link: BrokerLink) -> None:
        self._ctx = ctx
        self._link = link
        self._due = asyncio.Event()
        self._seen_connections = 0
        self._tidied_at = 0.0
        self._failing = False

    async def run(self) -> None:
        """Publish until cancelled."""
        async with self._ctx.bus.subscribe(BROKER_MESSAGES) as pokes, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._link.run(), name="broker-messages link")
            tasks.create_task(self._listen(pokes), name="broker-messages pokes")
            tasks.create_task(self._publish_for_ever(), name="broker-messages publish")

    async def _listen(self, pokes: AsyncIterator[object]) -> None:
        async for _ in pokes:
            self._due.set()

    async def _publish_for_ever(self) -> None:
        while True:
            await self._link.connected.wait()
            self._due.clear()
            try:
                await self._step()
                self._failing = False
            except Unavailable as away:
                if not self._failing:
                    _log.warning("messages to agents wait: %s", away)
                self._failing = True
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0 if self._failing else PERIOD_SECONDS):
                    await self._due.wait()

    async def _step(self) -> None:
        connections = self._link.connections
        if connections != self._seen_connections:
            await publish_all_again(self._ctx)
            self._seen_connections = connections
        now = asyncio.get_running_loop().time()
        if now >= self._tidied_at + TIDY_SECONDS:
            await tidy_up_messages(self._ctx)
            self._tidied_at = now
        while messages := await take_messages(self._ctx, BATCH_MAX):
            pause = asyncio.create_task(asyncio.sleep(len(messages) / RATE_MAX))
            try:
                await self._publish(messages)
                if len(messages) == BATCH_MAX:
                    await pause
            finally:
                pause.cancel()

    async def _publish(self, messages: Sequence[BrokerMessage]) -> None:
        """Publish a batch; raises Unavailable when the broker did not take all of it."""
        published: list[BrokerMessage] = []
        window = asyncio.Semaphore(AT_ONCE)
        try:
            outcomes = await asyncio.gather(
                *(self._publish_one(message, window, published) for message in messages),
                return_exceptions=True,
            )
        finally:
            done = {id(message) for message in published}
            await self._give_back(published, published=True)
            left = [message for message in messages if id(message) not in done]
            await self._give_back(left, published=False)
        for outcome in outcomes:
            if outcome is not None:
                raise outcome

    async def _give_back(self, messages: Sequence[BrokerMessage], *, published: bool) -> None:
        """Give messages back, also to a database that is away for a moment.

        Until then nobody else publishes them. Raises Unavailable when it stays away.
        """
        for pause in (*RETRY_SECONDS, None) if messages else ():
            try:
                await give_messages_back(self._ctx, messages, published=published)
            except Unavailable:
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return

    async def _publish_one(
        self, message: BrokerMessage, window: asyncio.Semaphore, published: list[BrokerMessage]
    ) -> None:
        levels = message.channel.split("/")
        try:
            topic = format_topic(str(message.tenant_uuid), message.agent_uuid, *levels)
        except BadTopic as error:
            _log.error("a message to an agent has no topic: %s", error)
        else:
            async with window:
                await self._link.publish(topic, message.payload, retain=True)
        published.append(message)
