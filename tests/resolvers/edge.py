"""An edge agent's side of provisioning, for tests: its identity and what it sends."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.callers import NOBODY, Caller, Role, system_caller
from core.context import Context
from core.registrations import Registration
from models.agents import Agent
from resolvers import device_callers, provisioning, provisioning_keys
from tests.doubles import RecordingBus


@dataclass(frozen=True)
class Edge:
    """An agent before the cloud knows it."""

    uuid: UUID
    private_key: Ed25519PrivateKey
    device_key: str

    @classmethod
    def make(cls) -> Edge:
        return cls(uuid4(), Ed25519PrivateKey.generate(), new_device_key())

    def with_new_device_key(self) -> Edge:
        return replace(self, device_key=new_device_key())

    @property
    def pem(self) -> str:
        return pem_of(self.private_key)

    def registration(self, **changes: str | None) -> Registration:
        values = Registration(
            uuid=self.uuid,
            device_name=f"agent-{str(self.uuid)[:8]}",
            device_type="standalone",
            device_api_key=self.device_key,
            device_public_key=self.pem,
            mac_address="02:00:5e:00:53:01",
            os_version="Debian GNU/Linux 12 (bookworm)",
            agent_version="1.0.547",
        )
        return replace(values, **changes)  # type: ignore[arg-type]  # tests name the fields

    def sign(self, challenge: str) -> str:
        text = f"{self.uuid}:{challenge}".encode()
        return base64.b64encode(self.private_key.sign(text)).decode()


def pem_of(private_key: Ed25519PrivateKey) -> str:
    public = private_key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def new_device_key() -> str:
    return f"v2_{uuid4().hex[:8]}_{uuid4().hex}{uuid4().hex}"


def nobody(ctx: Context) -> Context:
    return ctx.acting_as(NOBODY)


def system(ctx: Context) -> Context:
    return ctx.acting_as(system_caller(0))


def as_agent(ctx: Context, agent: Agent, *, superseded: bool = False) -> Context:
    return ctx.acting_as(
        Caller(
            Role.AGENT,
            agent.tenant_id,
            agent_id=agent.id,
            agent_uuid=agent.uuid,
            device_key_superseded=superseded,
        )
    )


def published(ctx: Context, kind: type) -> list[Any]:
    """Return the events of one kind that left so far."""
    assert isinstance(ctx.bus, RecordingBus)
    return [event for _, event in ctx.bus.published if isinstance(event, kind)]


async def new_key(ctx: Context, agents_max: int = 1) -> str:
    made = await provisioning_keys.create_provisioning_key(ctx, agents_max=agents_max)
    return made.key


async def register(
    ctx: Context, edge: Edge, key: str | None = None, **changes: str | None
) -> provisioning.RegisteredAgent:
    key = await new_key(ctx) if key is None else key
    return await provisioning.register_agent(nobody(ctx), key, edge.registration(**changes))


async def exchange(ctx: Context, edge: Edge, challenge: str) -> Agent:
    return await provisioning.exchange_key(
        nobody(ctx), edge.uuid, edge.sign(challenge), edge.device_key
    )


async def provision(ctx: Context, edge: Edge | None = None) -> tuple[Edge, Agent]:
    edge = edge or Edge.make()
    registered = await register(ctx, edge)
    return edge, await exchange(ctx, edge, registered.challenge)


async def caller_of(ctx: Context, edge: Edge) -> Context:
    caller = await device_callers.caller_from_device_key(
        nobody(ctx), edge.device_key, uuid=edge.uuid
    )
    return ctx.acting_as(caller)
