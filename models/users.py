"""People who sign in."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple
from uuid import UUID

from tortoise import fields

from core.callers import Role
from models.base import TenantModel
from models.connection import fetch


class User(TenantModel):
    """A person. Login names and e-mail addresses are unique in the whole installation."""

    noun = "user"

    id = fields.UUIDField(primary_key=True, default=None)
    username = fields.CharField(max_length=100, unique=True)
    email = fields.CharField(max_length=254, unique=True)
    password_hash = fields.TextField()
    full_name = fields.CharField(max_length=200, default="")
    role = fields.CharEnumField(Role, max_length=20)
    is_active = fields.BooleanField(default=True)
    created_at = fields.DatetimeField()
    last_login_at = fields.DatetimeField(null=True)
    must_change_password = fields.BooleanField(default=False)
    password_changed_at = fields.DatetimeField(null=True)

    class Meta:
        table = "user_account"


class Standing(NamedTuple):
    """What a person may be let in by: asked with every request."""

    role: Role
    is_active: bool


async def find_standings(tenant_id: int, ids: Collection[UUID]) -> dict[UUID, Standing]:
    """Return the standing of each of the tenant's people with one of the ids."""
    rows = await fetch(
        "select id, role, is_active from user_account where tenant_id = $1 and id = any($2)",
        tenant_id,
        list(ids),
    )
    return {row["id"]: Standing(Role(row["role"]), row["is_active"]) for row in rows}


async def find_login(name: str) -> User | None:
    """Return the person with this user name or e-mail address, in whatever case; all tenants.

    A user name wins, should somebody have taken another's address for one.
    """
    rows = await fetch(
        "select id, tenant_id from user_account"
        " where lower(username) = lower($1) or lower(email) = lower($1)"
        " order by lower(username) = lower($1) desc limit 1",
        name,
    )
    return await User.of(rows[0]["tenant_id"], id=rows[0]["id"]).first() if rows else None
