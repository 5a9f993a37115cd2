"""Sockets and streams end with their access: in the same process, in another, without a message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.context import Context
from core.events import ACCESS, AccessChanged
from core.pubsub.base import PubSub
from core.pubsub.memory import MemoryPubSub
from fleetgraph import presence
from fleetgraph.presence import presence_workers
from models.database import DatabaseUrl
from models.notifications import PostgresPubSub
from models.users import User
from tests.contracts.serving import Api, access_token_of, give_key, sign_in
from tests.contracts.talking import closed, connected, receive
from tests.factories import make_agent
from tests.resolvers.edge import system
from workers.supervisor import Supervisor

pytestmark = pytest.mark.slow

ENDED = (4403, "Your access has ended")


@asynccontextmanager
async def replica(ctx: Context, bus: PubSub) -> AsyncIterator[int]:
    """Serve as a process does, on a bus of its own."""
    ctx = replace(ctx, bus=bus)
    api = Api(ctx)
    await bus.start()
    supervisor = Supervisor(presence_workers(api.endpoint.edge.presence, system(ctx)))
    supervisor.start()
    try:
        async with api.server() as port:
            yield port
    finally:
        await supervisor.stop()
        await bus.stop()


class Sockets:
    """Sockets that are open and acknowledged."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(self, port: int, credential: str) -> Any:
        socket = await self._stack.enter_async_context(
            connected(port, {"authorization": credential})
        )
        assert (await receive(socket))["type"] == "connection_ack"
        return socket


@pytest.fixture
async def sockets() -> AsyncIterator[Sockets]:
    async with AsyncExitStack() as stack:
        yield Sockets(stack)


async def is_open(socket: Any) -> bool:
    await socket.send(json.dumps({"type": "ping"}))
    return bool((await receive(socket))["type"] == "pong")


async def test_a_logout_closes_the_sockets_of_that_session_and_no_other(
    ctx: Context, sockets: Sockets
) -> None:
    user, first = await sign_in(ctx)
    second = f"Bearer {await access_token_of(ctx, user)}"
    async with replica(ctx, MemoryPubSub()) as port:
        mine = [await sockets.open(port, first) for _ in range(2)]
        other = await sockets.open(port, second)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.post("/api/v1/auth/logout", headers={"authorization": first})
            assert answer.status_code == 200
        for socket in mine:
            assert await closed(socket) == ENDED
        assert await is_open(other)


async def test_another_replica_closes_as_soon_as_it_hears(
    ctx: Context, sockets: Sockets, database_url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No look at the database may help: it has to be the message.
    monkeypatch.setattr(presence, "LOOK_SECONDS", 60.0)
    monkeypatch.setattr(presence, "NEW_SECONDS", 60.0)
    user, first = await sign_in(ctx)
    second = f"Bearer {await access_token_of(ctx, user)}"
    async with (
        replica(ctx, PostgresPubSub(database_url)) as here,
        replica(ctx, PostgresPubSub(database_url)) as there,
    ):
        mine, other = await sockets.open(there, first), await sockets.open(there, second)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{here}") as client:
            await client.post("/api/v1/auth/logout", headers={"authorization": first})
        assert await closed(mine) == ENDED
        assert await is_open(other)


async def test_deactivating_a_person_closes_all_that_is_open_for_them(
    ctx: Context, sockets: Sockets
) -> None:
    user, first = await sign_in(ctx, role="viewer")
    _, owner = await sign_in(ctx)
    async with replica(ctx, MemoryPubSub()) as port:
        mine = [
            await sockets.open(port, first),
            await sockets.open(port, f"Bearer {await access_token_of(ctx, user)}"),
        ]
        other = await sockets.open(port, owner)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.put(
                f"/api/v1/users/{user.id}",
                json={"isActive": False},
                headers={"authorization": owner},
            )
            assert answer.status_code == 200
        for socket in mine:
            assert await closed(socket) == ENDED
        assert await is_open(other)


async def test_an_agents_socket_ends_with_its_access(ctx: Context, sockets: Sockets) -> None:
    agent, other = await make_agent(ctx), await make_agent(ctx)
    bus = MemoryPubSub()
    async with replica(ctx, bus) as port:
        mine = await sockets.open(port, f"Bearer {await give_key(ctx, agent)}")
        others = await sockets.open(port, f"Bearer {await give_key(ctx, other)}")
        await bus.publish(ACCESS, AccessChanged(ctx.tenant_id, agent_id=agent.id))
        assert await closed(mine) == ENDED
        assert await is_open(others)


async def test_a_lost_message_is_made_up_for(
    ctx: Context, sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(presence, "NEW_SECONDS", 60.0)
    user, first = await sign_in(ctx)
    _, stranger = await sign_in(ctx)
    async with replica(ctx, MemoryPubSub()) as port:
        mine, other = await sockets.open(port, first), await sockets.open(port, stranger)
        await User.of(ctx.tenant_id, id=user.id).update(is_active=False)  # and nobody is told
        assert await closed(mine) == ENDED
        assert await is_open(other)


async def test_a_graphql_stream_ends_with_an_error(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    headers = {"authorization": token, "accept": "text/event-stream"}
    body = {"query": "subscription { agentChanged { name } }"}
    async with (
        replica(ctx, MemoryPubSub()) as port,
        asyncio.timeout(20),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        client.stream("POST", "/graphql", json=body, headers=headers) as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)  # it has begun
        logout = {"query": "mutation { logout(everywhere: true) }"}
        await client.post("/graphql", json=logout, headers={"authorization": token})
        rest = "\n".join([line async for line in lines])
    assert '"UNAUTHENTICATED"' in rest
    assert "event: complete" in rest
