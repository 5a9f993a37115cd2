"""Accounts with lines of their own, at both of our brokers: people's, programs', and sensors'."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from core.broker_accounts import (
    AGENT_READ,
    AGENT_WRITE,
    AclRule,
    BrokerAccount,
    hash_broker_password,
    may,
)
from fleetgraph.embedded.broker import EmbeddedBroker
from tests.fleetgraph.embedded.conftest import ACCOUNTS, ONE, PLATFORM, TENANT, TWO, Connect, Start
from tests.fleetgraph.embedded.mqtt_client import MqttClient

pytestmark = pytest.mark.slow

SENSOR = f"{TENANT}/d/3333333333333333333333"
OWN = f"i/{ONE}/d/3333333333333333333333"
PERSON = "line.1@example"


def with_rules(username: str, *rules: AclRule) -> BrokerAccount:
    return BrokerAccount(username, hash_broker_password(f"pw-{username}"), rules=rules)


def read(topic: str) -> AclRule:
    return AclRule(topic, read=True, write=False)


def write(topic: str) -> AclRule:
    return AclRule(topic, read=False, write=True)


RULED = [
    with_rules(SENSOR, write(OWN)),
    with_rules("bare"),
    with_rules("everywhere", AclRule("#", read=True, write=True)),
    with_rules(
        PERSON,
        read(f"i/{TENANT}/a/+/state"),
        AclRule(f"i/{TENANT}/notes/#", read=True, write=True),
        write(f"i/{TENANT}/a shelf"),
    ),
]
TOPICS = [
    OWN,
    f"{OWN}/x",
    f"i/{ONE}/d/x",
    f"i/{ONE}/state",
    f"i/{TWO}/state",
    f"i/{ONE}/agent/update",
    f"i/{TENANT}/notes",
    f"i/{TENANT}/notes/a/b",
    f"i/{TENANT}/a shelf",
    f"i/{TENANT}/other",
    "i/other/a/x/state",
    *(
        f"i/{account.username}/{suffix.replace('+', 'x')}"
        for account in RULED
        for suffix in (AGENT_WRITE[0], AGENT_WRITE[2], AGENT_WRITE[-1], *AGENT_READ[:2])
    ),
]


@pytest.fixture(params=["mosquitto", "amqtt"])
async def broker(request: pytest.FixtureRequest, start: Start) -> EmbeddedBroker:
    """A broker of each kind that knows accounts with lines of their own."""
    return await start(request.param, [*ACCOUNTS, *RULED])


def topics(client: MqttClient, mark: bytes) -> set[str]:
    return {m.topic for m in client.messages if m.payload == mark}


async def sent_by_all(names: Sequence[str], connect: Connect) -> None:
    for name in names:
        client = await connect(name)
        for topic in TOPICS:
            await client.publish(topic, name.encode())


async def test_what_accounts_may_publish_arrives_and_nothing_else(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform = await connect(PLATFORM)
    await platform.subscribe("#")
    await sent_by_all([a.username for a in RULED], connect)
    await platform.publish("fence", b"")
    await platform.heard("fence")
    for account in RULED:
        allowed = {topic for topic in TOPICS if may(account, topic, write=True)}
        assert topics(platform, account.username.encode()) == allowed, account.username
    assert topics(platform, SENSOR.encode()) == {OWN}
    assert topics(platform, b"bare") == set()


async def test_accounts_hear_what_they_may_read_and_nothing_else(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform = await connect(PLATFORM)
    clients = {account.username: await connect(account.username) for account in RULED}
    for client in clients.values():
        for topic in ["#", f"i/{TENANT}/a/+/state", f"i/{TENANT}/notes/#", *TOPICS]:
            await client.subscribe(topic)
    for topic in TOPICS:
        await platform.publish(topic, b"x")
    await platform.publish(f"i/{TENANT}/notes/fence", b"")
    await clients[PERSON].heard(f"i/{TENANT}/notes/fence")
    await clients["everywhere"].heard(f"i/{TENANT}/notes/fence")
    for account in RULED:
        allowed = {topic for topic in TOPICS if may(account, topic, write=False)}
        assert topics(clients[account.username], b"x") == allowed, account.username
    assert topics(clients[SENSOR], b"x") == set()


async def test_an_agent_hears_its_own_sensors_only(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    one, two, sensor = await connect(ONE), await connect(TWO), await connect(SENSOR)
    for agent in (one, two):
        await agent.subscribe(f"i/{ONE}/d/+")
        await agent.subscribe(f"i/{TWO}/d/+")
    await sensor.publish(OWN, b"21.5")
    await sensor.publish(f"i/{TWO}/d/3333333333333333333333", b"planted")
    await one.publish(f"i/{ONE}/d/x", b"planted")
    await one.heard(OWN)
    platform = await connect(PLATFORM)
    await platform.publish(f"i/{TWO}/d/fence", b"")
    await two.heard(f"i/{TWO}/d/fence")
    assert topics(one, b"21.5") == {OWN}
    assert [m.topic for m in one.messages + two.messages if m.payload == b"planted"] == []
    assert topics(two, b"21.5") == set()
