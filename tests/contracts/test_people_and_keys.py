"""Accounts and API keys over REST: statuses, envelopes, titles; and what a key may follow live."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from core.access import SCOPES
from core.callers import Caller
from core.context import Context
from core.rate_limits import RateScope
from models.users import User
from resolvers.api_keys import create_api_key, revoke_api_key
from tests.contracts.serving import Api, sign_in
from tests.contracts.talking import connected, receive, subscribe
from tests.factories import make_agent, make_tenant, make_user
from tests.schema.asking import record

USERS = "/api/v1/users"
KEYS = "/api/v1/auth/api-keys"
ROW = {"id", "username", "email", "role", "isActive", "createdAt", "lastLoginAt"}
KEY_ROW = {
    *("id", "name", "key_prefix", "description", "scopes", "is_active"),
    *("created_at", "expires_at", "last_used_at"),
}


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]


async def key_of(ctx: Context, user: User, *scopes: str, name: str = "k") -> str:
    """Return a value for `Authorization`."""
    by = ctx.acting_as(Caller(user.role, user.tenant_id, user_id=user.id))
    made = await create_api_key(by, name, scopes=scopes)
    return f"Bearer {made.text}"


class TestUsers:
    async def test_are_made_changed_and_deleted(self, ctx: Context) -> None:
        _, token = await sign_in(ctx, role="admin")
        mark = ctx.ids.uuid().hex
        new = {"username": mark, "email": f"{mark}@example.com", "password": "no one knows it"}
        async with Api(ctx).client(authorization=token) as client:
            made = await client.post(USERS, json=new | {"role": "operator"})
            assert made.status_code == 201
            user = made.json()
            assert set(user) == ROW
            assert (user["role"], user["isActive"], user["lastLoginAt"]) == ("operator", True, None)
            path = f"{USERS}/{user['id']}"
            changed = await client.put(path, json={"role": "viewer", "isActive": False})
            assert changed.json() == user | {"role": "viewer", "isActive": False}
            assert (await client.get(path)).json() == changed.json()
            deleted = await client.delete(path)
            assert (deleted.status_code, deleted.content) == (204, b"")
            for gone in (
                await client.get(path),
                await client.put(path, json={"role": "viewer"}),
                await client.delete(path),
            ):
                assert told(gone) == (404, "User not found")

    async def test_are_a_bare_array_with_a_link_to_more(self, ctx: Context) -> None:
        _, token = await sign_in(ctx)
        for _ in range(2):
            await make_user(ctx)
        async with Api(ctx).client(authorization=token) as client:
            whole = await client.get(USERS)
            assert "link" not in whole.headers
            assert [set(row) for row in whole.json()] == [ROW] * 3
            first = await client.get(f"{USERS}?limit=2")
            more = await client.get(first.links["next"]["url"])
            assert first.json() + more.json() == whole.json()
            assert "link" not in more.headers

    async def test_tell_what_is_wrong(self, ctx: Context) -> None:
        owner, token = await sign_in(ctx)
        other = await make_user(ctx)
        own, its = f"{USERS}/{owner.id}", f"{USERS}/{other.id}"
        new = {"username": "x" * 5, "email": "x@y", "password": "no one knows it", "role": "viewer"}
        async with Api(ctx).client(authorization=token) as client:
            missing = await client.post(USERS, json={"username": "ann"})
            assert told(missing) == (400, "Missing required fields")
            assert missing.json()["required"] == ["email", "password", "role"]
            taken = await client.post(USERS, json=new | {"username": other.username})
            assert told(taken) == (409, "User already exists")
            for wrong in ({"role": "agent"}, {"role": "king"}, {"password": "short"}):
                assert (await client.post(USERS, json=new | wrong)).status_code == 400
            assert told(await client.put(its, json={})) == (400, "No fields to update")
            assert told(await client.put(its, json={"email": None})) == (400, "No fields to update")
            for wrong in ({"role": "king"}, {"role": "system"}, {"email": "nowhere"}):
                assert told(await client.put(its, json=wrong)) == (400, "Invalid request")
            taken = await client.put(its, json={"email": owner.email})
            assert told(taken) == (409, "Email already in use")
            for last in ({"role": "admin"}, {"isActive": False}):
                assert told(await client.put(own, json=last)) == (403, "Forbidden")
            assert told(await client.delete(own)) == (400, "Invalid request")
            for call in (client.get, client.delete):
                answer = await call(f"{USERS}/7")
                assert told(answer) == (400, "Invalid request")
                assert answer.json()["facts"]["field"] == "id"

    async def test_protect_an_owner_and_are_for_admins(self, ctx: Context) -> None:
        owner = await make_user(ctx, role="owner")
        path = f"{USERS}/{owner.id}"
        _, admin = await sign_in(ctx, role="admin")
        async with Api(ctx).client(authorization=admin) as client:
            assert told(await client.put(path, json={"email": "a@b.c"})) == (403, "Forbidden")
            assert told(await client.delete(path)) == (403, "Forbidden")
        _, manager = await sign_in(ctx, role="manager")
        async with Api(ctx).client(authorization=manager) as client:
            for answer in (await client.get(USERS), await client.get(path)):
                assert told(answer) == (403, "Forbidden")


class TestApiKeys:
    async def test_are_shown_once_and_revoked(self, ctx: Context) -> None:
        _, token = await sign_in(ctx)
        async with Api(ctx).client(authorization=token) as client:
            made = await client.post(
                KEYS, json={"name": "plant", "expires_at": "2030-01-01T00:00:00Z"}
            )
            assert made.status_code == 201
            body = made.json()
            assert set(body) == {"success", "message", "key"}
            key = body["key"]
            assert set(key) == KEY_ROW | {"key"}
            assert key["key"].startswith(key["key_prefix"])
            assert (key["is_active"], key["expires_at"]) == (True, "2030-01-01T00:00:00.000Z")
            listed = (await client.get(KEYS)).json()
            assert set(listed) == {"success", "keys"}
            assert [set(row) for row in listed["keys"]] == [KEY_ROW | {"created_by"}]
            assert key["key"] not in str(listed)
            bearer = {"authorization": f"Bearer {key['key']}"}
            assert (await client.get("/api/v1/agents", headers=bearer)).status_code == 200
            revoked = await client.delete(f"{KEYS}/{key['id']}")
            assert revoked.status_code == 200
            assert revoked.json()["success"] is True
            assert revoked.json()["message"] == "API key revoked"
            assert (await client.get("/api/v1/agents", headers=bearer)).status_code == 401
            assert (await client.get(KEYS)).json()["keys"][0]["is_active"] is False

    async def test_tell_what_is_wrong(self, ctx: Context) -> None:
        _, token = await sign_in(ctx, role="admin")
        async with Api(ctx).client(authorization=token) as client:
            await client.post(KEYS, json={"name": "plant"})
            for wrong in (
                {},
                {"name": "Plant"},
                {"name": "x", "expires_at": "2001-01-01T00:00:00Z"},
                {"name": "x", "expires_at": "soon"},
                {"name": "x", "scopes": ["everything"]},
            ):
                answer = await client.post(KEYS, json=wrong)
                assert told(answer) == (400, "Bad Request"), wrong
                assert answer.json()["success"] is False
            above = await client.post(KEYS, json={"name": "x", "scopes": ["billing:read"]})
            assert told(above) == (403, "Forbidden")
            gone = await client.delete(f"{KEYS}/{ctx.ids.uuid()}")
            assert told(gone) == (404, "API key not found")

    async def test_of_another_tenant_are_not_there(self, ctx: Context) -> None:
        other = await make_tenant(ctx.clock, ctx.ids)
        there = ctx.acting_as(replace(ctx.caller, tenant_id=other.id))
        theirs = await create_api_key(there, "theirs")
        _, token = await sign_in(ctx)
        async with Api(ctx).client(authorization=token) as client:
            assert told(await client.delete(f"{KEYS}/{theirs.id}")) == (404, "API key not found")
            assert (await client.get(KEYS)).json()["keys"] == []


async def test_calls_that_manage_are_counted_by_person(ctx: Context) -> None:
    class Counting:
        def __init__(self) -> None:
            self.hits: list[tuple[RateScope, tuple[str, ...]]] = []

        async def check(self, scope: RateScope, key: str) -> None:
            pass

        async def hit(self, scope: RateScope, *keys: str) -> None:
            self.hits.append((scope, keys))

    counting = Counting()
    owner, token = await sign_in(ctx)
    async with Api(replace(ctx, limits=counting)).client(authorization=token) as client:
        for path in (USERS, f"{USERS}/{owner.id}", KEYS):
            await client.get(path)
        await client.post(KEYS, json={"name": "k"})
    of_person = [hit for hit in counting.hits if hit[0] is RateScope.ADMIN]
    assert of_person == [(RateScope.ADMIN, (f"user:{owner.id}",))] * 4


@pytest.mark.slow
async def test_a_narrowed_key_follows_nothing_that_others_share(ctx: Context) -> None:
    """Everybody asks the same of one agent; answers are shared between those who may the same."""
    text = "subscription { readings { metric } }"
    mixed = "subscription { agentChanged { name latest { metric } } }"
    owner, token = await sign_in(ctx)
    agent = await make_agent(ctx)
    blind = await key_of(ctx, owner, "device:read", "user:read", name="blind")
    seeing = await key_of(ctx, owner, "data:read", "device:read", name="seeing")
    whole = await key_of(ctx, owner, *SCOPES, name="whole")

    async def heard(socket: Any) -> dict[str, Any]:
        message = await receive(socket)
        return message if message["type"] != "ping" else await heard(socket)

    async with (
        Api(ctx).server() as port,
        connected(port, {"authorization": token}) as first,
        connected(port, {"authorization": seeing}) as second,
        connected(port, {"authorization": whole}) as third,
        connected(port, {"authorization": blind}) as refused,
    ):
        for socket in (first, second, third, refused):
            assert (await receive(socket))["type"] == "connection_ack"
        for socket in (first, second, third):
            await subscribe(socket, "1", text)
        await record(ctx, agent, "temp", [(ctx.clock.now(), 1.0)])
        for socket in (first, second, third):
            message = await heard(socket)
            assert message["payload"]["data"]["readings"]["metric"] == "temp"
        for id_, query in (("1", text), ("2", mixed)):
            await subscribe(refused, id_, query)
            answer = await heard(refused)
            assert answer["type"] == "error"
            assert answer["payload"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_a_key_is_good_for_graphql_until_it_is_revoked(ctx: Context) -> None:
    owner, _ = await sign_in(ctx)
    by = ctx.acting_as(Caller(owner.role, ctx.tenant_id, user_id=owner.id))
    made = await create_api_key(by, "k", scopes=["user:read"])
    ask = {"query": "{ tenant { name } people { nodes { username } } }"}
    async with Api(ctx).client(authorization=f"Bearer {made.text}") as client:
        answer = (await client.post("/graphql", json=ask)).json()
        assert answer["data"]["people"]["nodes"] == [{"username": owner.username}]
        await revoke_api_key(ctx, made.id)
        assert (await client.post("/graphql", json=ask)).status_code == 401
