"""API keys: long-lived credentials of people, for their programs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q

from core.callers import Role
from core.errors import Conflict
from core.paging import Slice
from models.connection import fetch
from models.pages import DatedModel, newest_first


class ApiKey(DatedModel):
    """A secret shown once and stored as a digest; it may do what `scopes` and its person may.

    `text` is the secret itself, known only of a key that was just made.
    """

    noun = "API key"
    text = ""

    user_id = fields.UUIDField(default=None)
    parent_id = fields.UUIDField(default=None, null=True)
    name = fields.CharField(max_length=100)
    description = fields.CharField(max_length=500, default="")
    key_hash = fields.BinaryField()
    key_prefix = fields.CharField(max_length=20)
    scopes: fields.Field[list[str]] = fields.JSONField()
    expires_at = fields.DatetimeField(null=True)
    revoked_at = fields.DatetimeField(null=True)
    last_used_at = fields.DatetimeField(null=True)

    class Meta:
        table = "api_key"

    def holds(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class ApiKeyHolder:
    """An API key that is neither revoked nor expired, and its person as of now."""

    id: UUID
    tenant_id: int
    user_id: UUID
    scopes: list[str]
    expires_at: datetime | None
    role: Role
    is_active: bool


async def find_api_key_holder(key_hash: bytes, now: datetime) -> ApiKeyHolder | None:
    """Return whose API key this is; the key itself names the tenant. One statement."""
    rows = await fetch(
        "select k.id, k.tenant_id, k.user_id, k.expires_at, u.role, u.is_active,"
        " array(select jsonb_array_elements_text(k.scopes)) as scopes"
        " from api_key k join user_account u on u.tenant_id = k.tenant_id and u.id = k.user_id"
        " where k.key_hash = $1 and k.revoked_at is null"
        " and (k.expires_at is null or k.expires_at > $2)",
        key_hash,
        now,
    )
    return ApiKeyHolder(**rows[0] | {"role": Role(rows[0]["role"])}) if rows else None


async def page_of_api_keys(
    tenant_id: int, now: datetime, is_active: bool | None, first: int, after: str | None
) -> Slice[ApiKey]:
    """Return one page of the tenant's keys, newest first; raises InvalidInput for a bad cursor."""
    return await newest_first(ApiKey.of(tenant_id, *_conditions(now, is_active)), first, after)


async def note_use(tenant_id: int, key_id: UUID, now: datetime) -> None:
    """Write when a key was last used, unless somebody is changing the row right now."""
    await fetch(
        "update api_key set last_used_at = $3 where tenant_id = $1 and id in (select id"
        " from api_key where tenant_id = $1 and id = $2 for update skip locked)",
        tenant_id,
        key_id,
        now,
    )


async def revoke_family(tenant_id: int, key_id: UUID, now: datetime) -> list[UUID]:
    """Revoke a key, those made with it, and so on; returns the ids of those still good."""
    rows = await fetch(
        "with recursive gone as (select id from api_key where tenant_id = $1 and id = $2"
        " union select k.id from api_key k join gone on k.parent_id = gone.id"
        " where k.tenant_id = $1)"
        " update api_key set revoked_at = $3 where tenant_id = $1 and revoked_at is null"
        " and id in (select id from gone) returning id",
        tenant_id,
        key_id,
        now,
    )
    return [row["id"] for row in rows]


async def revoke_keys_of(tenant_id: int, user_id: UUID, now: datetime) -> list[str]:
    """Revoke all keys of a person; returns the names of those that were still good."""
    rows = await fetch(
        "update api_key set revoked_at = $3 where tenant_id = $1 and user_id = $2"
        " and revoked_at is null returning name",
        tenant_id,
        user_id,
        now,
    )
    return sorted(row["name"] for row in rows)


@contextmanager
def taken_key_names() -> Iterator[None]:
    """Turn the refusal of a name that another unrevoked key has into Conflict."""
    try:
        yield
    except IntegrityError:
        raise Conflict("Another API key has this name", field="name") from None


def _conditions(now: datetime, is_active: bool | None) -> list[Q]:
    if is_active is None:
        return []
    active = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    return [active if is_active else ~active]
