"""Where a command that a person runs finds the database, whether or not `up` runs meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from core.errors import Conflict
from fleetgraph.embedded.found import has_cluster, running_address
from fleetgraph.embedded.postgres import EmbeddedPostgres
from fleetgraph.parts import open_parts, require_url
from fleetgraph.places import data_dir_of
from fleetgraph.services import Services
from fleetgraph.settings import Settings
from models.database import DatabaseUrl


@asynccontextmanager
async def reach_parts(settings: Settings) -> AsyncIterator[Services]:
    """Open what a command needs on the database that settings name, else on the embedded one.

    The embedded server is used as it runs, or started for the moment. Raises Conflict where there
    is no database yet.
    """
    if settings.database.url is not None:
        async with open_parts(settings, require_url(settings)) as services:
            yield services
        return
    async with (
        _embedded(data_dir_of(settings)) as address,
        open_parts(settings, DatabaseUrl.parse(address)) as services,
    ):
        yield services


@asynccontextmanager
async def _embedded(data_dir: Path) -> AsyncIterator[str]:
    if not has_cluster(data_dir):
        raise Conflict(
            f"There is no database in {data_dir}: start `fleetgraph up` once, give its --data-dir, "
            "or set FLEETGRAPH_DATABASE_URL"
        )
    server = EmbeddedPostgres(data_dir)
    try:
        address = await server.start()
    except Conflict as error:
        if "pid" not in error.facts:  # not in use, but not to be used either
            raise
        yield running_address(data_dir)
        return
    try:
        yield address
    finally:
        await server.stop()
