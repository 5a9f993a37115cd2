"""Accounts of people: who may change whom, and what ends when somebody may do less."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from core.accounts import NewUser
from core.callers import Caller, Role
from core.context import Context
from core.errors import AppError, Conflict, Forbidden, InvalidInput, NotFound
from core.events import AccessChanged
from core.ranks import PEOPLE
from models.api_keys import ApiKey
from models.connection import fetch
from models.password_resets import find_password_reset, put_password_reset
from models.sessions import Session
from models.users import User
from resolvers import api_keys, users
from resolvers.users import UserChanges
from tests.factories import make_tenant, make_user
from tests.resolvers.edge import published
from tests.resolvers.letters import take_letters

PASSWORD = "a password nobody has"


def acting(ctx: Context, user: User) -> Context:
    return ctx.acting_as(Caller(user.role, user.tenant_id, user_id=user.id))


def with_role(ctx: Context, role: Role, scopes: frozenset[str] | None = None) -> Context:
    key = None if scopes is None else uuid4()
    caller = Caller(role, ctx.tenant_id, user_id=uuid4(), api_key_id=key, scopes=scopes)
    return ctx.acting_as(caller)


def new_user(**changes: Any) -> NewUser:
    unique = uuid4().hex
    values = NewUser(f"u-{unique}", f"{unique}@example.com", PASSWORD, Role.VIEWER)
    return replace(values, **changes)


async def open_session(ctx: Context, user: User) -> Session:
    now = ctx.clock.now()
    return await Session.create(
        id=ctx.ids.uuid(),
        tenant_id=user.tenant_id,
        user_id=user.id,
        created_at=now,
        last_used_at=now,
        expires_at=now,
        remote_address="",
        user_agent="",
    )


async def audited(ctx: Context) -> list[tuple[str, str]]:
    rows = await fetch(
        "select event_type, subject from audit_event where tenant_id = $1 order by id",
        ctx.tenant_id,
    )
    return [(row["event_type"], row["subject"]) for row in rows]


class TestCreateUser:
    async def test_makes_an_account_whose_password_has_to_be_changed(self, ctx: Context) -> None:
        made = await users.create_user(ctx, new_user(username="  Ann.Lee ", full_name="Ann"))
        row = await User.find_row(ctx.tenant_id, id=made.id)
        assert (row.username, row.full_name, row.role) == ("Ann.Lee", "Ann", Role.VIEWER)
        assert row.is_active
        assert row.must_change_password
        assert await ctx.passwords.verify(row.password_hash, PASSWORD)
        assert await audited(ctx) == [("user_created", f"user:{made.id}")]
        await row.delete()

    @pytest.mark.parametrize("role", PEOPLE)
    async def test_gives_no_role_above_the_own(self, ctx: Context, role: Role) -> None:
        admin = with_role(ctx, Role.ADMIN)
        if role is Role.OWNER:
            with pytest.raises(Forbidden, match="above"):
                await users.create_user(admin, new_user(role=role))
            assert await User.of(ctx.tenant_id).count() == 0
        else:
            assert (await users.create_user(admin, new_user(role=role))).role is role

    async def test_a_narrowed_key_gives_nothing_that_it_lacks(self, ctx: Context) -> None:
        viewing = {"user:read", "device:read", "data:read", "settings:read"}
        key = with_role(ctx, Role.OWNER, frozenset({"user:admin", *viewing}))
        assert (await users.create_user(key, new_user())).role is Role.VIEWER
        with pytest.raises(Forbidden, match="device:control"):
            await users.create_user(key, new_user(role=Role.OPERATOR))

    async def test_refuses_a_login_that_anybody_has_as_name_or_address(self, ctx: Context) -> None:
        elsewhere = await make_tenant(ctx.clock, ctx.ids)
        theirs = await make_user(ctx, tenant_id=elsewhere.id)
        for changes, field in (
            ({"username": theirs.username.upper()}, "username"),
            ({"email": theirs.email.upper()}, "email"),
            ({"username": theirs.email, "email": theirs.email}, "username"),
        ):
            with pytest.raises(Conflict) as caught:
                await users.create_user(ctx, new_user(**changes))
            assert caught.value.facts == {"field": field}

    async def test_of_two_at_once_one_gets_the_name(self, ctx: Context) -> None:
        name = f"twin-{uuid4().hex}"
        answers = await asyncio.gather(
            *(users.create_user(ctx, new_user(username=name)) for _ in range(4)),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert [type(error) for error in refused] == [Conflict] * 3
        assert all(isinstance(e, AppError) and e.facts == {"field": "username"} for e in refused)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("username", "ab"),
            ("username", "x" * 101),
            ("username", "a\x00bc"),
            ("username", "x y"),
            ("username", "somebody@example.com"),
            ("email", "nobody"),
            ("email", "a b@example.com"),
            ("email", "a@" + "x" * 260),
            ("password", "short"),
            ("role", Role.AGENT),
            ("role", Role.SYSTEM),
            ("full_name", "x" * 201),
        ],
    )
    async def test_names_the_field_that_is_wrong(
        self, ctx: Context, field: str, value: str
    ) -> None:
        with pytest.raises(InvalidInput) as caught:
            await users.create_user(ctx, new_user(**{field: value}))
        assert caught.value.facts["field"] == {"full_name": "fullName"}.get(field, field)


class TestUpdateUser:
    async def test_changes_what_is_named_and_records_it(self, ctx: Context) -> None:
        user = await make_user(ctx, full_name="Ann")
        changed = await users.update_user(ctx, user.id, UserChanges(role=Role.MANAGER))
        assert (changed.role, changed.full_name) == (Role.MANAGER, "Ann")
        row = await User.find_row(ctx.tenant_id, id=user.id)
        assert (row.role, row.email) == (Role.MANAGER, user.email)
        (event,) = await fetch(
            "select details::text from audit_event where tenant_id = $1", ctx.tenant_id
        )
        assert "viewer" in event["details"]
        assert "manager" in event["details"]

    async def test_what_is_open_for_a_person_ends_when_the_role_changes(self, ctx: Context) -> None:
        user = await make_user(ctx, role="manager")
        session = await open_session(ctx, user)
        await users.update_user(ctx, user.id, UserChanges(full_name="Ann"))
        assert published(ctx, AccessChanged) == []
        await users.update_user(ctx, user.id, UserChanges(role=Role.VIEWER))
        assert published(ctx, AccessChanged) == [AccessChanged(ctx.tenant_id, user_id=user.id)]
        assert (await Session.find_row(ctx.tenant_id, id=session.id)).ended_at is None

    async def test_deactivation_ends_the_sessions(self, ctx: Context) -> None:
        user = await make_user(ctx)
        session = await open_session(ctx, user)
        await users.update_user(ctx, user.id, UserChanges(is_active=False))
        row = await Session.find_row(ctx.tenant_id, id=session.id)
        assert row.ended_at is not None
        assert row.end_reason == "deactivated"
        assert AccessChanged(ctx.tenant_id, user_id=user.id) in published(ctx, AccessChanged)

    @pytest.mark.parametrize(
        "changes",
        [UserChanges(role=Role.VIEWER), UserChanges(is_active=False), UserChanges(email="a@b.c")],
    )
    async def test_touches_nobody_above(self, ctx: Context, changes: UserChanges) -> None:
        owner = await make_user(ctx, role="owner")
        with pytest.raises(Forbidden, match="above"):
            await users.update_user(with_role(ctx, Role.ADMIN), owner.id, changes)
        assert (await User.find_row(ctx.tenant_id, id=owner.id)).email == owner.email

    async def test_gives_no_role_above_the_own_not_even_to_oneself(self, ctx: Context) -> None:
        admin = await make_user(ctx, role="admin")
        with pytest.raises(Forbidden):
            await users.update_user(acting(ctx, admin), admin.id, UserChanges(role=Role.OWNER))

    @pytest.mark.parametrize("changes", [{"role": Role.ADMIN}, {"is_active": False}])
    async def test_the_last_active_owner_stays_one(
        self, ctx: Context, changes: dict[str, Any]
    ) -> None:
        owner = await make_user(ctx, role="owner")
        await make_user(ctx, role="owner", is_active=False)
        with pytest.raises(Conflict) as caught:
            await users.update_user(acting(ctx, owner), owner.id, UserChanges(**changes))
        assert caught.value.facts == {"last_owner": True}
        await make_user(ctx, role="owner")
        await users.update_user(acting(ctx, owner), owner.id, UserChanges(**changes))

    async def test_owners_who_demote_each_other_at_once_leave_one(self, ctx: Context) -> None:
        owners = [await make_user(ctx, role="owner") for _ in range(4)]
        demote = UserChanges(role=Role.VIEWER)
        await asyncio.gather(
            *(
                users.update_user(acting(ctx, by), of.id, demote)
                for by, of in zip(owners, owners[1:] + owners[:1], strict=True)
            ),
            return_exceptions=True,
        )
        assert await User.of(ctx.tenant_id, role=Role.OWNER).count() == 1

    async def test_refuses_an_address_that_somebody_has_but_not_the_own(self, ctx: Context) -> None:
        user, other = await make_user(ctx), await make_user(ctx)
        for taken in (other.email.upper(), other.username + "@x"):
            await User.of(ctx.tenant_id, id=other.id).update(username=other.username + "@x")
            with pytest.raises(Conflict) as caught:
                await users.update_user(ctx, user.id, UserChanges(email=taken))
            assert caught.value.facts == {"field": "email"}
        own = user.email.upper()
        assert (await users.update_user(ctx, user.id, UserChanges(email=own))).email == own

    async def test_without_a_change_it_says_what_can_change(self, ctx: Context) -> None:
        user = await make_user(ctx)
        with pytest.raises(InvalidInput) as caught:
            await users.update_user(ctx, user.id, UserChanges())
        assert caught.value.facts["accepted"] == ["email", "role", "fullName", "isActive"]

    async def test_the_same_values_change_nothing(self, ctx: Context) -> None:
        user = await make_user(ctx)
        await users.update_user(ctx, user.id, UserChanges(role=Role.VIEWER, is_active=True))
        assert published(ctx, AccessChanged) == []
        assert await audited(ctx) == []


class TestDeleteUser:
    async def test_takes_the_sessions_and_the_keys_along(self, ctx: Context) -> None:
        user = await make_user(ctx, role="admin")
        session = await open_session(ctx, user)
        key = await api_keys.create_api_key(acting(ctx, user), "plant")
        await users.delete_user(ctx, user.id)
        with pytest.raises(NotFound):
            await users.get_user(ctx, user.id)
        assert (await Session.find_row(ctx.tenant_id, id=session.id)).end_reason == "deleted"
        assert (await ApiKey.find_row(ctx.tenant_id, id=key.id)).revoked_at is not None
        assert AccessChanged(ctx.tenant_id, user_id=user.id) in published(ctx, AccessChanged)
        assert (await audited(ctx))[-1] == ("user_deleted", f"user:{user.id}")

    async def test_not_oneself(self, ctx: Context) -> None:
        owner = await make_user(ctx, role="owner")
        await make_user(ctx, role="owner")
        with pytest.raises(InvalidInput, match="your own"):
            await users.delete_user(acting(ctx, owner), owner.id)
        assert await User.of(ctx.tenant_id).count() == 2

    async def test_nobody_above_and_not_the_last_active_owner(self, ctx: Context) -> None:
        owner = await make_user(ctx, role="owner")
        with pytest.raises(Forbidden):
            await users.delete_user(with_role(ctx, Role.ADMIN), owner.id)
        with pytest.raises(Conflict):
            await users.delete_user(ctx, owner.id)
        assert await User.of(ctx.tenant_id).count() == 1

    async def test_the_last_owner_who_is_not_active_may_go(self, ctx: Context) -> None:
        owner = await make_user(ctx, role="owner", is_active=False)
        await users.delete_user(ctx, owner.id)
        assert await User.of(ctx.tenant_id).count() == 0


async def test_people_of_another_tenant_are_not_there(ctx: Context) -> None:
    other = await make_tenant(ctx.clock, ctx.ids)
    theirs = await make_user(ctx, tenant_id=other.id)
    for call in (
        users.get_user(ctx, theirs.id),
        users.update_user(ctx, theirs.id, UserChanges(is_active=False)),
        users.delete_user(ctx, theirs.id),
    ):
        with pytest.raises(NotFound):
            await call
    assert await users.find_people(ctx, [theirs.id]) == []
    assert (await users.list_people(ctx)).total == 0
    assert (await User.find_row(other.id, id=theirs.id)).is_active


async def test_a_key_never_changes_the_account_of_its_own_person(ctx: Context) -> None:
    user = await make_user(ctx, role=Role.ADMIN)
    key = Caller(user.role, user.tenant_id, user_id=user.id, api_key_id=uuid4())
    with pytest.raises(Forbidden, match="own person"):
        await users.update_user(ctx.acting_as(key), user.id, UserChanges(email="evil@example.com"))
    assert (await User.find_row(ctx.tenant_id, id=user.id)).email == user.email


async def test_a_new_address_voids_codes_that_went_to_the_old_one(ctx: Context) -> None:
    user, now = await make_user(ctx), ctx.clock.now()
    code = ctx.ids.secret()
    await put_password_reset(ctx.tenant_id, user.id, code, now, now + timedelta(hours=1))
    owner = with_role(ctx, Role.OWNER)
    await users.update_user(owner, user.id, UserChanges(full_name="Somebody"))
    assert await find_password_reset(code, now) is not None
    await users.update_user(owner, user.id, UserChanges(email=f"new-{user.email}"))
    assert await find_password_reset(code, now) is None
    (letter,) = await take_letters(ctx, user.email)
    assert user.username in letter.text


@pytest.mark.parametrize("name", ["\u0410dmin", "\uff41dmin", "admi\u0307n", "ad\u217fin"])
async def test_no_name_looks_like_another(ctx: Context, name: str) -> None:
    with pytest.raises(InvalidInput, match="one script"):
        await users.create_user(with_role(ctx, Role.OWNER), replace(new_user(), username=name))


@pytest.mark.parametrize("email", ["a@b..c", ".x@y.z", "x.@y.z", "\u00fc@plant.test", "a@-b.c"])
async def test_takes_only_addresses_that_mail_reaches(ctx: Context, email: str) -> None:
    with pytest.raises(InvalidInput, match="is not an e-mail address"):
        await users.create_user(with_role(ctx, Role.OWNER), replace(new_user(), email=email))
