"""How much history an agent can make: a record in ten seconds, and so much a day."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from core.context import Context
from models.current_states import CurrentState
from resolvers import state_records
from resolvers.memories import Memory
from tests.factories import make_agent
from tests.resolvers.test_state_history import FIRST, REPLAY, Gateway


@pytest.fixture
async def gateway(ctx: Context) -> Gateway:
    return Gateway(ctx, await make_agent(ctx))


async def configured(gateway: Gateway) -> Any:
    state = await CurrentState.find_row(gateway.agent.tenant_id, agent_id=gateway.agent.id)
    return state.config


async def flood(gateway: Gateway, count: int = 40) -> None:
    """Change the configuration over four connections at once; the last change is alone."""

    async def send(numbers: range) -> None:
        for number in numbers:
            await gateway.report(**FIRST | {"config": {"n": number}})

    await asyncio.gather(*(send(range(start, count, 4)) for start in range(4)))
    await gateway.report(**FIRST | {"config": {"n": count}, "cpu_usage": 1})


@pytest.mark.parametrize("is_alone", [True, False], ids=["one process", "several processes"])
async def test_a_flood_of_changes_is_one_record_and_then_the_newest(
    gateway: Gateway, is_alone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not is_alone:  # what one of them has just recorded, another one does not remember
        monkeypatch.setattr(state_records._recent, "get", lambda *_: None)
    await flood(gateway)
    assert len(await gateway.history()) == 1
    assert await configured(gateway) == {"n": 40}
    gateway.clock.advance(seconds=9)
    await gateway.report(version=7, cpu_usage=2)
    assert len(await gateway.history()) == 1
    gateway.clock.advance(seconds=1)
    for _ in range(3):
        await gateway.report(version=7, cpu_usage=3)
        gateway.clock.advance(seconds=20)
    newest, _ = await gateway.history()
    whole = {name: FIRST[name] for name in ("version", "apps", "agent_version", "endpoints_health")}
    assert newest.body == whole | {"config": {"n": 40}, "cpu_usage": 3}
    assert newest.version == 7


async def test_a_change_back_that_was_too_soon_is_shown_as_well(gateway: Gateway) -> None:
    await gateway.report(**FIRST)
    gateway.clock.advance(seconds=60)
    await gateway.report(**FIRST | {"apps": {}})
    gateway.clock.advance(seconds=1)
    await gateway.report(**FIRST)
    gateway.clock.advance(seconds=30)
    await gateway.report(**FIRST)
    assert [each.body["apps"] for each in await gateway.history()] == [
        FIRST["apps"],
        {},
        FIRST["apps"],
    ]


async def test_a_day_has_room_for_so_many_records_live_and_late(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(state_records, "RECORDS_PER_DAY", 5)
    with caplog.at_level(logging.WARNING, "resolvers.state_records"):
        for number in range(10):
            await gateway.report(**FIRST | {"config": {"n": number}})
            await gateway.report(**REPLAY | {"cpu_usage": number})
            gateway.clock.advance(seconds=60)
    assert len(await gateway.history()) == 5
    assert await configured(gateway) == {"n": 9}
    assert len(caplog.records) == 1
    monkeypatch.setattr(state_records, "_spent", Memory(entries_max=10))  # after a restart
    with caplog.at_level(logging.WARNING, "resolvers.state_records"):
        gateway.clock.advance(seconds=3_600)
        await gateway.report(**REPLAY | {"cpu_usage": 10})
    assert len(await gateway.history()) == 5
    assert len(caplog.records) == 2
    gateway.clock.advance(seconds=86_400)
    await gateway.report(**REPLAY | {"cpu_usage": 10})
    assert len(await gateway.history()) == 6


async def test_a_day_has_room_for_so_many_bytes(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_records, "BYTES_PER_DAY", 100_000)
    for number in range(10):
        await gateway.report(**REPLAY | {"config": {"x": f"{number}" * 30_000}})
    assert len(await gateway.history()) == 4


async def test_what_one_agent_spends_is_not_anothers(
    gateway: Gateway, ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_records, "RECORDS_PER_DAY", 1)
    other = Gateway(ctx, await make_agent(ctx))
    for each in (gateway, gateway, other):
        await each.report(**FIRST)
        await each.report(**REPLAY)
    assert [len(await each.history()) for each in (gateway, other)] == [1, 1]
