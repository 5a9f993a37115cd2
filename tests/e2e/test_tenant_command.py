"""`fleetgraph tenant`: beside a running `up`, and while nothing runs."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.e2e.banners import Facts
from tests.e2e.cloud import Cloud
from tests.e2e.conftest import StartProgram
from tests.e2e.processes import environment
from tests.tools import free_ports

pytestmark = pytest.mark.slow


async def tenant(folder: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command on the data folder; returns status, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fleetgraph", "tenant", *arguments),
        *("--data-dir", folder / "data"),
        env=environment(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_tenants_are_made_and_listed_whether_or_not_the_system_runs(
    start: StartProgram, folder: Path
) -> None:
    status, _, err = await tenant(folder, "list")
    assert status == 1
    assert "start `fleetgraph up` once" in err
    assert not (folder / "data" / "postgres").exists()

    port, mqtt_port = free_ports(2)
    program = start(
        *("up", "--data-dir", folder / "data", "--port", port, "--mqtt-port", mqtt_port)
    )
    facts = Facts.of(await program.says("Data folder"))
    status, out, err = await tenant(folder, "create", "Plant B", "--owner-email", "b@example.com")
    assert status == 0, err
    found = re.search(r"^Login +(\S+)\nPassword +(\S+)", out, re.MULTILINE)
    assert found
    cloud = Cloud(facts.url)
    try:
        await cloud.sign_in(found[2], found[1])
        assert cloud.token
    finally:
        await cloud.close()

    await program.stop()
    status, out, err = await tenant(folder, "list")
    assert status == 0, err
    rows = [line.split(maxsplit=3) for line in out.splitlines()]
    assert [(row[0], row[3]) for row in rows] == [("2", "Plant B"), ("1", "default")]
