"""The servers a benchmark needs: PostgreSQL, a broker, registered agents; all of them ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from core.broker_accounts import BrokerAccount, hash_broker_password
from core.clock import SystemClock
from core.ids import RandomIds
from core.mqtt_topics import agent_username, encode_id
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from fleetgraph.embedded.ports import find_free_port
from fleetgraph.embedded.postgres import EmbeddedPostgres
from fleetgraph.simulator.load import LoadTarget
from models.agents import Agent, ProvisioningState
from models.database import DatabaseUrl, close_rows, migrate, open_rows
from models.tenants import Tenant

PLATFORM_USER, PLATFORM_PASSWORD = "platform", "platform-password"
AGENT_PASSWORD = "agent-password"


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs, and who may publish."""

    folder: Path
    dsn: str
    broker: EmbeddedBroker
    tenant_id: int
    agents: list[Agent]
    targets: list[LoadTarget]

    @property
    def broker_url(self) -> str:
        """Return the broker's URL for the program."""
        return f"mqtt://{PLATFORM_USER}:{PLATFORM_PASSWORD}@127.0.0.1:{self.broker.port}"


@asynccontextmanager
async def running(agents: int) -> AsyncIterator[Stack]:
    """Start everything in a folder that vanishes afterwards."""
    with TemporaryDirectory(prefix="fleetgraph-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        postgres = EmbeddedPostgres(folder)
        dsn = await postgres.start()
        url = DatabaseUrl.parse(dsn)
        await migrate(url)
        await open_rows(url)
        broker: EmbeddedBroker | None = None
        try:
            tenant, rows = await _agents(agents)
            accounts = [
                BrokerAccount(
                    PLATFORM_USER, hash_broker_password(PLATFORM_PASSWORD), is_platform=True
                )
            ]
            targets = []
            for agent in rows:
                username = agent_username(str(tenant.uuid), agent.uuid)
                accounts.append(BrokerAccount(username, hash_broker_password(AGENT_PASSWORD)))
                prefix = f"i/{encode_id(str(tenant.uuid))}/a/{encode_id(str(agent.uuid))}"
                targets.append(LoadTarget(f"agent_{agent.uuid}", prefix, username, AGENT_PASSWORD))
            port = find_free_port("127.0.0.1", 21_883)
            broker = await start_broker(folder, host="127.0.0.1", port=port, accounts=accounts)
            yield Stack(folder, dsn, broker, tenant.id, rows, targets)
        finally:
            if broker is not None:
                await broker.stop()
            await close_rows()
            await postgres.stop()


async def _agents(count: int) -> tuple[Tenant, list[Agent]]:
    clock, ids = SystemClock(), RandomIds()
    now = clock.now()
    tenant = await Tenant.create(uuid=ids.uuid(), name="bench", created_at=now)
    rows = [
        await Agent.create(
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
    return tenant, rows
