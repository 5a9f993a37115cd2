"""Brokers and their copies of the accounts: made to agree, and where they did not."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from core import metrics
from core.access import Permission, allow, holds
from core.audit import AuditEntry, AuditType, Severity
from core.broker_accounts import BrokerAccount
from core.broker_canary import Canary, canary_of
from core.broker_drift import Drift, DriftKind
from core.context import Context
from core.events import BROKER, BrokerChanged
from core.fence import ALL_TENANTS, fence
from core.gateways import BrokerDriver
from core.paging import Slice, page_size
from models.broker_drift import (
    BrokerDrift,
    add_drifts,
    close_drifts,
    copies_checked,
    lock_copy,
    note_copy,
    note_obedience,
    page_of_drifts,
    tenants_of_usernames,
)
from models.tenants import first_tenant
from models.unit_of_work import Work, database_errors, unit_of_work
from resolvers.mqtt_accounts import list_broker_accounts

NAMES_TOLD_MAX: Final = 20
"""Names of one kind and tenant that the log and the audit log tell of one discovery."""

CHECKED_SECONDS_MAX: Final = 100
"""A copy that nobody has looked at for longer counts as none: reconcilers look every 30 s."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a broker was given: the accounts, their mark, and the canary among them."""

    mark: str
    accounts: list[BrokerAccount]
    canary: Canary


@dataclass(frozen=True, slots=True)
class BrokerDrifts:
    """A page of what was found, and whether brokers go by the accounts here.

    Attributes:
        checked_at: when that was last looked at; None: nobody looks, or no broker keeps a copy.
    """

    page: Slice[BrokerDrift]
    is_in_sync: bool
    checked_at: datetime | None


@allow(Permission.SYSTEM)
async def list_accounts_of_broker(
    ctx: Context, platform: Sequence[BrokerAccount]
) -> tuple[list[BrokerAccount], Canary]:
    """Return all that a broker is given: ours, the canary, and those of all tenants."""
    accounts = [*platform, *await list_broker_accounts(ctx)]
    canary = canary_of(accounts, ctx.secrets)
    accounts.insert(len(platform), canary.account)
    return accounts, canary


@allow(Permission.SYSTEM)
async def agree_with_broker(
    ctx: Context,
    driver: BrokerDriver,
    platform: Sequence[BrokerAccount],
    last: Agreement | None = None,
    found: Sequence[Drift] = (),
) -> Agreement | None:
    """Give the broker the accounts of all tenants and ours, once; record where it differed.

    One program at a time does so for one copy: two that share it take turns, and the later one
    finds what the earlier wrote. `last` is what the caller returned from here before, `found` what
    it has repaired itself meanwhile. Returns None when the driver keeps no copy.
    """
    if driver.place is None:
        return None
    async with unit_of_work(ctx) as work:
        now = ctx.clock.now()
        mark = await lock_copy(driver.place, now)
        accounts, canary = await list_accounts_of_broker(ctx, platform)
        given = last.accounts if last is not None and last.mark == mark else accounts
        drifts = [*found, *await driver.inspect(given, mark)]
        agreed = Agreement(await driver.apply(accounts), accounts, canary)
        await note_copy(driver.place, agreed.mark, now)
        await _record(work, drifts, now, repaired_at=now)
    return agreed


@allow(Permission.SYSTEM)
async def note_broker_obedience(ctx: Context, place: str, *, obeys: bool) -> None:
    """Record whether the broker lets in those whom its copy names; repeats change nothing."""
    async with unit_of_work(ctx) as work:
        if not await note_obedience(place, obeys=obeys):
            return
        drift, now = Drift(DriftKind.BROKER_NOT_RELOADED, place), ctx.clock.now()
        if obeys:
            await close_drifts(ALL_TENANTS, drift, now)
            _log.info("the broker goes by %s again", place)
            work.emit(BROKER, BrokerChanged())
        else:
            await _record(work, [drift], now, repaired_at=None)


@allow(Permission.MQTT_USER_READ)
async def list_broker_drift(ctx: Context, first: int, after: str | None = None) -> BrokerDrifts:
    """Return where brokers differed in the tenant's accounts, newest first.

    The owner of the installation's first tenant sees the platform's own, too: files, and accounts
    that are nobody's.
    """
    first = page_size(first)
    since = ctx.clock.now() - timedelta(seconds=CHECKED_SECONDS_MAX)
    with database_errors():
        checked_at, obey = await copies_checked(since)
        if await _runs_installation(ctx):
            with fence(ALL_TENANTS):
                page = await page_of_drifts([ctx.tenant_id, ALL_TENANTS], first, after)
        else:
            page = await page_of_drifts([ctx.tenant_id], first, after)
    return BrokerDrifts(page, checked_at is not None and obey, checked_at)


async def _runs_installation(ctx: Context) -> bool:
    if not holds(ctx.caller, Permission.TENANT_MANAGE):
        return False
    first = await first_tenant()
    return first is not None and first.id == ctx.tenant_id


async def _record(
    work: Work, drifts: Sequence[Drift], now: datetime, repaired_at: datetime | None
) -> None:
    if not drifts:
        return
    tenants = await tenants_of_usernames({drift.subject for drift in drifts})
    by_tenant: defaultdict[int, list[Drift]] = defaultdict(list)
    for drift in drifts:
        by_tenant[tenants.get(drift.subject, ALL_TENANTS)].append(drift)
    for tenant_id, own in by_tenant.items():
        await add_drifts(tenant_id, own, now, repaired_at)
        details = {"counts": Counter(drift.kind.value for drift in own), "subjects": _told(own)}
        work.record(
            AuditEntry(
                AuditType.BROKER_DRIFT_FOUND,
                "broker",
                Severity.WARNING,
                details=details,
                tenant_id=tenant_id,
            )
        )
    for kind, count in Counter(drift.kind for drift in drifts).items():
        metrics.BROKER_DRIFT.labels(kind.value).inc(count)
        names = _told([drift for drift in drifts if drift.kind is kind])
        _log.warning("the broker had drifted: %s (%d): %s", kind.value, count, ", ".join(names))
    work.emit(BROKER, BrokerChanged())


def _told(drifts: Sequence[Drift]) -> list[str]:
    """Return the names, the first few."""
    return sorted({drift.subject for drift in drifts})[:NAMES_TOLD_MAX]
