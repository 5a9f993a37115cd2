"""Endpoints: an index of those in target states, with what the documents do not say of them.

`entry` is always the endpoint as it stands in its agent's live target state, or, without the mark
of its deletion, as it last stood there when the agent has not yet let go of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.sensors import EndpointStatus, Standing
from models.connection import fetch, json_text


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of an agent; one that only a draft has was never made nor changed by anybody.

    Attributes:
        entry: the endpoint as in the target state, with its secrets.
        target_version: the version of the target state that brought `entry` or took it out.
        deployed_at: when the agent first showed it as it is now.
        deployment_attempts: reports that lacked it although they were about its version.
    """

    agent_id: int
    agent_uuid: UUID
    uuid: UUID
    name: str
    protocol: str
    status: EndpointStatus
    entry: dict[str, Any]
    target_version: int | None = None
    location: str = ""
    created_at: datetime | None = None
    created_by: UUID | None = None
    updated_at: datetime | None = None
    updated_by: UUID | None = None
    deployed_at: datetime | None = None
    deployment_error: str | None = None
    deployment_attempts: int = 0


def endpoint_of(row: dict[str, Any]) -> Endpoint:
    """Return the endpoint in a row of all columns and the agent's uuid."""
    values = {**row, "entry": orjson.loads(row["entry"]), "status": EndpointStatus(row["status"])}
    return Endpoint(**values)


