"""Who a simulated agent is, and the file that lets it be the same one after a restart."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.ids import Ids

AGENT_VERSION = "1.0.547"
"""What a new agent runs; updates change it."""


@dataclass(slots=True)
class Broker:
    """What an agent was told about its broker; built from `mqtt.brokerConfig`."""

    host: str
    port: int
    protocol: str = "mqtt"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    client_id_prefix: str | None = None
    keep_alive_seconds: int = 60
    clean_session: bool = True
    connect_timeout_seconds: float = 30.0
    ca_cert: str | None = None
    verify_certificate: bool = True

    def tls_context(self) -> ssl.SSLContext | bool:
        """Return what TLS to use: none, or one that verifies only with an authority."""
        if self.protocol != "mqtts":
            return False
        context = ssl.create_default_context(cadata=self.ca_cert)
        if self.ca_cert is None or not self.verify_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def broker_of(config: dict[str, Any]) -> Broker | None:
    """Read `brokerConfig`; None when it lacks what an agent needs to connect."""
    if not all(config.get(key) for key in ("protocol", "host", "port")):
        return None
    return Broker(
        host=config["host"],
        port=int(config["port"]),
        protocol=config["protocol"],
        username=config.get("username"),
        password=config.get("password"),
        client_id_prefix=config.get("clientIdPrefix"),
        keep_alive_seconds=int(config.get("keepAlive", 60)),
        clean_session=bool(config.get("cleanSession", True)),
        connect_timeout_seconds=config.get("connectTimeout", 30_000) / 1000,
        ca_cert=config.get("caCert") or None,
        verify_certificate=config.get("verifyCertificate") is not False,
    )


@dataclass(slots=True)
class Identity:
    """An agent's own uuid, key and key pair, and what registration gave it."""

    name: str
    uuid: str
    device_key: str = field(repr=False)
    private_key: bytes = field(repr=False)
    tenant_id: str | None = None
    broker: Broker | None = None
    provisioned: bool = False
    agent_version: str = AGENT_VERSION

    @property
    def client_id(self) -> str:
        """Return the client id of its cloud connection."""
        prefix = self.broker.client_id_prefix if self.broker else None
        return f"{prefix or 'device'}_{self.uuid}"

    def public_key_pem(self) -> str:
        """Return the public key as registration carries it."""
        public = Ed25519PrivateKey.from_private_bytes(self.private_key).public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, text: str) -> bytes:
        """Return the 64-byte signature over a text."""
        return Ed25519PrivateKey.from_private_bytes(self.private_key).sign(text.encode())


def new_identity(name: str, ids: Ids) -> Identity:
    """Make an agent that nobody knows yet."""
    return Identity(
        name=name,
        uuid=str(UUID(hex=ids.secret_hex(16), version=4)),
        device_key=f"v2_{ids.secret_hex(4)}_{ids.secret_hex(32)}",
        private_key=bytes.fromhex(ids.secret_hex(32)),
    )


class IdentityFile:
    """Identities by agent name in one JSON file that its owner alone can read."""

    def __init__(self, path: Path | None) -> None:
        """Read the file if there is one; without a path nothing is kept."""
        self._path = path
        self._identities: dict[str, Identity] = {}
        if path and path.exists():
            stored = msgspec.json.decode(path.read_bytes(), type=list[Identity])
            self._identities = {identity.name: identity for identity in stored}

    def get_or_make(self, names: Iterable[str], ids: Ids) -> list[Identity]:
        """Return the identity of each name, new ones where the file has none."""
        for name in names:
            if name not in self._identities:
                self._identities[name] = new_identity(name, ids)
        self.save()
        return [self._identities[name] for name in names]

    def save(self) -> None:
        """Write what is known now, all or nothing."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        # The mode belongs to the creation: a file made open and closed later leaks meanwhile.
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(list(self._identities.values())))
        fresh.replace(self._path)
