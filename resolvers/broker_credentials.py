"""How an agent reaches the broker, and the password it never has to be told twice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from core.broker_accounts import hash_broker_password
from core.context import Context
from core.errors import Conflict
from core.events import BROKER_ACCOUNTS, BrokerAccountsChanged
from core.mqtt_topics import agent_username, encode_id, endpoint_username, format_topic
from models.agents import Agent
from models.mqtt_accounts import delete_endpoint_account, put_account, put_only_line
from models.tenants import Tenant, get_tenant
from models.unit_of_work import Work
from resolvers.mqtt_accounts import WRITE

_KEEP_ALIVE_SECONDS: Final = 60
_RECONNECT_MS: Final = 5_000
_CONNECT_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class BrokerCredentials:
    """How an agent reaches the broker. `keep_alive` in seconds, the two others in ms."""

    protocol: str
    host: str
    port: int
    username: str
    password: str
    use_tls: bool
    ca_cert: str | None
    client_id_prefix: str
    keep_alive: int
    clean_session: bool
    reconnect_period: int
    connect_timeout: int


@dataclass(frozen=True, slots=True)
class EndpointCredentials:
    """How the sensors of an MQTT endpoint log in, and the one topic that they may publish on."""

    username: str
    password: str
    topic: str


def broker_password(ctx: Context, tenant: Tenant, agent: Agent, device_key_hash: bytes) -> str:
    """Return the agent's password: another one for each device key, the same at each repeat.

    It depends on the device key, so that whoever registers a known uuid without proving it learns
    a password that the broker will never accept.
    """
    return ctx.secrets.derive("mqtt-password", tenant.uuid, agent.uuid, device_key_hash.hex())


def broker_credentials(
    ctx: Context, tenant: Tenant, agent: Agent, device_key_hash: bytes, reached_host: str
) -> BrokerCredentials:
    """Return address and login for the registration's answer."""
    address = ctx.policy.broker
    host = address.host or reached_host or "localhost"
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"  # agents paste it into a URL as it is
    return BrokerCredentials(
        protocol=address.protocol,
        host=host,
        port=address.port,
        username=agent_username(str(tenant.uuid), agent.uuid),
        password=broker_password(ctx, tenant, agent, device_key_hash),
        use_tls=address.protocol in {"mqtts", "wss"},
        ca_cert=address.ca_cert,
        client_id_prefix=ctx.policy.client_id_prefix,
        keep_alive=_KEEP_ALIVE_SECONDS,
        clean_session=True,
        reconnect_period=_RECONNECT_MS,
        connect_timeout=_CONNECT_TIMEOUT_MS,
    )


async def open_broker_account(
    ctx: Context, work: Work, agent: Agent, device_key_hash: bytes
) -> None:
    """Give the agent its account at the broker; the broker hears of it after the commit."""
    tenant = await get_tenant(agent.tenant_id)
    password = broker_password(ctx, tenant, agent, device_key_hash)
    salt = bytes.fromhex(ctx.ids.secret_hex(12))
    await put_account(
        tenant.id,
        agent_username(str(tenant.uuid), agent.uuid),
        hash_broker_password(password, salt),
        agent.id,
        ctx.clock.now(),
    )
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())


async def open_endpoint_account(
    ctx: Context, work: Work, agent: Agent, endpoint_uuid: UUID
) -> EndpointCredentials:
    """Give the sensors of an MQTT endpoint their account, or the one they have a new password.

    Only this answer has the password. Raises Conflict when another tenant's endpoint, or another
    agent's, has this uuid.
    """
    tenant = str((await get_tenant(agent.tenant_id)).uuid)
    found = EndpointCredentials(
        username=endpoint_username(tenant, endpoint_uuid),
        password=ctx.ids.secret(24),
        topic=format_topic(tenant, agent.uuid, "d", encode_id(str(endpoint_uuid))),
    )
    salt = bytes.fromhex(ctx.ids.secret_hex(12))
    now = ctx.clock.now()
    account_id = await put_account(
        agent.tenant_id,
        found.username,
        hash_broker_password(found.password, salt),
        agent.id,
        now,
        endpoint_uuid,
    )
    if account_id is None:
        raise Conflict("This endpoint's account at the broker belongs to somebody else")
    await put_only_line(agent.tenant_id, account_id, found.topic, WRITE, now)
    work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())
    return found


async def close_endpoint_account(
    ctx: Context, work: Work, agent: Agent, endpoint_uuid: UUID
) -> None:
    """Take the account of an endpoint's sensors away, if there is one."""
    if await delete_endpoint_account(ctx.tenant_id, agent.id, endpoint_uuid):
        work.emit(BROKER_ACCOUNTS, BrokerAccountsChanged())
