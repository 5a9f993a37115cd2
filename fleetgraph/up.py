"""`fleetgraph up`: the whole system on one machine, with what is missing embedded."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from signal import SIGTERM

from core.broker_accounts import BrokerAccount
from core.broker_drift import Drift
from core.callers import system_caller
from core.context import Context
from core.derived_secrets import DerivedSecrets
from core.gateways import BrokerDriver
from fleetgraph import owner
from fleetgraph.banner import Banner
from fleetgraph.brokers import (
    BrokerPlan,
    embedded_plan,
    embedded_tls,
    external_driver,
    external_plan,
)
from fleetgraph.embedded.broker import EmbeddedBroker, start_broker
from fleetgraph.embedded.child import Child
from fleetgraph.embedded.places import write_private
from fleetgraph.embedded.ports import dial_host, find_free_port
from fleetgraph.embedded.postgres import EmbeddedPostgres
from fleetgraph.guards import Guard
from fleetgraph.places import data_dir_of
from fleetgraph.secrets_file import master_secret
from fleetgraph.services import open_services
from fleetgraph.serving import serve_api
from fleetgraph.settings import Settings
from fleetgraph.working import make_workers
from models.database import DatabaseUrl, migrate
from models.tenants import Tenant
from resolvers.broker_drift import list_accounts_of_broker
from resolvers.provisioning_keys import create_provisioning_key
from workers.supervisor import Supervisor

_log = logging.getLogger(__name__)

HTTP_PORT = 3002
DEMO_KEY_AGENTS_MAX = 10_000


async def run_up(
    settings: Settings,
    stop: asyncio.Event,
    *,
    demo_agents: int | None = None,
    announce: Callable[[str], None] | None = None,
) -> None:
    """Start everything, say so once, and end everything in reverse order when `stop` is set."""
    async with AsyncExitStack() as stack:
        await _Up(settings, stack).start(demo_agents, announce or _say)
        await stop.wait()
        _log.info("ending")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  (the one thing a person waits for, also through a pipe)


class _Up:
    """One start of the system; what it opens is closed by the stack."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._data_dir = data_dir_of(settings)
        self._guards: list[Guard] = []

    async def start(self, demo_agents: int | None, announce: Callable[[str], None]) -> None:
        settings, stack = self._settings, self._stack
        url, database = await self._database()
        await migrate(url)
        given = settings.data.secret.get_secret_value() if settings.data.secret else None
        secret = master_secret(self._data_dir, given)
        make_plan = external_plan if settings.mqtt.url else embedded_plan
        plan = make_plan(settings, DerivedSecrets(secret))
        port = settings.http.port or find_free_port(settings.http.host, HTTP_PORT)
        # Letters name the address that was found.
        settings = settings.model_copy(
            update={"http": settings.http.model_copy(update={"port": port})}
        )
        services = await stack.enter_async_context(
            open_services(
                settings,
                url,
                secret=secret,
                data_dir=self._data_dir,
                broker=plan.address,
                alone=settings.database.url is None,
                is_demo=demo_agents is not None,
            )
        )
        system = services.system()
        tenant = await owner.make_owner(system, settings)
        plan, driver, broker = await self._broker(plan, system)
        await stack.enter_async_context(serve_api(services, settings, port))
        await self._supervise(Supervisor(make_workers(services, plan, driver)))
        api = f"http://{dial_host(settings.http.host)}:{port}"
        key = await _demo_key(system, tenant) if demo_agents else None
        if demo_agents and key:
            self._plant(api, key, demo_agents)
        await self._supervise(Supervisor(self._guards))
        # One that was set is known, and what is printed ends up in a log.
        shown = settings.admin.password is None and await owner.still_first_password(
            system, tenant, settings
        )
        banner = Banner(
            url=api,
            login=owner.USERNAME,
            password=owner.first_password(settings, system.secrets) if shown else None,
            provisioning_key=key,
            data_dir=self._data_dir,
            database=database,
            broker=broker,
            demo_agents=demo_agents,
        )
        announce(str(banner))

    async def _supervise(self, supervisor: Supervisor) -> None:
        supervisor.start()
        self._stack.push_async_callback(supervisor.stop)

    async def _database(self) -> tuple[DatabaseUrl, str]:
        if self._settings.database.url is not None:
            url = DatabaseUrl.parse(self._settings.database.url.get_secret_value())
            return url, f"PostgreSQL at {url.host}:{url.port}, database {url.database}"
        server = EmbeddedPostgres(self._data_dir)
        url = DatabaseUrl.parse(await server.start())
        self._stack.push_async_callback(server.stop)

        async def restart() -> None:
            await server.stop()
            await server.start()

        self._guards.append(Guard("PostgreSQL", server.wait, restart))
        return url, f"embedded PostgreSQL in {server.data_path}"

    async def _broker(
        self, plan: BrokerPlan, system: Context
    ) -> tuple[BrokerPlan, BrokerDriver, str]:
        endpoint = plan.endpoint
        if not plan.is_embedded:
            return plan, external_driver(self._settings), f"{endpoint.host}:{endpoint.port}"

        tls = embedded_tls(self._settings)

        async def start() -> EmbeddedBroker:
            accounts, _ = await list_accounts_of_broker(system, [plan.platform])
            return await start_broker(
                self._data_dir,
                host=self._settings.mqtt.host,
                port=endpoint.port,
                accounts=accounts,
                kind=self._settings.mqtt.broker,
                tls=tls,
            )

        broker = _Broker(await start())
        self._stack.push_async_callback(broker.stop)

        async def restart() -> None:
            await broker.stop()
            broker.current = await start()

        self._guards.append(Guard("the broker", broker.wait, restart))
        found = replace(plan, endpoint=replace(endpoint, mqtt5=broker.current.mqtt5))
        secured = f"; TLS on port {tls.port}" if tls else ""
        return found, broker, f"{broker.current.url}   {broker.current.summary}{secured}"

    def _plant(self, api: str, key: str, agents: int) -> None:
        """Start the simulated plant as a process of its own, a client like any other."""
        state = self._data_dir / "simulator"
        state.mkdir(mode=0o700, exist_ok=True)
        key_file = state / "provisioning-key"
        write_private(key_file, key)  # a command line can be read by everybody
        command = [sys.executable, "-m", "fleetgraph", "simulate", "--url", api]
        command += ["--agents", str(agents), "--rate", "1", "--key-file", str(key_file)]
        command += ["--state-file", str(state / "agents.json")]
        command += ["--control-file", str(state / "faults"), "--fault-rate", "2"]

        def spawn() -> Child:
            return Child.spawn("simulated plant", command)

        child = _Plant(spawn)
        self._stack.push_async_callback(child.stop)
        self._guards.append(Guard("the simulated plant", child.wait, child.restart))


