"""`serve`, `work` and `migrate`: one part of the system, with servers named by the settings."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from core.policy import BrokerAddress
from fleetgraph import owner
from fleetgraph.brokers import external_driver, external_plan
from fleetgraph.embedded.places import write_private
from fleetgraph.places import data_dir_of
from fleetgraph.secrets_file import master_secret
from fleetgraph.services import Services, open_services
from fleetgraph.serving import serve_api
from fleetgraph.settings import BadSettings, Settings
from fleetgraph.working import make_workers
from models.database import DatabaseUrl, migrate
from workers.supervisor import Supervisor

_log = logging.getLogger(__name__)

HTTP_PORT = 3002


async def run_serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve the API until `stop` is set."""
    url = require_url(settings)
    port = settings.http.port or HTTP_PORT
    async with open_parts(settings, url) as services:
        tenant = await owner.make_owner(services.system(), settings)
        if settings.admin.password is None and await owner.still_first_password(
            services.system(), tenant, settings
        ):
            path = services.data_dir / "admin-password"
            write_private(path, owner.first_password(settings, services.secrets) + "\n")
            _log.warning("the owner's first password is in %s", path)
        async with serve_api(services, settings, port):
            _log.info("serving on %s:%d", settings.http.host, port)
            await stop.wait()


async def run_work(settings: Settings, stop: asyncio.Event, names: Iterable[str]) -> None:
    """Run the named workers until `stop` is set."""
    url = require_url(settings, broker=True)
    async with open_parts(settings, url) as services:
        plan = external_plan(settings, services.secrets)
        supervisor = Supervisor(make_workers(services, plan, external_driver(settings), names))
        supervisor.start()
        try:
            await stop.wait()
        finally:
            await supervisor.stop()


async def run_migrate(settings: Settings) -> None:
    """Bring the schema up to date and say what was done."""
    applied = await migrate(require_url(settings))
    print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")  # noqa: T201


@asynccontextmanager
async def open_parts(settings: Settings, url: DatabaseUrl) -> AsyncIterator[Services]:
    """Open what a process needs, with servers named by the settings; migrates first."""
    await migrate(url)
    data_dir: Path = data_dir_of(settings)
    given = settings.data.secret.get_secret_value() if settings.data.secret else None
    secret = master_secret(data_dir, given)
    address = external_plan(settings).address if settings.mqtt.url else BrokerAddress()
    async with open_services(
        settings, url, secret=secret, data_dir=data_dir, broker=address, alone=False
    ) as services:
        yield services


def require_url(settings: Settings, *, broker: bool = False) -> DatabaseUrl:
    """Return where PostgreSQL is; raises BadSettings."""
    problems = []
    if settings.database.url is None:
        problems.append("FLEETGRAPH_DATABASE_URL: needed here; `up` brings its own PostgreSQL")
    if broker and settings.mqtt.url is None:
        problems.append("FLEETGRAPH_MQTT_URL: needed here; `up` brings its own broker")
    if problems:
        raise BadSettings(problems)
    assert settings.database.url is not None
    return DatabaseUrl.parse(settings.database.url.get_secret_value())
