"""Which subscriptions may share their answers."""

from __future__ import annotations

import gc
from collections.abc import Hashable
from dataclasses import replace
from uuid import UUID
from weakref import ref

from core.callers import Caller, Role
from core.context import Context
from schema.context import GraphQLContext
from schema.execution.engine import Engine
from schema.execution.feeds import group_key, impersonal_context
from schema.execution.requests import GraphQLRequest
from schema.root import schema
from tests.schema.execution.members import ENGINE

TEXT = """subscription($u: UUID, $after: String, $hz: Float = 2.0) {
  readings(agentUuid: $u, after: $after, maxHz: $hz) { cursor }
}"""
ODD = """subscription($after: String, $deep: Boolean!) {
  readings(after: $after) { cursor @include(if: $deep) }
}"""
TWICE = """subscription($after: String!) {
  readings(after: $after, metrics: [$after]) { cursor }
}"""
OWNER = Caller(Role.OWNER, 1, user_id=UUID(int=1))


def key(
    ctx: Context, caller: Caller, text: str = TEXT, *, resumable: bool = True, **given: object
) -> Hashable:
    prepared = ENGINE.prepare(GraphQLRequest(text), GraphQLContext(ctx))
    return group_key(prepared, given, caller, resumable=resumable)


async def test_people_with_the_same_permissions_share_and_nobody_else(ctx: Context) -> None:
    mine = key(ctx, OWNER)
    assert mine == key(ctx, replace(OWNER, user_id=UUID(int=2)))
    assert mine != key(ctx, replace(OWNER, tenant_id=2))
    agent = Caller(Role.AGENT, 1, agent_id=1, agent_uuid=UUID(int=3))
    keys = {key(ctx, replace(OWNER, role=role)) for role in Role} | {
        key(ctx, agent),
        key(ctx, replace(agent, agent_id=2)),
    }
    assert len(keys) == len(Role) + 2


async def test_variables_tell_subscriptions_apart_but_not_where_each_goes_on(ctx: Context) -> None:
    mine = key(ctx, OWNER, u="a")
    assert mine == key(ctx, OWNER, u="a", after="x")
    assert mine == key(ctx, OWNER, u="a", hz=2.0)
    assert mine == key(ctx, OWNER, u="a", unknown=1)
    assert mine != key(ctx, OWNER, u="b")
    assert mine != key(ctx, OWNER)
    assert mine != key(ctx, OWNER, u="a", hz=None)
    assert mine != key(ctx, OWNER, u="a", after="x", resumable=False)
    assert key(ctx, OWNER, ODD, deep=True) == key(ctx, OWNER, ODD, deep=True, after="x")
    assert key(ctx, OWNER, ODD, deep=True) != key(ctx, OWNER, ODD, deep=False)
    assert key(ctx, OWNER, TWICE, after="x") != key(ctx, OWNER, TWICE, after="y")


async def test_a_group_knows_the_tenant_and_the_role_and_no_person(ctx: Context) -> None:
    shared = impersonal_context(replace(ctx, remote_address="192.0.2.1")).ctx
    assert (shared.caller.tenant_id, shared.caller.role) == (ctx.tenant_id, ctx.caller.role)
    assert shared.caller.user_id is None
    assert shared.remote_address == ""
    assert shared.request_id.startswith("live-")


async def test_what_is_known_of_an_operation_does_not_keep_it(ctx: Context) -> None:
    prepared = Engine(schema).prepare(GraphQLRequest(TEXT), GraphQLContext(ctx))
    group_key(prepared, {}, OWNER, resumable=True)
    kept = ref(prepared)
    del prepared
    gc.collect()
    assert kept() is None
