"""The audit log's rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.audit import AuditEntry
from core.audit_details import details_json
from core.context import Context
from core.masking import clean_text
from core.paging import Slice
from models.connection import fetch, rows_connection
from models.pages import cursor_at, read_cursor, row_number

IP_ADDRESS_CHARS_MAX: Final = 64

_INSERT = (
    "insert into audit_event (tenant_id, event_type, severity, actor, user_id, api_key_id,"
    " session_id, agent_uuid, subject, ip_address, user_agent, request_id, details, created_at)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::jsonb, $14)"
)


async def append_audit(ctx: Context, entries: Sequence[AuditEntry]) -> None:
    """Write entries, in the running transaction if there is one; secrets are masked here."""
    caller, now = ctx.caller, ctx.clock.now()
    rows = [
        (
            ctx.tenant_id if entry.tenant_id is None else entry.tenant_id,
            entry.type.value,
            entry.severity.value,
            "api_key" if caller.api_key_id else "user" if caller.is_person else caller.role.value,
            entry.user_id or caller.user_id,
            caller.api_key_id,
            entry.session_id or caller.session_id,
            entry.agent_uuid or caller.agent_uuid,
            clean_text(entry.subject, 300),
            clean_text(ctx.remote_address, IP_ADDRESS_CHARS_MAX),
            clean_text(ctx.user_agent, 300),
            clean_text(ctx.request_id, 128),
            details_json(entry),
            now,
        )
        for entry in entries
    ]
    async with rows_connection() as connection:
        await connection.executemany(_INSERT, rows)


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """A row of the audit log as readers see it; `position` and `chain_hash` once it is chained."""

    id: int
    event_type: str
    severity: str
    actor: str
    user_id: UUID | None
    api_key_id: UUID | None
    session_id: UUID | None
    agent_uuid: UUID | None
    subject: str
    ip_address: str
    user_agent: str
    request_id: str
    details: Any
    created_at: datetime
    position: int | None
    chain_hash: bytes | None


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which events: None means all. `text` is a part of the subject; `since` is inclusive."""

    types: Sequence[str] | None = None
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    session_id: UUID | None = None
    agent_uuid: UUID | None = None
    ip_address: str | None = None
    severity: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


EVENT_COLUMNS: Final = ", ".join(
    "details::text" if field.name == "details" else field.name for field in fields(AuditEvent)
)


async def page_of_events(
    tenant_id: int, wanted: AuditFilter, first: int, after: str | None, offset: int
) -> Slice[AuditEvent]:
    """Return one page of the tenant's events, newest first; raises InvalidInput for a cursor."""
    where, values = _conditions(tenant_id, wanted)
    total = await fetch(f"select count(*) as total from audit_event where {where}", *values)  # noqa: S608  (our words)
    if after is not None:
        values += read_cursor(after, row_number)
        where += f" and (created_at, id) < (${len(values) - 1}, ${len(values)})"
    rows = await fetch(
        f"select {EVENT_COLUMNS} from audit_event where {where}"  # noqa: S608  (our words)
        f" order by created_at desc, id desc limit {first + 1} offset {offset}",
        *values,
    )
    items = [event_of(row) for row in rows[:first]]
    cursors = [cursor_at(event.created_at, event.id) for event in items]
    return Slice(items, cursors, len(rows) > first, total[0]["total"])


def event_of(row: Mapping[str, Any]) -> AuditEvent:
    """Return the event in a row."""
    return AuditEvent(**{**row, "details": orjson.loads(row["details"])})


def _conditions(tenant_id: int, wanted: AuditFilter) -> tuple[str, list[object]]:
    values: list[object] = [tenant_id]
    where = ["tenant_id = $1"]
    for condition, value in (
        ("event_type = any(${}::text[])", None if wanted.types is None else list(wanted.types)),
        ("user_id = ${}", wanted.user_id),
        ("api_key_id = ${}", wanted.api_key_id),
        ("session_id = ${}", wanted.session_id),
        ("agent_uuid = ${}", wanted.agent_uuid),
        ("ip_address = ${}", wanted.ip_address),
        ("severity = ${}", wanted.severity),
        ("created_at >= ${}", wanted.since),
        ("created_at < ${}", wanted.until),
        ("position(lower(${}) in lower(subject)) > 0", wanted.text or None),
    ):
        if value is not None:
            values.append(value)
            where.append(condition.format(len(values)))
    return " and ".join(where), values
