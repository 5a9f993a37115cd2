"""Long reads of the audit log: verification, and export for auditors."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, Final

from core.audit_chain import START_HASH, ChainRow
from core.audit_verification import ChainCheck
from core.fence import fence
from models.audit import EVENT_COLUMNS, AuditEvent, event_of
from models.audit_chain import read_chain, start_of
from models.connection import fetch, rows_connection

EXPORT_PAGE_ROWS: Final = 500


@asynccontextmanager
async def one_moment() -> AsyncIterator[Any]:
    """Lend a connection on which everything is as it is now, whoever writes meanwhile."""
    async with (
        rows_connection() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield connection


async def verify_chain(tenant_id: int, check: ChainCheck) -> tuple[int, bytes]:
    """Feed the tenant's whole chain to `check`; returns the unchained rows' number, last hash."""
    last_hash = START_HASH
    async with one_moment() as connection:
        check.begin(await start_of(connection, tenant_id))
        async with aclosing(read_chain(connection, tenant_id, after=0)) as chain:
            async for item, proof in chain:
                if isinstance(item, ChainRow):
                    check.row(item, proof)
                    last_hash = proof
                else:
                    check.checkpoint(item, proof)
                    last_hash = item.chain_hash
        check.end()
        pending = await connection.fetchval(
            "select count(*) from audit_event where tenant_id = $1 and position is null", tenant_id
        )
    return int(pending), last_hash


async def read_range(
    tenant_id: int, since: datetime | None, until: datetime
) -> AsyncGenerator[AuditEvent, None]:
    """Yield the tenant's events of a time, oldest first, page by page."""
    time, id_ = since, 0
    while True:
        with fence(tenant_id):  # it is taken outside of the use case
            rows = await fetch(
                f"select {EVENT_COLUMNS} from audit_event"  # noqa: S608  (our names)
                " where tenant_id = $1 and created_at < $2"
                " and ($3::timestamptz is null or (created_at, id) > ($3, $4))"
                " order by created_at, id limit $5",
                *(tenant_id, until, time, id_, EXPORT_PAGE_ROWS),
            )
        for row in rows:
            yield event_of(row)
        if len(rows) < EXPORT_PAGE_ROWS:
            return
        time, id_ = rows[-1]["created_at"], rows[-1]["id"]


async def chain_range(
    connection: Any, tenant_id: int, since: datetime | None, until: datetime
) -> tuple[int, bytes, int]:
    """Return where a time's rows begin in the chain, with the hash there, and where they end.

    The start is the position before the first row; the end is the first checkpoint behind the
    last row, so that a signature covers all of them. An end of 0: there are none.
    """
    found = await connection.fetchrow(
        "select min(position) as first, max(position) as last from audit_event"
        " where tenant_id = $1 and position is not null and created_at < $3"
        " and ($2::timestamptz is null or created_at >= $2)",
        *(tenant_id, since, until),
    )
    if found["first"] is None:
        return 0, START_HASH, 0
    start = found["first"] - 1
    start_hash = await connection.fetchval(
        "select chain_hash from audit_event where tenant_id = $1 and position = $2"
        " union all select chain_hash from audit_checkpoint where tenant_id = $1 and position = $2"
        " limit 1",
        *(tenant_id, start),
    )
    end = await connection.fetchval(
        "select min(position) from audit_checkpoint where tenant_id = $1 and position >= $2",
        *(tenant_id, found["last"]),
    )
    return start, start_hash or START_HASH, found["last"] if end is None else end
