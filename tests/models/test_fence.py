"""Inside a use case the database shows one tenant's rows, whatever the statement asks for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
from tortoise import connections
from tortoise.exceptions import OperationalError
from tortoise.transactions import in_transaction

from core.access import USE_CASES, Permission, allow
from core.callers import Caller, Role
from core.context import Context
from core.events import JOURNAL, JournalGrew
from core.fence import ALL_TENANTS, fence, fenced_tenant
from core.live import LiveFilter
from models.agents import Agent
from models.connection import fetch
from models.database import DatabaseUrl
from models.timeseries.partitions import WIDTHS, ensure_partitions
from resolvers.gathering import Gathering
from tests.contracts.tenant_rows import fill, tables
from tests.factories import make_agent, make_tenant
from tests.models.timeseries.test_store import T0_US, of

T = TypeVar("T")
Rows = list[Mapping[str, Any]]
Ask = Callable[..., Awaitable[Any]]

UNFENCED = {
    "tenant",
    "heartbeat",
    "broker_status",
    "broker_copy",
    "journal_horizon",
    "tortoise_migrations",
}
"""What belongs to no tenant; a tenant's own row is a name, looked up by everybody's requests."""


@allow(Permission.DATA_READ)
async def acting(_ctx: Context, work: Callable[[], Awaitable[T]]) -> T:
    """Do anything at all, as a use case."""
    return await work()


del USE_CASES[f"{__name__}.acting"]  # the product has no such one


@pytest.fixture
async def neighbour(ctx: Context, pool: asyncpg.Pool) -> AsyncIterator[int]:
    """Another tenant; it and the caller's have a row in every table."""
    other = (await make_tenant(ctx.clock, ctx.ids, "next door")).id
    now = ctx.clock.now()
    async with pool.acquire() as connection:
        for table in WIDTHS:
            await ensure_partitions(connection, table, [now])
    first = ("session", "mqtt_account", "mqtt_role")  # what others refer to
    everywhere = sorted(await tables(), key=lambda name: (name not in first, name))
    for tenant_id in (ctx.tenant_id, other):
        session_id = ctx.ids.uuid()
        for table in everywhere:
            known = keys_of(tenant_id) | {"session_id": session_id}
            if table == "session":
                known["id"] = session_id
            if table == "mqtt_account_role":
                known |= await _ids_at_the_broker(tenant_id)
            if table == "mqtt_acl":  # one of two columns has to have a value
                await fetch(_ACL, tenant_id, now)
                continue
            await fill(table, known, ctx.ids.uuid().hex, now, ctx.ids)
    yield other
    for table in reversed(everywhere):  # others' tests look at all tenants
        await fetch(f"delete from {table} where tenant_id in ($1, $2)", ctx.tenant_id, other)


_ACL = (
    "insert into mqtt_acl (tenant_id, role_id, topic, access, created_at)"
    " select $1, max(id), 'a', 1, $2 from mqtt_role where tenant_id = $1"
)


async def _ids_at_the_broker(tenant_id: int) -> dict[str, object]:
    rows = await fetch(
        "select (select max(id) from mqtt_account where tenant_id = $1) as account_id,"
        " (select max(id) from mqtt_role where tenant_id = $1) as role_id",
        tenant_id,
    )
    return dict(rows[0])


def keys_of(tenant_id: int) -> dict[str, object]:
    return dict.fromkeys(("tenant_id", "agent_id", "series_id"), tenant_id)


async def with_tortoise(_pool: asyncpg.Pool, sql: str) -> Rows:
    found: Rows = await connections.get("default").execute_query_dict(sql)
    return found


async def with_fetch(_pool: asyncpg.Pool, sql: str) -> Rows:
    return list(await fetch(sql))


async def in_a_transaction(_pool: asyncpg.Pool, sql: str) -> Rows:
    async with in_transaction("default"), in_transaction("default"):
        return list(await fetch(sql))


async def with_the_readings_pool(pool: asyncpg.Pool, sql: str) -> Rows:
    found: Rows = await pool.fetch(sql)
    return found


async def with_a_lent_connection(pool: asyncpg.Pool, sql: str) -> Rows:
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        found: Rows = await connection.fetch(sql)
        return found


WAYS = (with_tortoise, with_fetch, in_a_transaction, with_the_readings_pool, with_a_lent_connection)


async def seen_by(ask: Callable[[str], Awaitable[Rows]]) -> dict[str, set[int]]:
    """Return the tenants whose rows there seem to be, by table."""
    return {
        table: {row["tenant_id"] for row in await ask(f"select distinct tenant_id from {table}")}
        for table in await tables()
    }


@pytest.mark.parametrize("way", WAYS)
async def test_a_use_case_sees_its_tenants_rows_only(
    way: Ask, ctx: Context, neighbour: int, pool: asyncpg.Pool
) -> None:
    async def ask(sql: str) -> Rows:
        rows: Rows = await way(pool, sql)
        return rows

    mine = await acting(ctx, lambda: seen_by(ask))
    assert set(map(frozenset, mine.values())) == {frozenset({ctx.tenant_id})}
    everything = await seen_by(ask)  # no use case: the program itself
    assert [t for t, seen in everything.items() if not seen >= {ctx.tenant_id, neighbour}] == []
    theirs = ctx.acting_as(Caller(Role.VIEWER, neighbour))
    assert set(map(frozenset, (await acting(theirs, lambda: seen_by(ask))).values())) == {
        frozenset({neighbour})
    }


