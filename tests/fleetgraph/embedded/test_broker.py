from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from core.broker_accounts import AGENT_READ, AGENT_WRITE
from core.errors import Conflict
from fleetgraph.embedded.broker import EmbeddedBroker
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.embedded.processes import command_line
from tests.fleetgraph.embedded.conftest import (
    ACCOUNTS,
    ONE,
    PLATFORM,
    TWO,
    Connect,
    Start,
    account,
)
from tests.fleetgraph.embedded.mqtt_client import MqttClient
from tests.tools import until

pytestmark = pytest.mark.slow

MINE, THEIRS = f"i/{ONE}", f"i/{TWO}"
FENCE = f"{MINE}/state"

FORBIDDEN_TOPICS = [
    *(f"{MINE}/{suffix.replace('+', 'x')}" for suffix in AGENT_READ),
    f"{MINE}/agent/shell",
    f"{MINE}/endpoints/modbus/deeper",
    f"{MINE}/other",
    f"{THEIRS}/state",
    f"{THEIRS}/agent/update",
    "i/other/a/x/state",
    "anything",
]
FORBIDDEN_FILTERS = [
    "#",
    "+/#",
    "i/#",
    f"{MINE}/#",
    f"{MINE}/+/+",
    f"{THEIRS}/agent/update",
    f"{THEIRS}/#",
    f"{MINE.rsplit('/', 1)[0]}/+/agent/update",
    f"$share/g/{THEIRS}/agent/update",
    "$share/g/#",
    "$SYS/#",
]


async def fence(sender: MqttClient, receiver: MqttClient) -> list[str]:
    """Return the topics that the receiver has, once all that was sent before has gone through."""
    await sender.publish(FENCE, b"fence")
    await receiver.until(lambda: any(m.payload == b"fence" for m in receiver.messages))
    return [m.topic for m in receiver.messages if m.payload != b"fence"]


async def can_log_in(broker: EmbeddedBroker, name: str) -> bool:
    client = MqttClient(broker.port, "probe", name, f"pw-{name}")
    welcome = await client.connect() == 0
    if welcome:
        await client.close()
    return welcome


async def until_usable(broker: EmbeddedBroker, name: str) -> None:
    while not await can_log_in(broker, name):  # noqa: ASYNC110 - only trying tells
        await asyncio.sleep(0.02)


async def test_what_an_agent_may_publish_arrives(broker: EmbeddedBroker, connect: Connect) -> None:
    platform, agent = await connect(PLATFORM), await connect(ONE)
    assert await platform.subscribe("i/#") in {0, 1}
    for suffix in AGENT_WRITE:
        await agent.publish(f"{MINE}/{suffix.replace('+', 'x')}", b"1")
    assert await fence(agent, platform) == [f"{MINE}/{s.replace('+', 'x')}" for s in AGENT_WRITE]


