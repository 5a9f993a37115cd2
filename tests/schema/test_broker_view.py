from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from core.broker_figures import BrokerFigures
from core.callers import Caller, Role, system_caller
from core.context import Context
from core.errors import Forbidden
from models.agent_traffic import Tally
from models.tenants import first_tenant
from resolvers.broker_view import record_broker, record_traffic
from schema.broker_view import follow_broker
from tests.factories import make_agent
from tests.schema.asking import ask, follow, refusal

FIGURES = BrokerFigures(
    version="one",
    uptime_seconds=5,
    clients_connected=3,
    bytes_received=9_000_000_000,
    messages_queued=2,
    publish_received_rate=0.5,
)
BROKER = """{ broker { isConnected at version uptimeSeconds subscriptions queuedMessages
  clients { connected maximum } bytes { received sent } rates { published bytesSent }
  messages { dropped } traffic { agents messages bytes } } }"""


async def installation_owner(ctx: Context) -> Context:
    first = await first_tenant()
    assert first is not None
    return ctx.acting_as(Caller(Role.OWNER, first.id))


async def record(ctx: Context, figures: BrokerFigures | None) -> None:
    await record_broker(ctx.acting_as(system_caller(0)), figures)


async def test_shows_the_broker_to_who_runs_the_installation(ctx: Context) -> None:
    await record(ctx, FIGURES)
    broker = (await ask(await installation_owner(ctx), BROKER))["broker"]
    traffic = broker.pop("traffic")
    assert set(traffic) == {"agents", "messages", "bytes"}
    assert broker.pop("at") is not None
    assert broker == {
        "isConnected": True,
        "version": "one",
        "uptimeSeconds": 5,
        "subscriptions": None,
        "queuedMessages": 2,
        "clients": {"connected": 3, "maximum": None},
        "bytes": {"received": 9_000_000_000, "sent": None},
        "rates": {"published": 0.5, "bytesSent": None},
        "messages": {"dropped": None},
    }


async def test_shows_a_tenant_its_own_traffic_alone(ctx: Context) -> None:
    await record(ctx, FIGURES)
    agent = await make_agent(ctx, name="press")
    await make_agent(ctx, name="silent")
    now = ctx.clock.now()
    await record_traffic(ctx.acting_as(system_caller(0)), [Tally(agent.id, 4, 3_000_000_000, now)])
    broker = (await ask(ctx, BROKER))["broker"]
    assert broker["traffic"] == {"agents": 1, "messages": 4, "bytes": 3_000_000_000}
    assert broker["isConnected"] is True
    assert broker["clients"] is broker["bytes"] is broker["version"] is None
    text = "{ agentTraffic { nodes { agentName bytes } totalCount } }"
    assert (await ask(ctx, text))["agentTraffic"] == {
        "nodes": [{"agentName": "press", "bytes": 3_000_000_000}],
        "totalCount": 1,
    }


async def test_agents_tell_their_traffic(ctx: Context) -> None:
    agent, silent = await make_agent(ctx, name="a"), await make_agent(ctx, name="b")
    now = ctx.clock.now()
    await record_traffic(ctx.acting_as(system_caller(0)), [Tally(agent.id, 4, 70, now)])
    text = "{ agents { nodes { uuid lastMessageAt messagesReceived bytesReceived } } }"
    first, second = (await ask(ctx, text))["agents"]["nodes"]
    assert first.pop("lastMessageAt") is not None
    assert first == {"uuid": str(agent.uuid), "messagesReceived": 4, "bytesReceived": 70}
    assert second == {
        "uuid": str(silent.uuid),
        "lastMessageAt": None,
        "messagesReceived": 0,
        "bytesReceived": 0,
    }


async def test_says_that_the_broker_is_away_when_asked_to(ctx: Context) -> None:
    await record(ctx, None)
    assert (await ask(ctx, BROKER))["broker"]["isConnected"] is False
    error = await refusal(ctx, "{ broker(connected: true) { at } }")
    assert error["extensions"]["code"] == "UNAVAILABLE"


async def test_is_followed_live(ctx: Context) -> None:
    owner = await installation_owner(ctx)
    await record(ctx, None)
    text = "subscription { brokerChanged { isConnected clients { connected } } }"

    def told(answer: Any) -> Any:
        return answer.data["brokerChanged"]

    async with follow(owner, text) as answers, asyncio.timeout(10):
        assert told(await anext(answers)) == {"isConnected": False, "clients": None}
        await record(ctx, FIGURES)
        assert told(await anext(answers)) == {"isConnected": True, "clients": {"connected": 3}}
        await record(ctx, replace(FIGURES, clients_connected=4))
        assert told(await anext(answers))["clients"] == {"connected": 4}


async def test_is_not_followed_by_who_may_not_read_it(ctx: Context) -> None:
    viewer = ctx.acting_as(replace(ctx.caller, role=Role.VIEWER))
    with pytest.raises(Forbidden):
        follow_broker(viewer)
    async with follow(viewer, "subscription { brokerChanged { at } }") as answers:
        refused = (await anext(answers)).errors
        assert refused
        assert refused[0].formatted["extensions"]["code"] == "FORBIDDEN"
