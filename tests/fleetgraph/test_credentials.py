"""Headers and connection parameters become a caller; a bad credential is never ignored."""

from __future__ import annotations

from typing import Any

import pytest

from core.callers import NOBODY, Role
from core.context import Context
from core.errors import Forbidden, Unauthenticated
from fleetgraph.credentials import caller_of, caller_of_connection
from models.users import User
from resolvers.auth import login
from tests.factories import make_user
from tests.resolvers.edge import Edge, nobody, provision


@pytest.fixture
async def user(ctx: Context) -> User:
    return await make_user(ctx, "correct horse battery", role="operator")


@pytest.fixture
async def token(ctx: Context, user: User) -> str:
    return (await login(nobody(ctx), user.username, "correct horse battery")).access_token


async def test_without_a_credential_it_is_nobody(ctx: Context) -> None:
    assert await caller_of(ctx, {}) == NOBODY
    assert await caller_of_connection(ctx, {}, None) == NOBODY


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_token_is_a_person(ctx: Context, user: User, token: str, scheme: str) -> None:
    caller = await caller_of(ctx, {"authorization": f"{scheme} {token}"})
    assert (caller.role, caller.tenant_id, caller.user_id) == (
        Role.OPERATOR,
        user.tenant_id,
        user.id,
    )


async def test_a_device_key_is_an_agent_in_either_header(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    for headers in (
        {"x-device-api-key": edge.device_key},
        {"authorization": f"Bearer {edge.device_key}"},
    ):
        caller = await caller_of(ctx, headers)
        assert (caller.role, caller.agent_id) == (Role.AGENT, agent.id)


async def test_a_device_key_opens_its_own_agent_only(ctx: Context) -> None:
    edge, agent = await provision(ctx)
    other, _ = await provision(ctx)
    headers = {"x-device-api-key": edge.device_key}
    assert (await caller_of(ctx, headers, agent_uuid=agent.uuid)).agent_uuid == agent.uuid
    with pytest.raises(Forbidden):
        await caller_of(ctx, headers, agent_uuid=other.uuid)


async def test_the_device_key_comes_before_a_token(ctx: Context, token: str) -> None:
    edge, _ = await provision(ctx)
    headers = {"x-device-api-key": edge.device_key, "authorization": f"Bearer {token}"}
    assert (await caller_of(ctx, headers)).role is Role.AGENT


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer nonsense"},
        {"authorization": "Bearer "},
        {"authorization": "Bearer"},
        {"authorization": "Basic YTpi"},
        {"authorization": "token"},
        {"authorization": f"Bearer {Edge.make().device_key}"},
        {"x-device-api-key": "unknown"},
    ],
)
async def test_a_credential_that_does_not_hold_is_refused(
    ctx: Context, headers: dict[str, str]
) -> None:
    with pytest.raises(Unauthenticated):
        await caller_of(ctx, headers)
    with pytest.raises(Unauthenticated):
        await caller_of_connection(ctx, headers, None)


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
async def test_a_socket_says_who_it_is_in_its_first_message(
    ctx: Context, user: User, token: str, name: str
) -> None:
    parameters: dict[str, Any] = {"other": 1, name: f"Bearer {token}"}
    wrong = {"authorization": "Bearer nonsense"}
    assert (await caller_of_connection(ctx, wrong, parameters)).user_id == user.id


async def test_a_socket_may_also_say_so_in_its_headers(
    ctx: Context, user: User, token: str
) -> None:
    named = {"authorization": f"Bearer {token}"}
    assert (await caller_of_connection(ctx, named, {})).user_id == user.id
    assert (await caller_of_connection(ctx, named, {"Authorization": 7})).user_id == user.id
