"""The chain of audit rows in the database: made, trimmed, and read for verification."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Any, Final

import orjson

from core.audit_chain import (
    ROW_COLUMNS,
    START_HASH,
    ChainRow,
    Checkpoint,
    SignatureCheck,
    Signer,
    link,
)
from models.connection import rows_connection

BATCH_ROWS: Final = 500
TRIM_ROWS: Final = 5_000
PAGE_ROWS: Final = 1_000

_LOCK = 0x61756469  # "audi": one program chains or trims at a time

_COLUMNS = ", ".join("details::text" if name == "details" else name for name in ROW_COLUMNS)

# What is surely over is older than the oldest running transaction. An id beyond the newest is of
# another server, from which the rows were restored: over, too.
_UNCHAINED = (
    f"select {_COLUMNS} from audit_event, pg_current_snapshot() as now"  # noqa: S608  (our names)
    " where position is null and (xid < pg_snapshot_xmin(now)::text::bigint"
    " or xid >= pg_snapshot_xmax(now)::text::bigint) order by xid, id limit $1"
)
_PUT_CHECKPOINT = (
    "insert into audit_checkpoint"
    " (tenant_id, position, chain_hash, previous, created_at, trimmed_at, signature)"
    " values ($1, $2, $3, $4, $5, $6, $7)"
)

_log = logging.getLogger(__name__)


async def chain_batch(signer: Signer, now: datetime) -> list[Checkpoint] | None:
    """Chain some rows in the running transaction; returns the new checkpoints, one per tenant.

    None: another program is at it.
    """
    async with rows_connection() as connection:
        if not await _lock(connection):
            return None
        by_tenant: dict[int, list[Any]] = {}
        for found in await connection.fetch(_UNCHAINED, BATCH_ROWS):
            by_tenant.setdefault(found["tenant_id"], []).append(found)
        check = SignatureCheck(signer.public_key)
        return [
            await _extend(connection, signer, check, tenant_id, by_tenant[tenant_id], now)
            for tenant_id in sorted(by_tenant)
        ]


async def _extend(
    connection: Any,
    signer: Signer,
    check: SignatureCheck,
    tenant_id: int,
    rows: Sequence[Any],
    now: datetime,
) -> Checkpoint:
    head, signature = await _head(connection, tenant_id)
    is_sound = head is None or check.holds(head, signature)
    last_row = await connection.fetchval(
        "select coalesce(max(position), 0) from audit_event where tenant_id = $1", tenant_id
    )
    signed_to = head.position if head else 0
    if not is_sound or last_row != (0 if head and head.trimmed_at and not last_row else signed_to):
        _log.error(
            "the audit log of tenant %d was tampered with: run `fleetgraph audit verify`", tenant_id
        )
    # Always continued from what was signed: building on anything else would sign it.
    position, chain_hash = max(signed_to, last_row), head.chain_hash if head else START_HASH
    places: list[tuple[int, int, bytes]] = []
    for found in rows:
        position += 1
        chain_hash = link(chain_hash, row_of(found, position=position))
        places.append((found["id"], position, chain_hash))
    await connection.execute(
        "update audit_event e set position = place.position, chain_hash = place.chain_hash"
        " from unnest($2::bigint[], $3::bigint[], $4::bytea[]) as place(id, position, chain_hash)"
        " where e.tenant_id = $1 and e.id = place.id",
        tenant_id,
        *(list(column) for column in zip(*places, strict=True)),
    )
    previous = signed_to
    if head is not None and is_sound and not head.stays_before(position, now):
        previous = head.previous
        await connection.execute(
            "delete from audit_checkpoint where tenant_id = $1 and position = $2",
            tenant_id,
            head.position,
        )
    checkpoint = Checkpoint(tenant_id, position, chain_hash, previous, now)
    await connection.execute(
        _PUT_CHECKPOINT,
        *(tenant_id, position, chain_hash, previous, now, None, signer.sign(checkpoint)),
    )
    return checkpoint


async def _head(connection: Any, tenant_id: int) -> tuple[Checkpoint | None, bytes]:
    found = await connection.fetchrow(
        "select * from audit_checkpoint where tenant_id = $1 order by position desc limit 1",
        tenant_id,
    )
    return (None, b"") if found is None else (checkpoint_of(found), found["signature"])


async def trim_batch(signer: Signer, tenant_id: int, before: datetime, now: datetime) -> bool:
    """Remove some rows from before a moment, up to a checkpoint; whether there may be more.

    In the running transaction. The checkpoint stays, signed once more as the new start.
    """
    async with rows_connection() as connection:
        if not await _lock(connection):
            return False
        start = await start_of(connection, tenant_id)
        rows = await connection.fetch(
            "select position, created_at from audit_event where tenant_id = $1 and position > $2"
            " order by position limit $3",
            tenant_id,
            start,
            TRIM_ROWS,
        )
        kept = next((at for at, row in enumerate(rows) if row["created_at"] >= before), len(rows))
        if kept == 0:
            return False
        found = await connection.fetchrow(
            "select * from audit_checkpoint where tenant_id = $1 and position > $2"
            " and position <= $3 order by position desc limit 1",
            tenant_id,
            start,
            rows[kept - 1]["position"],
        )
        if found is None:
            return False
        old = checkpoint_of(found)
        if not SignatureCheck(signer.public_key).holds(old, found["signature"]):
            _log.error("retention of tenant %d's audit log met a forged checkpoint", tenant_id)
            return False
        new = Checkpoint(
            tenant_id, old.position, old.chain_hash, old.previous, old.created_at, trimmed_at=now
        )
        await connection.execute(
            "delete from audit_event where tenant_id = $1 and position <= $2",
            tenant_id,
            new.position,
        )
        await connection.execute(
            "update audit_checkpoint set trimmed_at = $3, signature = $4"
            " where tenant_id = $1 and position = $2",
            *(tenant_id, new.position, now, signer.sign(new)),
        )
        return len(rows) == TRIM_ROWS


async def audited_tenants() -> list[int]:
    """Return the tenants with audit rows or checkpoints; 0 is the installation."""
    async with rows_connection() as connection:
        found = await connection.fetch(
            "select 0 as id union select id from tenant"
            " union select distinct tenant_id from audit_checkpoint order by 1"
        )
    return [row["id"] for row in found]


async def tenant_called(text: str) -> int | None:
    """Return the id of the tenant with this uuid or name."""
    async with rows_connection() as connection:
        found = await connection.fetchval(
            "select id from tenant where uuid::text = lower($1) or name = $1"
            " order by uuid::text = lower($1) desc, id limit 1",
            text,
        )
    return None if found is None else int(found)


async def start_of(connection: Any, tenant_id: int) -> int:
    """Return the position behind which the tenant's rows begin."""
    return int(
        await connection.fetchval(
            "select coalesce(max(position), 0) from audit_checkpoint"
            " where tenant_id = $1 and trimmed_at is not null",
            tenant_id,
        )
    )


