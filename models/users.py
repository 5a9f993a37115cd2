"""People who sign in."""

from __future__ import annotations

from tortoise import fields

from core.callers import Role
from models.base import TenantModel


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