class _Broker:
    """The running broker as a driver; another one after each restart."""

    def __init__(self, current: EmbeddedBroker) -> None:
        self.current = current

    @property
    def place(self) -> str:
        return self.current.place

    async def inspect(self, accounts: Sequence[BrokerAccount], mark: str | None) -> list[Drift]:
        return await self.current.inspect(accounts, mark)

    async def apply(self, accounts: Sequence[BrokerAccount]) -> str:
        return await self.current.apply(accounts)

    def was_touched(self) -> bool:
        return self.current.was_touched()

    async def wait(self) -> int:
        return await self.current.wait()

    async def stop(self) -> None:
        await self.current.stop()


class _Plant:
    """The simulated plant's process; another one after each restart."""

    def __init__(self, spawn: Callable[[], Child]) -> None:
        self._spawn = spawn
        self._child = spawn()

    async def wait(self) -> str:
        await self._child.wait()
        return self._child.last_words

    async def restart(self) -> None:
        self._child = self._spawn()

    async def stop(self) -> None:
        await self._child.stop(SIGTERM, seconds=2.0)


async def _demo_key(system: Context, tenant: Tenant) -> str:
    """Return the demo's provisioning key: the same at every start, so that it need not be kept."""
    ctx = system.acting_as(system_caller(tenant.id))
    text = system.secrets.derive("demo-provisioning-key", tenant.uuid).encode().hex()[:64]
    await create_provisioning_key(
        ctx,
        description="simulated plant",
        agents_max=DEMO_KEY_AGENTS_MAX,
        expires_in_days=3650,
        key=text,
    )
    return text
