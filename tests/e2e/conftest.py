"""Whole programs as fixtures: each ends with its test, and leaves nothing behind."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fleetgraph.embedded.broker import find_mosquitto
from fleetgraph.embedded.places import instance_folder
from tests.e2e.agents import Agent
from tests.e2e.banners import Facts
from tests.e2e.cloud import Cloud
from tests.e2e.parts import Parts
from tests.e2e.processes import Program, processes_of
from tests.tools import free_ports, require_program


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that servers under other accounts reach, and take it away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fleetgraph-e2e-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
        assert not processes_of(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(instance_folder(folder / "data"), ignore_errors=True)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one test."""
    with open_folder() as made:
        yield made


StartProgram = Callable[..., Program]


@pytest.fixture
def start(folder: Path) -> Iterator[StartProgram]:
    """Start programs of ours; they are ended with the test, whatever happened."""
    programs: list[Program] = []

    def start_one(*arguments: str | Path, **options: object) -> Program:
        program = Program(*arguments, **({"folder": folder} | options))  # type: ignore[arg-type]  # handed through
        programs.append(program)
        return program

    yield start_one
    for program in reversed(programs):
        program.close()


@pytest.fixture(scope="package", params=["mosquitto", "amqtt"])
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[Cloud]:
    """The whole system with each kind of broker, and its owner signed in."""
    kind: str = request.param
    if kind == "mosquitto" and not find_mosquitto():
        require_program("mosquitto")
    with open_folder() as folder:
        port, mqtt_port = free_ports(2)
        program = Program(
            *(
                "up",
                "--data-dir",
                folder / "data",
                "--port",
                str(port),
                "--mqtt-port",
                str(mqtt_port),
            ),
            folder=folder,
            settings={"FLEETGRAPH_MQTT_BROKER": kind},
        )
        try:
            facts = Facts.of(await program.says("Data folder"))
            assert kind in facts.broker.lower()
            signed_in = Cloud(facts.url, facts.data_dir)
            try:
                await signed_in.sign_in(facts.password)
                yield signed_in
            finally:
                await signed_in.close()
        finally:
            program.close()


@pytest.fixture(scope="package")
async def parts() -> AsyncIterator[Parts]:
    """PostgreSQL, Mosquitto, the API and the workers, each a process of its own."""
    if not find_mosquitto():
        require_program("mosquitto")
    with open_folder() as folder:
        running = Parts(folder)
        try:
            await running.start()
            yield running
        finally:
            await running.close()


@pytest.fixture
async def agent(cloud: Cloud) -> AsyncIterator[Agent]:
    """An agent of `cloud` that has proven itself."""
    one = Agent(cloud.url)
    try:
        await one.provision(await cloud.provisioning_key())
        yield one
    finally:
        await one.close()
