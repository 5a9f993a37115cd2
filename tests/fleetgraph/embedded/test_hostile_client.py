"""What an agent tries that means harm: nothing is delivered, stored or retained.

What the platform's listener to `#` does not hear, ingest does not hear either. The tables are the
attempts; each runs against a real Mosquitto and against the fallback broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from core.broker_accounts import AGENT_READ, AGENT_WRITE
from core.mqtt_topics import agent_username
from fleetgraph.embedded.broker import BrokerKind, find_mosquitto
from tests.fleetgraph.embedded.conftest import ACCOUNTS, ONE, PLATFORM, TENANT, TWO, account
from tests.fleetgraph.embedded.hostile import LEGAL, MINE, SECRET, THEIRS, Rig, rigged
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import reachable_folder

pytestmark = pytest.mark.slow

ELSEWHERE = "i/BBBBBBBBBBBBBBBBBBBBBB/a/2222222222222222222222"

TOPICS: dict[str, list[str]] = {
    "another agent's reports": [
        *(f"{THEIRS}/{suffix.replace('+', 'x')}" for suffix in AGENT_WRITE),
    ],
    "another agent's commands": [
        *(f"{THEIRS}/{suffix.replace('+', 'x')}" for suffix in AGENT_READ),
        f"{THEIRS}/agent/shell",
    ],
    "another tenant": [f"{ELSEWHERE}/state", f"{ELSEWHERE}/agent/update", f"i/{TWO}/a/x/state"],
    "its own commands": [
        *(f"{MINE}/{suffix.replace('+', 'x')}" for suffix in AGENT_READ),
        f"{MINE}/agent/shell",
        f"{MINE}/d/x/y",
    ],
    "its own subtree": [
        f"{MINE}/other",
        f"{MINE}/state/deeper",
        f"{MINE}//state",
        f"{MINE}/endpoints",
        f"{MINE}/endpoints/modbus/deeper",
        f"{MINE}/State",
        f"{MINE} /state",
        MINE,
        f"{MINE}/",
    ],
    "no agent's topics": ["anything", "i", "/", f"/{MINE}/state", f"i/{TENANT}/a/state"],
    "the broker's own": [
        "$SYS/broker/version",
        "$SYS/broker/clients/connected",
        "$CONTROL/dynamic-security/v1",
        f"$share/g/{THEIRS}/agent/update",
        f"$share/g/{MINE}/state",
        "$other",
    ],
    "wildcards": ["i/+/a/+/state", f"{THEIRS}/#", "#", "+", f"{MINE}/endpoints/+"],
    "names that patterns might read": ["i/%u/state", "i/%c/state", f"i/{ONE}/%u", "%u"],
}

FILTERS: dict[str, list[str]] = {
    "everything": ["#", "+/#", "i/#", "+/+/+/+/+", "/#"],
    "another agent": [f"{THEIRS}/#", f"{THEIRS}/agent/update", f"i/{TENANT}/a/+/agent/update"],
    "another tenant": [f"{ELSEWHERE}/#", f"{ELSEWHERE}/agent/update", "i/+/a/+/target-state"],
    "its own subtree": [f"{MINE}/#", f"{MINE}/+", f"{MINE}/+/+", f"{MINE}/agent/+"],
    "the broker's own": ["$SYS/#", "$SYS/broker/version", "$CONTROL/#", "$CONTROL/+/v1"],
    "a share": [
        "$share/g/#",
        f"$share/g/{THEIRS}/agent/update",
        f"$share/g/{MINE}/#",
        f"$share/{TENANT}/i/+/a/+/agent/update",
        "$share/fleetgraph/i/+/a/+/state",
        "$queue/#",
    ],
    "names that patterns might read": ["i/%u/#", "%u/#", "i/%c/agent/update"],
}

SECRETS = [f"{THEIRS}/agent/update", f"{THEIRS}/target-state", f"{ELSEWHERE}/agent/update"]
NOT_ITS_BUSINESS = [*SECRETS, f"{THEIRS}/state", f"{MINE}/agent/shell", f"{MINE}/other", "i/x"]

LOGINS: dict[str, tuple[str, str]] = {
    "another agent with its own password": (TWO, f"pw-{ONE}"),
    "an empty password": (ONE, ""),
    "another agent, no password": (TWO, ""),
    "nobody": ("", ""),
    "the platform": (PLATFORM, f"pw-{ONE}"),
    "a wildcard": (f"{TENANT}/a/+", f"pw-{ONE}"),
    "the whole tenant": (f"{TENANT}/a/#", f"pw-{ONE}"),
    "a pattern": ("%u", f"pw-{ONE}"),
    "its subtree": (f"{ONE}/x", f"pw-{ONE}"),
    "a name of a file's line": (f"{ONE}:$7$", f"pw-{ONE}"),
    "a name with a new line": (f"{ONE}\nuser {ONE}", f"pw-{ONE}"),
    "64 kB of name": ("x" * 65_535, f"pw-{ONE}"),
    "64 kB of password": (ONE, "x" * 65_535),
}

CLIENT_IDS: dict[str, str] = {
    "another agent's name": TWO,
    "a pattern": "%u",
    "a path": f"../../{THEIRS}",
    "the platform's name": PLATFORM,
    "60 kB": "c" * 60_000,
}


@pytest.fixture(scope="module", params=["mosquitto", "amqtt"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    kind: BrokerKind = request.param
    if kind == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    with reachable_folder() as folder:
        async with rigged(kind, folder) as rig:
            yield rig


async def test_what_is_legal_gets_through(rig: Rig) -> None:
    """The rig hears what it has to: otherwise the tables below would prove nothing."""
    agent = await rig.agent()
    for retain in (False, True):
        await agent.publish(f"{MINE}/agent/status", b"legal", retain=retain)
    await rig.listener.heard(f"{MINE}/agent/status")
    late = MqttClient(rig.broker.port, "legal-late", PLATFORM, f"pw-{PLATFORM}")
    assert await late.connect() == 0
    await late.subscribe("#")
    assert (await late.heard(f"{MINE}/agent/status")).retain
    await late.close()
    await rig.forget([f"{MINE}/agent/status"])
    await rig.tell_secrets([f"{MINE}/target-state"])
    await agent.subscribe(f"{MINE}/target-state")
    await rig.tell_secrets([f"{MINE}/target-state", *SECRETS])
    await agent.heard(f"{MINE}/target-state")
    await rig.victim.heard(f"{THEIRS}/agent/update")
    await rig.plant_wills([])
    await agent.close()


@pytest.mark.parametrize("kind", TOPICS)
async def test_what_it_publishes_goes_nowhere(rig: Rig, kind: str) -> None:
    await rig.plant(TOPICS[kind])
    await rig.nothing_came_of_it()


@pytest.mark.parametrize("kind", TOPICS)
async def test_what_it_leaves_as_a_will_goes_nowhere(rig: Rig, kind: str) -> None:
    # Some brokers refuse a wildcard or a `$` at once: then nobody is there to die.
    topics = [] if kind == "wildcards" else TOPICS[kind]
    await rig.plant_wills(topics)
    await rig.nothing_came_of_it()


@pytest.mark.parametrize("kind", FILTERS)
async def test_what_it_subscribes_to_is_not_delivered(rig: Rig, kind: str) -> None:
    await rig.tell_secrets(SECRETS, retain=True)
    spy = await rig.agent()
    for topic_filter in FILTERS[kind]:
        if spy.closed.is_set():
            spy = await rig.agent()
        with contextlib.suppress(OSError, asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(2):
                await spy.subscribe(topic_filter)
    if spy.closed.is_set():
        spy = await rig.agent()
    await rig.tell_secrets(NOT_ITS_BUSINESS)
    heard = await rig.hears(spy)
    assert {m.topic for m in heard} == {f"{MINE}/agent/update"}
    assert SECRET not in {m.payload for m in heard}
    await spy.close()
    await rig.forget(SECRETS)


async def knock(client: MqttClient) -> int | None:
    """Return the answer to a login; None when the connection ended instead."""
    try:
        return await client.connect()
    except (asyncio.IncompleteReadError, OSError):
        return None


@pytest.mark.parametrize("name", LOGINS)
async def test_it_does_not_get_in_as_somebody_else(rig: Rig, name: str) -> None:
    username, password = LOGINS[name]
    assert await knock(MqttClient(rig.broker.port, "knocking", username, password)) in {None, 4, 5}
    await rig.nothing_came_of_it()


async def test_it_does_not_get_in_without_a_password_at_all(rig: Rig) -> None:
    name = TWO.encode()
    for flags, body in ((0x82, struct.pack("!H", len(name)) + name), (0x02, b"")):
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.broker.port)
        packet = b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x3c\x00\x01k" + body
        writer.write(bytes([0x10, len(packet)]) + packet)
        with contextlib.suppress(OSError):
            answer = await asyncio.wait_for(reader.read(4), 10)
            assert answer[3:] != b"\x00"
        writer.close()


@pytest.mark.parametrize("name", CLIENT_IDS)
async def test_a_client_id_gives_it_nothing(rig: Rig, name: str) -> None:
    client = MqttClient(rig.broker.port, CLIENT_IDS[name], ONE, f"pw-{ONE}")
    if await knock(client) == 0:
        await client.close()
        await rig.plant([f"{THEIRS}/state", f"{MINE}/agent/update"], by=CLIENT_IDS[name])
    await rig.nothing_came_of_it()


async def test_a_client_id_with_wildcards_gives_it_nothing(rig: Rig) -> None:
    """Mosquitto denies it everything, also its own topics: no fence gets through."""
    client = MqttClient(rig.broker.port, "+/a/#", ONE, f"pw-{ONE}")
    assert await client.connect() == 0
    for topic in (f"{THEIRS}/state", f"{MINE}/agent/update", "i/+/state"):
        if not client.closed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await client.publish(topic, b"planted", retain=True)
    await client.close(politely=False)
    await rig.nothing_came_of_it()


async def test_what_stands_in_a_broken_packet_is_no_packet(rig: Rig) -> None:
    """A publish to a wildcard, whose payload is a publish to somebody else, or to itself."""
    for topic in (f"{THEIRS}/state", LEGAL):
        inner = struct.pack("!H", len(topic)) + topic.encode() + b"planted"
        inner = bytes([0x31, len(inner)]) + inner
        client = await rig.agent()
        client._send(0x30, b"\x00\x01#" + inner)
        await asyncio.wait_for(client.closed.wait(), 5)
        await client.close()
    await rig.nothing_came_of_it()


async def test_another_agents_client_id_gives_it_nothing_of_theirs(rig: Rig) -> None:
    """Mosquitto cannot tell whose a client id is, and throws the other out, who comes again.

    The fallback broker refuses.
    """
    one, two = UUID(int=1 << 64), UUID(int=2 << 64)
    names = [agent_username(str(UUID(int=7)), each) for each in (one, two)]
    await rig.broker.apply([*ACCOUNTS, *map(account, names)])
    client_id = f"device_{two}"
    victim = MqttClient(rig.broker.port, client_id, names[1], f"pw-{names[1]}")
    async with asyncio.timeout(10):
        while await victim.connect() != 0:  # noqa: ASYNC110 - only trying tells
            await asyncio.sleep(0.05)
    await victim.subscribe(f"i/{names[1]}/agent/update")
    thief = MqttClient(rig.broker.port, client_id, names[0], f"pw-{names[0]}")
    answer = await thief.connect()
    if rig.broker.kind == "mosquitto":
        assert answer == 0
        await asyncio.wait_for(victim.closed.wait(), 5)
        await victim.close()
        victim.closed.clear()
        assert await victim.connect() == 0
        await asyncio.wait_for(thief.closed.wait(), 5)
        await thief.close()
        await victim.subscribe(f"i/{names[1]}/agent/update")
    else:
        assert answer == 2
        offline = MqttClient(rig.broker.port, f"agent-{two}", names[0], f"pw-{names[0]}")
        assert await offline.connect() == 2, "nor one that is not connected"
        other = MqttClient(rig.broker.port, f"agent-{one}", names[0], f"pw-{names[0]}")
        assert await other.connect() == 0, "its own, with any prefix"
        await other.close()
    await rig.tell_secrets([f"i/{names[1]}/agent/update"])
    await victim.heard(f"i/{names[1]}/agent/update")
    assert not victim.closed.is_set()
    assert thief.messages == []
    await victim.close()
    await rig.broker.apply(ACCOUNTS)


async def test_a_connected_clients_id_is_not_anothers(rig: Rig) -> None:
    if rig.broker.kind == "mosquitto":
        pytest.skip("Mosquitto cannot tell whose a client id is")
    thief = MqttClient(rig.broker.port, "listener", ONE, f"pw-{ONE}")
    assert await thief.connect() == 2
    assert not rig.listener.closed.is_set()


async def test_a_revoked_agent_is_out_at_once_and_for_good(rig: Rig) -> None:
    gone = f"{TENANT}/a/3333333333333333333333"
    await rig.broker.apply([*ACCOUNTS, account(gone)])
    client = MqttClient(rig.broker.port, "revoked", gone, f"pw-{gone}")
    async with asyncio.timeout(10):
        while await client.connect(clean=False) != 0:  # noqa: ASYNC110 - only trying tells
            await asyncio.sleep(0.05)
    await client.subscribe(f"i/{gone}/agent/update")
    await rig.broker.apply(ACCOUNTS)
    await asyncio.wait_for(client.closed.wait(), 10)
    with contextlib.suppress(OSError):
        client._send(0x30, struct.pack("!H", len(LEGAL)) + LEGAL.encode() + b"planted")
    await client.close(politely=False)
    assert await knock(MqttClient(rig.broker.port, "revoked", gone, f"pw-{gone}")) in {None, 4, 5}
    await rig.nothing_came_of_it()


async def test_a_packet_beyond_the_limit_goes_nowhere(rig: Rig) -> None:
    client = await rig.agent()
    with contextlib.suppress(OSError, asyncio.CancelledError, TimeoutError):
        async with asyncio.timeout(10):
            await client.publish(LEGAL, b"planted" * (17 * 1024 * 1024 // 7), qos=1)
    await client.close(politely=False)
    await rig.nothing_came_of_it()
    assert not any(len(m.payload) > 1_000_000 for m in rig.listener.messages)
