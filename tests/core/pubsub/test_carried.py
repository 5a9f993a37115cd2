"""The link to a carrier, with a carrier that fails exactly when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from core.pubsub.carried import CarriedPubSub, Link
from tests.contracts.test_pubsub import COUNTS, Counted, running


class BreakingLink:
    """Takes `sends` batches, then breaks while sending."""

    def __init__(self, sends: int) -> None:
        self._sends = sends
        self.texts: list[str] = []

    async def receive(self) -> str:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, messages: Sequence[str]) -> None:
        if self._sends == 0:
            raise ConnectionError("cut")
        self._sends -= 1
        self.texts += [message.partition("\n")[2] for message in messages]


class ScriptedPubSub(CarriedPubSub):
    carrier = "a script"

    def __init__(self, *links: BreakingLink) -> None:
        super().__init__()
        self._links = list(links)

    @asynccontextmanager
    async def _connect(self) -> AsyncIterator[Link]:
        yield self._links.pop(0)


def text_of(number: int) -> str:
    return f'test.counts\n{{"number":{number}}}'


async def test_what_was_being_sent_when_the_link_broke_is_sent_again_and_first() -> None:
    breaks, holds = BreakingLink(sends=1), BreakingLink(sends=100)
    bus = ScriptedPubSub(breaks, holds)
    async with running(bus):
        await bus.publish(COUNTS, Counted(1))
        await bus.publish(COUNTS, Counted(2))
        async with asyncio.timeout(5):
            while bus.connected:  # noqa: ASYNC110 (polled)
                await asyncio.sleep(0)
        await bus.publish(COUNTS, Counted(3))
        async with asyncio.timeout(5):
            while len(holds.texts) < 4:  # noqa: ASYNC110 (polled)
                await asyncio.sleep(0.01)
    assert breaks.texts == ["!beat\n"]
    assert holds.texts == ["!beat\n", text_of(1), text_of(2), text_of(3)]


async def test_a_link_that_may_not_send_never_counts_as_connected() -> None:
    bus = ScriptedPubSub(*(BreakingLink(sends=0) for _ in range(50)))
    async with running(bus):
        assert not bus.connected
