"""Fixtures only: the database, a context, and nothing that a test could build itself.

Tests share one migrated database. Each works in a tenant of its own, which no other test can
see; that is cheaper than cleaning up, and a leak between tenants shows as a failing neighbour.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from core.callers import Caller, Role
from core.clock import SystemClock
from core.context import Context
from core.derived_secrets import DerivedSecrets
from core.ids import RandomIds
from core.passwords import Passwords
from core.policy import Policy
from core.tokens import Tokens
from models.database import DatabaseUrl, close_rows, migrate, open_pool, open_rows
from models.timeseries.live import JournalHub
from models.timeseries.store import PostgresReadingStore
from tests.doubles import RecordingBus
from tests.factories import make_tenant
from tests.tools import reachable_folder

CHEAP_PASSWORDS = Passwords(time_cost=1, memory_kib=8, parallelism=1)
TEST_SECRET = "a test secret of at least 32 bytes"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that servers under other accounts reach."""
    with reachable_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def database_url() -> AsyncIterator[DatabaseUrl]:
    """A migrated database: an embedded server, or one named by the environment."""
    given = os.environ.get("FLEETGRAPH_TEST_DATABASE_URL")
    if given:
        url = DatabaseUrl.parse(given)
        await migrate(url)
        yield url
        return
    from fleetgraph.embedded.postgres import EmbeddedPostgres

    with reachable_folder() as folder:
        server = EmbeddedPostgres(folder)
        url = DatabaseUrl.parse(await server.start())
        try:
            await migrate(url)
            yield url
        finally:
            await server.stop()


@pytest.fixture(scope="session")
async def rows(database_url: DatabaseUrl) -> AsyncIterator[None]:
    """Tortoise, connected."""
    await open_rows(database_url)
    yield
    await close_rows()


@pytest.fixture(scope="session")
async def pool(database_url: DatabaseUrl) -> AsyncIterator[asyncpg.Pool]:
    """The pool for readings."""
    pool = await open_pool(database_url)
    yield pool
    await pool.close()


@pytest.fixture
async def ctx(rows: None, pool: asyncpg.Pool) -> AsyncIterator[Context]:
    """A context whose caller owns a new tenant; system clock, real store, recording bus."""
    clock, ids, bus = SystemClock(), RandomIds(), RecordingBus()
    tenant = await make_tenant(clock, ids)
    store = PostgresReadingStore(pool, clock, Policy())
    hub = JournalHub(pool, bus, store.catalog, Policy())
    yield Context(
        caller=Caller(Role.OWNER, tenant.id, user_id=ids.uuid()),
        clock=clock,
        ids=ids,
        bus=bus,
        readings=store,
        live=hub,
        tokens=Tokens(TEST_SECRET, clock),
        passwords=CHEAP_PASSWORDS,
        secrets=DerivedSecrets(TEST_SECRET),
        policy=Policy(),
        request_id="test",
    )
    await hub.stop()
