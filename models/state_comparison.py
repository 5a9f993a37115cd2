"""Target and current states of agents side by side."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

import orjson

from core.drift import Reported, Wanted
from models.connection import fetch

_COMPARED: Final = (
    "select a.id, a.agent_version, t.version as wanted_version, t.apps as wanted_apps,"
    " t.config as wanted_config, t.updated_at, s.version, s.apps, s.config, s.reported_at,"
    " s.diverged_at, s.compared_version from agent a"
    " left join target_state t on t.tenant_id = a.tenant_id and t.agent_id = a.id"
    " left join current_state s on s.tenant_id = a.tenant_id and s.agent_id = a.id"
    " where a.tenant_id = $1 and a.id = any($2::int[])"
)


async def compared_states(
    tenant_id: int, agent_ids: Collection[int]
) -> dict[int, tuple[Wanted | None, Reported | None]]:
    """Return what is wanted of agents and what they reported, in one query."""
    rows = await fetch(_COMPARED, tenant_id, sorted(set(agent_ids)))
    return {row["id"]: (_wanted(row), _reported(row)) for row in rows}


async def note_comparison(
    tenant_id: int, agent_id: int, version: int | None, diverged_at: datetime | None
) -> None:
    """Keep since when an agent differs from version `version` of its target, or that it does not."""
    await fetch(
        "update current_state set compared_version = $3, diverged_at = $4"
        " where tenant_id = $1 and agent_id = $2"
        " and (compared_version, diverged_at) is distinct from ($3, $4)",
        tenant_id,
        agent_id,
        version,
        diverged_at,
    )


def _wanted(row: dict[str, Any]) -> Wanted | None:
    if row["wanted_version"] is None:
        return None
    return Wanted(
        version=row["wanted_version"],
        apps=orjson.loads(row["wanted_apps"]),
        config=orjson.loads(row["wanted_config"]),
        updated_at=row["updated_at"],
    )


def _reported(row: dict[str, Any]) -> Reported | None:
    if row["reported_at"] is None:
        return None
    return Reported(
        version=row["version"],
        apps=orjson.loads(row["apps"]),
        config=None if row["config"] is None else orjson.loads(row["config"]),
        agent_version=row["agent_version"],
        reported_at=row["reported_at"],
        diverged_at=row["diverged_at"],
        compared_version=row["compared_version"],
    )
