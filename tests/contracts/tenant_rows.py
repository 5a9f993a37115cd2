"""A tenant's rows, whatever tables there are: to fill, to search, to compare.

The tables are those with a column `tenant_id`: a new one is part of it from its migration on.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from tortoise.transactions import in_transaction

from core.ids import Ids
from models.connection import fetch

_TABLES = (
    "select c.relname as name from pg_class c join pg_attribute a on a.attrelid = c.oid"
    " where a.attname = 'tenant_id' and not a.attisdropped and not c.relispartition"
    " and c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace order by 1"
)
_COLUMNS = (
    "select column_name, data_type, character_maximum_length as chars_max"
    " from information_schema.columns where table_schema = 'public' and table_name = $1"
    " and is_nullable = 'NO' and is_identity = 'NO'"
    " and (column_default is null or data_type = 'jsonb') order by ordinal_position"
)


async def tables() -> list[str]:
    """Return every table whose rows belong to tenants; partitions are their parents' affair."""
    return [row["name"] for row in await fetch(_TABLES)]


async def empty_tables(tenant_id: int) -> list[str]:
    """Return those in which the tenant has no row."""
    return [
        name
        for name in await tables()
        if not await fetch(f"select 1 from {name} where tenant_id = $1 limit 1", tenant_id)
    ]


async def fill(table: str, known: Mapping[str, object], mark: str, now: datetime, ids: Ids) -> None:
    """Insert a row that says `mark` in each text; `known` has values by column."""
    columns = await fetch(_COLUMNS, table)
    values = [
        known[column["column_name"]]
        if column["column_name"] in known
        else _value(column, mark, now, ids)
        for column in columns
    ]
    names = ", ".join(column["column_name"] for column in columns)
    places = ", ".join(f"${at}" for at in range(1, len(columns) + 1))
    await fetch(f"insert into {table} ({names}) values ({places})", *values)


def _value(column: Mapping[str, Any], mark: str, now: datetime, ids: Ids) -> object:
    kind, name = column["data_type"], column["column_name"]
    if kind in {"text", "character varying"}:
        return mark[: column["chars_max"]]
    if kind == "timestamp with time zone":
        return now + timedelta(days=1) if name in {"expires_at", "due_at"} else now
    if kind == "uuid":
        return ids.uuid()
    if kind == "bytea":
        return os.urandom(32)
    return {"jsonb": f'{{"of": "{mark}"}}', "boolean": False}.get(kind, 1)


async def uuids(tenant_id: int) -> set[str]:
    """Return every uuid in the tenant's rows."""
    found: set[str] = set()
    for name in await tables():
        rows = await fetch(f"select * from {name} where tenant_id = $1", tenant_id)
        for row in rows:
            found |= {str(each) for each in row.values() if type(each).__name__ == "UUID"}
    return found


async def digests(tenant_id: int) -> dict[str, str]:
    """Return a digest of the tenant's rows of each table; one statement."""
    union = " union all ".join(
        f"select '{name}' as name, md5(coalesce(string_agg(t::text, '' order by t::text), '')) as md5"
        f" from {name} t where tenant_id = $1"
        for name in await tables()
    )
    return {row["name"]: row["md5"] for row in await fetch(union, tenant_id)}


class _Undo(Exception):
    """Ends a transaction that is not to be."""


@asynccontextmanager
async def undone() -> AsyncIterator[None]:
    """Undo whatever the block writes, so that the next call finds the world as it was."""
    with suppress(_Undo):
        async with in_transaction("default"):
            yield
            raise _Undo
