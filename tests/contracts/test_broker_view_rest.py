"""What the broker tells, over REST: who gets it, in what shape, and while the broker is away."""

from __future__ import annotations

import httpx

from core.broker_figures import BrokerFigures
from core.callers import system_caller
from core.context import Context
from models.tenants import first_tenant
from resolvers.broker_view import record_broker
from tests.contracts.serving import Api, sign_in

FIGURES = BrokerFigures(
    version="one",
    clients_connected=3,
    messages_retained=7,
    messages_received=11,
    publish_received_rate=0.5,
    bytes_received_rate=12.5,
)


async def get(ctx: Context, role: str = "operator") -> httpx.Response:
    _, token = await sign_in(ctx, role=role)
    async with Api(ctx).client(authorization=token) as client:
        return await client.get("/api/v1/mqtt/stats")


async def test_the_figures_come_in_the_envelope_of_the_contract(ctx: Context) -> None:
    await record_broker(ctx.acting_as(system_caller(0)), FIGURES)
    first = await first_tenant()
    assert first is not None
    answer = await get(ctx.acting_as(system_caller(first.id)), "owner")
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"success", "data"}
    data = body["data"]
    assert body["success"] is data["connected"] is True
    assert data["clients"] == {"connected": 3, "disconnected": None, "total": None, "maximum": None}
    assert data["retainedMessages"] == 7
    assert data["totalMessages"]["received"] == 11
    assert data["messageRate"] == {"published": 0.5, "received": None, "sent": None}
    assert data["throughput"] == {"inbound": 12.5, "outbound": None}


async def test_other_tenants_get_what_is_theirs(ctx: Context) -> None:
    await record_broker(ctx.acting_as(system_caller(0)), FIGURES)
    data = (await get(ctx)).json()["data"]
    assert data["clients"] is data["version"] is data["messageRate"] is None
    assert data["agents"] == {"count": 0, "messages": 0, "bytes": 0, "lastMessageAt": None}


async def test_says_so_while_the_broker_is_away(ctx: Context) -> None:
    await record_broker(ctx.acting_as(system_caller(0)), None)
    answer = await get(ctx)
    assert answer.status_code == 503
    assert answer.json()["error"] == "Service not available"


async def test_is_not_for_viewers_nor_for_strangers(ctx: Context) -> None:
    assert (await get(ctx, "viewer")).status_code == 403
    async with Api(ctx).client() as client:
        assert (await client.get("/api/v1/mqtt/stats")).status_code == 401
