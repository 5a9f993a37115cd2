"""A real broker and a small real cloud for the simulator's tests."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from gmqtt import Client
from gmqtt.mqtt.constants import MQTTv311
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core.clock import SystemClock
from core.ids import RandomIds
from fleetgraph.simulator.agent import SimulatedAgent
from fleetgraph.simulator.batches import Form, Layout
from fleetgraph.simulator.cloud import CallFailed, open_client
from fleetgraph.simulator.encodings import Encoding
from fleetgraph.simulator.identity import Identity, new_identity
from fleetgraph.simulator.plant import Plant
from fleetgraph.simulator.world import Pace, World

TENANT = "0a1b2c3d4e5f"
CHALLENGE = "q1bC0w-3kq0m0M0pX1yYtM4v7lq2d9Zk5n1sJ8uQf3E"


QUICK = Pace(
    poll=0.1,
    report=0.1,
    metrics=60,
    logs=0.2,
    batch=0.1,
    poll_backoff=0.05,
    connect_backoff=0.05,
    log_resend=0.1,
    log_retry=0.1,
    replays_per_second=200,
    registration_waits=(0.02,) * 5,
    hint_spread=0.05,
    install=0.1,
)


@contextlib.asynccontextmanager
async def living(
    cloud: StubCloud,
    *,
    identity: Identity | None = None,
    encoding: Encoding = Encoding.JSON,
    form: Form = Form.NESTED,
    update_secret: str | None = None,
    pace: Pace = QUICK,
) -> AsyncIterator[SimulatedAgent]:
    """Run one agent that looks ten times a second."""
    async with open_client() as http:
        plant, clock, ids = Plant(seed=1, agents=1), SystemClock(), RandomIds()
        world = World(
            *(http, cloud.url, "prov-key", plant, clock, ids),
            rate_hz=10,
            pace=pace,
            update_secret=update_secret,
        )
        me = identity or new_identity("gateway-01", ids)
        agent = SimulatedAgent(world, me, encoding=encoding, layout=Layout(form=form))
        task = asyncio.create_task(agent.run())
        try:
            yield agent
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, CallFailed):
                await task


async def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait until a condition holds; fail when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Mosquitto:
    """A broker on a free port that can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            "max_inflight_messages 1000\nmax_queued_messages 200000\nset_tcp_nodelay true\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        self._process = subprocess.Popen(
            [binary, "-c", self._config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("mosquitto did not start")

    def stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None


def running_mosquitto(folder: Path) -> Iterator[Mosquitto]:
    if not (shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists()):
        if os.environ.get("CI"):
            pytest.fail("mosquitto is not installed")
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(folder)
    broker.start()
    yield broker
    broker.stop()


@contextlib.asynccontextmanager
async def listening(port: int, topic: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Collect all messages of a topic filter."""
    messages: list[tuple[str, bytes]] = []
    granted = asyncio.Event()

    def take(_client: Client, topic: str, payload: bytes, *_: object) -> int:
        messages.append((topic, payload))
        return 0

    client = Client(f"listener-{time.monotonic_ns()}")
    client.on_message = take
    client.on_subscribe = lambda *_: granted.set()
    async with asyncio.timeout(5):
        await client.connect("127.0.0.1", port, version=MQTTv311)
        client.subscribe(topic, qos=1)
        await granted.wait()
    try:
        yield messages
    finally:
        await client.disconnect()


@dataclass
class Call:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    was_gzip: bool

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class StubCloud:
    """Answers as agent-wire says a cloud must, or as badly as a test wants."""

    broker_port: int
    url: str = ""
    calls: list[Call] = field(default_factory=list)
    keys: dict[str, Ed25519PublicKey] = field(default_factory=dict)
    target: dict[str, Any] = field(default_factory=lambda: {"version": 1, "apps": {}, "config": {}})
    etag: str = '"t1"'
    status: dict[str, int] = field(default_factory=dict)
    confirms_logs: bool = True

    def seen(self, method: str, path: str) -> list[Call]:
        return [c for c in self.calls if c.method == method and c.path.endswith(path)]

    def app(self) -> Starlette:
        uuid = "/api/v1/device/{uuid}"
        return Starlette(
            routes=[
                Route("/api/v1/agent/register", self._register, methods=["POST"]),
                Route(f"{uuid}/key-exchange", self._exchange, methods=["POST"]),
                Route("/api/v1/device/state", self._report, methods=["PATCH"]),
                Route(f"{uuid}/state", self._poll, methods=["GET"]),
                Route(f"{uuid}/logs", self._logs, methods=["POST"]),
                Route(f"{uuid}/logs/dropped-summaries", self._dropped, methods=["POST"]),
                Route(f"{uuid}/rotate-key", self._rotate, methods=["POST"]),
                Route(f"{uuid}/ping", self._ping, methods=["GET"]),
            ]
        )

    async def _take(self, request: Request, name: str) -> tuple[Call, Response | None]:
        body = await request.body()
        is_gzip = request.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(body) if is_gzip else body
        headers = dict(request.headers)
        call = Call(request.method, request.url.path, headers, body, is_gzip)
        self.calls.append(call)
        status = self.status.get(name, 200)
        refusal = JSONResponse({"detail": f"{name} is not allowed"}, status)
        return call, refusal if status != 200 else None

    async def _register(self, request: Request) -> Response:
        call, refusal = await self._take(request, "register")
        if refusal:
            return refusal
        public = load_pem_public_key(call.json["devicePublicKey"].encode())
        assert isinstance(public, Ed25519PublicKey)
        self.keys[call.json["uuid"]] = public
        broker = {
            "protocol": "mqtt",
            "host": "127.0.0.1",
            "port": self.broker_port,
            "username": "agent-user",
            "password": "agent-pass",
            "clientIdPrefix": "agent",
            "keepAlive": 60,
            "cleanSession": True,
        }
        return JSONResponse(
            {"tenantId": TENANT, "challenge": CHALLENGE, "mqtt": {"brokerConfig": broker}}
        )

    async def _exchange(self, request: Request) -> Response:
        call, refusal = await self._take(request, "exchange")
        uuid = request.path_params["uuid"]
        signature = base64.b64decode(call.json["signature"], validate=True)
        self.keys[uuid].verify(signature, f"{uuid}:{CHALLENGE}".encode())  # raises: a 500
        return refusal or JSONResponse({"status": "ok"})

    async def _poll(self, request: Request) -> Response:
        call, refusal = await self._take(request, "poll")
        headers = {"ETag": self.etag}
        if refusal:
            return refusal
        if call.headers.get("if-none-match") == self.etag:
            return Response(status_code=304, headers=headers)
        return JSONResponse({request.path_params["uuid"]: self.target}, headers=headers)

    async def _report(self, request: Request) -> Response:
        _, refusal = await self._take(request, "report")
        return refusal or JSONResponse({"ok": True})

    async def _logs(self, request: Request) -> Response:
        call, refusal = await self._take(request, "logs")
        batch = call.headers["x-batch-id"] if self.confirms_logs else "another"
        return refusal or JSONResponse({"batchId": batch, "accepted": True})

    async def _dropped(self, request: Request) -> Response:
        call, refusal = await self._take(request, "dropped")
        return refusal or JSONResponse({"status": "ok", "received": len(call.json["summaries"])})

    async def _rotate(self, request: Request) -> Response:
        _, refusal = await self._take(request, "rotate")
        data = {"new_api_key": "v2_another", "expires_at": None}
        return refusal or JSONResponse({"message": "New device key issued", "data": data})

    async def _ping(self, request: Request) -> Response:
        _, refusal = await self._take(request, "ping")
        return refusal or JSONResponse({"status": "ok"})


@contextlib.asynccontextmanager
async def serving(cloud: StubCloud) -> AsyncIterator[StubCloud]:
    """Serve a stub on a free port."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    cloud.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(cloud.app(), log_level="critical", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started)
        yield cloud
    finally:
        server.should_exit = True
        await task
        listener.close()
