"""An agent that registers: its keys, what it says of itself, and its proof."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.callers import NOBODY
from core.context import Context
from core.registrations import Registration
from resolvers.provisioning import register_agent


class Newcomer:
    """One that has not been heard of until it registers."""

    def __init__(self, ctx: Context, name: str) -> None:
        self.uuid = ctx.ids.uuid()
        self.name = name
        self.device_key = f"v2_9f01ab23_{ctx.ids.secret_hex(32)}"
        self.challenge = ""
        self._private = Ed25519PrivateKey.generate()
        self._pem = (
            self._private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def words(self) -> dict[str, Any]:
        """Return the input of a registration."""
        return {
            "uuid": str(self.uuid),
            "name": self.name,
            "type": "gateway",
            "deviceKey": self.device_key,
            "publicKey": self._pem,
        }

    async def register(self, ctx: Context, provisioning_key: str) -> None:
        """Register and keep the challenge."""
        told = Registration(
            uuid=self.uuid,
            device_name=self.name,
            device_type="gateway",
            device_api_key=self.device_key,
            device_public_key=self._pem,
        )
        found = await register_agent(ctx.acting_as(NOBODY), provisioning_key, told)
        self.challenge = found.challenge

    def proof(self) -> str:
        """Return the signature that the challenge asks for."""
        return base64.b64encode(
            self._private.sign(f"{self.uuid}:{self.challenge}".encode())
        ).decode()
