"""Target states: what should run on each agent."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from tortoise import fields

from core.errors import PreconditionFailed
from core.etag import state_etag
from models.agents import Agent
from models.base import TenantModel
from models.connection import fetch, json_text

EMPTY_ETAG: Final = state_etag({}, {})


class TargetState(TenantModel):
    """The document an agent polls, and beside it the draft that waits to take its place.

    `etag` covers apps and config and nothing else. `draft_of` is the version that the draft was
    made from; without a draft all of its columns are null.
    """

    noun = "target state"

    id = fields.IntField(primary_key=True)
    agent_id = fields.IntField()
    version = fields.IntField()
    apps: fields.Field[dict[str, object]] = fields.JSONField()
    config: fields.Field[dict[str, object]] = fields.JSONField()
    etag = fields.CharField(max_length=64)
    updated_at = fields.DatetimeField()
    updated_by = fields.UUIDField(default=None, null=True)
    draft_apps: fields.Field[dict[str, object] | None] = fields.JSONField(default=None, null=True)
    draft_config: fields.Field[dict[str, object] | None] = fields.JSONField(default=None, null=True)
    draft_of = fields.IntField(default=None, null=True)
    draft_by = fields.UUIDField(default=None, null=True)
    draft_at = fields.DatetimeField(default=None, null=True)

    class Meta:
        table = "target_state"
        unique_together = (("tenant_id", "agent_id"),)

    @property
    def has_draft(self) -> bool:
        """Whether a draft waits."""
        return self.draft_of is not None

    def drop_draft(self) -> None:
        """Forget the draft."""
        for column in ("draft_apps", "draft_config", "draft_of", "draft_by", "draft_at"):
            setattr(self, column, None)


@dataclass(frozen=True, slots=True)
class StandingPoll:
    """A device key that may poll, and the tag of what it would get."""

    key_hash: bytes
    etag: str | None


async def standing_polls(key_hashes: Collection[bytes], now: datetime) -> list[StandingPoll]:
    """Return those of the device keys that may poll now. All tenants; one statement."""
    rows = await fetch(
        "select k.key_hash, t.etag"
        " from device_key k join agent a on a.id = k.agent_id and a.tenant_id = k.tenant_id"
        " left join target_state t on t.agent_id = a.id and t.tenant_id = a.tenant_id"
        " where k.key_hash = any($1::bytea[]) and a.is_active and k.proven_at is not null"
        " and k.superseded_at is null and k.revoked_at is null"
        " and (k.expires_at is null or k.expires_at > $2)",
        list(key_hashes),
        now,
    )
    return [StandingPoll(bytes(row["key_hash"]), row["etag"]) for row in rows]


async def put_first_state(
    tenant_id: int, agent_id: int, config: dict[str, object], etag: str, now: datetime
) -> None:
    """Give an agent its first target state, unless it has one."""
    await fetch(
        "with made as ("
        " insert into target_state (tenant_id, agent_id, version, apps, config, etag, updated_at)"
        " values ($1, $2, 1, '{}'::jsonb, $3::jsonb, $4, $5)"
        " on conflict (tenant_id, agent_id) do nothing returning *)"
        " insert into target_state_version"
        " (tenant_id, agent_id, version, apps, config, etag, created_at, author, comment)"
        " select tenant_id, agent_id, version, apps, config, etag, updated_at, 'system',"
        " 'registration' from made",
        tenant_id,
        agent_id,
        json_text(config, "config"),
        etag,
        now,
    )


async def new_service_ids(count: int) -> list[int]:
    """Return so many ids for services of apps; none is ever given twice."""
    rows = await fetch(
        "select nextval('target_service_id') as id from generate_series(1, $1)", count
    )
    return [row["id"] for row in rows]


async def present_state(agent: Agent, if_version: int | None) -> TargetState:
    """Return an agent's target state. Raises PreconditionFailed if its version is another."""
    query = TargetState.of(agent.tenant_id, agent_id=agent.id)
    state = await query.first() or empty_state(agent)
    if if_version is not None and if_version != state.version:
        raise PreconditionFailed(
            f"The target state has version {state.version}, not {if_version}",
            version=state.version,
        )
    return state


def empty_state(agent: Agent) -> TargetState:
    """Return the target state of an agent that was never given one."""
    return TargetState(
        tenant_id=agent.tenant_id,
        agent_id=agent.id,
        version=1,
        apps={},
        config={},
        etag=EMPTY_ETAG,
        updated_at=agent.created_at,
    )
