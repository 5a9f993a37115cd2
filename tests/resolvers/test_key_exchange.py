from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.broker_accounts import verify_broker_password
from core.callers import Role, system_caller
from core.context import Context
from core.errors import (
    Forbidden,
    InvalidInput,
    Unauthenticated,
)
from core.etag import state_etag
from core.events import BrokerAccountsChanged
from core.ids import RandomIds, secret_hash
from core.registrations import Registration
from models.agents import Agent, ProvisioningState
from models.device_keys import DeviceKey
from models.mqtt_accounts import MqttAccount
from models.provisioning import ProvisioningKey
from models.target_states import TargetState
from models.tenants import Tenant
from resolvers import (
    agents,
    device_callers,
    device_logs,
    mqtt_accounts,
    provisioning,
    provisioning_keys,
    target_states,
)
from tests.doubles import ManualClock
from tests.resolvers.edge import (
    Edge,
    caller_of,
    exchange,
    new_device_key,
    new_key,
    nobody,
    provision,
    published,
    register,
    system,
)

RECORDED = Path(__file__).parent.parent / "fixtures/agent-traffic/http.jsonl"


class TestKeyExchange:
    async def test_opens_everything(self, ctx: Context) -> None:
        edge = Edge.make()
        registered = await register(ctx, edge)
        agent = await exchange(ctx, edge, registered.challenge)
        assert agent.provisioning_state is ProvisioningState.PROVISIONED
        assert agent.provisioned_at is not None
        caller = (await caller_of(ctx, edge)).caller
        assert (caller.role, caller.agent_id, caller.device_key_superseded) == (
            Role.AGENT,
            agent.id,
            False,
        )
        accounts = await mqtt_accounts.list_broker_accounts(system(ctx))
        (account,) = [a for a in accounts if a.username == registered.broker.username]
        assert verify_broker_password(registered.broker.password, account.password_hash)
        assert len(published(ctx, BrokerAccountsChanged)) == 1

    async def test_gives_intervals_at_both_places(self, ctx: Context) -> None:
        _, agent = await provision(ctx)
        state = await TargetState.find_row(ctx.tenant_id, agent_id=agent.id)
        intervals = dict(state.config["intervals"])  # type: ignore[call-overload]  # JSON
        nested = intervals.pop("agent")
        assert intervals == nested
        assert set(nested) == {
            "targetStatePollIntervalMs",
            "reportIntervalMs",
            "metricsIntervalMs",
            "reconciliationIntervalMs",
        }
        assert state.config["endpoints"] == []
        assert state.version == 1
        assert state.etag == state_etag(state.apps, state.config)

    async def test_leaves_a_target_state_alone_that_was_set_before(self, ctx: Context) -> None:
        edge = Edge.make()
        registered = await register(ctx, edge)
        await target_states.set_target_state(ctx, edge.uuid, apps={}, config={"a": 1})
        await exchange(ctx, edge, registered.challenge)
        state = await target_states.get_target_state(ctx, edge.uuid)
        assert state.config == {"a": 1}

    async def test_nothing_is_open_before_the_proof(self, ctx: Context) -> None:
        edge = Edge.make()
        registered = await register(ctx, edge)
        with pytest.raises(Forbidden, match="key exchange"):
            await device_callers.caller_from_device_key(
                nobody(ctx), edge.device_key, uuid=edge.uuid
            )
        accounts = await mqtt_accounts.list_broker_accounts(system(ctx))
        assert registered.broker.username not in {account.username for account in accounts}
        tenant = await Tenant.get(id=ctx.tenant_id)
        found = await agents.find_topic_agent(system(ctx), str(tenant.uuid), edge.uuid)
        assert found is None

    async def test_a_lost_answer_burns_nothing(self, ctx: Context) -> None:
        edge = Edge.make()
        challenge = (await register(ctx, edge)).challenge
        await exchange(ctx, edge, challenge)
        account = await MqttAccount.find_row(ctx.tenant_id)
        for _ in range(5):
            await exchange(ctx, edge, challenge)
        assert len(published(ctx, BrokerAccountsChanged)) == 1
        again = await MqttAccount.find_row(ctx.tenant_id)
        assert again.password_hash == account.password_hash

    async def test_six_attempts_at_once_all_succeed(self, ctx: Context) -> None:
        edge = Edge.make()
        challenge = (await register(ctx, edge)).challenge
        answers = await asyncio.gather(*(exchange(ctx, edge, challenge) for _ in range(6)))
        assert len({agent.id for agent in answers}) == 1
        assert await MqttAccount.of(ctx.tenant_id).count() == 1
        assert await TargetState.of(ctx.tenant_id).count() == 1

    async def test_refuses_the_signature_of_another_key(self, ctx: Context) -> None:
        edge = Edge.make()
        challenge = (await register(ctx, edge)).challenge
        forged = replace(edge, private_key=ed25519.Ed25519PrivateKey.generate())
        with pytest.raises(Unauthenticated, match="Proof of possession failed"):
            await exchange(ctx, forged, challenge)
        with pytest.raises(Unauthenticated, match="Proof of possession failed"):
            await exchange(ctx, edge, challenge + "x")
        await exchange(ctx, edge, challenge)

    @pytest.mark.parametrize("signature", ["", "not base64!", "é", "A" * 501])
    async def test_says_when_a_signature_is_none(self, ctx: Context, signature: str) -> None:
        edge = Edge.make()
        await register(ctx, edge)
        with pytest.raises(InvalidInput) as caught:
            await provisioning.exchange_key(nobody(ctx), edge.uuid, signature, edge.device_key)
        assert caught.value.facts["field"] == "signature"

    async def test_refuses_an_expired_challenge(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge = Edge.make()
        challenge = (await register(ctx, edge)).challenge
        clock.advance(seconds=900)
        with pytest.raises(Unauthenticated, match="Challenge expired"):
            await exchange(ctx, edge, challenge)

    @pytest.mark.parametrize(
        "device_key", [None, "", new_device_key()], ids=["none", "empty", "unknown"]
    )
    async def test_refuses_without_the_agents_own_device_key(
        self, ctx: Context, device_key: str | None
    ) -> None:
        edge = Edge.make()
        challenge = (await register(ctx, edge)).challenge
        with pytest.raises(Unauthenticated):
            await provisioning.exchange_key(
                nobody(ctx), edge.uuid, edge.sign(challenge), device_key
            )

    async def test_refuses_the_device_key_of_another_agent(self, ctx: Context) -> None:
        edge, (other, _) = Edge.make(), await provision(ctx)
        challenge = (await register(ctx, edge)).challenge
        with pytest.raises(Unauthenticated):
            await provisioning.exchange_key(
                nobody(ctx), edge.uuid, edge.sign(challenge), other.device_key
            )

    async def test_refuses_a_deactivated_agent(self, ctx: Context) -> None:
        edge = Edge.make()
        registered = await register(ctx, edge)
        registered.agent.is_active = False
        await registered.agent.save()
        with pytest.raises(Forbidden):
            await exchange(ctx, edge, registered.challenge)

    async def test_takes_p256_with_sha256(self, ctx: Context) -> None:
        private = ec.generate_private_key(ec.SECP256R1())
        pem = (
            private.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )
        edge = Edge.make()
        challenge = (await register(ctx, edge, device_public_key=pem)).challenge
        text = f"{edge.uuid}:{challenge}".encode()
        signature = base64.b64encode(private.sign(text, ec.ECDSA(hashes.SHA256()))).decode()
        agent = await provisioning.exchange_key(nobody(ctx), edge.uuid, signature, edge.device_key)
        assert agent.provisioning_state is ProvisioningState.PROVISIONED


class TestReprovisioning:
    async def test_the_old_key_is_full_until_the_new_one_is_proven(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        renewed = edge.with_new_device_key()
        registered = await register(ctx, renewed)
        assert not (await caller_of(ctx, edge)).caller.device_key_superseded
        with pytest.raises(Forbidden):
            await caller_of(ctx, renewed)
        await exchange(ctx, renewed, registered.challenge)
        assert (await caller_of(ctx, edge)).caller.device_key_superseded
        assert not (await caller_of(ctx, renewed)).caller.device_key_superseded

    async def test_the_old_key_still_uploads_logs_and_nothing_else(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        await provision(ctx, edge.with_new_device_key())
        old = await caller_of(ctx, edge)
        receipt = await device_logs.upload_logs(old, edge.uuid, "b-1", b'{"message":"still here"}')
        assert receipt.received == 1
        with pytest.raises(Forbidden, match="replaced"):
            await target_states.poll_target_state(old, edge.uuid)

    async def test_the_brokers_password_changes_with_the_proof(self, ctx: Context) -> None:
        edge = Edge.make()
        first = await register(ctx, edge)
        await exchange(ctx, edge, first.challenge)
        renewed = edge.with_new_device_key()
        second = await register(ctx, renewed)
        assert second.broker.username == first.broker.username
        assert second.broker.password != first.broker.password
        account = await MqttAccount.find_row(ctx.tenant_id)
        assert verify_broker_password(first.broker.password, account.password_hash)
        await exchange(ctx, renewed, second.challenge)
        account = await MqttAccount.find_row(ctx.tenant_id)
        assert verify_broker_password(second.broker.password, account.password_hash)

    async def test_going_back_to_an_earlier_device_key_works(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        renewed = edge.with_new_device_key()
        await provision(ctx, renewed)
        await provision(ctx, edge)
        assert not (await caller_of(ctx, edge)).caller.device_key_superseded
        assert (await caller_of(ctx, renewed)).caller.device_key_superseded

    async def test_another_provisioning_key_is_used_for_it(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        made = await provisioning_keys.create_provisioning_key(ctx)
        await register(ctx, edge.with_new_device_key(), made.key)
        row = await ProvisioningKey.find_row(ctx.tenant_id, id=made.row.id)
        assert row.agents_used == 1
        again = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert again.provisioning_key_id == made.row.id
        assert again.provisioning_state is ProvisioningState.PROVISIONED

    async def test_keys_that_were_never_proven_do_not_pile_up(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge, key = Edge.make(), await new_key(ctx)
        registered = await register(ctx, edge, key)
        clock.advance(seconds=86_401)
        await register(ctx, edge.with_new_device_key(), key)
        assert await DeviceKey.of(ctx.tenant_id, agent_id=registered.agent.id).count() == 1


class TestChallengeAgain:
    async def test_is_the_same_while_it_is_valid(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge = Edge.make()
        registered = await register(ctx, edge)
        clock.advance(seconds=600)
        again = await provisioning.reissue_challenge(nobody(ctx), edge.uuid, edge.device_key)
        assert again.challenge == registered.challenge
        assert again.expires_at == clock.now() + timedelta(seconds=900)

    async def test_is_a_new_one_once_it_is_over(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge = Edge.make()
        registered = await register(ctx, edge)
        clock.advance(seconds=3_600)
        again = await provisioning.reissue_challenge(nobody(ctx), edge.uuid, edge.device_key)
        assert again.challenge != registered.challenge
        await exchange(ctx, edge, again.challenge)

    async def test_needs_the_agents_own_key(self, ctx: Context) -> None:
        edge, (other, _) = Edge.make(), await provision(ctx)
        await register(ctx, edge)
        for device_key in (None, new_device_key(), other.device_key):
            with pytest.raises(Unauthenticated):
                await provisioning.reissue_challenge(nobody(ctx), edge.uuid, device_key)


class RecordedIds(RandomIds):
    """Hands out the challenge that the recorded agent was given."""

    def __init__(self, challenge: str) -> None:
        self._challenge = challenge

    def secret(self, nbytes: int = 32) -> str:
        return self._challenge


async def test_takes_the_requests_of_a_recorded_agent(ctx: Context) -> None:
    asked, proved = [json.loads(line) for line in RECORDED.read_text().splitlines()[:2]]
    body = asked["body"]
    # The key is the recorded one, and keys are unique in the whole installation.
    digest = secret_hash("device-key", body["deviceApiKey"])
    await DeviceKey.filter(key_hash=digest).delete()
    ctx = replace(ctx, ids=RecordedIds(asked["resp"]["challenge"]))
    made = await provisioning_keys.create_provisioning_key(
        ctx.acting_as(system_caller(ctx.tenant_id)), key=f"abc-{uuid4()}"
    )
    registration = Registration(
        uuid=UUID(body["uuid"]),
        device_name=body["deviceName"],
        device_type=body["deviceType"],
        device_api_key=body["deviceApiKey"],
        device_public_key=body["devicePublicKey"],
        mac_address=body["macAddress"],
        os_version=body["osVersion"],
        agent_version=body["agentVersion"],
    )
    registered = await provisioning.register_agent(nobody(ctx), made.key, registration)
    assert registered.challenge == asked["resp"]["challenge"]
    agent = await provisioning.exchange_key(
        nobody(ctx), registration.uuid, proved["body"]["signature"], body["deviceApiKey"]
    )
    assert agent.provisioning_state is ProvisioningState.PROVISIONED
