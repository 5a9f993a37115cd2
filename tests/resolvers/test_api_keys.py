"""API keys: what they may be given, what they may do, and when they end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from core.access import SCOPES, Permission, holds, permissions_of
from core.callers import Caller, Role
from core.context import Context
from core.errors import (
    AppError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from core.events import AccessChanged
from models.api_keys import ApiKey
from models.connection import fetch
from models.users import User
from resolvers import api_keys, auth, provisioning_keys, users
from resolvers.users import UserChanges
from tests.doubles import ManualClock
from tests.factories import make_tenant, make_user
from tests.resolvers.edge import nobody, published

READING = [scope.value for scope in SCOPES if scope.endswith(":read")]


async def person(ctx: Context, role: str = "owner") -> tuple[Context, User]:
    user = await make_user(ctx, role=role)
    return ctx.acting_as(Caller(user.role, ctx.tenant_id, user_id=user.id)), user


async def come_in(ctx: Context, key: ApiKey) -> Context:
    return ctx.acting_as(await api_keys.caller_from_api_key(nobody(ctx), key.text))


class TestCreateApiKey:
    async def test_shows_its_text_once_and_keeps_a_digest(self, ctx: Context) -> None:
        owner, user = await person(ctx)
        made = await api_keys.create_api_key(owner, " historian ", description="hall 2")
        assert made.text.startswith("fg_")
        assert len(made.text) == 46
        row = await ApiKey.find_row(ctx.tenant_id, id=made.id)
        assert (row.name, row.description, row.user_id) == ("historian", "hall 2", user.id)
        assert row.key_prefix == made.text[:11]
        assert row.text == ""
        dump = await fetch("select row_to_json(k)::text as t from api_key k where id = $1", row.id)
        assert made.text[11:] not in dump[0]["t"]
        (event,) = await fetch(
            "select event_type, details::text from audit_event where tenant_id = $1", ctx.tenant_id
        )
        assert event["event_type"] == "api_key_created"
        assert made.text[3:] not in event["details"]

    @pytest.mark.parametrize("role", ["owner", "admin"])
    async def test_without_scopes_it_only_reads_what_its_person_reads(
        self, ctx: Context, role: str
    ) -> None:
        by, user = await person(ctx, role)
        made = await api_keys.create_api_key(by, "reader")
        assert made.scopes == [scope for scope in READING if holds(Caller(user.role), scope)]  # type: ignore[arg-type]
        assert ("billing:read" in made.scopes) == (role == "owner")

    async def test_gives_nothing_that_its_maker_lacks(self, ctx: Context) -> None:
        admin, _ = await person(ctx, "admin")
        with pytest.raises(Forbidden, match="billing:read"):
            await api_keys.create_api_key(admin, "k", scopes=["data:read", "billing:read"])
        made = await api_keys.create_api_key(
            admin, "k", scopes=["api-key:create", "data:read", "data:read"]
        )
        assert made.scopes == ["api-key:create", "data:read"]
        key = await come_in(ctx, made)
        with pytest.raises(Forbidden, match="data:export"):
            await api_keys.create_api_key(key, "k2", scopes=["data:export"])
        assert (await api_keys.create_api_key(key, "k2")).scopes == ["data:read"]

    @pytest.mark.parametrize(
        "scopes", [[], ["all"], ["self"], ["self:manage"], ["system"], ["agent:self"], [""]]
    )
    async def test_knows_scopes_only(self, ctx: Context, scopes: list[str]) -> None:
        with pytest.raises(InvalidInput) as caught:
            await api_keys.create_api_key(ctx, "k", scopes=scopes)
        assert caught.value.facts["field"] == "scopes"

    @pytest.mark.parametrize(
        ("field", "given"),
        [
            ("name", {"name": " "}),
            ("name", {"name": "x" * 101}),
            ("name", {"name": "a\nb"}),
            ("description", {"description": "x" * 501}),
            ("description", {"description": "\x00"}),
            ("expiresInDays", {"expires_in_days": 0}),
            ("expiresInDays", {"expires_in_days": 3651}),
            ("expiresAt", {"expires_at": timedelta(0)}),
            ("expiresAt", {"expires_at": timedelta(days=3651)}),
            ("expiresInDays", {"expires_at": timedelta(days=1), "expires_in_days": 1}),
        ],
    )
    async def test_names_the_field_that_is_wrong(
        self, ctx: Context, field: str, given: dict[str, Any]
    ) -> None:
        now = ctx.clock.now()
        values: dict[str, Any] = {
            k: now + v if isinstance(v, timedelta) else v for k, v in given.items()
        }
        with pytest.raises(InvalidInput) as caught:
            await api_keys.create_api_key(
                replace(ctx, clock=ManualClock(now)), **({"name": "k"} | values)
            )
        assert caught.value.facts["field"] == field

    async def test_a_name_is_free_again_once_its_key_is_revoked(self, ctx: Context) -> None:
        first = await api_keys.create_api_key(ctx, "Line 3")
        answers = await asyncio.gather(
            *(api_keys.create_api_key(ctx, name) for name in ("line 3", "LINE 3", "other")),
            return_exceptions=True,
        )
        refused = [answer for answer in answers if isinstance(answer, AppError)]
        assert [(type(error), error.facts) for error in refused] == [
            (Conflict, {"field": "name"})
        ] * 2
        await api_keys.revoke_api_key(ctx, first.id)
        await api_keys.create_api_key(ctx, "line 3")
        other = await make_tenant(ctx.clock, ctx.ids)
        there = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        await api_keys.create_api_key(there, "line 3")


class TestCallerFromApiKey:
    async def test_is_the_person_narrowed_to_the_scopes(self, ctx: Context) -> None:
        owner, user = await person(ctx)
        made = await api_keys.create_api_key(
            owner, "k", scopes=["provisioning:read"], expires_in_days=1
        )
        key = await come_in(ctx, made)
        assert key.caller == Caller(
            Role.OWNER,
            ctx.tenant_id,
            user_id=user.id,
            api_key_id=made.id,
            scopes=frozenset({"provisioning:read"}),
        )
        assert key.caller.expires_at == made.expires_at
        await provisioning_keys.list_provisioning_keys(key)
        assert (await auth.who_am_i(key)).id == user.id
        for refused in (
            provisioning_keys.create_provisioning_key(key),
            users.list_users(key),
            api_keys.list_api_keys(key),
        ):
            with pytest.raises(Forbidden):
                await refused

    async def test_never_manages_its_persons_own_account(self, ctx: Context) -> None:
        owner, _ = await person(ctx)
        made = await api_keys.create_api_key(owner, "all", scopes=[*SCOPES])
        key = await come_in(ctx, made)
        assert Permission.SELF_MANAGE not in permissions_of(key.caller)
        lacking = permissions_of(owner.caller) - permissions_of(key.caller)
        assert {permission.partition(":")[0] for permission in lacking} == {"self"}

    async def test_ignores_scopes_that_are_none_any_more(self, ctx: Context) -> None:
        owner, _ = await person(ctx)
        made = await api_keys.create_api_key(owner, "k", scopes=["data:read"])
        made.scopes = ["data:read", "self:manage", "gone:read", "system"]
        await made.save(update_fields=["scopes"])
        key = await come_in(ctx, made)
        assert key.caller.scopes == frozenset({"data:read"})
        made.scopes = []
        await made.save(update_fields=["scopes"])
        assert (await come_in(ctx, made)).caller.scopes == frozenset()

    async def test_never_does_more_than_its_person_may_now(self, ctx: Context) -> None:
        admin, user = await person(ctx, "admin")
        made = await api_keys.create_api_key(admin, "k", scopes=["device:write", "device:read"])
        assert holds((await come_in(ctx, made)).caller, Permission.DEVICE_WRITE)
        await users.update_user(ctx, user.id, UserChanges(role=Role.VIEWER))
        key = await come_in(ctx, made)
        assert not holds(key.caller, Permission.DEVICE_WRITE)
        assert holds(key.caller, Permission.DEVICE_READ)

    async def test_ends_when_revoked_expired_or_without_its_person(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        owner, _ = await person(ctx)
        revoked = await api_keys.create_api_key(owner, "revoked")
        expiring = await api_keys.create_api_key(owner, "expiring", expires_in_days=1)
        by, user = await person(ctx, "admin")
        orphan = await api_keys.create_api_key(by, "orphan")
        for key in (revoked, expiring, orphan):
            await come_in(ctx, key)
        await api_keys.revoke_api_key(ctx, revoked.id)
        clock.advance(seconds=86_400)
        await users.delete_user(ctx, user.id)
        for key in (revoked, expiring, orphan):
            with pytest.raises(Unauthenticated):
                await come_in(ctx, key)

    async def test_a_deactivated_person_keeps_it_for_later(self, ctx: Context) -> None:
        by, user = await person(ctx, "admin")
        made = await api_keys.create_api_key(by, "k")
        await users.update_user(ctx, user.id, UserChanges(is_active=False))
        with pytest.raises(Forbidden, match="deactivated"):
            await come_in(ctx, made)
        await users.update_user(ctx, user.id, UserChanges(is_active=True))
        await come_in(ctx, made)

    @pytest.mark.parametrize(
        "change",
        [
            str.upper,
            lambda text: text[:-1],
            lambda text: text + "A",
            lambda text: text[3:],
            lambda text: text[:11],
            lambda _: f"fg_{'x' * 100_000}",
            lambda text: f"{text}\x00",
            lambda text: f"{text}\ud800",
            lambda _: "fg_",
        ],
    )
    async def test_refuses_what_is_no_key(self, ctx: Context, change: Callable[[str], str]) -> None:
        made = await api_keys.create_api_key(ctx, "k")
        with pytest.raises(Unauthenticated):
            await api_keys.caller_from_api_key(nobody(ctx), change(made.text))

    async def test_notes_its_use_at_most_once_a_minute(self, ctx: Context) -> None:
        clock = ManualClock(ctx.clock.now())
        ctx = replace(ctx, clock=clock)
        owner, _ = await person(ctx)
        made = await api_keys.create_api_key(owner, "k")
        noted = []
        for seconds in (0, 30, 29, 1):
            clock.advance(seconds=seconds)
            await come_in(ctx, made)
            noted.append((await ApiKey.find_row(ctx.tenant_id, id=made.id)).last_used_at)
        assert noted[0] == noted[1] == noted[2] == made.created_at
        assert noted[3] == clock.now()

    async def test_lets_in_while_its_use_cannot_be_noted(
        self, ctx: Context, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        owner, _ = await person(ctx)
        made = await api_keys.create_api_key(owner, "k")

        async def away(*_: object) -> None:
            raise Unavailable("database")

        monkeypatch.setattr(api_keys, "note_use", away)
        assert (await come_in(ctx, made)).caller.api_key_id == made.id

    async def test_does_not_wait_for_who_changes_the_key(
        self, ctx: Context, pool: asyncpg.Pool
    ) -> None:
        owner, _ = await person(ctx)
        made = await api_keys.create_api_key(owner, "k")
        async with pool.acquire() as other, other.transaction():
            await other.execute("update api_key set name = 'x' where id = $1", made.id)
            async with asyncio.timeout(5):
                await come_in(ctx, made)
        assert (await ApiKey.find_row(ctx.tenant_id, id=made.id)).last_used_at is None


class TestRevokeApiKey:
    async def test_closes_what_is_open_and_repeats_change_nothing(self, ctx: Context) -> None:
        made = await api_keys.create_api_key(ctx, "k")
        first = await api_keys.revoke_api_key(ctx, made.id)
        again = await api_keys.revoke_api_key(ctx, made.id)
        assert first.revoked_at == again.revoked_at
        assert published(ctx, AccessChanged) == [AccessChanged(ctx.tenant_id, api_key_id=made.id)]
        events = await fetch(
            "select event_type from audit_event where tenant_id = $1 order by id", ctx.tenant_id
        )
        assert [row["event_type"] for row in events] == ["api_key_created", "api_key_revoked"]

    async def test_not_in_another_tenant(self, ctx: Context) -> None:
        made = await api_keys.create_api_key(ctx, "k")
        other = await make_tenant(ctx.clock, ctx.ids)
        there = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        for key_id in (made.id, uuid4()):
            with pytest.raises(NotFound):
                await api_keys.revoke_api_key(there, key_id)
        assert (await api_keys.list_api_keys(there)).total == 0
        assert (await ApiKey.find_row(ctx.tenant_id, id=made.id)).revoked_at is None


async def test_lists_newest_first_and_by_whether_they_hold(ctx: Context) -> None:
    clock = ManualClock(ctx.clock.now())
    ctx = replace(ctx, clock=clock)
    made = []
    for number in range(5):
        made.append(await api_keys.create_api_key(ctx, f"k{number}", expires_in_days=1 + number))
        clock.advance(seconds=1)
    await api_keys.revoke_api_key(ctx, made[4].id)
    clock.advance(seconds=86_400)
    ids = [key.id for key in reversed(made)]
    found = []
    after = None
    for _ in range(3):
        page = await api_keys.list_api_keys(ctx, first=2, after=after)
        assert page.total == 5
        found += [row.id for row in page.items]
        after = page.cursors[-1]
    assert found == ids
    active = await api_keys.list_api_keys(ctx, is_active=True)
    over = await api_keys.list_api_keys(ctx, is_active=False)
    assert [row.id for row in active.items] == ids[1:4]
    assert [row.id for row in over.items] == [ids[0], ids[4]]
    assert all(row.text == "" for row in page.items)


@pytest.mark.parametrize("role", ["manager", "operator", "viewer"])
async def test_who_is_no_admin_makes_and_revokes_none(ctx: Context, role: str) -> None:
    by, _ = await person(ctx, role)
    made = await api_keys.create_api_key(ctx, "k")
    for refused in (api_keys.create_api_key(by, "x"), api_keys.revoke_api_key(by, made.id)):
        with pytest.raises(Forbidden):
            await refused