async def test_what_an_agent_may_not_publish_does_not_arrive(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform, agent = await connect(PLATFORM), await connect(ONE)
    await platform.subscribe("#")
    for topic in FORBIDDEN_TOPICS:
        await agent.publish(topic, b"planted", retain=True)
        await agent.publish(topic, b"planted", qos=0)
    assert await fence(agent, platform) == []
    late = await connect(PLATFORM)
    await late.subscribe("#")
    assert await fence(agent, late) == []  # nothing was retained either


async def test_an_agent_reads_its_own_commands(broker: EmbeddedBroker, connect: Connect) -> None:
    platform, agent = await connect(PLATFORM), await connect(ONE)
    for suffix in AGENT_READ:
        assert await agent.subscribe(f"{MINE}/{suffix}") in {0, 1}
        topic = f"{MINE}/{suffix.replace('+', 'x')}"
        await platform.publish(topic, b"do")
        await agent.heard(topic)


async def test_an_agent_gets_its_retained_command(broker: EmbeddedBroker, connect: Connect) -> None:
    platform = await connect(PLATFORM)
    await platform.publish(f"{MINE}/agent/update", b"new", retain=True)
    agent = await connect(ONE)
    await agent.subscribe(f"{MINE}/agent/update")
    assert (await agent.heard(f"{MINE}/agent/update")).retain


async def test_retained_messages_go_to_those_who_asked(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform, quiet = await connect(PLATFORM), await connect(PLATFORM)
    await platform.subscribe("i/#")
    await platform.publish(f"{MINE}/agent/update", b"new", retain=True)
    await quiet.close()
    quiet = await connect(PLATFORM)
    await quiet.subscribe("other/#")
    await platform.publish("other/topic", b"fence")
    await quiet.heard("other/topic")
    assert [m.topic for m in quiet.messages] == ["other/topic"]


async def test_an_agent_hears_nothing_that_is_not_its_own(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform = await connect(PLATFORM)
    await platform.publish(f"{THEIRS}/agent/update", b"secret", retain=True)
    spy = await connect(ONE, "spy", clean=False)
    for topic_filter in FORBIDDEN_FILTERS:
        await spy.subscribe(topic_filter)
    await platform.subscribe("i/#")
    await platform.publish(f"{THEIRS}/jobs/notify-next", b"secret")
    await platform.publish(f"{THEIRS}/state", b"secret")
    again = await connect(ONE, "spy", clean=False)
    await again.subscribe(f"{MINE}/agent/update")
    await platform.publish(f"{MINE}/agent/update", b"mine")
    await again.heard(f"{MINE}/agent/update")
    heard = spy.messages + again.messages
    assert {m.topic for m in heard} == {f"{MINE}/agent/update"}


async def test_a_will_obeys_the_same_rules(broker: EmbeddedBroker, connect: Connect) -> None:
    platform, agent = await connect(PLATFORM), await connect(ONE)
    await platform.subscribe("i/#")
    planted = await connect(ONE, will=(f"{THEIRS}/agent/update", b"planted"))
    honest = await connect(ONE, will=(f"{MINE}/agent/broker", b"offline"))
    await planted.close(politely=False)
    await honest.close(politely=False)
    await platform.heard(f"{MINE}/agent/broker")
    assert await fence(agent, platform) == [f"{MINE}/agent/broker"]
    late = await connect(PLATFORM)
    await late.subscribe("i/#")
    assert f"{THEIRS}/agent/update" not in await fence(agent, late)


@pytest.mark.parametrize(
    ("username", "password"), [(ONE, "wrong"), ("nobody/a/x", "pw"), ("", ""), (ONE, f"pw-{TWO}")]
)
async def test_a_wrong_login_is_refused(
    broker: EmbeddedBroker, username: str, password: str
) -> None:
    assert await MqttClient(broker.port, "c", username, password).connect() in {4, 5}


@pytest.mark.parametrize("clean", [True, False])
async def test_a_wrong_login_does_not_disturb_the_client_of_that_name(
    broker: EmbeddedBroker, connect: Connect, clean: bool
) -> None:
    platform, agent = await connect(PLATFORM), await connect(ONE, "device_1", clean=clean)
    await agent.subscribe(f"{MINE}/agent/update")
    intruder = MqttClient(broker.port, "device_1", PLATFORM, "wrong")
    assert await intruder.connect(clean=clean) in {4, 5}
    await agent.publish("anything", b"as the platform?")
    await platform.publish(f"{MINE}/agent/update", b"still there")
    await agent.heard(f"{MINE}/agent/update")
    assert not agent.closed.is_set()


@pytest.mark.parametrize("clean", [True, False])
async def test_the_platform_takes_over_an_agents_session_by_its_client_id(
    broker: EmbeddedBroker, connect: Connect, clean: bool
) -> None:
    """This is how an agent's connection is dropped once, so that it starts afresh."""
    agent = await connect(ONE, "device_1", clean=clean)
    await agent.subscribe(f"{MINE}/agent/update")
    taker = await connect(PLATFORM, "device_1", clean=True)
    await asyncio.wait_for(agent.closed.wait(), 5)
    await taker.close()
    back = await connect(ONE, "device_1", clean=clean)
    await back.subscribe(f"{MINE}/agent/update")
    platform = await connect(PLATFORM)
    await platform.publish(f"{MINE}/agent/update", b"again")
    await back.heard(f"{MINE}/agent/update")
    assert taker.messages == []


async def test_a_taken_session_hands_on_nothing_of_its_owner(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    platform = await connect(PLATFORM, "shared", clean=False)
    await platform.subscribe("i/#")
    await platform.close()
    other = await connect(TWO)
    await other.publish(f"{THEIRS}/state", b"secret")
    thief = await connect(ONE, "shared", clean=False)
    await other.publish(f"{THEIRS}/state", b"secret")
    await thief.subscribe(f"{MINE}/agent/update")
    helper = await connect(PLATFORM)
    await helper.publish(f"{MINE}/agent/update", b"mine")
    await thief.heard(f"{MINE}/agent/update")
    assert {m.topic for m in thief.messages} == {f"{MINE}/agent/update"}


async def test_new_accounts_work_and_removed_ones_are_cut_off(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    stays, goes = await connect(ONE), await connect(TWO)
    three = TWO.replace("2", "3")
    pid = broker.pid
    await broker.apply([ACCOUNTS[0], ACCOUNTS[1], account(three)])
    await asyncio.wait_for(goes.closed.wait(), 5)
    async with asyncio.timeout(5):
        await until_usable(broker, three)
    assert not await can_log_in(broker, TWO)
    assert not stays.closed.is_set()
    assert broker.pid == pid


async def test_many_changes_at_once_end_with_the_newest(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    names = [TWO.replace("2", str(number)) for number in range(3, 8)]
    async with asyncio.timeout(5):
        await asyncio.gather(*(broker.apply([*ACCOUNTS, account(name)]) for name in names))
        await until_usable(broker, names[-1])
    assert not await can_log_in(broker, names[0])


async def test_a_silent_client_is_given_up_after_its_keep_alive(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    agent = await connect(ONE, keep_alive=1)
    await asyncio.wait_for(agent.closed.wait(), 8)


async def test_a_packet_beyond_the_limit_ends_the_connection(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    if broker.kind == "mosquitto":
        pytest.skip("Mosquitto drops the message and keeps the connection")
    agent = await connect(ONE)
    agent._writer.write(b"\x30\xff\xff\xff\x7f\x00\x01a")
    await asyncio.wait_for(agent.closed.wait(), 5)


async def test_account_files_are_private_and_the_broker_is_not_root(
    broker: EmbeddedBroker,
) -> None:
    assert broker.pid
    folder = Path(command_line(broker.pid)[-1]).parent
    modes = {name: (folder / name).stat().st_mode & 0o777 for name in ("passwords", "acl")}
    assert modes == {"passwords": 0o600, "acl": 0o600}
    process = Path("/proc", str(broker.pid))
    # The fallback listens a moment before it changes to its account.
    await until(lambda: process.stat().st_uid == folder.stat().st_uid, "the account", seconds=5)
    assert process.stat().st_uid != 0


async def test_tells_when_the_broker_dies(broker: EmbeddedBroker) -> None:
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    assert await asyncio.wait_for(broker.wait(), 5) == -signal.SIGKILL
    assert broker.pid is None


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
async def test_a_taken_port_is_named(start: Start, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Conflict, match=f"Port {port} on 127.0.0.1 is taken"):
            await start(kind, port=port)
        free = find_free_port("127.0.0.1", port)
        assert port < free <= port + 50


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
async def test_a_second_program_on_the_same_folder_is_refused(start: Start, kind: str) -> None:
    first = await start(kind)
    with pytest.raises(Conflict, match=f"in use by process {os.getpid()}"):
        await start(kind)
    assert first.pid
    assert command_line(first.pid)


async def test_mosquitto_keeps_what_is_queued_over_a_restart(start: Start) -> None:
    broker = await start("mosquitto")
    ingest = MqttClient(broker.port, "ingest", PLATFORM, f"pw-{PLATFORM}")
    assert await ingest.connect(clean=False) == 0
    await ingest.subscribe("i/#")
    await ingest.close()
    agent = MqttClient(broker.port, "agent", ONE, f"pw-{ONE}")
    assert await agent.connect() == 0
    for number in range(200):
        await agent.publish(f"{MINE}/endpoints/modbus", str(number).encode())
    await agent.close()
    await broker.stop()

    broker = await start("mosquitto")
    ingest = MqttClient(broker.port, "ingest", PLATFORM, f"pw-{PLATFORM}")
    assert await ingest.connect(clean=False) == 0
    assert ingest.session_present
    await ingest.until(lambda: len(ingest.messages) >= 200)
    assert [int(m.payload) for m in ingest.messages] == list(range(200))
    await ingest.close()


async def test_what_is_published_while_others_subscribe_arrives_at_all_listeners(
    broker: EmbeddedBroker, connect: Connect
) -> None:
    agent, restless = await connect(ONE), await connect(PLATFORM)
    listeners = {name: await connect(PLATFORM) for name in ("i/#", "#", FENCE)}
    for topic_filter, listener in listeners.items():
        await listener.subscribe(topic_filter)
    payloads = [b"%d" % number for number in range(50)]

    async def subscribe_on() -> None:
        for number in range(200):
            await restless.subscribe(f"other/{number}")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(subscribe_on())
        for payload in payloads:
            await agent.publish(FENCE, payload)
    for listener in listeners.values():
        await fence(agent, listener)
        assert [m.payload for m in listener.messages if m.payload != b"fence"] == payloads
