"""Login, refresh and logout as clients of the REST API know them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from core.context import Context
from models.unit_of_work import unit_of_work
from resolvers.auth import SignedIn
from tests.contracts.serving import Api
from tests.factories import make_user

PASSWORD = "correct horse battery"


async def signed_in(ctx: Context, client: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    user = await make_user(ctx, PASSWORD, **changes)
    answer = await client.post(
        "/api/v1/auth/login", json={"username": user.email, "password": PASSWORD}
    )
    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"message", "data"}
    data: dict[str, Any] = body["data"]
    return data


def bearer(data: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {data['accessToken']}"}


async def test_a_login_brings_both_tokens_and_the_person(ctx: Context) -> None:
    async with Api(ctx).client() as client:
        data = await signed_in(ctx, client, full_name="Vera V.")
    assert set(data) == {"accessToken", "refreshToken", "mustChangePassword", "user"}
    assert data["mustChangePassword"] is False
    assert set(data["user"]) == {"id", "username", "email", "role", "fullName"}


async def test_who_must_change_their_password_gets_no_refresh_token(ctx: Context) -> None:
    async with Api(ctx).client() as client:
        data = await signed_in(ctx, client, must_change_password=True, role="owner")
        assert "refreshToken" not in data
        assert data["mustChangePassword"] is True
        assert (await client.get("/api/v1/auth/me", headers=bearer(data))).status_code == 200
        refusal = await client.get("/api/v1/agents", headers=bearer(data))
        assert refusal.status_code == 403
        assert refusal.json()["message"] == "Choose a new password first"


@pytest.mark.parametrize(
    ("path", "body", "status", "title"),
    [
        ("login", {"username": "x"}, 400, "Bad Request"),
        ("login", {"username": "x", "password": "y"}, 401, "Unauthorized"),
        ("refresh", {}, 400, "Bad Request"),
        ("refresh", {"refreshToken": ""}, 400, "Bad Request"),
        ("refresh", {"refreshToken": "x"}, 401, "Unauthorized"),
        ("logout", {}, 401, "Unauthorized"),
    ],
)
async def test_errors_have_the_titles_that_clients_know(
    ctx: Context, path: str, body: dict[str, Any], status: int, title: str
) -> None:
    async with Api(ctx).client() as client:
        answer = await client.post(f"/api/v1/auth/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]) == (status, title)
    assert answer.json()["message"]


async def test_a_refresh_token_stays_the_same_unless_rotation_is_asked_for(ctx: Context) -> None:
    async with Api(ctx).client() as client:
        token = (await signed_in(ctx, client))["refreshToken"]
        for _ in range(2):
            answer = await client.post("/api/v1/auth/refresh", json={"refreshToken": token})
            assert answer.status_code == 200
            assert set(answer.json()) == {"message", "data"}
            assert set(answer.json()["data"]) == {"accessToken"}
        sent = {"refreshToken": token, "rotate": True}
        rotated = (await client.post("/api/v1/auth/refresh", json=sent)).json()["data"]
        assert set(rotated) == {"accessToken", "refreshToken"}
        used = await client.post("/api/v1/auth/refresh", json={"refreshToken": token})
        assert used.status_code == 401


@pytest.mark.parametrize("body", [None, {}, {"refreshToken": "x"}])
async def test_a_logout_ends_the_access_token_at_once(
    ctx: Context, body: dict[str, Any] | None
) -> None:
    async with Api(ctx).client() as client:
        data = await signed_in(ctx, client)
        answer = await client.post("/api/v1/auth/logout", json=body, headers=bearer(data))
        assert answer.status_code == 200
        assert answer.json() == {"message": "Logout successful"}
        assert (await client.get("/api/v1/auth/me", headers=bearer(data))).status_code == 401


async def test_people_see_themselves_and_what_they_may_do(ctx: Context) -> None:
    user = await make_user(ctx, role="operator")
    async with unit_of_work(ctx) as work:
        token = (await SignedIn.begin(ctx, work, user)).access_token
    async with Api(ctx).client(authorization=f"Bearer {token}") as client:
        me = (await client.get("/api/v1/auth/me")).json()
        rights = (await client.get("/api/v1/users/me/permissions")).json()
    assert me["id"] == str(user.id)
    assert not [name for name in me if "password" in name.lower() or "mqtt" in name.lower()]
    assert set(rights) == {"role", "permissions"}
    assert rights["role"] == "operator"
    assert "device:control" in rights["permissions"]
    assert not {"device:write", "self:manage"} & set(rights["permissions"])
