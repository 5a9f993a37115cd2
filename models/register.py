"""Changes to many agents at once, and the end of one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from models.conditions import Conditions
from models.connection import fetch, json_text

UUIDS_TOLD_MAX: Final = 100

_OF_AN_AGENT: Final = (
    *("device_key", "target_state", "current_state", "mqtt_account"),
    *("agent_event", "log_batch", "reading_latest", "agent_traffic", "agent_update"),
    *("target_state_version", "endpoint", "endpoint_health"),
)


@dataclass(frozen=True, slots=True)
class TagChange:
    """What a change of tags did: how many agents it was for, how many differ now, some of them.

    `tags_most` is the number of tags of the agent that has most of them afterwards.
    """

    matched: int
    changed: int
    uuids: list[UUID]
    tags_most: int


async def change_tags(
    where: Conditions,
    put: Mapping[str, str],
    drop: Collection[str],
    now: datetime,
    *,
    dry_run: bool,
) -> TagChange:
    """Merge tags into agents and take keys off them, in one statement over whole rows.

    Rows are locked in the order of their ids, so that parallel changes both hold.
    """
    put_at, drop_at = where.parameter(json_text(put, "set")), where.parameter(list(drop))
    now_at, dry_at = where.parameter(now), where.parameter(dry_run)
    (row,) = await fetch(
        "with matched as ("  # noqa: S608  (parameters only)
        f" select id, uuid, tags, (tags || {put_at}::jsonb) - {drop_at}::text[] as wanted"
        f" from agent where {where} order by id for update),"
        " changed as (select * from matched where tags <> wanted),"
        f" written as (update agent a set tags = changed.wanted, changed_at = {now_at}"
        " from changed"
        f" where a.tenant_id = $1 and a.id = changed.id and not {dry_at}::bool)"
        " select (select count(*) from matched) as matched,"
        " (select count(*) from changed) as changed,"
        f" array(select uuid from changed order by id limit {UUIDS_TOLD_MAX}) as uuids,"
        " (select max((select count(*) from jsonb_object_keys(wanted))) from changed) as tags_most",
        *where.values,
    )
    return TagChange(row["matched"], row["changed"], row["uuids"], row["tags_most"] or 0)


async def count_tag_keys(tenant_id: int, prefix: str, limit: int) -> list[tuple[str, int]]:
    """Return keys in use and how many agents have each, by key."""
    rows = await fetch(
        "select key, count(*) as number from agent, jsonb_object_keys(tags) as key"
        " where tenant_id = $1 and starts_with(key, $2) group by key order by key limit $3",
        tenant_id,
        prefix,
        limit,
    )
    return [(row["key"], row["number"]) for row in rows]


async def count_tag_values(
    tenant_id: int, key: str, prefix: str, limit: int
) -> list[tuple[str, int]]:
    """Return the values of a key and how many agents have each, by value."""
    rows = await fetch(
        "select tags ->> $2 as value, count(*) as number from agent"
        " where tenant_id = $1 and tags ? $2 and starts_with(tags ->> $2, $3)"
        " group by 1 order by 1 limit $4",
        tenant_id,
        key,
        prefix,
        limit,
    )
    return [(row["value"], row["number"]) for row in rows]


async def delete_agent_rows(tenant_id: int, agent_id: int) -> None:
    """Delete an agent and what is its own; readings and log lines are left to their retention."""
    for table in _OF_AN_AGENT:
        await fetch(
            f"delete from {table} where tenant_id = $1 and agent_id = $2",  # noqa: S608  (ours)
            tenant_id,
            agent_id,
        )
    await fetch("delete from agent where tenant_id = $1 and id = $2", tenant_id, agent_id)
