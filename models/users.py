"""People who sign in."""

from __future__ import annotations

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

    class Meta:
        table = "user_account"


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
