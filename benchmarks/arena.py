"""Our server and npm's side by side: started on demand, told the same facts, ended together."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from benchmarks.people import SECRET, access_token_of
from core.callers import Role
from core.clock import SystemClock
from core.ids import RandomIds
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.agents import Agent, ProvisioningState
from models.database import DatabaseUrl, close_rows, migrate, open_rows
from models.tenants import Tenant
from models.users import User

PEERS = Path(__file__).parent / "peers"
_FIRST_PORT = 24_100
_START_SECONDS_MAX = 60


@dataclass(slots=True)
class Server:
    """A server under measurement."""

    name: str
    port: int
    events_port: int
    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        """The process whose processor time and memory count."""
        return self.process.pid

    @property
    def pss_kb(self) -> int:
        """Memory, with shared pages divided among those who share them."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))

    async def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


@dataclass(slots=True)
class Arena:
    """A database with agents in it, a person's token, and the servers started so far."""

    folder: Path
    dsn: str
    tenant_id: int
    agents: list[UUID]
    token: str
    secret: str
    has_peers: bool
    servers: list[Server] = field(default_factory=list)
    _port: int = _FIRST_PORT

    @property
    def authorization(self) -> str:
        """The header's value, good for ours and for the peers."""
        return f"Bearer {self.token}"

    async def ours(self, name: str = "fleetgraph", **facts: object) -> Server:
        """Start our server; `memory=True` leaves the database out of queries."""
        command = (sys.executable, "-m", "benchmarks.edge")
        return await self._start(
            name, command, facts | {"dsn": self.dsn, "folder": str(self.folder)}
        )

    async def peer(self, name: str, program: str) -> Server:
        """Start one of npm's servers."""
        facts = {"agents": [str(uuid) for uuid in self.agents]}
        return await self._start(name, ("node", str(PEERS / program)), facts)

    async def _start(self, name: str, command: tuple[str, ...], facts: dict[str, Any]) -> Server:
        port = find_free_port("127.0.0.1", self._port)
        events_port = find_free_port("127.0.0.1", port + 1)
        self._port = events_port + 1
        told = {"points": 10_000} | facts
        told |= {"port": port, "eventsPort": events_port, "secret": SECRET}
        environment = os.environ | {"NODE_ENV": "production"}  # without it graphql-js checks more
        process = await asyncio.create_subprocess_exec(*command, json.dumps(told), env=environment)
        server = Server(name, port, events_port, process)
        self.servers.append(server)
        async with asyncio.timeout(_START_SECONDS_MAX):
            for each in (port, events_port) if "apollo" not in name else (port,):
                await _accepts(each, server)
        return server


@asynccontextmanager
async def arena(agents: int = 1_000) -> AsyncIterator[Arena]:
    """Start PostgreSQL in a folder that vanishes, and fetch the peers when Node is there."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    has_peers = await _install_peers()
    with TemporaryDirectory(prefix="fleetgraph-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder)
        dsn = await postgres.start()
        servers: list[Server] = []
        try:
            url = DatabaseUrl.parse(dsn)
            await migrate(url)
            await open_rows(url)
            tenant_id, uuids, token = await _fill(agents)
            yield Arena(folder, dsn, tenant_id, uuids, token, SECRET, has_peers, servers)
        finally:
            for server in servers:
                await server.stop()
            await close_rows()
            await postgres.stop()


async def _fill(count: int) -> tuple[int, list[UUID], str]:
    clock, ids = SystemClock(), RandomIds()
    now = clock.now()
    tenant = await Tenant.create(uuid=ids.uuid(), name="bench", created_at=now)
    user = await User.create(
        id=ids.uuid(),
        tenant_id=tenant.id,
        username="bench",
        email="bench@example.com",
        password_hash="-",
        role=Role.OWNER,
        created_at=now,
    )
    agents = [
        Agent(
            tenant_id=tenant.id,
            uuid=ids.uuid(),
            name=f"agent-{number}",
            type="gateway",
            provisioning_state=ProvisioningState.PROVISIONED,
            public_key="",
            created_at=now,
            changed_at=now,
        )
        for number in range(count)
    ]
    await Agent.bulk_create(agents)
    return tenant.id, [agent.uuid for agent in agents], await access_token_of(user)


async def _install_peers() -> bool:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print("Node and npm are not installed here: ours is measured alone.")
        return False
    if not (PEERS / "node_modules").is_dir():
        process = await asyncio.create_subprocess_exec("npm", "ci", "--loglevel=error", cwd=PEERS)
        if await process.wait() != 0:
            print("npm could not fetch the peers: ours is measured alone.")
            return False
    return True


async def _accepts(port: int, server: Server) -> None:
    while True:
        if server.process.returncode is not None:
            raise RuntimeError(f"{server.name} ended with {server.process.returncode}")
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.1)
