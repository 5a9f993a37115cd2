"""Provisioning: keys that let agents in, registration, and the proof that an agent is itself.

An agent registers once and remembers that it did, so whatever leads to its first "yes" must also
lead to its key exchange: both repeat without harm, a challenge outlives an answer that got lost,
and the broker's password is derived, so that every repeat tells the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.default_states import default_config
from core.errors import Conflict, Forbidden, LimitReached, Unauthenticated
from core.etag import state_etag
from core.events import (
    ACCESS,
    TARGET_STATES,
    AccessChanged,
    AgentChanged,
    TargetStateChanged,
    agents_topic,
)
from core.ids import secret_hash
from core.public_keys import is_signed_by, read_public_key, read_signature
from core.rate_limits import RateScope, address_key
from core.registrations import Registration
from models.agents import (
    Agent,
    ProvisioningState,
    lock_registration,
)
from models.device_keys import KeyHolder, find_key_holder, prove_device_key, put_device_key
from models.fleets import hold_fleet
from models.provisioning import ProvisioningKey, find_provisioning_key, take_use
from models.target_states import put_first_state
from models.tenants import get_tenant
from models.unit_of_work import Work, unit_of_work
from resolvers.broker_credentials import BrokerCredentials, broker_credentials, open_broker_account
from resolvers.device_callers import DEVICE_KEY_PURPOSE
from resolvers.provisioning_keys import PROVISIONING_KEY_PURPOSE
from resolvers.provisioning_record import (
    exchanged,
    let_in,
    recording_exchange,
    recording_registration,
)

__all__ = ["BrokerCredentials", "Registration"]


@dataclass(frozen=True, slots=True)
class RegisteredAgent:
    """What a registration answers: whom, the challenge to sign, the broker."""

    agent: Agent
    tenant_uuid: UUID
    challenge: str
    broker: BrokerCredentials


@dataclass(frozen=True, slots=True)
class Challenge:
    """What an agent has to sign, and until when."""

    challenge: str
    expires_at: datetime


@allow(Permission.PUBLIC)
async def register_agent(
    ctx: Context,
    provisioning_key: str | None,
    registration: Registration,
    *,
    reached_host: str = "",
) -> RegisteredAgent:
    """Let an agent in, or answer the same to one that asks again.

    `reached_host` is the host name under which the agent reached the API: the broker's, too,
    unless the policy names one. An agent that comes back with a new device key and the same
    public key is accepted; the new key holds once proven. Name, type and facts of an agent that
    has proven itself are not touched, because whoever asks has not proven anything yet.

    Raises Unauthenticated without a provisioning key that holds, LimitReached when it is used up,
    Conflict when the uuid belongs to another public key, RateLimited after too many attempts from
    this address that failed.
    """
    await ctx.limits.check(RateScope.PROVISIONING, address_key(ctx.remote_address))
    if not provisioning_key:
        raise Unauthenticated("A provisioning key is required")
    wanted = registration.checked()
    device_key_hash = secret_hash(DEVICE_KEY_PURPOSE, wanted.device_api_key)
    key_hash = secret_hash(PROVISIONING_KEY_PURPOSE, provisioning_key)
    now = ctx.clock.now()
    async with recording_registration(ctx, wanted.uuid, key_hash), unit_of_work(ctx) as work:
        key = await find_provisioning_key(key_hash)
        if key is None or not key.may_register(now):
            raise Unauthenticated("The provisioning key is unknown, revoked or expired")
        await lock_registration(key.tenant_id, wanted.uuid)
        agent = await Agent.of(key.tenant_id, uuid=wanted.uuid).select_for_update().first()
        if agent is not None:
            _check_same_agent(agent, wanted)
        if agent is None or agent.provisioning_key_id != key.id:
            await _take_use(key, now)
        for entry in let_in(key, wanted.uuid, is_new=agent is None):
            work.record(entry)
        if agent is None:
            agent = _new_agent(key, wanted, now)
            agent.fleet_id = await hold_fleet(key.tenant_id, key.fleet_uuid)
            work.emit(agents_topic(agent.tenant_id), AgentChanged(agent.tenant_id, agent.uuid))
        agent.provisioning_key_id = key.id
        holder = await find_key_holder(device_key_hash)
        if holder is None or holder.is_superseded:
            agent.challenge = None  # what was signed for another key is no proof of this one
        challenge = _renew_challenge(ctx, agent, now)
        await agent.save()
        if not await put_device_key(agent.tenant_id, agent.id, device_key_hash, now):
            raise Conflict("deviceApiKey is taken, or was revoked; let this agent make a new one")
        tenant = await get_tenant(agent.tenant_id)
    broker = broker_credentials(ctx, tenant, agent, device_key_hash, reached_host)
    return RegisteredAgent(agent, tenant.uuid, challenge.challenge, broker)


@allow(Permission.PUBLIC)
async def exchange_key(ctx: Context, uuid: UUID, signature: str, device_key: str | None) -> Agent:
    """Accept an agent that signs its challenge, `{uuid}:{challenge}`; repeats change nothing.

    From then on its device key holds for everything, older keys hold for log upload only, and
    the broker knows the account. Raises Unauthenticated for a key or signature that does not
    hold, for a key that was replaced and for an expired challenge, InvalidInput for a signature that is no base64.
    """
    signed = read_signature(signature, "signature")
    now = ctx.clock.now()
    key_hash = secret_hash(DEVICE_KEY_PURPOSE, device_key or "")
    async with recording_exchange(ctx, uuid, key_hash), unit_of_work(ctx) as work:
        holder, device_key_hash = await _key_holder(ctx, uuid, device_key)
        agent = await _locked_agent(holder)
        if holder.is_superseded:  # who recorded its exchange could send that again
            raise Unauthenticated("This device key was replaced; register with a new one")
        _check_proof(agent, signed, now)
        if agent.provisioning_state is not ProvisioningState.PROVISIONED:
            agent.provisioning_state = ProvisioningState.PROVISIONED
            agent.provisioned_at = now
            agent.changed_at = now
            await agent.save(update_fields=["provisioning_state", "provisioned_at", "changed_at"])
            await _give_first_state(work, agent, now)
        if not holder.is_proven:
            await prove_device_key(agent.tenant_id, agent.id, holder.key_id, now)
            await open_broker_account(ctx, work, agent, device_key_hash)
            work.emit(ACCESS, AccessChanged(agent.tenant_id, agent_id=agent.id))
            work.emit(agents_topic(agent.tenant_id), AgentChanged(agent.tenant_id, agent.uuid))
            work.record(exchanged(agent))
    return agent


@allow(Permission.PUBLIC)
async def reissue_challenge(ctx: Context, uuid: UUID, device_key: str | None) -> Challenge:
    """Return the agent's challenge, the current one while it is valid, with a renewed time.

    Needs a device key registered for this agent, proven or not.
    """
    now = ctx.clock.now()
    async with unit_of_work(ctx):
        holder, _ = await _key_holder(ctx, uuid, device_key)
        agent = await _locked_agent(holder)
        challenge = _renew_challenge(ctx, agent, now)
        await agent.save(update_fields=["challenge", "challenge_expires_at"])
    return challenge


def _check_same_agent(agent: Agent, wanted: Registration) -> None:
    if agent.public_key != wanted.device_public_key:
        raise Conflict(
            f"Agent {agent.uuid} is registered with another public key. If its data was wiped,"
            " delete the agent here, or give it a new uuid (DEVICE_UUID), and register again"
        )
    if not agent.is_active:
        raise Forbidden("This agent is deactivated")
    if agent.provisioning_state is ProvisioningState.REGISTERED:
        agent.mac_address = wanted.mac_address or agent.mac_address
        agent.os_version = wanted.os_version or agent.os_version
        agent.agent_version = wanted.agent_version or agent.agent_version


async def _take_use(key: ProvisioningKey, now: datetime) -> None:
    if not await take_use(key.tenant_id, key.id, now):
        raise LimitReached(
            "The provisioning key is used up", limit=key.agents_max, used=key.agents_max
        )


def _new_agent(key: ProvisioningKey, wanted: Registration, now: datetime) -> Agent:
    return Agent(
        tenant_id=key.tenant_id,
        uuid=wanted.uuid,
        name=wanted.device_name,
        type=wanted.device_type,
        provisioning_state=ProvisioningState.REGISTERED,
        public_key=wanted.device_public_key,
        mac_address=wanted.mac_address,
        os_version=wanted.os_version,
        agent_version=wanted.agent_version,
        created_at=now,
        changed_at=now,
    )


def _renew_challenge(ctx: Context, agent: Agent, now: datetime) -> Challenge:
    """An agent signs the first challenge it got, so a later answer must not bring another one."""
    if agent.challenge is None or _is_over(agent, now):
        agent.challenge = ctx.ids.secret(32)
    agent.challenge_expires_at = now + timedelta(seconds=ctx.policy.challenge_ttl_seconds)
    return Challenge(agent.challenge, agent.challenge_expires_at)


def _is_over(agent: Agent, now: datetime) -> bool:
    return agent.challenge_expires_at is None or agent.challenge_expires_at <= now


async def _key_holder(ctx: Context, uuid: UUID, device_key: str | None) -> tuple[KeyHolder, bytes]:
    if not device_key:
        raise Unauthenticated("The agent's device key is required")
    key_hash = secret_hash(DEVICE_KEY_PURPOSE, device_key)
    holder = await find_key_holder(key_hash)
    if holder is None or holder.agent_uuid != uuid or holder.has_ended(ctx.clock.now()):
        raise Unauthenticated("This device key is not registered for this agent")
    return holder, key_hash


async def _locked_agent(holder: KeyHolder) -> Agent:
    query = Agent.of(holder.tenant_id, id=holder.agent_id).select_for_update()
    agent = await query.first()
    if agent is None:
        raise Unauthenticated("This device key is not registered for this agent")
    if not agent.is_active:
        raise Forbidden("This agent is deactivated")
    return agent


def _check_proof(agent: Agent, signature: bytes, now: datetime) -> None:
    if agent.challenge is None:
        raise Unauthenticated("No challenge found", challenge="none")
    if _is_over(agent, now):
        raise Unauthenticated("Challenge expired", expired_challenge=True)
    key = read_public_key(agent.public_key, "devicePublicKey")
    if not is_signed_by(key, signature, f"{agent.uuid}:{agent.challenge}"):
        raise Unauthenticated("Proof of possession failed")


async def _give_first_state(work: Work, agent: Agent, now: datetime) -> None:
    config = default_config()
    await put_first_state(agent.tenant_id, agent.id, config, state_etag({}, config), now)
    work.emit(TARGET_STATES, TargetStateChanged(agent.tenant_id, agent.uuid))
