"""Accounts, API keys and tenants over GraphQL; which live answers an API key shares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core.callers import Caller, Role
from core.context import Context
from models.tenants import first_tenant
from resolvers.api_keys import caller_from_api_key, create_api_key
from schema.execution.requests import Refused
from tests.factories import make_agent, make_user
from tests.resolvers.edge import nobody
from tests.schema.asking import as_person, as_role, ask, refusal
from tests.schema.execution.members import Recorder, join, live

CREATE = """mutation($user: NewUserInput!) {
  createUser(user: $user) { id username email fullName role isActive mustChangePassword }
}"""
UPDATE = """mutation($id: UUID!, $changes: UserChangesInput!) {
  updateUser(id: $id, changes: $changes) { role fullName isActive }
}"""
DELETE = "mutation($id: UUID!) { deleteUser(id: $id) { username } }"
USERS = """query($filter: UserFilter) {
  users(filter: $filter) { totalCount nextCursor nodes { id } }
}"""


async def test_an_account_from_its_making_to_its_end(ctx: Context) -> None:
    mark = ctx.ids.uuid().hex
    new = {"username": mark, "email": f"{mark}@example.com", "password": "no one knows it"}
    made = (await ask(ctx, CREATE, user=new | {"role": "operator", "fullName": "Ann"}))[
        "createUser"
    ]
    told = {"username": mark, "email": new["email"], "fullName": "Ann", "role": "operator"}
    assert made == told | {"id": made["id"], "isActive": True, "mustChangePassword": True}
    changes = {"role": "viewer", "isActive": False}
    changed = (await ask(ctx, UPDATE, id=made["id"], changes=changes))["updateUser"]
    assert changed == {"role": "viewer", "fullName": "Ann", "isActive": False}
    for wanted, total in (
        ({"activity": "inactive"}, 1),
        ({"activity": "active"}, 0),
        ({"role": "viewer", "text": "ann"}, 1),
        ({"role": "owner"}, 0),
        (None, 1),
    ):
        found = (await ask(ctx, USERS, filter=wanted))["users"]
        assert (found["totalCount"], found["nextCursor"]) == (total, None)
    assert (await ask(ctx, DELETE, id=made["id"]))["deleteUser"] == {"username": mark}
    gone = await refusal(ctx, "query($id: UUID!) { user(id: $id) { id } }", id=made["id"])
    assert gone["extensions"]["code"] == "NOT_FOUND"


async def test_colleagues_are_named_and_nothing_else_is_told_of_them(ctx: Context) -> None:
    user = await make_user(ctx, full_name="Ann")
    viewer = as_role(ctx, Role.VIEWER)
    people = (await ask(viewer, "{ people { nodes { username fullName role } } }"))["people"]
    assert people["nodes"] == [{"username": user.username, "fullName": "Ann", "role": "viewer"}]
    for text in ("{ people { nodes { email } } }", "{ users { nodes { id } } }"):
        await refusal(viewer, text)


async def test_an_api_key_is_told_with_whose_it_is(ctx: Context) -> None:
    owner, user = await as_person(ctx, role="owner")
    made = (
        await ask(
            owner,
            """mutation { createApiKey(name: "plant", scopes: ["data:read"], expiresInDays: 2) {
              key id keyPrefix scopes isActive userId owner { username } } }""",
        )
    )["createApiKey"]
    assert made["key"].startswith(made["keyPrefix"])
    assert made["owner"] == {"username": user.username}
    listed = (
        await ask(ctx, "{ apiKeys(activity: active) { nodes { id isActive owner { id } } } }")
    )["apiKeys"]["nodes"]
    assert listed == [{"id": made["id"], "isActive": True, "owner": {"id": str(user.id)}}]
    revoke = "mutation($id: UUID!) { revokeApiKey(id: $id) { isActive revokedAt } }"
    revoked = (await ask(ctx, revoke, id=made["id"]))["revokeApiKey"]
    assert revoked["isActive"] is False
    await user.delete()
    listed = await ask(ctx, "{ apiKeys(activity: inactive) { nodes { owner { id } } } }")
    assert listed["apiKeys"]["nodes"] == [{"owner": None}]
    await refusal(ctx, "{ apiKeys { nodes { key } } }")


async def names_of_tenants(ctx: Context) -> set[str]:
    text = """query($after: String) { tenants(first: 500, after: $after) {
      nodes { name } pageInfo { hasNextPage endCursor } } }"""
    names: set[str] = set()
    page: Any = {"hasNextPage": True, "endCursor": None}
    while page["hasNextPage"]:
        found = (await ask(ctx, text, after=page["endCursor"]))["tenants"]
        names |= {node["name"] for node in found["nodes"]}
        page = found["pageInfo"]
    return names


async def test_tenants_are_for_owners_of_the_first_one(ctx: Context) -> None:
    name, mark = f"t{ctx.ids.secret_hex(8)}", ctx.ids.uuid().hex
    create = """mutation($name: String!, $email: String!) {
      createTenant(name: $name, ownerEmail: $email) {
        tenant { id name } ownerUsername ownerPassword } }"""
    variables = {"name": name, "email": f"{mark}@example.com"}
    assert (await ask(ctx, "{ tenant { name } }"))["tenant"] == {"name": "plant"}
    for text, given in ((create, variables), ("{ tenants { totalCount } }", {})):
        answer = await refusal(ctx, text, **given)
        assert answer["extensions"]["code"] == "FORBIDDEN"
    first = await first_tenant()
    assert first is not None
    there = ctx.acting_as(replace(ctx.caller, tenant_id=first.id))
    made = (await ask(there, create, **variables))["createTenant"]
    assert made["tenant"]["name"] == name
    assert made["ownerUsername"] == variables["email"]
    assert len(made["ownerPassword"]) == 20
    assert name in await names_of_tenants(there)
    rename = "mutation($name: String!) { renameTenant(name: $name) { name } }"
    assert (await ask(ctx, rename, name=f"{name}2"))["renameTenant"] == {"name": f"{name}2"}


class TestLive:
    async def key(self, ctx: Context, *scopes: str) -> Context:
        user = await make_user(ctx, role="owner")
        by = ctx.acting_as(Caller(user.role, ctx.tenant_id, user_id=user.id))
        made = await create_api_key(by, ctx.ids.secret_hex(8), scopes=scopes)
        return ctx.acting_as(await caller_from_api_key(nobody(ctx), made.text))

    @pytest.mark.parametrize(
        "text",
        [
            "subscription { agentChanged { uuid } }",
            "subscription { readings { metric } }",
        ],
    )
    async def test_keys_share_with_those_who_may_exactly_the_same(
        self, ctx: Context, text: str
    ) -> None:
        await make_agent(ctx)
        scopes = ("device:read", "data:read")
        everybody: list[tuple[Context, int]] = [
            (ctx, 1),
            (await self.key(ctx, *scopes), 2),
            (await self.key(ctx, *scopes), 2),
            (await self.key(ctx, *scopes, "user:read"), 3),
        ]
        async with live() as subscriptions:
            for member, groups in everybody:
                await join(subscriptions, member, text, Recorder())
                assert subscriptions.group_count == groups

    @pytest.mark.parametrize(
        ("text", "scopes"),
        [
            ("subscription { readings { metric } }", ["device:read"]),
            ("subscription { agentChanged { uuid } }", ["data:read"]),
            ("subscription { agentChanged { uuid latest { value } } }", ["device:read"]),
        ],
    )
    async def test_a_key_joins_nobody_for_what_it_may_not_see(
        self, ctx: Context, text: str, scopes: list[str]
    ) -> None:
        await make_agent(ctx)
        narrowed: Any = await self.key(ctx, *scopes)
        async with live() as subscriptions:
            await join(subscriptions, ctx, text, Recorder())
            with pytest.raises(Refused) as caught:
                await join(subscriptions, narrowed, text, Recorder())
        (error,) = caught.value.answer.errors or ()
        assert error.extensions is not None
        assert error.extensions["code"] == "FORBIDDEN"