async def test_a_use_case_touches_no_others_row(ctx: Context, neighbour: int) -> None:
    async def try_all() -> None:
        now = ctx.clock.now()
        for table in await tables():
            changed = (
                f"update {table} set tenant_id = {ctx.tenant_id} where tenant_id = {neighbour}"
            )
            assert await fetch(f"{changed} returning 1") == [], table
            deleted = f"delete from {table} where tenant_id = {neighbour}"
            assert await fetch(f"{deleted} returning 1") == [], table
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await fetch(f"update {table} set tenant_id = {neighbour}")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await fill(table, keys_of(neighbour), ctx.ids.uuid().hex, now, ctx.ids)

    await acting(ctx, try_all)
    for table in await tables():
        assert await fetch(f"select 1 from {table} where tenant_id = $1", neighbour), table


async def test_an_object_given_away_by_the_orm_is_refused(ctx: Context, neighbour: int) -> None:
    agent = await make_agent(ctx)

    async def give_away() -> None:
        agent.tenant_id = neighbour
        await agent.save()

    with pytest.raises(OperationalError, match="row-level security"):
        await acting(ctx, give_away)
    assert await Agent.of(ctx.tenant_id, id=agent.id).exists()


async def test_a_connection_that_was_told_nothing_sees_nothing(
    database_url: DatabaseUrl, ctx: Context, neighbour: int
) -> None:
    connection = await asyncpg.connect(**database_url.arguments())
    try:
        if await connection.fetchval(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        ):
            await connection.execute("set role fleetgraph_app")
        assert {t: set() for t in await tables()} == await seen_by(connection.fetch)
        await connection.execute("set fleetgraph.tenant = ''")
        assert {t: set() for t in await tables()} == await seen_by(connection.fetch)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(
                f"insert into fleet (tenant_id, id, name, type, status, created_at, updated_at)"
                f" values ({neighbour}, gen_random_uuid(), 'x', 'x', 'x', now(), now())"
            )
    finally:
        await connection.close()


async def test_every_table_with_tenants_is_fenced_and_the_others_are_known(rows: None) -> None:
    found = await fetch(
        "select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced,"
        " (select array_agg(polname || ' ' || polcmd::text || ' ' || polpermissive"
        "  || ' ' || polroles::text) from pg_policy where polrelid = c.oid) as policies,"
        " exists (select from pg_attribute a where a.attrelid = c.oid"
        "  and a.attname = 'tenant_id' and not a.attisdropped) as has_tenant"
        " from pg_class c where c.relkind in ('r', 'p', 'm', 'v', 'f') and not c.relispartition"
        " and c.relnamespace = 'public'::regnamespace"
    )
    fenced = [row for row in found if row["has_tenant"]]
    assert len(fenced) > 20
    for row in fenced:
        assert (row["forced"], row["policies"]) == (True, ["fence * true {0}"]), row["name"]
    assert {row["name"] for row in found if not row["has_tenant"]} == UNFENCED


def test_nobody_opens_a_connection_past_the_pools() -> None:
    root = Path(__file__).parents[2]
    product = ("core", "models", "resolvers", "schema", "rest_compat", "fleetgraph", "workers")
    found = {
        path.relative_to(root).as_posix()
        for folder in product
        for path in (root / folder).rglob("*.py")
        if any(way in path.read_text() for way in ("asyncpg.connect(", "create_pool("))
    }
    assert found == {
        "models/database.py",  # both pools, and the connection that migrates
        "models/notifications.py",  # the bus: no tables
        "fleetgraph/embedded/postgres.py",  # makes the database
    }


class TestSharedWork:
    """What serves many tenants is not fenced to the one who happened to come first."""

    async def test_the_journals_reader_serves_whoever_came_second(self, ctx: Context) -> None:
        other = (await make_tenant(ctx.clock, ctx.ids)).id
        agent = await make_agent(ctx, tenant_id=other)
        with fence(ctx.tenant_id):
            async with ctx.live.listen(ctx.tenant_id, LiveFilter()):
                with fence(other):
                    async with ctx.live.listen(other, LiveFilter()) as theirs:
                        with fence(ALL_TENANTS):
                            await ctx.readings.append([of(agent, ("a", 1, 1.0))])
                        await ctx.bus.publish(JOURNAL, JournalGrew())
                        async with asyncio.timeout(20):
                            batch = await anext(theirs)
        assert batch.columns.info.agent_uuid == agent.uuid
        assert [int(t) - T0_US for t in batch.columns.times_us] == [1]

    async def test_a_gathered_lookup_is_fenced_to_its_own_tenant(self) -> None:
        async def look(_tenant_id: int, keys: Collection[str]) -> Mapping[str, int]:
            return dict.fromkeys(keys, fenced_tenant.get())

        gathering = Gathering(look)
        with fence(1):
            assert await asyncio.gather(*(gathering.get(t, "x") for t in (1, 2, 3))) == [1, 2, 3]
