"""Local delivery: what the carriers' common suite cannot reach."""

from __future__ import annotations

import asyncio

import pytest

from core.pubsub.base import RESYNC, Event, Topic
from core.pubsub.fanout import Fanout


class Named(Event, frozen=True):
    name: str


NAMES = Topic("names", Named)


async def test_text_is_decoded_for_those_who_listen_and_ignored_without_them() -> None:
    fanout = Fanout()
    fanout.deliver_text("names", "not even JSON")
    async with fanout.subscribe(NAMES) as one, fanout.subscribe(NAMES) as two:
        fanout.deliver_text("names", '{"name": "pump", "of a newer release": 1}')
        assert await anext(one) == await anext(two) == Named("pump")


@pytest.mark.parametrize("text", ["{", "{}", '{"name": 1}', ""])
async def test_an_event_that_cannot_be_read_is_a_gap(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    fanout = Fanout()
    async with fanout.subscribe(NAMES) as names:
        fanout.deliver_text("names", text)
        assert await anext(names) is RESYNC
    assert "names cannot be read" in caplog.text


async def test_a_subscriber_that_waits_is_released_when_the_bus_closes() -> None:
    fanout = Fanout()
    async with fanout.subscribe(NAMES) as names:
        waiting = asyncio.ensure_future(anext(names, None))
        await asyncio.sleep(0)
        fanout.close()
        assert await asyncio.wait_for(waiting, 1.0) is None
        assert await anext(names, None) is None
        async with fanout.subscribe(NAMES):
            assert fanout.topics == ["names"]
    assert fanout.topics == []
