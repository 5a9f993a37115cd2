"""The whole plant as `simulate` runs it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidInput
from fleetgraph.simulator.control import follow, obey
from fleetgraph.simulator.faults import FaultKind, FaultRequest
from fleetgraph.simulator.run import SimulationFailed, SimulatorOptions, simulate
from fleetgraph.simulator.world import Pace
from tests.fleetgraph.simulator.support import Mosquitto, StubCloud, listening, until
from tests.fleetgraph.simulator.test_encodings import sniff


@contextlib.asynccontextmanager
async def simulating(cloud: StubCloud, **changes: Any) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    options = SimulatorOptions(cloud.url, "prov-key", **changes)
    task = asyncio.create_task(simulate(options, stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


def is_missing(payload: bytes) -> bool:
    return any(
        reading["quality"] == "BAD"
        for element in sniff(payload)["messages"]
        for reading in element.get("readings", [element])
    )


@pytest.mark.slow
async def test_twenty_agents_show_readings_within_seconds_and_stop_at_once(
    cloud: StubCloud, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    async with listening(mosquitto.port, "i/+/a/+/endpoints/+") as messages:
        begun = time.monotonic()
        async with simulating(cloud, state_file=tmp_path / "agents.json") as stop:
            await until(lambda: len({topic for topic, _ in messages}) == 20)
            assert time.monotonic() - begun < 8
            count = len(messages)
            await until(lambda: len(messages) > count + 40)
            stop.set()
            begun = time.monotonic()
        assert time.monotonic() - begun < 3
    elements = [sniff(payload)["messages"] for _, payload in messages]
    forms = {"readings" in element for batch in elements for element in batch}
    assert forms == {True, False}
    starts = {payload[:1] for _, payload in messages}
    assert {b"{", b"\x78", b"\x1f", b"\x28"} < starts
    assert {call.headers["x-provisioning-key"] for call in cloud.seen("POST", "/register")} == {
        "prov-key"
    }
    cloud.calls.clear()
    async with simulating(cloud, state_file=tmp_path / "agents.json"):
        await until(lambda: len(cloud.seen("GET", "/state")) >= 20)
    assert not cloud.seen("POST", "/register")


@pytest.mark.slow
async def test_obeys_faults_from_the_start_and_from_the_control_file(
    cloud: StubCloud, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    control = tmp_path / "control"
    first = [FaultRequest(FaultKind.DROPOUT, machine="press-01", seconds=1)]
    changes = {"agents": 1, "rate_hz": 20.0, "control_file": control, "faults": first}
    async with (
        listening(mosquitto.port, "i/+/a/+/endpoints/+") as messages,
        simulating(cloud, encodings="json", **changes),
    ):
        await until(lambda: messages)
        assert is_missing(messages[0][1])
        await until(lambda: not is_missing(messages[-1][1]))
        control.write_text("melt\n# nothing\n\ndropout press-01 temperature 60\n")
        await until(lambda: is_missing(messages[-1][1]))
        assert not cloud.seen("POST", "/rotate-key")
        with control.open("a") as file:
            file.write("rotate gateway-02\nrotate gateway-01\n")
        await until(lambda: cloud.seen("GET", "/ping"))
    assert len(cloud.seen("POST", "/rotate-key")) == 1


@pytest.mark.slow
async def test_ends_by_itself_after_its_seconds(cloud: StubCloud) -> None:
    begun = time.monotonic()
    options = SimulatorOptions(cloud.url, "prov-key", agents=2, seconds=0.5)
    await simulate(options, asyncio.Event())
    assert 0.5 <= time.monotonic() - begun < 3


@pytest.mark.slow
async def test_fails_with_the_reason_when_no_agent_is_admitted(
    cloud: StubCloud, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.status["register"] = 401
    pace = Pace(registration_waits=(0.01,))
    options = SimulatorOptions(cloud.url, "wrong-key", agents=3, pace=pace)
    with pytest.raises(SimulationFailed, match="401 register is not allowed"):
        await simulate(options, asyncio.Event())
    assert caplog.text.count("gives up") == 3
    assert "wrong-key" not in caplog.text


async def test_a_line_that_cannot_be_understood_is_said_and_passed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    requests: list[FaultRequest] = []
    for line in ("melt press-01", "", "# spike", "spike press-01 temperature 10"):
        obey(line, requests.append)
    assert requests == [FaultRequest(FaultKind.SPIKE, None, "press-01", "temperature", 10.0)]
    assert "cannot do 'melt press-01'" in caplog.text


async def test_follows_only_what_is_appended_line_by_line(tmp_path: Path) -> None:
    path, requests = tmp_path / "control", list[FaultRequest]()
    path.write_text("spike old-01\n")
    task = asyncio.create_task(follow(path, requests.append))
    await asyncio.sleep(0)
    with path.open("a") as file:
        file.write("spike new-01\nspike half")
    await until(lambda: requests)
    with path.open("a") as file:
        file.write("-01\n")
    await until(lambda: len(requests) == 2)
    path.write_text("drift\n")
    await until(lambda: len(requests) == 3)
    task.cancel()
    assert [request.machine for request in requests] == ["new-01", "half-01", None]


@pytest.mark.parametrize("changes", [{"agents": 0}, {"rate_hz": 0.0}, {"encodings": "brotli"}])
async def test_refuses_options_that_make_no_sense(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await simulate(SimulatorOptions("http://127.0.0.1:1", "k", **changes), asyncio.Event())
