"""What agents reported before: reports that changed something, and those that came late."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from core.clock import micros, moment_of
from core.errors import InvalidInput
from core.etag import canonical_json
from core.paging import OpenSlice, decode_cursor, encode_cursor
from core.state_reports import StateReport
from models.agents import Agent
from models.connection import fetch

TABLE: Final = "state_history"
BODY_BYTES_MAX: Final = 256 * 1024
CUT: Final = "_cut"
"""Member of a kept body that names the members left out of it because they were too large."""


@dataclass(frozen=True, slots=True)
class StateRecord:
    """One report as it came; `is_replay` if it had waited in the agent's queue, `at` is when it came.

    One that follows changes of which there is no record has the members that it left out, too.
    """

    at: datetime
    is_replay: bool
    version: int | None
    body: dict[str, Any]
    cursor: str


LIVE_EVERY: Final = timedelta(seconds=10)
"""However often an agent's state changes, live reports make one record in such a time."""

_SAME_FOR: Final = timedelta(days=1)
_SAME_REPLAY: Final = (
    "digest = $6 and is_replay and at > $3::timestamptz - $8::interval and at <= $3"
)
_TOO_SOON: Final = (
    "not is_replay and at > $3::timestamptz - $8::interval and at < $3::timestamptz + $8::interval"
)


def _insert(unless: str) -> str:
    return (
        "insert into state_history (tenant_id, agent_id, at, is_replay, version, digest, body)"  # noqa: S608  (ours)
        " select $1, $2, $3, $4, $5, $6, $7::jsonb where not exists (select from state_history"
        f" where tenant_id = $1 and agent_id = $2 and {unless})"
        " on conflict do nothing returning agent_id"
    )


_INSERT_REPLAY: Final = _insert(_SAME_REPLAY)
_INSERT_LIVE: Final = _insert(_TOO_SOON)


async def put_state(tenant_id: int, agent_id: int, report: StateReport, came_at: datetime) -> int:
    """Keep a report as a record; returns the bytes of its body, 0 when there is no record.

    The same replay within a day is one record, and live reports within LIVE_EVERY are. The caller
    holds the agent's row, so that two reports do not pass each other.
    """
    text = canonical_json(report.body, "body")
    body = _bounded(report.body, text)
    rows = await fetch(
        _INSERT_REPLAY if report.is_replay else _INSERT_LIVE,
        tenant_id,
        agent_id,
        came_at,
        report.is_replay,
        report.version,
        hashlib.sha256(text).digest(),
        body.decode(),
        _SAME_FOR if report.is_replay else LIVE_EVERY,
    )
    return len(body) if rows else 0


async def kept_on(tenant_id: int, agent_id: int, day: datetime) -> tuple[int, int]:
    """Return how many records an agent has of the day that begins then, and their bytes on disk."""
    rows = await fetch(
        "select count(*) as n, coalesce(sum(pg_column_size(body)), 0)::bigint as bytes"
        " from state_history where tenant_id = $1 and agent_id = $2 and at >= $3 and at < $4",
        *(tenant_id, agent_id, day, day + timedelta(days=1)),
    )
    return rows[0]["n"], rows[0]["bytes"]


async def whole_state(tenant_id: int, agent_id: int) -> dict[str, Any]:
    """Return what an agent's reports have told in all, as members of one report."""
    rows = await fetch(
        "select s.version, s.apps, s.config, s.endpoints_health, s.devices, a.agent_version"
        " from current_state s join agent a on a.tenant_id = $1 and a.id = $2"
        " where s.tenant_id = $1 and s.agent_id = $2",
        *(tenant_id, agent_id),
    )
    told = {name: value for row in rows for name, value in row.items() if value is not None}
    return {name: orjson.loads(told[name]) if name in _JSON else told[name] for name in told}


_JSON: Final = ("apps", "config", "endpoints_health", "devices")


async def hold_agent(tenant_id: int, agent_id: int) -> bool:
    """Lock an agent's row until the transaction ends; False when there is none."""
    sql = "select id from agent where tenant_id = $1 and id = $2 for update"
    return bool(await fetch(sql, tenant_id, agent_id))


async def page_of_states(
    agent: Agent,
    since: datetime | None,
    until: datetime | None,
    first: int,
    after: str | None,
) -> OpenSlice[StateRecord]:
    """Return records from `since` on and before `until`, newest first."""
    behind, digest = (_END, b"") if after is None else _behind(after)
    rows = await fetch(
        "select at, is_replay, version, body, digest from state_history"
        " where tenant_id = $1 and agent_id = $2 and at >= coalesce($3, '-infinity'::timestamptz)"
        " and at < coalesce($4, 'infinity'::timestamptz) and (at, digest) < ($5, $6)"
        " order by at desc, digest desc limit $7",
        *(agent.tenant_id, agent.id, since, until, behind, digest, first + 1),
    )
    items = [_record(row) for row in rows[:first]]
    return OpenSlice(items, [item.cursor for item in items], len(rows) > first)


def _record(row: dict[str, Any]) -> StateRecord:
    digest: bytes = row.pop("digest")
    cursor = encode_cursor(f"{micros(row['at'])}.{digest.hex()}")
    return StateRecord(**row | {"body": orjson.loads(row["body"])}, cursor=cursor)


_END: Final = moment_of(253_402_300_799_000_000)  # the last second that has a name


def _behind(after: str) -> tuple[datetime, bytes]:
    at, _, digest = decode_cursor(after).partition(".")
    try:
        return moment_of(int(at)), bytes.fromhex(digest)
    except (ValueError, OverflowError):
        raise InvalidInput("after", "is not a cursor of this list") from None


def _bounded(body: dict[str, Any], text: bytes) -> bytes:
    """Return a report as JSON without its largest members, which are named, if it is too large."""
    if len(text) <= BODY_BYTES_MAX:
        return text
    sizes = {name: len(canonical_json(member, name)) + len(name) for name, member in body.items()}
    room = BODY_BYTES_MAX // 2
    kept: dict[str, Any] = {}
    cut: list[str] = []
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):
        if sizes[name] <= room and len(kept) < _MEMBERS_MAX:
            kept[name] = body[name]
            room -= sizes[name]
        elif len(cut) < _MEMBERS_MAX:
            cut.append(name[:_NAME_CHARS_MAX])
    return canonical_json(kept | {CUT: cut}, "body")


_MEMBERS_MAX: Final = 500
_NAME_CHARS_MAX: Final = 100
