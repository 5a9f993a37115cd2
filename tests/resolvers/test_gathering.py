from __future__ import annotations

import asyncio
from collections.abc import Collection
from uuid import UUID

import pytest

from core.context import Context
from models.agents import Agent
from resolvers.agents import get_agent
from resolvers.gathering import KEYS_MAX, PATIENCE_SECONDS, QUERIES_MAX, Gathering
from tests.factories import make_agent
from tests.tools import until


class Source:
    """Answers when told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, set[int]]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.failure: Exception | None = None

    async def fetch(self, tenant_id: int, keys: Collection[int]) -> dict[int, str]:
        self.asked.append((tenant_id, set(keys)))
        await self.open.wait()
        if self.failure:
            raise self.failure
        return {key: f"{tenant_id}/{key}" for key in keys if key > 0}


async def test_what_is_asked_together_is_one_query() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    found = await asyncio.gather(*(gathering.get(1, key) for key in (1, 2, 2, -3)))
    assert found == ["1/1", "1/2", "1/2", None]
    assert source.asked == [(1, {1, 2, -3})]


async def test_tenants_never_share_a_query() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    found = await asyncio.gather(*(gathering.get(tenant, 7) for tenant in (1, 2)))
    assert found == ["1/7", "2/7"]
    assert sorted(source.asked) == [(1, {7}), (2, {7})]


async def test_a_question_never_joins_a_query_that_has_begun() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    source.open.clear()
    first = asyncio.create_task(gathering.get(1, 1))
    await until(lambda: source.asked, "a query")
    second = asyncio.create_task(gathering.get(1, 1))
    await asyncio.sleep(0)
    source.open.set()
    assert await first == await second == "1/1"
    assert source.asked == [(1, {1}), (1, {1})]


async def test_under_load_questions_wait_for_the_query_under_way() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    source.open.clear()
    asking = []
    for key in range(1, 10):
        asking.append(asyncio.create_task(gathering.get(1, key)))
        for _ in range(5):
            await asyncio.sleep(0)
    assert source.asked == [(1, {1})]
    source.open.set()
    await asyncio.gather(*asking)
    assert source.asked == [(1, {1}), (1, set(range(2, 10)))]


async def test_a_query_that_hangs_holds_up_nobody_for_long() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    source.open.clear()
    hanging = asyncio.create_task(gathering.get(1, 1))
    await until(lambda: source.asked, "a query")
    later = [asyncio.create_task(gathering.get(1, key)) for key in (2, 3)]
    await until(lambda: len(source.asked) == QUERIES_MAX, "a second query")
    more = asyncio.create_task(gathering.get(1, 4))
    await asyncio.sleep(2 * PATIENCE_SECONDS)
    assert source.asked[1:] == [(1, {2, 3})]
    source.open.set()
    assert await asyncio.gather(hanging, *later, more) == ["1/1", "1/2", "1/3", "1/4"]
    assert not gathering._tenants


async def test_a_query_has_so_many_keys_at_most_and_all_are_answered() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    found = await asyncio.gather(*(gathering.get(1, key) for key in range(1, 2 * KEYS_MAX + 2)))
    assert found == [f"1/{key}" for key in range(1, 2 * KEYS_MAX + 2)]
    assert max(len(keys) for _, keys in source.asked) == KEYS_MAX


async def test_a_failure_reaches_everybody_and_the_next_question_starts_afresh() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    source.failure = RuntimeError("away")
    found = await asyncio.gather(gathering.get(1, 1), gathering.get(1, 2), return_exceptions=True)
    assert [str(each) for each in found] == ["away", "away"]
    source.failure = None
    assert await gathering.get(1, 1) == "1/1"


async def test_one_who_gives_up_takes_nobody_along() -> None:
    source = Source()
    gathering = Gathering(source.fetch)
    source.open.clear()
    leaving, staying = (asyncio.create_task(gathering.get(1, 1)) for _ in range(2))
    await until(lambda: source.asked, "a query")
    leaving.cancel()
    source.open.set()
    assert await staying == "1/1"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_agents_asked_for_at_once_are_read_with_one_statement(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [await make_agent(ctx) for _ in range(5)]
    statements = []
    plain = Agent.with_any

    async def counted(tenant_id: int, column: str, values: Collection[object]) -> list[Agent]:
        statements.append(column)
        return await plain(tenant_id, column, values)

    monkeypatch.setattr(Agent, "with_any", counted)
    found = await asyncio.gather(*(get_agent(ctx, agent.uuid) for agent in wanted))
    assert [row.id for row in found] == [agent.id for agent in wanted]
    assert len(statements) == 1
    assert isinstance(found[0].uuid, UUID)
