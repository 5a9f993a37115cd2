"""The audit log."""

from __future__ import annotations

from typing import Any

from core.audit import AuditEntry, AuditType
from core.context import Context
from models.audit import append_audit
from models.connection import fetch
from tests.schema.lists.case import Make


async def _events(ctx: Context, number: int) -> dict[str, Any]:
    await append_audit(ctx, [AuditEntry(AuditType.USER_UPDATED)] * number)
    return {}


async def _problems(ctx: Context, number: int) -> dict[str, Any]:
    """Make rows that claim to be chained."""
    await _events(ctx, number)
    await fetch(
        "update audit_event set position = 2 * id, chain_hash = 'x' where tenant_id = $1",
        ctx.tenant_id,
    )
    return {}


EVENT = "id eventType details position chainHash"

CASES: dict[str, tuple[Make, str]] = {
    "AuditEventConnection.nodes": (
        _events,
        f"{{ auditEvents {{ totalCount hasMore nextCursor nodes {{ {EVENT} }} }} }}",
    ),
    "AuditEventConnection.edges": (
        _events,
        f"{{ auditEvents {{ edges {{ cursor node {{ {EVENT} }} }} pageInfo {{ endCursor }} }} }}",
    ),
    "AuditVerification.problems": (_problems, "{ verifyAudit { problems { kind message } } }"),
}
