"""How soon a broker goes by its accounts: 5,000 from empty, one more, one less, and after harm.

A real Mosquitto, a real database, and the reconciler in this process, as in `fleetgraph up`.
Registrations come one after the other, each with its own poke; usable means that a login works.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.logged_in import Login
from benchmarks.report import table, write
from core.broker_accounts import hash_broker_password
from core.callers import system_caller
from core.context import Context
from core.derived_secrets import DerivedSecrets
from core.events import BROKER_ACCOUNTS, BrokerAccountsChanged
from core.mqtt_topics import agent_username
from fleetgraph.broker_files import BrokerFiles
from fleetgraph.brokers import BrokerPlan, embedded_plan
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from fleetgraph.embedded.postgres import EmbeddedPostgres
from fleetgraph.services import open_services
from fleetgraph.settings import Settings
from fleetgraph.up import _Broker
from models.connection import fetch
from models.database import DatabaseUrl, migrate
from models.mqtt_accounts import MqttAccount
from models.tenants import Tenant
from resolvers.broker_drift import list_accounts_of_broker
from workers.broker_accounts import BrokerAccounts

ACCOUNTS = 5_000
STAYING = 200
ROUNDS = 5
GOAL_SECONDS = 30.0
SECRET = "a benchmark's secret of at least 32 bytes"
PASSWORD = "agent-password"
_PATIENCE_SECONDS = 120.0


@dataclass(slots=True)
class Field:
    """What runs: the reconciler keeps `broker` and, by a second one, the files in `folder`."""

    ctx: Context
    tenant: Tenant
    plan: BrokerPlan
    broker: _Broker
    start: Callable[[], Awaitable[EmbeddedBroker]]
    data_dir: Path
    folder: Path

    async def add(self, number: int) -> list[str]:
        """Make accounts as so many registrations do, one transaction and one poke each."""
        names = []
        for _ in range(number):
            now = self.ctx.clock.now()
            username = agent_username(str(self.tenant.uuid), self.ctx.ids.uuid())
            await MqttAccount.create(
                tenant_id=self.tenant.id,
                username=username,
                password_hash=hash_broker_password(PASSWORD),
                created_at=now,
                updated_at=now,
            )
            await self.poke()
            names.append(username)
        return names

    async def remove(self, username: str) -> None:
        """Delete an account."""
        await fetch("delete from mqtt_account where username = $1", username)
        await self.poke()

    async def poke(self) -> None:
        """Say that accounts have changed."""
        await self.ctx.bus.publish(BROKER_ACCOUNTS, BrokerAccountsChanged())

    def login(self, username: str) -> Login:
        """Return a login that was not tried yet."""
        return Login(self.plan.endpoint.port, username, PASSWORD)

    async def until_usable(self, username: str) -> Login:
        """Return the connection as soon as the account logs in."""
        login = self.login(username)
        await until(login.works)
        return login


async def main(scale: float = 1.0) -> None:
    """Print and keep the figures."""
    count = max(200, round(ACCOUNTS * scale))
    async with _field() as field:
        started = time.perf_counter()
        names = await field.add(count)
        (await field.until_usable(names[-1])).close()
        whole = time.perf_counter() - started
        staying = [await field.until_usable(name) for name in names[:STAYING]]
        rows = [
            _row(f"{count} accounts from empty, first row to last login", [whole]),
            _row(f"one more among {count}, usable", await _one_more(field)),
            _row(f"one less among {count}, cut off", await _one_less(field, names)),
            _row("deleted file of ours, back", await _heal(field.data_dir / "mosquitto", _delete)),
            _row("edited file of ours, back", await _heal(field.data_dir / "mosquitto", _edit)),
            _row("deleted file of another broker, back", await _heal(field.folder, _delete)),
            _row("edited file of another broker, back", await _heal(field.folder, _edit)),
        ]
        stayed = sum(not login.is_closed for login in staying)
        rows.append({"what": f"of {len(staying)} connected clients stayed", "s": stayed})
        rows.append(_row("killed broker, logins work again", [await _restart(field, names[0])]))
        for login in staying:
            login.close()
    goal = f"goal: {ACCOUNTS} accounts from empty within {GOAL_SECONDS:.0f} s; took {whole:.1f} s"
    print(table(rows))
    print(goal)
    print(f"kept in {write('broker_accounts', {'rows': rows, 'goals': [goal]})}")


async def _one_more(field: Field) -> list[float]:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        (name,) = await field.add(1)
        login = await field.until_usable(name)
        taken.append(time.perf_counter() - started)
        login.close()
        await asyncio.sleep(1.1)  # so that no round waits for the reload of the one before
    return taken


async def _one_less(field: Field, names: list[str]) -> list[float]:
    taken = []
    for name in names[-ROUNDS:]:
        login = await field.until_usable(name)
        started = time.perf_counter()
        await field.remove(name)
        await login.closed()
        taken.append(time.perf_counter() - started)
        await asyncio.sleep(1.1)
    return taken


async def _heal(folder: Path, harm: Callable[[Path], object]) -> list[float]:
    path = folder / "passwords"
    taken = []
    for number in range(ROUNDS):
        await asyncio.sleep(0.4 + number * 0.37)  # at any moment between two looks
        before = path.read_text()
        started = time.perf_counter()
        harm(path)
        await until(lambda before=before: _same(path, before))  # type: ignore[misc]  # a default
        taken.append(time.perf_counter() - started)
    return taken


async def _restart(field: Field, username: str) -> float:
    """Kill the broker, and do what the guard of `fleetgraph up` does."""
    pid = field.broker.current.pid
    assert pid is not None
    started = time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    await field.broker.wait()
    await field.broker.stop()
    field.broker.current = await field.start()
    (await field.until_usable(username)).close()
    return time.perf_counter() - started


def _delete(path: Path) -> None:
    path.unlink()


def _edit(path: Path) -> None:
    path.write_text(path.read_text().replace("$7$", "$6$", 1))


async def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


async def until(look: Callable[[], Awaitable[bool]]) -> None:
    """Return when it is so."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await look():  # noqa: ASYNC110 - only looking tells
            await asyncio.sleep(0.01)


