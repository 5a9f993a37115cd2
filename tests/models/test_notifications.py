"""The bus on PostgreSQL: what is its own."""

from __future__ import annotations

import pytest

from core.pubsub.base import Event, Topic
from models.database import DatabaseUrl
from models.notifications import PostgresPubSub
from tests.contracts.test_pubsub import running, take


class Said(Event, frozen=True):
    text: str


WORDS = Topic("words", Said)
_FRAME_BYTES = len('words\n{"text":""}')


async def test_the_largest_event_travels_and_one_byte_more_is_refused(
    database_url: DatabaseUrl,
) -> None:
    one, two = PostgresPubSub(database_url), PostgresPubSub(database_url)
    # Two bytes each in UTF-8: the limit counts bytes.
    largest = Said("é" * ((7_900 - _FRAME_BYTES) // 2))
    async with (
        running(one),
        running(two),
        one.subscribe(WORDS) as here,
        two.subscribe(WORDS) as far,
    ):
        with pytest.raises(ValueError, match="larger than 7900 bytes"):
            await one.publish(WORDS, Said(largest.text + "éé"))
        await one.publish(WORDS, largest)
        assert await take(far, 1) == await take(here, 1) == [largest]
