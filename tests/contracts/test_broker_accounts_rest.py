"""Accounts on the broker as clients of both older APIs know them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from core.context import Context
from resolvers.broker_accounts import AccountChanges, create_account
from tests.contracts.serving import Api, sign_in
from tests.resolvers.broker_people import another, topics

USER = {"id", "username", "is_superuser", "is_active", "created_at", "updated_at"}
LINE = {"id", "topic", "access", "priority", "created_at", "username"}
PASSWORD = "bolt turret lamp"


def a_name(ctx: Context) -> str:
    return f"user-{ctx.ids.secret_hex(5)}"


async def made(client: httpx.AsyncClient, name: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/mosquitto-auth/user", json={"username": name, **more})
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_account_is_made_changed_and_deleted_by_name(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    name = a_name(ctx)
    async with Api(ctx).client(authorization=token) as client:
        body = await made(client, name)
        assert set(body) == {"success", "message", "user", "password"}
        assert set(body["user"]) == USER
        path = f"/mosquitto-auth/user/{name}"
        changed = await client.put(path, json={"is_active": False, "password": PASSWORD})
        assert changed.status_code == 200
        assert set(changed.json()) == {"success", "message", "user"}
        assert changed.json()["user"]["is_active"] is False
        gone = await client.delete(path)
        assert (gone.status_code, gone.content) == (204, b"")
        missing = await client.delete(path)
        assert missing.status_code == 404
        assert missing.json()["error"] == "MQTT user not found"
        assert missing.json()["message"]


async def test_a_given_password_is_not_in_the_answer(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        assert "password" not in await made(client, a_name(ctx), password=PASSWORD)


async def test_accounts_are_listed_with_their_lines_by_id(ctx: Context) -> None:
    me = await another(ctx)
    _, token = await sign_in(me)
    root, name = await topics(me), a_name(me)
    async with Api(me).client(authorization=token) as client:
        answer = await client.post("/api/v1/auth/mqtt-users", json={"username": name})
        assert answer.status_code == 201
        path = f"/api/v1/auth/mqtt-users/{answer.json()['user']['id']}"
        line = {"topic": f"{root}/x", "access": 3, "priority": 7}
        answer = await client.post(f"{path}/acls", json=line)
        assert answer.status_code == 201
        acl = answer.json()["acl"]
        assert set(acl) == LINE
        assert {**acl, **line, "username": name} == acl
        listed = (await client.get("/api/v1/auth/mqtt-users")).json()
        assert listed["success"] is True
        (user,) = listed["users"]
        assert set(user) == {*USER, "kind", "roles", "acls"}
        assert user["acls"] == [acl]
        line_path = f"/api/v1/auth/mqtt-acls/{acl['id']}"
        changed = await client.put(line_path, json={"access": 1})
        assert changed.json()["acl"]["access"] == 1
        assert (await client.delete(line_path)).json()["success"] is True
        assert (await client.delete(path)).json()["success"] is True
        missing = await client.delete(line_path)
        assert (missing.status_code, missing.json()["error"]) == (404, "ACL rule not found")
        missing = await client.put(path, json={"is_active": True})
        assert (missing.status_code, missing.json()["error"]) == (404, "MQTT user not found")


async def test_lines_are_managed_at_the_paths_of_the_plugin(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    root, name = await topics(ctx), a_name(ctx)
    async with Api(ctx).client(authorization=token) as client:
        await made(client, name)
        line = {"username": name, "topic": f"{root}/x", "access": 1}
        answer = await client.post("/mosquitto-auth/acl", json=line)
        assert answer.status_code == 201
        listed = (await client.get("/mosquitto-auth/acl", params={"username": name})).json()
        assert set(listed) == {"acls", "count"}
        assert listed["count"] == 1
        (acl,) = listed["acls"]
        assert set(acl) == {*LINE, "clientid", "role"}
        assert (acl["username"], acl["clientid"]) == (name, None)
        path = f"/mosquitto-auth/acl/{acl['id']}"
        assert (await client.put(path, json={"access": 2})).json()["acl"]["access"] == 2
        assert (await client.delete(path)).status_code == 204
        nobody = await client.get("/mosquitto-auth/acl", params={"username": "nobody"})
        assert nobody.status_code == 404


@pytest.mark.parametrize(
    ("path", "status", "title"),
    [
        ("/api/v1/auth/mqtt-users", 400, "Bad Request"),
        ("/mosquitto-auth/user", 409, "MQTT user already exists"),
    ],
)
async def test_a_name_that_is_taken(ctx: Context, path: str, status: int, title: str) -> None:
    _, token = await sign_in(ctx)
    name = a_name(ctx)
    await create_account(ctx, name, AccountChanges())
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.post(path, json={"username": name})
    assert (answer.status_code, answer.json()["error"]) == (status, title)
    assert answer.json()["success"] is False


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"username": "a/b"},
        {"username": "x", "password": "short"},
        {"username": "x", "roles": 1},
    ],
)
async def test_what_makes_no_account(ctx: Context, body: dict[str, Any]) -> None:
    _, token = await sign_in(ctx)
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.post("/mosquitto-auth/user", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "Bad Request")


@pytest.mark.parametrize("role", ["viewer", "operator", "manager"])
async def test_is_not_for_everybody(ctx: Context, role: str) -> None:
    _, token = await sign_in(ctx, role=role)
    async with Api(ctx).client(authorization=token) as client:
        answer = await client.post("/mosquitto-auth/user", json={"username": a_name(ctx)})
        assert answer.status_code == 403
        listed = await client.get("/mosquitto-auth/acl")
        assert listed.status_code == (403 if role == "viewer" else 200)
