from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.context import Context
from core.errors import Conflict, Forbidden, InvalidInput, LimitReached, Unauthenticated
from core.events import AgentChanged
from core.mqtt_topics import encode_id
from core.policy import BrokerAddress, Policy
from models.agents import Agent, ProvisioningState
from models.device_keys import DeviceKey
from models.tenants import Tenant
from resolvers import provisioning, provisioning_keys
from tests.doubles import ManualClock
from tests.factories import make_tenant
from tests.resolvers.edge import (
    Edge,
    caller_of,
    exchange,
    new_key,
    nobody,
    provision,
    published,
    register,
)


async def used(ctx: Context) -> int:
    keys = await provisioning_keys.list_provisioning_keys(ctx)
    return sum(key.agents_used for key in keys.items)


class TestRegister:
    async def test_answers_all_that_an_agent_needs(self, ctx: Context) -> None:
        edge = Edge.make()
        registered = await provisioning.register_agent(
            nobody(ctx), await new_key(ctx), edge.registration(), reached_host="api.example.com"
        )
        tenant = await Tenant.get(id=ctx.tenant_id)
        assert registered.tenant_uuid == tenant.uuid
        assert len(base64.urlsafe_b64decode(registered.challenge + "=")) == 32
        broker = registered.broker
        assert (broker.protocol, broker.host, broker.port) == ("mqtt", "api.example.com", 1883)
        assert broker.username == f"{encode_id(str(tenant.uuid))}/a/{encode_id(str(edge.uuid))}"
        assert len(broker.password) == 43
        assert broker.use_tls is False
        assert (broker.client_id_prefix, broker.keep_alive, broker.clean_session) == (
            "agent",
            60,
            True,
        )
        assert (broker.reconnect_period, broker.connect_timeout) == (5000, 30000)
        agent = registered.agent
        assert agent.provisioning_state is ProvisioningState.REGISTERED
        assert (agent.name, agent.type) == (f"agent-{str(edge.uuid)[:8]}", "standalone")
        assert agent.agent_version == "1.0.547"

    async def test_names_the_brokers_own_host_and_tls(self, ctx: Context) -> None:
        address = BrokerAddress(protocol="mqtts", host="mqtt.example.com", port=8883, ca_cert="PEM")
        ctx = replace(ctx, policy=Policy(broker=address))
        broker = (await register(ctx, Edge.make())).broker
        assert (broker.host, broker.port, broker.use_tls, broker.ca_cert) == (
            "mqtt.example.com",
            8883,
            True,
            "PEM",
        )

    async def test_writes_an_ipv6_host_as_urls_do(self, ctx: Context) -> None:
        registered = await provisioning.register_agent(
            nobody(ctx), await new_key(ctx), Edge.make().registration(), reached_host="::1"
        )
        assert registered.broker.host == "[::1]"

    async def test_answers_the_same_to_a_repeat_and_counts_once(self, ctx: Context) -> None:
        edge, key = Edge.make(), await new_key(ctx)
        first = await register(ctx, edge, key)
        for _ in range(6):
            again = await register(ctx, edge, key)
            assert again.challenge == first.challenge
            assert again.broker == first.broker
            assert again.agent.id == first.agent.id
        assert await used(ctx) == 1
        assert await DeviceKey.of(ctx.tenant_id, agent_id=first.agent.id).count() == 1
        assert len(published(ctx, AgentChanged)) == 1

    async def test_six_attempts_at_once_make_one_agent(self, ctx: Context) -> None:
        edge, key = Edge.make(), await new_key(ctx)
        answers = await asyncio.gather(*(register(ctx, edge, key) for _ in range(6)))
        assert len({answer.challenge for answer in answers}) == 1
        assert len({answer.broker.password for answer in answers}) == 1
        assert await Agent.of(ctx.tenant_id).count() == 1
        assert await used(ctx) == 1

    async def test_keeps_the_challenge_valid_at_each_repeat(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge, key = Edge.make(), await new_key(ctx)
        first = await register(ctx, edge, key)
        clock.advance(seconds=890)
        assert (await register(ctx, edge, key)).challenge == first.challenge
        clock.advance(seconds=890)
        await exchange(ctx, edge, first.challenge)

    async def test_gives_a_new_challenge_once_the_old_one_is_over(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        edge, key = Edge.make(), await new_key(ctx)
        first = await register(ctx, edge, key)
        clock.advance(seconds=901)
        second = await register(ctx, edge, key)
        assert second.challenge != first.challenge
        await exchange(ctx, edge, second.challenge)

    async def test_an_agent_that_crashed_between_the_phases_can_start_over(
        self, ctx: Context
    ) -> None:
        edge, key = Edge.make(), await new_key(ctx)
        await register(ctx, edge, key)
        clock = ManualClock(ctx.clock.now())
        clock.advance(seconds=7 * 86_400)
        later = replace(ctx, clock=clock)
        registered = await register(later, edge, key)
        agent = await exchange(later, edge, registered.challenge)
        assert agent.provisioning_state is ProvisioningState.PROVISIONED

    async def test_twenty_at_once_with_a_key_for_five(self, ctx: Context) -> None:
        key = await new_key(ctx, agents_max=5)
        answers = await asyncio.gather(
            *(register(ctx, Edge.make(), key) for _ in range(20)), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert len(answers) - len(refused) == 5
        assert {type(error) for error in refused} == {LimitReached}
        assert await Agent.of(ctx.tenant_id).count() == 5
        assert await used(ctx) == 5

    async def test_a_key_that_is_used_up_still_serves_its_agent(self, ctx: Context) -> None:
        edge, key = Edge.make(), await new_key(ctx)
        await register(ctx, edge, key)
        with pytest.raises(LimitReached) as caught:
            await register(ctx, Edge.make(), key)
        assert caught.value.facts == {"limit": 1, "used": 1}
        await register(ctx, edge, key)

    @pytest.mark.parametrize("key", [None, "", "0" * 64])
    async def test_refuses_without_a_key_that_holds(self, ctx: Context, key: str | None) -> None:
        with pytest.raises(Unauthenticated):
            await provisioning.register_agent(nobody(ctx), key, Edge.make().registration())

    async def test_refuses_an_expired_and_a_revoked_key(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        expiring = await provisioning_keys.create_provisioning_key(ctx, expires_in_days=1)
        revoked = await provisioning_keys.create_provisioning_key(ctx)
        revoked.row.is_active = False
        await revoked.row.save()
        clock.advance(seconds=86_400)
        for made in (expiring, revoked):
            with pytest.raises(Unauthenticated):
                await register(ctx, Edge.make(), made.key)
        assert await Agent.of(ctx.tenant_id).count() == 0

    async def test_another_public_key_is_a_conflict_that_says_what_to_do(
        self, ctx: Context
    ) -> None:
        edge = Edge.make()
        await provision(ctx, edge)
        thief = replace(edge, private_key=Edge.make().private_key)
        with pytest.raises(Conflict, match="delete the agent here, or give it a new uuid"):
            await register(ctx, thief)
        assert await used(ctx) == 1

    async def test_the_same_public_key_in_other_line_ends_is_the_same(self, ctx: Context) -> None:
        edge, key = Edge.make(), await new_key(ctx)
        await register(ctx, edge, key)
        await register(ctx, edge, key, device_public_key=edge.pem.replace("\n", "\r\n"))

    async def test_does_not_let_a_stranger_rename_a_proven_agent(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        stranger = edge.with_new_device_key()
        await register(ctx, stranger, device_name="mine now", os_version="other")
        row = await Agent.find_row(ctx.tenant_id, id=agent.id)
        assert row.name == f"agent-{str(edge.uuid)[:8]}"
        assert row.os_version == "Debian GNU/Linux 12 (bookworm)"

    async def test_refuses_a_device_key_of_another_agent(self, ctx: Context) -> None:
        edge, _ = await provision(ctx)
        with pytest.raises(Conflict, match="deviceApiKey"):
            await register(ctx, Edge.make(), device_api_key=edge.device_key)
        assert await Agent.of(ctx.tenant_id).count() == 1
        assert await used(ctx) == 1

    async def test_refuses_a_deactivated_agent(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        agent.is_active = False
        await agent.save()
        with pytest.raises(Forbidden):
            await register(ctx, edge)

    async def test_the_same_uuid_in_another_tenant_is_another_agent(self, ctx: Context) -> None:
        edge, agent = await provision(ctx)
        other = await make_tenant(ctx.clock, ctx.ids)
        there = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        twin = replace(Edge.make(), uuid=edge.uuid)
        _, twin_agent = await provision(there, twin)
        assert twin_agent.id != agent.id
        assert (await caller_of(there, twin)).tenant_id == other.id
        assert (await caller_of(ctx, edge)).tenant_id == ctx.tenant_id

    @pytest.mark.parametrize(
        ("field", "wire", "value"),
        [
            ("device_name", "deviceName", ""),
            ("device_name", "deviceName", "  "),
            ("device_name", "deviceName", "x" * 256),
            ("device_name", "deviceName", "a\x00b"),
            ("device_type", "deviceType", ""),
            ("device_type", "deviceType", "x" * 101),
            ("device_api_key", "deviceApiKey", ""),
            ("device_api_key", "deviceApiKey", "short"),
            ("device_api_key", "deviceApiKey", "x" * 257),
            ("device_public_key", "devicePublicKey", ""),
            ("device_public_key", "devicePublicKey", "MCowBQYDK2VwAyEA"),
            (
                "device_public_key",
                "devicePublicKey",
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            ),
        ],
    )
    async def test_names_the_field_that_is_wrong(
        self, ctx: Context, field: str, wire: str, value: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            await register(ctx, Edge.make(), **{field: value})
        assert caught.value.facts["field"] == wire

    @pytest.mark.parametrize(
        "public_key",
        [
            rsa.generate_private_key(65537, 2048).public_key(),
            ec.generate_private_key(ec.SECP384R1()).public_key(),
        ],
    )
    async def test_refuses_other_kinds_of_keys(self, ctx: Context, public_key: Any) -> None:
        pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        with pytest.raises(InvalidInput, match="Ed25519"):
            await register(ctx, Edge.make(), device_public_key=pem)

    async def test_shortens_facts_instead_of_refusing_them(self, ctx: Context) -> None:
        registered = await register(
            ctx, Edge.make(), os_version="x\x00" * 400, mac_address=None, agent_version=""
        )
        agent = await Agent.find_row(ctx.tenant_id, id=registered.agent.id)
        assert agent.os_version == "x" * 255
        assert agent.mac_address is None
        assert agent.agent_version is None
