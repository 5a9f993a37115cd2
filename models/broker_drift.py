"""What each broker was given last, and where brokers differed from it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from core.broker_drift import Drift, DriftKind
from core.paging import Slice
from models.connection import fetch
from models.pages import cursor_at, read_cursor, row_number

ROWS_MAX: Final = 1_000
"""Rows kept per tenant, the newest; further ones of one discovery are not written."""


@dataclass(frozen=True, slots=True)
class BrokerDrift:
    """A difference that was found; `repaired_at` is None while it lasts."""

    id: int
    kind: DriftKind
    subject: str
    found_at: datetime
    repaired_at: datetime | None


async def lock_copy(place: str, now: datetime) -> str | None:
    """Let no other program write this copy until the unit of work ends; returns its mark."""
    await fetch(
        "insert into broker_copy (place, checked_at) values ($1, $2) on conflict do nothing",
        place,
        now,
    )
    rows = await fetch("select mark from broker_copy where place = $1 for update", place)
    mark: str | None = rows[0]["mark"]
    return mark


async def note_copy(place: str, mark: str, now: datetime) -> None:
    """Write what the copy is now."""
    await fetch(
        "update broker_copy set mark = $2, checked_at = $3 where place = $1", place, mark, now
    )


async def note_obedience(place: str, *, obeys: bool) -> bool:
    """Write whether the broker goes by its copy; False when that was known."""
    changed = await fetch(
        "update broker_copy set obeys = $2 where place = $1 and obeys <> $2 returning place",
        place,
        obeys,
    )
    return bool(changed)


async def copies_checked(since: datetime) -> tuple[datetime | None, bool]:
    """Return when the copies looked at since then were last, the oldest, and whether all obey."""
    rows = await fetch(
        "select min(checked_at) as at, coalesce(bool_and(obeys), false) as obey"
        " from broker_copy where checked_at >= $1",
        since,
    )
    return rows[0]["at"], rows[0]["obey"]


async def tenants_of_usernames(usernames: Collection[str]) -> dict[str, int]:
    """Return the tenants of those accounts that there are, over all tenants."""
    rows = await fetch(
        "select username, tenant_id from mqtt_account where username = any($1)", list(usernames)
    )
    return {row["username"]: row["tenant_id"] for row in rows}


async def add_drifts(
    tenant_id: int, drifts: Sequence[Drift], found_at: datetime, repaired_at: datetime | None
) -> None:
    """Write differences, and forget the oldest of more than ROWS_MAX."""
    await fetch(
        "insert into broker_drift (tenant_id, kind, subject, found_at, repaired_at)"
        " select $1, kind, subject, $4, $5 from unnest($2::text[], $3::text[]) d (kind, subject)",
        tenant_id,
        [drift.kind.value for drift in drifts[:ROWS_MAX]],
        [drift.subject for drift in drifts[:ROWS_MAX]],
        found_at,
        repaired_at,
    )
    await fetch(
        "delete from broker_drift where tenant_id = $1 and id in (select id from broker_drift"
        " where tenant_id = $1 order by found_at desc, id desc offset $2)",
        tenant_id,
        ROWS_MAX,
    )


async def close_drifts(tenant_id: int, drift: Drift, now: datetime) -> None:
    """Write that a difference is gone."""
    await fetch(
        "update broker_drift set repaired_at = $4 where tenant_id = $1 and kind = $2"
        " and subject = $3 and repaired_at is null",
        tenant_id,
        drift.kind.value,
        drift.subject,
        now,
    )


async def page_of_drifts(
    tenant_ids: Sequence[int], first: int, after: str | None
) -> Slice[BrokerDrift]:
    """Return one page of these tenants' drift, newest first; raises InvalidInput for a cursor."""
    total = await fetch(
        "select count(*) as total from broker_drift where tenant_id = any($1)", [*tenant_ids]
    )
    behind = " and (found_at, id) < ($2, $3)" if after is not None else ""
    place = read_cursor(after, row_number) if after is not None else ()
    rows = await fetch(
        "select id, kind, subject, found_at, repaired_at from broker_drift"  # noqa: S608  (our words)
        f" where tenant_id = any($1){behind} order by found_at desc, id desc limit {first + 1}",
        [*tenant_ids],
        *place,
    )
    items = [BrokerDrift(**row | {"kind": DriftKind(row["kind"])}) for row in rows[:first]]
    cursors = [cursor_at(drift.found_at, drift.id) for drift in items]
    return Slice(items, cursors, len(rows) > first, total[0]["total"])
