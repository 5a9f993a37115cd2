"""The load generator against a real broker, counted by a subscriber."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import InvalidInput, Unavailable
from fleetgraph.simulator.load import LoadOptions, LoadTarget, blast, factory
from fleetgraph.simulator.payloads import PacketFactory, Payload, metric_names
from tests.fleetgraph.simulator.support import Mosquitto, free_port, listening, until

START = 1_772_359_524_000
REPOSITORY = Path(__file__).parents[3]


def options(port: int, *, messages: int | None = 400, **changes: Any) -> LoadOptions:
    targets = [LoadTarget("load-a", "i/t/a/one"), LoadTarget("load-b", "i/t/a/two")]
    made = LoadOptions("127.0.0.1", port, targets, messages=messages, series=20, start_ms=START)
    return replace(made, **changes)


def readings(messages: list[tuple[str, bytes]]) -> list[tuple[str, str, str]]:
    """Return topic, metric and time of every reading."""
    return [
        (topic, reading["metric"], reading.get("timestamp", element["timestamp"]))
        for topic, payload in messages
        for element in json.loads(payload)["messages"]
        for reading in element["readings"]
    ]


def payload_of(packet: bytes, topic: str) -> bytes:
    return packet[packet.index(topic.encode()) + len(topic) + 2 :]


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("compact", 550, 650), ("recorded", 9e3, 13e3)]
)
def test_messages_are_as_big_as_promised_and_their_times_rise_per_series(
    kind: str, least: float, most: float
) -> None:
    packets = factory(options(1, payload=Payload(kind)), 0, START)
    topic = "i/t/a/one/endpoints/modbus"
    seen: dict[str, list[int]] = {}
    for number in range(200):
        data = payload_of(packets.packet(number), topic)
        assert least < len(data) < most
        assert b"####" not in data
        for _, metric, stamp in readings([(topic, data)]):
            moment = datetime.fromisoformat(stamp)
            assert moment.timestamp() * 1000 == pytest.approx(packets.time_ms(number))
            seen.setdefault(metric, []).append(packets.time_ms(number))
    assert sorted(seen) == metric_names(20, 10)
    assert all(times == list(range(START, START + 100)) for times in seen.values())


def test_times_run_over_seconds_and_days() -> None:
    packets = PacketFactory(
        topic="t",
        device="d",
        payload=Payload.COMPACT,
        series=10,
        readings_per_message=10,
        start_ms=int(datetime(2026, 2, 28, 23, 59, 59, 998_000, tzinfo=UTC).timestamp() * 1000),
        step_ms=1,
    )
    stamps = [readings([("t", payload_of(packets.packet(n), "t"))])[0][2][11:] for n in range(4)]
    assert stamps == ["23:59:59.998Z", "23:59:59.999Z", "00:00:00.000Z", "00:00:00.001Z"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", Payload)
async def test_every_reading_arrives_once_and_every_message_is_acknowledged(
    mosquitto: Mosquitto, kind: Payload
) -> None:
    async with listening(mosquitto.port, "i/+/a/+/endpoints/+") as messages:
        result = await blast(options(mosquitto.port, messages=1001, payload=kind))
        await until(lambda: len(messages) >= result.sent)
    assert (result.sent, result.acked, result.readings) == (1001, 1001, 10_010)
    assert result.sent_by_target == [501, 500]
    found = readings(messages)
    assert len(found) == len(set(found)) == result.readings


@pytest.mark.slow
async def test_a_broker_restart_loses_nothing(mosquitto: Mosquitto) -> None:
    """The broker's own memory dies with it, so this counts acknowledgements, not deliveries."""
    load = options(mosquitto.port, messages=4000, messages_per_second=4000.0, window=1000)
    task = asyncio.create_task(blast(load))
    await asyncio.sleep(0.2)  # the load takes a second at its rate: this is in its midst
    mosquitto.stop()
    mosquitto.start()
    result = await task
    assert (result.sent, result.acked) == (4000, 4000)
    assert result.reconnects == 2


@pytest.mark.slow
async def test_what_a_kicked_connection_left_open_is_sent_again_marked_as_such() -> None:
    got: list[tuple[bool, int]] = []
    connections = 0

    async def stingy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Acknowledge nothing on the first connection and drop it; everything on the second."""
        nonlocal connections
        connections += 1
        first = connections == 1
        await _packet(reader)
        writer.write(b"\x20\x02\x00\x00")
        while True:
            try:
                kind, body = await _packet(reader)
            except asyncio.IncompleteReadError:
                break
            if kind == 0xE0:
                break
            name = int.from_bytes(body[:2], "big")
            packet_id = body[2 + name : 4 + name]
            got.append((bool(kind & 8), int.from_bytes(packet_id, "big")))
            if first and len(got) == 5:
                break
            if not first:
                writer.write(b"\x40\x02" + packet_id)
        writer.close()

    server = await asyncio.start_server(stingy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    load = options(port, messages=20, window=5)
    result = await blast(replace(load, targets=load.targets[:1]))
    server.close()
    await server.wait_closed()
    assert (result.sent, result.acked, result.resent, result.reconnects) == (20, 20, 5, 1)
    assert got[:5] == [(False, number) for number in range(1, 6)]
    assert got[5:10] == [(True, number) for number in range(1, 6)]
    assert got[10:] == [(False, number) for number in range(6, 21)]


@pytest.mark.slow
async def test_keeps_to_a_rate_and_to_an_end(mosquitto: Mosquitto) -> None:
    load = options(mosquitto.port, messages=None, seconds=1.0, messages_per_second=500.0)
    result = await blast(load)
    assert 400 < result.sent <= 510
    assert result.acked == result.sent


@pytest.mark.slow
def test_runs_as_a_program_of_its_own(mosquitto: Mosquitto) -> None:
    given = msgspec.json.encode(options(mosquitto.port, messages=100))
    done = subprocess.run(
        [sys.executable, "-m", "fleetgraph.simulator.load"],
        input=given,
        capture_output=True,
        check=True,
        cwd=REPOSITORY,
        timeout=30,
    )
    assert json.loads(done.stdout)["acked"] == 100


async def test_says_when_nobody_listens() -> None:
    with pytest.raises(Unavailable):
        await blast(options(free_port()))


@pytest.mark.parametrize(
    "changes",
    [{"messages": None}, {"targets": []}, {"series": 15}, {"window": 0}, {"window": 40_000}],
)
async def test_refuses_options_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await blast(replace(options(1), **changes))


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    kind = (await reader.readexactly(1))[0]
    size, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return kind, await reader.readexactly(size)
