"""An edge agent by agent-wire.md, written apart from the simulator."""

from __future__ import annotations

import base64
import gzip
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until

READINGS = """subscription ($agent: UUID, $after: String) {
  readings(agentUuid: $agent, after: $after) {
    cursor agentUuid device deviceName metric unit timestamps values } }"""


class Agent:
    """One agent: its own uuid, key and key pair, and what registration told it."""

    def __init__(self, url: str, uuid: str | None = None) -> None:
        self.uuid = uuid or str(uuid4())
        self.device_key = f"v2_{secrets.token_hex(4)}_{secrets.token_hex(32)}"
        self.private_key = Ed25519PrivateKey.generate()
        self.http = httpx.AsyncClient(base_url=url, timeout=30.0)
        self.registration: dict[str, Any] = {}

    @property
    def public_key_pem(self) -> str:
        public = self.private_key.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    @property
    def broker(self) -> dict[str, Any]:
        config: dict[str, Any] = self.registration["mqtt"]["brokerConfig"]
        return config

    @property
    def client_id(self) -> str:
        return f"{self.broker['clientIdPrefix']}_{self.uuid}"

    @property
    def topic_prefix(self) -> str:
        tenant = self.registration["tenantId"]
        return f"i/{topic_id(tenant)}/a/{topic_id(self.uuid)}"

    @property
    def _key(self) -> dict[str, str]:
        return {"X-Device-API-Key": self.device_key}

    def signature(self, challenge: str) -> str:
        signed = self.private_key.sign(f"{self.uuid}:{challenge}".encode())
        return base64.b64encode(signed).decode()

    async def provision(self, provisioning_key: str) -> None:
        """Do both phases of agent-wire §2."""
        body = {
            "uuid": self.uuid,
            "deviceName": f"agent-{self.uuid[:8]}",
            "deviceType": "standalone",
            "deviceApiKey": self.device_key,
            "devicePublicKey": self.public_key_pem,
            "macAddress": "02:00:5e:00:53:01",
            "osVersion": "Debian GNU/Linux 12 (bookworm)",
            "agentVersion": "1.0.547",
        }
        headers = {
            "x-provisioning-key": provisioning_key,
            "X-Idempotency-Key": f"register-{self.uuid}",
        }
        answer = await self.http.post("/api/v1/agent/register", json=body, headers=headers)
        assert answer.is_success, answer.text
        self.registration = answer.json()
        check_registration(self.registration)
        proof = {"uuid": self.uuid, "signature": self.signature(self.registration["challenge"])}
        headers = {
            "x-agent-key": self.device_key,
            "X-Idempotency-Key": f"key-exchange-{self.uuid}",
        }
        path = f"/api/v1/device/{self.uuid}/key-exchange"
        answer = await self.http.post(path, json=proof, headers=headers)
        assert answer.is_success, answer.text
        answer.json()

    async def poll(self, etag: str | None = None) -> httpx.Response:
        validator = {"if-none-match": etag} if etag else {}
        path = f"/api/v1/device/{self.uuid}/state"
        return await self.http.get(path, headers=self._key | validator)

    async def report(self, **state: object) -> httpx.Response:
        """PATCH the state, gzipped from 1 KiB."""
        body = json.dumps({self.uuid: state}).encode()
        headers = self._key | {"Content-Type": "application/json"}
        if len(body) >= 1024:
            body, headers = gzip.compress(body), headers | {"Content-Encoding": "gzip"}
        return await self.http.patch("/api/v1/device/state", content=body, headers=headers)

    async def upload_logs(self, batch_id: str, lines: list[dict[str, object]]) -> httpx.Response:
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        headers = self._key | {
            "Content-Type": "application/x-ndjson",
            "X-Batch-Id": batch_id,
            "X-Batch-Attempt": "1",
            "Content-Encoding": "gzip",
        }
        path = f"/api/v1/device/{self.uuid}/logs"
        return await self.http.post(path, content=gzip.compress(body), headers=headers)

    @asynccontextmanager
    async def connected(self, seconds: float = 15.0) -> AsyncIterator[MqttClient]:
        """Connect to the broker as told; a refusal is tried again, as the real agent does."""
        client = await self.connect(seconds)
        try:
            yield client
        finally:
            await client.close()

    async def connect(self, seconds: float = 15.0) -> MqttClient:
        """Connect to the broker; the caller closes the client."""

        async def attempt() -> MqttClient | None:
            client = MqttClient(
                self.broker["port"],
                self.client_id,
                self.broker["username"],
                self.broker["password"],
            )
            return client if await client.connect() == 0 else None

        return await until(attempt, "the broker lets the agent in", seconds=seconds)

    async def close(self) -> None:
        await self.http.aclose()


def check_registration(answer: dict[str, Any]) -> None:
    """Check what agent-wire §2.2 lists as required."""
    assert isinstance(answer["tenantId"], str)
    assert answer["tenantId"]
    assert isinstance(answer["challenge"], str)
    assert answer["challenge"]
    config = answer["mqtt"]["brokerConfig"]
    assert config["protocol"] == "mqtt"
    assert config["host"] == "127.0.0.1"
    assert isinstance(config["port"], int)
    assert config["username"]
    assert config["password"]
    assert "vpn" not in answer


def topic_id(text: str) -> str:
    """Encode an id as a topic level, agent-wire §5.2."""
    compact = text.replace("-", "")
    raw = UUID(text).bytes if len(compact) == 32 else bytes.fromhex(compact)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
