from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from core.context import Context
from core.errors import Forbidden, InvalidInput, PayloadTooLarge
from core.policy import Policy
from models.agent_events import AgentEvent
from models.agents import Agent
from resolvers.agent_events import record_agent_event
from tests.factories import make_agent
from tests.resolvers.edge import as_agent

ANOMALY = {"metric": "temp", "observedValue": 97.1, "msgId": "m-1"}


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def record(
    ctx: Context,
    agent: Agent,
    payload: object,
    channel: str = "events/anomaly",
    *,
    retained: bool = False,
) -> bool:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return await record_agent_event(as_agent(ctx, agent), channel, raw, retained=retained)


async def kept(agent: Agent) -> list[object]:
    rows = await AgentEvent.of(agent.tenant_id, agent_id=agent.id).order_by("id")
    return [row.payload for row in rows]


async def test_keeps_an_event_as_it_came(ctx: Context, agent: Agent) -> None:
    assert await record(ctx, agent, ANOMALY)
    row = await AgentEvent.find_row(agent.tenant_id, agent_id=agent.id)
    assert (row.channel, row.payload, row.dedup_key) == ("events/anomaly", ANOMALY, "m-1")


async def test_knows_a_repeat_by_its_message_id(ctx: Context, agent: Agent) -> None:
    assert await record(ctx, agent, ANOMALY)
    assert not await record(ctx, agent, ANOMALY | {"observedValue": 1})
    assert await record(ctx, agent, ANOMALY | {"msgId": "m-2"})
    assert not await record(ctx, agent, ANOMALY)
    assert len(await kept(agent)) == 2


async def test_the_same_message_id_of_another_agent_is_no_repeat(
    ctx: Context, agent: Agent
) -> None:
    assert await record(ctx, agent, ANOMALY)
    assert await record(ctx, await make_agent(ctx), ANOMALY)


@pytest.mark.parametrize("msg_id", [None, "", 5, "x" * 201])
async def test_knows_a_repeat_by_its_content_otherwise(
    ctx: Context, agent: Agent, msg_id: object
) -> None:
    event = {"metric": "temp", "timestampMs": 1, "msgId": msg_id}
    assert await record(ctx, agent, event)
    assert await record(ctx, agent, event, "events/other")
    assert not await record(ctx, agent, event)


async def test_reads_msgpack_and_compressed_events(ctx: Context, agent: Agent) -> None:
    packs: list[Callable[[object], bytes]] = [msgspec.msgpack.encode, json_bytes, deflated]
    for number, pack in enumerate(packs):
        event = ANOMALY | {"msgId": f"p-{number}"}
        assert await record(ctx, agent, pack(event))
    assert [payload["metric"] for payload in await kept(agent)] == ["temp"] * 3  # type: ignore[index]  # JSON


def json_bytes(event: object) -> bytes:
    return json.dumps(event).encode()


def deflated(event: object) -> bytes:
    return zlib.compress(msgspec.msgpack.encode(event))


async def test_a_text_that_alternates_is_news_each_time(ctx: Context, agent: Agent) -> None:
    told = [b"online", b"online", b"offline", b"online", b"online"]
    new = [await record(ctx, agent, text, "agent/broker", retained=True) for text in told]
    assert new == [True, False, True, True, False]
    assert await kept(agent) == ["online", "offline", "online"]


async def test_a_text_on_another_channel_is_no_repeat(ctx: Context, agent: Agent) -> None:
    assert await record(ctx, agent, b"online", "agent/broker")
    assert await record(ctx, agent, b"online", "agent/status")


@pytest.mark.parametrize("payload", [b"", b"  ", b"\x00\x01", b"\xff\xfe", b"x\x9cbroken"])
async def test_refuses_what_cannot_be_read(ctx: Context, agent: Agent, payload: bytes) -> None:
    with pytest.raises(InvalidInput) as caught:
        await record(ctx, agent, payload)
    assert caught.value.facts["field"] == "payload"


async def test_keeps_strange_content_in_a_form_that_can_be_stored(
    ctx: Context, agent: Agent
) -> None:
    assert await record(ctx, agent, msgspec.msgpack.encode({"a\x00": "b\x00", "n": float("nan")}))
    assert await kept(agent) == [{"a": "b", "n": None}]
    with pytest.raises(InvalidInput):
        await record(ctx, agent, b"[" * 400 + b"]" * 400)


@pytest.mark.parametrize("channel", ["", "x" * 201, "a\x00"])
async def test_refuses_a_strange_channel(ctx: Context, agent: Agent, channel: str) -> None:
    with pytest.raises(InvalidInput):
        await record(ctx, agent, ANOMALY, channel)


async def test_bounds_the_size_also_after_inflation(ctx: Context, agent: Agent) -> None:
    small = replace(ctx, policy=Policy(state_report_bytes_max=1_000))
    with pytest.raises(PayloadTooLarge):
        await record(small, agent, b"x" * 1_001)
    with pytest.raises(InvalidInput):
        await record(small, agent, zlib.compress(b"x" * 100_000))


async def test_a_superseded_key_tells_nothing(ctx: Context, agent: Agent) -> None:
    with pytest.raises(Forbidden):
        await record_agent_event(
            as_agent(ctx, agent, superseded=True), "events/x", b"{}", retained=False
        )
