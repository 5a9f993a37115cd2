"""Plain SQL on the rows' connection: for statements that the ORM cannot say in one go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from tortoise import connections

from core.errors import InvalidInput


@asynccontextmanager
async def rows_connection() -> AsyncIterator[Any]:
    """Lend the asyncpg connection of the running unit of work, or one from the rows' pool.

    No row class may be used inside the block: its lock is not re-entrant.
    """
    async with connections.get("default").acquire_connection() as connection:
        yield connection


async def fetch(sql: str, *values: object) -> list[dict[str, Any]]:
    """Run one statement, in the current transaction if there is one; returns its rows."""
    async with rows_connection() as connection:
        return [dict(row) for row in await connection.fetch(sql, *values)]


def json_text(value: object, field: str) -> str:
    """Return `value` as a jsonb parameter; raises InvalidInput for what is nested too deeply."""
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError) as error:
        raise InvalidInput(field, f"cannot be stored: {error}") from None
