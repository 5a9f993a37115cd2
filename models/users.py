"""People who sign in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from tortoise import fields
from tortoise.exceptions import IntegrityError
from tortoise.expressions import Q
from tortoise.functions import Lower

from core.accounts import NewUser
from core.callers import Role
from core.errors import Conflict
from core.fence import ALL_TENANTS, fence
from core.paging import Slice, decode_cursor, encode_cursor
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
    """What a person may be let in by, and how their session stands: asked with every request."""

    role: Role
    is_active: bool
    must_change_password: bool
    session_ended: bool
    session_expires_at: datetime


async def find_standings(
    tenant_id: int, people: Collection[tuple[UUID, UUID]]
) -> dict[tuple[UUID, UUID], Standing]:
    """Return the standing of each of the tenant's (person, session) that there are."""
    rows = await fetch(
        "select u.id, s.id as session_id, u.role, u.is_active, u.must_change_password,"
        " s.ended_at is not null as ended, s.expires_at"
        " from session s join user_account u on u.tenant_id = s.tenant_id and u.id = s.user_id"
        " where s.tenant_id = $1 and s.id = any($2)",
        tenant_id,
        [session_id for _, session_id in people],
    )
    return {
        (row["id"], row["session_id"]): Standing(
            Role(row["role"]),
            row["is_active"],
            row["must_change_password"],
            row["ended"],
            row["expires_at"],
        )
        for row in rows
    }


async def find_login(name: str) -> User | None:
    """Return the person with this user name or e-mail address, in whatever case; all tenants.

    A user name wins, should somebody have taken another's address for one.
    """
    rows = await fetch(
        "select id, tenant_id from user_account"
        " where username_key = lower($1) or email_key = lower($1)"
        " order by username_key = lower($1) desc limit 1",
        name,
    )
    return await User.of(rows[0]["tenant_id"], id=rows[0]["id"]).first() if rows else None


async def note_login(user: User, now: datetime, new_hash: str | None) -> bool:
    """Record a login; False when the account was closed, or its password changed, meanwhile.

    `new_hash` replaces the one that was read, unless another login has replaced it already.
    """
    rows = await fetch(
        "update user_account set last_login_at = $3, password_hash ="
        " case when password_hash = $4 then coalesce($5, password_hash) else password_hash end"
        " where tenant_id = $1 and id = $2 and is_active"
        " and password_changed_at is not distinct from $6 returning id",
        user.tenant_id,
        user.id,
        now,
        user.password_hash,
        new_hash,
        user.password_changed_at,
    )
    return bool(rows)


async def set_password(user: User, password_hash: str, now: datetime) -> bool:
    """Replace the password; False when that, or the account's end, came since `user` was read."""
    rows = await fetch(
        "update user_account set password_hash = $3, password_changed_at = $4,"
        " must_change_password = false where tenant_id = $1 and id = $2 and is_active"
        " and password_changed_at is not distinct from $5 returning id",
        user.tenant_id,
        user.id,
        password_hash,
        now,
        user.password_changed_at,
    )
    return bool(rows)


@dataclass(frozen=True, slots=True)
class UserFilter:
    """Conditions on people; all must hold. `text` is a part of a name or of the address."""

    role: Role | None = None
    is_active: bool | None = None
    text: str | None = None


async def page_of_users(
    tenant_id: int, wanted: UserFilter, first: int, after: str | None
) -> Slice[User]:
    """Return one page of the tenant's people by user name; raises InvalidInput for a bad cursor."""
    query = User.of(tenant_id, *_conditions(wanted))
    total = await query.count()
    query = query.annotate(place=Lower("username"))
    if after is not None:
        query = query.filter(place__gt=decode_cursor(after))
    rows = await query.order_by("place").limit(first + 1)
    items = rows[:first]
    cursors = [encode_cursor(row.place) for row in items]  # type: ignore[attr-defined]  # annotated
    return Slice(items, cursors, len(rows) > first, total)


def _conditions(wanted: UserFilter) -> list[Q]:
    found = []
    if wanted.role is not None:
        found.append(Q(role=wanted.role))
    if wanted.is_active is not None:
        found.append(Q(is_active=wanted.is_active))
    if wanted.text:
        text = wanted.text
        found.append(
            Q(username__icontains=text) | Q(email__icontains=text) | Q(full_name__icontains=text)
        )
    return found


_LOCK = 0x70656F70  # "peop"


async def lock_people(tenant_id: int) -> None:
    """Let one transaction at a time change the tenant's people, so that an owner remains."""
    await fetch("select pg_advisory_xact_lock($1, $2)", _LOCK, tenant_id)


async def has_other_owner(tenant_id: int, user_id: UUID) -> bool:
    """Whether somebody else is an active owner of the tenant."""
    others = User.of(tenant_id, role=Role.OWNER, is_active=True).exclude(id=user_id)
    return await others.exists()


async def refuse_taken(*, username: str = "", email: str = "", but: UUID | None = None) -> None:
    """Raise Conflict for a login that somebody else of any tenant has, be it name or address.

    Runs unfenced, so not inside a unit of work; `taken_names` is for who comes in between.
    """
    for field, text in (("username", username), ("email", email)):
        with fence(ALL_TENANTS):
            found = await find_login(text) if text else None
        if found is not None and found.id != but:
            raise Conflict(f"This {field} is taken", field=field)


async def add_user(
    tenant_id: int, id_: UUID, new: NewUser, password_hash: str, now: datetime
) -> User:
    """Make an account whose password somebody else chose: it has to be changed.

    Raises Conflict for a name or an address that is taken.
    """
    with taken_names():
        return await User.create(
            id=id_,
            tenant_id=tenant_id,
            username=new.username,
            email=new.email,
            password_hash=password_hash,
            full_name=new.full_name,
            role=new.role,
            created_at=now,
            must_change_password=True,
        )


@contextmanager
def taken_names() -> Iterator[None]:
    """Turn the refusal of a name or an address that somebody has into Conflict."""
    try:
        yield
    except IntegrityError as error:
        what = "email" if "email" in str(error).partition("\n")[0] else "username"
        raise Conflict(f"This {what} is taken", field=what) from None