def _row(what: str, seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    middle = f"{ordered[len(ordered) // 2]:.2f}"
    return {"what": what, "s": middle, "worst": f"{ordered[-1]:.2f}"}


@asynccontextmanager
async def _field() -> AsyncIterator[Field]:
    settings = Settings()
    with TemporaryDirectory(prefix="fleetgraph-bench-") as name:
        data_dir = Path(name)
        data_dir.chmod(0o755)
        folder = data_dir / "files"
        folder.mkdir()
        postgres = EmbeddedPostgres(data_dir)
        url = DatabaseUrl.parse(await postgres.start())
        await migrate(url)
        plan = embedded_plan(settings, DerivedSecrets(SECRET))
        broker: _Broker | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            async with open_services(
                settings, url, secret=SECRET, data_dir=data_dir, broker=plan.address, alone=True
            ) as services:
                system = services.system()

                async def start() -> EmbeddedBroker:
                    accounts, _ = await list_accounts_of_broker(system, [plan.platform])
                    return await start_broker(
                        data_dir,
                        host="127.0.0.1",
                        port=plan.endpoint.port,
                        accounts=accounts,
                        kind="mosquitto",
                    )

                broker = _Broker(await start())
                now = services.clock.now()
                tenant = await Tenant.create(uuid=system.ids.uuid(), name="bench", created_at=now)
                ctx = system.acting_as(system_caller(0))
                for driver in (broker, BrokerFiles(folder)):
                    worker = BrokerAccounts(ctx, driver, [plan.platform])
                    tasks.append(asyncio.create_task(worker.run()))
                yield Field(ctx, tenant, plan, broker, start, data_dir, folder)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            if broker is not None:
                await broker.stop()
            await postgres.stop()
