"""Registering, and passwords."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from core.callers import Caller, Role
from resolvers.accounts import create_invitation
from resolvers.passwords import request_password_reset
from tests.contracts.cases.world import Case, World
from tests.contracts.serving import sign_in
from tests.factories import make_user
from tests.resolvers.edge import nobody
from tests.resolvers.letters import code_in, take_letters

NEW_PASSWORD = "another horse's staple"


async def _register(world: World) -> dict[str, Any]:
    ctx = world.ctx
    inviter = Caller(Role.OWNER, ctx.tenant_id, user_id=UUID(world.user_id))
    name = f"new-{ctx.ids.secret_hex(6)}"
    made = await create_invitation(ctx.acting_as(inviter), f"{name}@example.com", Role.VIEWER)
    return {
        "json": {
            "username": name,
            "email": made.row.email,
            "password": NEW_PASSWORD,
            "fullName": "Nora New",
            "invitationToken": made.token,
        }
    }


async def _change(world: World) -> dict[str, Any]:
    _, token = await sign_in(world.ctx)  # a session that nothing else needs
    return {
        "headers": {"authorization": token},
        "json": {"currentPassword": "correct horse battery", "newPassword": NEW_PASSWORD},
    }


async def _confirm(world: World) -> dict[str, Any]:
    user = await make_user(world.ctx)
    await request_password_reset(nobody(world.ctx), user.email)
    (letter,) = await take_letters(world.ctx, user.email)
    return {"json": {"token": code_in(letter), "password": NEW_PASSWORD}}


CASES: dict[str, Case] = {
    "Register": _register,
    "ChangePassword": _change,
    "RequestPasswordReset": lambda _: {"json": {"email": "nobody@example.com"}},
    "ConfirmPasswordReset": _confirm,
}

ORDER: tuple[str, ...] = ()
