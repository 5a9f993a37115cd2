"""Registering and passwords as REST clients know them: contract, section 1.2."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.context import Context
from core.policy import Registration
from tests.contracts.serving import Api, sign_in
from tests.factories import make_user
from tests.resolvers.letters import code_in, take_letters

PASSWORD = "correct horse battery"
NEW = "another horse's staple"


def api(ctx: Context, registration: Registration = Registration.OPEN) -> Api:
    return Api(replace(ctx, policy=replace(ctx.policy, registration=registration)))


async def post(api: Api, path: str, body: Any, **headers: str) -> httpx.Response:
    async with api.client(**headers) as client:
        return await client.post(f"/api/v1/auth/{path}", json=body)


def person(ctx: Context, **changes: Any) -> dict[str, Any]:
    unique = ctx.ids.secret_hex(8)
    return {
        "username": f"new-{unique}",
        "email": f"{unique}@example.com",
        "password": PASSWORD,
    } | changes


async def test_registers(ctx: Context) -> None:
    new = person(ctx, fullName="Nora New", role="owner", customerId="c1")
    answer = await post(api(ctx), "register", new)
    assert answer.status_code == 201
    body = answer.json()
    assert set(body) == {"message", "data"}
    data = body["data"]
    assert set(data) == {"accessToken", "refreshToken", "user"}
    assert data["user"] == {
        "id": data["user"]["id"],
        "username": new["username"],
        "email": new["email"],
        "role": "viewer",
        "fullName": "Nora New",
    }
    me = await post(api(ctx), "logout", {}, authorization=f"Bearer {data['accessToken']}")
    assert me.is_success


@pytest.mark.parametrize(
    "changes",
    [
        {"username": None},
        {"username": "ab"},
        {"email": "nobody"},
        {"password": "short"},
        {"password": 123456789012},
        {"username": "TAKEN"},
        {"email": "TAKEN"},
        {"invitationToken": "no such code"},
    ],
)
async def test_refuses_with_400_what_cannot_be_an_account(
    ctx: Context, changes: dict[str, Any]
) -> None:
    taken = await make_user(ctx)
    names = {"username": taken.username, "email": taken.email}
    values = {key: names[key] if value == "TAKEN" else value for key, value in changes.items()}
    answer = await post(api(ctx), "register", person(ctx, **values))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"] == "Bad Request"
    assert answer.json()["message"]
    missing = await post(api(ctx), "register", {"username": "only-a-name"})
    assert (missing.status_code, missing.json()["error"]) == (400, "Bad Request")


@pytest.mark.parametrize("registration", [Registration.INVITATION, Registration.CLOSED])
async def test_refuses_with_403_who_may_not_register(
    ctx: Context, registration: Registration
) -> None:
    answer = await post(api(ctx, registration), "register", person(ctx))
    assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden")


async def test_changes_a_password(ctx: Context) -> None:
    _, authorization = await sign_in(ctx)
    wrong = {"currentPassword": "wrong", "newPassword": NEW}
    refused = await post(api(ctx), "change-password", wrong, authorization=authorization)
    assert (refused.status_code, refused.json()["error"]) == (401, "Unauthorized")
    weak = {"currentPassword": PASSWORD, "newPassword": "short"}
    refused = await post(api(ctx), "change-password", weak, authorization=authorization)
    assert (refused.status_code, refused.json()["error"]) == (400, "Bad Request")
    good = {"currentPassword": PASSWORD, "newPassword": NEW}
    changed = await post(api(ctx), "change-password", good, authorization=authorization)
    assert changed.status_code == 200
    assert set(changed.json()) == {"message"}
    nobody = await post(api(ctx), "change-password", good)
    assert nobody.status_code == 401


@pytest.mark.parametrize("path", ["password/reset/confirm", "reset-password"])
async def test_resets_a_password_in_two_steps(ctx: Context, path: str) -> None:
    user = await make_user(ctx)
    asked = await post(api(ctx), "password/reset", {"email": user.email})
    unknown = await post(api(ctx), "password/reset", {"email": "nobody@example.com"})
    assert asked.status_code == unknown.status_code == 202
    assert asked.json() == unknown.json()
    assert set(asked.json()) == {"message"}
    (letter,) = await take_letters(ctx, user.email)
    given = {"token": code_in(letter), "password": NEW, "customerId": "of legacy clients"}
    confirmed = await post(api(ctx), path, given)
    assert confirmed.status_code == 200
    assert set(confirmed.json()) == {"message"}
    again = await post(api(ctx), path, given)
    assert (again.status_code, again.json()["error"]) == (400, "Bad Request")
    login = await post(api(ctx), "login", {"username": user.username, "password": NEW})
    assert login.status_code == 200
