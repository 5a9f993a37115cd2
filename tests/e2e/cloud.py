"""The cloud as a person's programs see it: GraphQL over HTTP and WebSocket, and REST."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from models.fence import OPEN

_PROTOCOL = Subprotocol("graphql-transport-ws")
_LOGIN = """mutation ($username: String!, $password: String!) {
  login(username: $username, password: $password) { accessToken } }"""
_NEW_KEY = "mutation ($max: Int!) { createProvisioningKey(agentsMax: $max) { key } }"


class Refused(AssertionError):
    """GraphQL answered with errors."""


class Cloud:
    """A signed-in person at one API."""

    def __init__(self, url: str, data_dir: Path | None = None) -> None:
        self.url = url
        self.data_dir = data_dir
        self.token = ""
        self.http = httpx.AsyncClient(base_url=url, timeout=30.0)

    async def sign_in(self, password: str, username: str = "admin") -> None:
        login = await self.ask(_LOGIN, username=username, password=password)
        self.token = login["login"]["accessToken"]
        self.http.headers["authorization"] = f"Bearer {self.token}"

    async def ask(self, query: str, **variables: object) -> dict[str, Any]:
        """Return the data of a query or mutation; raises Refused when there are errors."""
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables})
        body = answer.json()
        if body.get("errors"):
            raise Refused(body["errors"])
        data: dict[str, Any] = body["data"]
        return data

    async def get(self, path: str, **parameters: str) -> Any:
        """Return the body of a REST GET."""
        answer = await self.http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def provisioning_key(self, agents_max: int = 100) -> str:
        key: str = (await self.ask(_NEW_KEY, max=agents_max))["createProvisioningKey"]["key"]
        return key

    @asynccontextmanager
    async def follow(self, query: str, **variables: object) -> AsyncIterator[Subscription]:
        """Subscribe, as a browser does: graphql-transport-ws with the token in the payload."""
        address = self.url.replace("http", "ws", 1) + "/graphql"
        async with connect(
            address, subprotocols=[_PROTOCOL], max_size=None, max_queue=1024
        ) as socket:
            token = {"authorization": f"Bearer {self.token}"}
            await socket.send(json.dumps({"type": "connection_init", "payload": token}))
            assert json.loads(await socket.recv()) == {"type": "connection_ack"}
            payload = {"query": query, "variables": variables}
            await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
            yield Subscription(socket)

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """Look behind the API into the embedded database."""
        assert self.data_dir
        password = (self.data_dir / "postgres.password").read_text().strip()
        host = str(self.data_dir / "postgres" / "run")
        connection = await asyncpg.connect(
            host=host,
            user="fleetgraph",
            password=password,
            database="fleetgraph",
            server_settings=OPEN,
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def close(self) -> None:
        await self.http.aclose()


class Subscription:
    """The answers of one subscription."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    async def next(self, *, seconds: float = 30.0) -> dict[str, Any]:
        """Return the next data. Raises Refused for errors, ConnectionClosed at the end."""
        async with asyncio.timeout(seconds):
            while True:
                message = json.loads(await self._socket.recv())
                if message["type"] == "ping":
                    await self._socket.send('{"type":"pong"}')
                    continue
                payload = message.get("payload", {})
                if message["type"] != "next" or payload.get("errors"):
                    raise Refused(message)
                data: dict[str, Any] = payload["data"]
                return data

    async def until(self, field: str, **wanted: object) -> dict[str, Any]:
        """Return the first `field` of an answer in which these members are as wanted."""
        async with asyncio.timeout(30):
            while True:
                found: dict[str, Any] = (await self.next())[field]
                if all(found[name] == value for name, value in wanted.items()):
                    return found
