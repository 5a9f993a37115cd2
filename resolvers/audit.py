"""The audit log: read, exported and verified by those who watch; chained and trimmed by us."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.access import Permission, allow
from core.audit import AuditEntry, AuditType, Severity
from core.audit_chain import Checkpoint, SignatureCheck, Signer
from core.audit_files import header_line, item_line
from core.audit_verification import ChainCheck
from core.context import Context
from core.errors import InvalidInput, NotFound
from core.paging import Slice, page_size
from core.rate_limits import RateScope
from models import audit, audit_chain
from models.audit import AuditEvent, AuditFilter
from models.audit_reading import chain_range, one_moment, read_range, verify_chain
from models.unit_of_work import database_errors, unit_of_work

__all__ = ["AuditEvent", "AuditFilter"]

OFFSET_MAX: Final = 100_000
TEXT_CHARS_MAX: Final = 255


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a tenant's log came to; `pending` rows are not chained yet."""

    tenant_id: int
    check: ChainCheck
    pending: int
    last_hash: bytes
    public_key: str

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong."""
        return self.check.problem_count == 0


@allow(Permission.AUDIT_READ, limit=RateScope.ADMIN)
async def list_audit_events(
    ctx: Context, wanted: AuditFilter, first: int, after: str | None = None, offset: int = 0
) -> Slice[AuditEvent]:
    """Return the tenant's events, newest first; `offset` skips some behind `after`."""
    first = page_size(first)
    if not 0 <= offset <= OFFSET_MAX:
        raise InvalidInput("offset", f"must be between 0 and {OFFSET_MAX}", limit=OFFSET_MAX)
    _check_filter(wanted)
    with database_errors():
        return await audit.page_of_events(ctx.tenant_id, wanted, first, after, offset)


@allow(Permission.AUDIT_READ, limit=RateScope.ADMIN)
async def export_audit_events(
    ctx: Context, since: datetime | None, until: datetime | None
) -> AsyncGenerator[AuditEvent, None]:
    """Return the tenant's events from `since` on and before `until`, oldest first.

    They are read page by page as they are taken, so that memory stays flat. Events that happen
    meanwhile are left out.
    """
    _check_range(since, until)
    now = ctx.clock.now()
    return read_range(ctx.tenant_id, since, now if until is None else min(until, now))


@allow(Permission.AUDIT_READ, limit=RateScope.ADMIN)
async def verify_audit(ctx: Context) -> Verification:
    """Verify the caller's tenant's log from its start to its end."""
    return await _verify(ctx, ctx.tenant_id, Signer(ctx.secrets).public_key, {})


@allow(Permission.SYSTEM)
async def verify_tenant_audit(
    ctx: Context,
    tenant_id: int,
    public_key: str | None = None,
    anchors: dict[int, bytes] | None = None,
) -> Verification:
    """Verify any tenant's log; 0 is the installation's own."""
    public_key = public_key or Signer(ctx.secrets).public_key
    return await _verify(ctx, tenant_id, public_key, dict(anchors or {}))


@allow(Permission.SYSTEM)
async def export_chain(
    ctx: Context, tenant_id: int, since: datetime | None, until: datetime | None
) -> AsyncIterator[bytes]:
    """Return a part of a tenant's chain as lines that can be verified without the database.

    It holds all chained events from `since` on and before `until`, and goes on to the next
    checkpoint, so that a signature covers the last one.
    """
    _check_range(since, until)
    return _chain_lines(ctx, tenant_id, since, until)


@allow(Permission.SYSTEM)
async def list_audited_tenants(ctx: Context) -> list[int]:
    """Return the tenants that may have a log; 0 is the installation."""
    with database_errors():
        return await audit_chain.audited_tenants()


@allow(Permission.SYSTEM)
async def find_audited_tenant(ctx: Context, text: str) -> int:
    """Return the id of a tenant by id, uuid or name; 0 is the installation. Raises NotFound."""
    with database_errors():
        if text.isdecimal():
            found = int(text) if int(text) in await audit_chain.audited_tenants() else None
        else:
            found = await audit_chain.tenant_called(text)
    if found is None:
        raise NotFound("tenant", text)
    return found


@allow(Permission.SYSTEM)
async def chain_audit(ctx: Context) -> Sequence[Checkpoint]:
    """Chain one batch of events and sign where it ends; empty when there is nothing to do."""
    async with unit_of_work(ctx):
        return await audit_chain.chain_batch(Signer(ctx.secrets), ctx.clock.now()) or []


@allow(Permission.SYSTEM)
async def trim_audit(ctx: Context, before: datetime) -> None:
    """Remove chained events from before a moment, whole prefixes up to a checkpoint."""
    signer = Signer(ctx.secrets)
    for tenant_id in await list_audited_tenants(ctx):
        is_more = True
        while is_more:
            async with unit_of_work(ctx):
                is_more = await audit_chain.trim_batch(signer, tenant_id, before, ctx.clock.now())


@allow(Permission.PUBLIC)
async def record_refusals(ctx: Context, entries: Sequence[AuditEntry]) -> None:
    """Write what an edge has refused; `ctx` tells who called and from where."""
    with database_errors():
        await audit.append_audit(ctx, entries)


async def _chain_lines(
    ctx: Context, tenant_id: int, since: datetime | None, until: datetime | None
) -> AsyncIterator[bytes]:
    now = ctx.clock.now()
    with database_errors():
        async with one_moment() as connection:
            start, start_hash, end = await chain_range(connection, tenant_id, since, until or now)
            yield header_line(tenant_id, start, start_hash, Signer(ctx.secrets).public_key)
            async with aclosing(audit_chain.read_chain(connection, tenant_id, start, end)) as chain:
                async for item, proof in chain:
                    yield item_line(item, proof)


async def _verify(
    ctx: Context, tenant_id: int, public_key: str, anchors: dict[int, bytes]
) -> Verification:
    check = ChainCheck(SignatureCheck(public_key), anchors=anchors)
    with database_errors():
        pending, last_hash = await verify_chain(tenant_id, check)
    return Verification(tenant_id, check, pending, last_hash, public_key)


def _check_filter(wanted: AuditFilter) -> None:
    for type_ in wanted.types or ():
        if type_ not in tuple(AuditType):
            known = ", ".join(AuditType)
            raise InvalidInput("event_type", f"there is no {type_[:50]!r}; there are {known}")
    if wanted.severity is not None and wanted.severity not in tuple(Severity):
        raise InvalidInput("severity", f"must be one of {', '.join(Severity)}")
    for field, text, chars_max in (
        ("ip_address", wanted.ip_address, audit.IP_ADDRESS_CHARS_MAX),
        ("text", wanted.text, TEXT_CHARS_MAX),
    ):
        if text is not None and (len(text) > chars_max or "\x00" in text):
            reason = f"must have at most {chars_max} characters and no NUL"
            raise InvalidInput(field, reason, limit=chars_max)
    _check_range(wanted.since, wanted.until)


def _check_range(since: datetime | None, until: datetime | None) -> None:
    if since is not None and until is not None and since >= until:
        raise InvalidInput("from", "must be before `to`")
