"""Provisioning: registration and proof for agents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import strawberry
from strawberry import Parent

from core.mqtt_topics import encode_id
from models import agents as agent_rows
from resolvers import provisioning
from schema.agents import Agent
from schema.context import Info
from schema.directives import requires


@strawberry.input(description="What an agent says of itself.")
class RegistrationInput:
    """An agent's identity and the credential it made for itself."""

    uuid: UUID
    name: str
    type: str
    device_key: str = strawberry.field(description="The agent's own credential from now on.")
    public_key: str = strawberry.field(description="SPKI PEM; Ed25519, or ECDSA P-256.")
    mac_address: str | None = None
    os_version: str | None = None
    agent_version: str | None = None

    def to_registration(self) -> provisioning.Registration:
        """Return the same for use cases."""
        return provisioning.Registration(
            uuid=self.uuid,
            device_name=self.name,
            device_type=self.type,
            device_api_key=self.device_key,
            device_public_key=self.public_key,
            mac_address=self.mac_address,
            os_version=self.os_version,
            agent_version=self.agent_version,
        )


@strawberry.type(description="How to reach the broker. Times in seconds or as named.")
class BrokerConfig:
    """Read off BrokerCredentials."""

    protocol: str
    host: str
    port: int
    username: str
    password: str
    use_tls: bool
    ca_cert: str | None = strawberry.field(description="PEM of a private authority.")
    client_id_prefix: str
    keep_alive: int = strawberry.field(description="Seconds.")
    clean_session: bool
    reconnect_period: int = strawberry.field(description="Milliseconds.")
    connect_timeout: int = strawberry.field(description="Milliseconds.")

    @strawberry.field(description="Whether the broker's certificate has to hold.")
    def verify_certificate(self, broker: Parent[provisioning.BrokerCredentials]) -> bool:
        """Return true where there is TLS."""
        return broker.use_tls


@strawberry.type(description="Topics an agent may use, as MQTT filters.")
class BrokerTopics:
    """What the broker's access list says."""

    publish: list[str]
    subscribe: list[str]


@strawberry.type(description="The agent's account at the broker.")
class BrokerAccount:
    """Read off RegisteredAgent."""

    @strawberry.field
    def username(self, registered: Parent[provisioning.RegisteredAgent]) -> str:
        """Return the account's name."""
        return registered.broker.username

    @strawberry.field
    def password(self, registered: Parent[provisioning.RegisteredAgent]) -> str:
        """Return the account's password."""
        return registered.broker.password

    @strawberry.field(description="The broker's address as a URL.")
    def url(self, registered: Parent[provisioning.RegisteredAgent]) -> str:
        """Return protocol, host and port."""
        broker = registered.broker
        return f"{broker.protocol}://{broker.host}:{broker.port}"

    @strawberry.field(graphql_type=BrokerConfig)
    def config(
        self, registered: Parent[provisioning.RegisteredAgent]
    ) -> provisioning.BrokerCredentials:
        """Return all that a client needs."""
        return registered.broker

    @strawberry.field
    def topics(self, registered: Parent[provisioning.RegisteredAgent]) -> BrokerTopics:
        """Return the agent's own branch of topics."""
        tenant = encode_id(str(registered.tenant_uuid))
        own = [f"i/{tenant}/a/{encode_id(str(registered.agent.uuid))}/#"]
        return BrokerTopics(publish=own, subscribe=own)


@strawberry.type(
    description="An agent that was let in. It has to sign `{uuid}:{challenge}` next; until then "
    "its device key holds for nothing else."
)
class RegisteredAgent:
    """Read off the use case's value."""

    tenant_uuid: UUID
    challenge: str

    @strawberry.field(description="A number, as older agents expect one.")
    def id(self, registered: Parent[provisioning.RegisteredAgent]) -> int:
        """Return the row's id."""
        return registered.agent.id

    @strawberry.field
    def uuid(self, registered: Parent[provisioning.RegisteredAgent]) -> UUID:
        """Return the agent's uuid."""
        return registered.agent.uuid

    @strawberry.field
    def name(self, registered: Parent[provisioning.RegisteredAgent]) -> str:
        """Return the name the agent goes by here."""
        return registered.agent.name

    @strawberry.field
    def type(self, registered: Parent[provisioning.RegisteredAgent]) -> str:
        """Return the kind of gateway."""
        return registered.agent.type

    @strawberry.field
    def created_at(self, registered: Parent[provisioning.RegisteredAgent]) -> datetime:
        """Return when the agent first registered."""
        return registered.agent.created_at

    @strawberry.field(graphql_type=BrokerAccount)
    def mqtt(
        self, registered: Parent[provisioning.RegisteredAgent]
    ) -> provisioning.RegisteredAgent:
        """Return the account at the broker."""
        return registered


@strawberry.type(description="That an agent has proven to hold its private key.")
class KeyExchange:
    """The answer to a proof."""

    agent: Agent


@strawberry.type(description="What an agent has to sign.")
class Challenge:
    """Read off the use case's value."""

    challenge: str
    expires_at: datetime


@strawberry.type
class ProvisioningMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=RegisteredAgent,
        description="For agents: register. Repeating it with the same identity is harmless.",
        directives=[requires("provisioning.register_agent")],
    )
    async def register_agent(
        self,
        info: Info,
        agent: RegistrationInput,
        provisioning_key: Annotated[
            list[str | None], strawberry.argument(description="The first that is not null counts.")
        ],
        reached_host: Annotated[
            str | None,
            strawberry.argument(
                description="Host name under which the agent reached this API: where the broker "
                "is, unless settings say otherwise."
            ),
        ] = None,
    ) -> provisioning.RegisteredAgent:
        """Let an agent in."""
        return await provisioning.register_agent(
            info.context.ctx,
            next((key for key in provisioning_key if key), None),
            agent.to_registration(),
            reached_host=host_name(reached_host),
        )

    @strawberry.mutation(
        description="For agents: sign `{uuid}:{challenge}`; from then on the device key holds.",
        directives=[requires("provisioning.exchange_key")],
    )
    async def exchange_key(
        self,
        info: Info,
        uuid: UUID,
        signature: Annotated[str, strawberry.argument(description="Base64.")],
        device_key: str | None = None,
    ) -> KeyExchange:
        """Accept an agent's proof."""
        row: agent_rows.Agent = await provisioning.exchange_key(
            info.context.ctx, uuid, signature, device_key
        )
        # Strawberry reads the fields of `agent` off the row.
        return KeyExchange(agent=row)  # type: ignore[arg-type]

    @strawberry.mutation(
        graphql_type=Challenge,
        description="For agents: the challenge to sign, with its time renewed.",
        directives=[requires("provisioning.reissue_challenge")],
    )
    async def reissue_challenge(
        self, info: Info, uuid: UUID, device_key: str | None = None
    ) -> provisioning.Challenge:
        """Return the agent's challenge."""
        return await provisioning.reissue_challenge(info.context.ctx, uuid, device_key)


def host_name(host: str | None) -> str:
    """Return the name in a Host header, without its port; empty when there is none."""
    try:
        return urlsplit(f"//{host}").hostname or "" if host else ""
    except ValueError:
        return ""
