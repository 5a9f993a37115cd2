"""The audit log's rows."""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from core.audit import AuditEntry
from core.context import Context
from models.connection import rows_connection

_INSERT = (
    "insert into audit_event (tenant_id, event_type, severity, actor, user_id, api_key_id,"
    " session_id, agent_uuid, subject, ip_address, user_agent, request_id, details, created_at)"
    " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13::jsonb, $14)"
)


async def append_audit(ctx: Context, entries: Sequence[AuditEntry]) -> None:
    """Write entries, in the running transaction if there is one."""
    caller, now = ctx.caller, ctx.clock.now()
    rows = [
        (
            ctx.tenant_id if entry.tenant_id is None else entry.tenant_id,
            entry.type.value,
            entry.severity.value,
            "api_key" if caller.api_key_id else "user" if caller.is_person else caller.role.value,
            entry.user_id or caller.user_id,
            caller.api_key_id,
            caller.session_id,
            entry.agent_uuid or caller.agent_uuid,
            entry.subject[:300],
            ctx.remote_address[:64],
            ctx.user_agent[:300],
            ctx.request_id[:128],
            orjson.dumps(_told(entry), default=str).decode(),
            now,
        )
        for entry in entries
    ]
    async with rows_connection() as connection:
        await connection.executemany(_INSERT, rows)


def _told(entry: AuditEntry) -> dict[str, object]:
    told: dict[str, object] = dict(entry.details)
    if entry.before is not None:
        told["before"] = dict(entry.before)
    if entry.after is not None:
        told["after"] = dict(entry.after)
    return told