async def read_chain(
    connection: Any, tenant_id: int, after: int, upto: int = 2**62
) -> AsyncGenerator[tuple[ChainRow, bytes] | tuple[Checkpoint, bytes], None]:
    """Yield rows with hashes and checkpoints with signatures by position, page by page.

    Run it in a transaction that sees one moment.
    """
    rows = _pages(
        connection,
        f"select {_COLUMNS}, chain_hash from audit_event"  # noqa: S608  (our names)
        " where tenant_id = $1 and position > $2 and position <= $3 order by position limit $4",
        *(tenant_id, after, upto),
    )
    checkpoints = _pages(
        connection,
        "select * from audit_checkpoint"
        " where tenant_id = $1 and position > $2 and position <= $3 order by position limit $4",
        *(tenant_id, after, upto),
    )
    row, checkpoint = await anext(rows, None), await anext(checkpoints, None)
    while row is not None or checkpoint is not None:
        if checkpoint is None or (row is not None and row["position"] <= checkpoint["position"]):
            assert row is not None
            yield row_of(row, position=row["position"]), row["chain_hash"]
            row = await anext(rows, None)
        else:
            yield checkpoint_of(checkpoint), checkpoint["signature"]
            checkpoint = await anext(checkpoints, None)


async def _pages(
    connection: Any, sql: str, tenant_id: int, after: int, upto: int
) -> AsyncGenerator[Any, None]:
    while True:
        page = await connection.fetch(sql, tenant_id, after, upto, PAGE_ROWS)
        for row in page:
            yield row
        if len(page) < PAGE_ROWS:
            return
        after = page[-1]["position"]


async def _lock(connection: Any) -> bool:
    return bool(await connection.fetchval("select pg_try_advisory_xact_lock($1)", _LOCK))


def row_of(found: Any, *, position: int) -> ChainRow:
    """Return a row's columns with its place in the chain."""
    values = {name: found[name] for name in ROW_COLUMNS}
    values |= {"position": position, "details": orjson.loads(found["details"])}
    return ChainRow(**values)


def checkpoint_of(found: Any) -> Checkpoint:
    """Return the checkpoint in a row."""
    names = ("tenant_id", "position", "chain_hash", "previous", "created_at", "trimmed_at")
    return Checkpoint(**{name: found[name] for name in names})
