"""What a killed program leaves behind, and what it must not."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetgraph.embedded.broker import find_mosquitto
from fleetgraph.embedded.broker_process import BrokerProcess
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.embedded.processes import command_line, end_process, find_processes
from tests.fleetgraph.embedded.conftest import Start

pytestmark = pytest.mark.slow

PROGRAM = """
import asyncio, structlog, sys
from pathlib import Path
from core.broker_accounts import BrokerAccount, hash_broker_password
from fleetgraph.embedded.broker import start_broker

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    broker = await start_broker(
        Path(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[3]), kind=sys.argv[4],
        accounts=[BrokerAccount("p", hash_broker_password("p"), True)],
        system_root=Path(sys.argv[2]),
    )
    print("READY", broker.pid, flush=True)
    await broker.wait()

asyncio.run(main())
"""


@pytest.fixture(params=["mosquitto", "amqtt"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")
    return name


@pytest.fixture
def program(kind: str, tmp_path: Path, system_root: Path) -> Iterator[tuple[int, int, int]]:
    """Run another program with a broker: its process, its broker's process, the port."""
    port = find_free_port("127.0.0.1", 22883)
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, tmp_path / "data", system_root, str(port), kind],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout
        pid = next(int(line.split()[1]) for line in running.stdout if line.startswith("READY"))
        yield running.pid, pid, port
    finally:
        with running:
            running.kill()


def wait_for_end(pid: int) -> None:
    for _ in range(500):
        if not command_line(pid):
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} lives on")


async def test_a_broker_ends_with_its_program(
    program: tuple[int, int, int], kind: str, start: Start
) -> None:
    owner, broker, port = program
    assert command_line(broker)
    await end_process(owner, "python", "-c", first=signal.SIGKILL, seconds=5)
    await asyncio.to_thread(wait_for_end, broker)
    again = await start(kind, port=port)  # and the next program goes on, on the same port
    assert again.pid


async def test_the_next_program_starts_at_once(
    program: tuple[int, int, int], kind: str, start: Start
) -> None:
    owner, broker, port = program
    await end_process(owner, "python", "-c", first=signal.SIGKILL, seconds=5)
    again = await start(kind, port=port)
    assert again.pid != broker


async def test_a_broker_that_was_left_is_ended(kind: str, start: Start) -> None:
    left = await start(kind)
    assert isinstance(left, BrokerProcess)
    for lock in left._locks:  # as if its program had been killed on a system without death signal
        lock.release()
    again = await start(kind, port=left.port)
    assert await asyncio.wait_for(left.wait(), 5) is not None
    assert left.pid is None
    assert again.pid


async def test_a_stranger_with_a_similar_command_is_left_alone(kind: str, start: Start) -> None:
    left = await start(kind)
    assert left.pid
    config = command_line(left.pid)[-1]
    await left.stop()
    stranger = await asyncio.create_subprocess_exec("tail", "-f", config)
    try:
        await start(kind)
        assert stranger.returncode is None
        assert find_processes("tail", config) == [stranger.pid]
    finally:
        stranger.kill()
        await stranger.wait()
