"""What the calls are about, and the shape of a case."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.context import Context
from models.agents import Agent


@dataclass
class World:
    """What the calls are about; `private` is the key of an agent that `registration` describes."""

    ctx: Context
    agent: Agent
    username: str
    answered: dict[str, Any] = field(default_factory=dict)  # bodies by operation
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    registered: dict[str, Any] = field(default_factory=dict)
    user_id: str = ""
    authorization: str = ""

    def registration(self) -> dict[str, Any]:
        pem = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.registered = {
            "uuid": str(self.ctx.ids.uuid()),
            "deviceName": "new",
            "deviceType": "gateway",
            "deviceApiKey": f"v2_9f01ab23_{self.ctx.ids.secret_hex(32)}",
            "devicePublicKey": pem.decode(),
            "provisioningKey": self.answered["CreateProvisioningKey"]["key"],
        }
        return self.registered

    def proof(self) -> dict[str, Any]:
        challenge = self.answered["ReissueChallenge"]["challenge"]
        text = f"{self.registered['uuid']}:{challenge}".encode()
        return {"signature": base64.b64encode(self.private.sign(text)).decode()}


Case = Callable[[World], dict[str, Any] | Awaitable[dict[str, Any]]]
"""Makes what is sent beside method and path: keyword arguments of the HTTP client.

The member `path` holds variables of the path; the agent's uuid stands for those it leaves out.
"""


def nothing(world: World) -> dict[str, Any]:
    """Send nothing."""
    return {}