COLUMNS: Final = (
    "agent_id, uuid, name, protocol, status, entry, target_version, location, created_at,"
    " created_by, updated_at, updated_by, deployed_at, deployment_error, deployment_attempts"
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An endpoint of a target state as it is written to its row."""

    uuid: UUID
    name: str
    protocol: str
    standing: Standing
    entry: dict[str, Any]


_PUT: Final = """
insert into endpoint as e (tenant_id, agent_id, uuid, name, protocol, status, entry,
    deployment_error, target_version, created_at, created_by, updated_at, updated_by)
select $1, $2, k.uuid, k.name, k.protocol, k.status, k.entry::jsonb, k.error, t.version,
    $9, $10, $9, $10
from unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    as k(uuid, name, protocol, status, entry, error)
cross join (select version from target_state where tenant_id = $1 and agent_id = $2) t
on conflict (tenant_id, agent_id, uuid) do update set name = excluded.name,
    protocol = excluded.protocol, status = excluded.status, entry = excluded.entry,
    deployment_error = excluded.deployment_error, target_version = excluded.target_version,
    updated_at = excluded.updated_at, updated_by = excluded.updated_by, deployment_attempts = 0
where e.entry <> excluded.entry or (e.status = 'pending_deletion') <>
    (excluded.status = 'pending_deletion')
"""


async def put_endpoints(
    tenant_id: int, agent_id: int, kept: Sequence[Kept], now: datetime, by: UUID | None
) -> None:
    """Write the endpoints of a live target state; those that are as they were stay untouched."""
    await fetch(
        _PUT,
        tenant_id,
        agent_id,
        [each.uuid for each in kept],
        [each.name for each in kept],
        [each.protocol for each in kept],
        [each.standing.status for each in kept],
        [json_text(each.entry, "config.endpoints") for each in kept],
        [each.standing.error for each in kept],
        now,
        by,
    )


_REPORTED: Final = """
case jsonb_typeof(c.config -> 'endpoints') when 'array' then
    lower(jsonb_path_query_array(c.config, '$.endpoints[*].id')::text)::jsonb end
"""

_TAKE_OUT: Final = f"""
with shown as (select {_REPORTED} as ids from current_state c
    where c.tenant_id = $1 and c.agent_id = $2),
gone as (delete from endpoint e using shown where e.tenant_id = $1 and e.agent_id = $2
    and e.uuid <> all($3::uuid[]) and shown.ids is not null
    and not shown.ids @> to_jsonb(e.uuid::text) returning e.uuid)
update endpoint e set status = 'pending_deletion', deployment_error = $4, deployment_attempts = 0,
    entry = e.entry #- '{{metadata,pendingDeletion}}',
    updated_at = case e.status when 'pending_deletion' then e.updated_at else $5 end,
    updated_by = case e.status when 'pending_deletion' then e.updated_by else $6 end,
    target_version = case e.status when 'pending_deletion' then e.target_version
        else (select version from target_state where tenant_id = $1 and agent_id = $2) end
where e.tenant_id = $1 and e.agent_id = $2 and e.uuid <> all($3::uuid[])
    and e.uuid not in (select uuid from gone)
    and (e.status <> 'pending_deletion' or e.deployment_error is distinct from $4)
"""  # noqa: S608  (a constant)


async def take_endpoints_out(
    tenant_id: int,
    agent_id: int,
    remaining: Sequence[UUID],
    error: str | None,
    now: datetime,
    by: UUID | None,
) -> None:
    """Note that only `remaining` are in the live target state.

    The others wait until the agent lets go of them; those it is known not to have are gone.
    """
    await fetch(_TAKE_OUT, tenant_id, agent_id, list(remaining), error, now, by)


async def forget_endpoints(tenant_id: int, agent_id: int, uuids: Iterable[UUID]) -> None:
    """Delete rows for good."""
    await fetch(
        "delete from endpoint where tenant_id = $1 and agent_id = $2 and uuid = any($3::uuid[])",
        tenant_id,
        agent_id,
        list(uuids),
    )


async def set_location(tenant_id: int, agent_id: int, uuid: UUID, location: str) -> None:
    """Say where an endpoint stands; its agent does not hear of it."""
    await fetch(
        "update endpoint set location = $4 where tenant_id = $1 and agent_id = $2 and uuid = $3",
        tenant_id,
        agent_id,
        uuid,
        location,
    )


@dataclass(frozen=True, slots=True)
class Progress:
    """What is compared with a report."""

    uuid: UUID
    name: str
    target_version: int
    standing: Standing


async def progress_of(
    tenant_id: int, agent_id: int, statuses: Iterable[EndpointStatus], names: Iterable[str]
) -> list[Progress]:
    """Return how far an agent's endpoints of any of these statuses or names are, and no more."""
    rows = await fetch(
        "select uuid, name, target_version, status, deployment_attempts, deployment_error"
        " from endpoint where tenant_id = $1 and agent_id = $2"
        " and (status = any($3::text[]) or name = any($4::text[]))",
        tenant_id,
        agent_id,
        list(statuses),
        list(names),
    )
    return [
        Progress(
            row["uuid"],
            row["name"],
            row["target_version"],
            Standing(
                EndpointStatus(row["status"]), row["deployment_attempts"], row["deployment_error"]
            ),
        )
        for row in rows
    ]


async def entries_and_reported(
    tenant_id: int, agent_id: int, uuids: Sequence[UUID]
) -> tuple[dict[UUID, dict[str, Any]], dict[str, Any] | None]:
    """Return what these endpoints should be, by uuid, and the configuration last shown."""
    rows = await fetch(
        "select uuid, entry from endpoint"
        " where tenant_id = $1 and agent_id = $2 and uuid = any($3::uuid[])",
        tenant_id,
        agent_id,
        list(uuids),
    )
    shown = await fetch(
        "select jsonb_build_object('endpoints', config -> 'endpoints') as config"
        " from current_state where tenant_id = $1 and agent_id = $2",
        tenant_id,
        agent_id,
    )
    config = orjson.loads(shown[0]["config"]) if shown else None
    return {row["uuid"]: orjson.loads(row["entry"]) for row in rows}, config


async def put_standings(
    tenant_id: int, agent_id: int, standings: Sequence[tuple[UUID, Standing]], now: datetime
) -> None:
    """Write how far endpoints have come."""
    await fetch(
        "update endpoint e set status = k.status, deployment_attempts = k.attempts,"
        " deployment_error = k.error, deployed_at = case when k.status = 'deployed'"
        " and e.status <> 'deployed' then $7 else e.deployed_at end"
        " from unnest($3::uuid[], $4::text[], $5::int[], $6::text[])"
        " as k(uuid, status, attempts, error)"
        " where e.tenant_id = $1 and e.agent_id = $2 and e.uuid = k.uuid",
        tenant_id,
        agent_id,
        [uuid for uuid, _ in standings],
        [standing.status for _, standing in standings],
        [standing.attempts for _, standing in standings],
        [standing.error for _, standing in standings],
        now,
    )
