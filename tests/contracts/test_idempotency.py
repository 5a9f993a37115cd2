"""Idempotency-Key: the work of one key runs once, whatever happens in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from core.callers import Caller
from core.context import Context
from core.errors import Unavailable
from fleetgraph.kept_answers import DatabaseKeptAnswers
from models.connection import fetch
from models.provisioning import ProvisioningKey
from resolvers.api_keys import create_api_key
from schema.execution.engine import Engine
from tests.contracts.serving import Api, sign_in

PATH = "/api/v1/provision/keys"


async def post(
    api: Api, token: str, key: str, body: dict[str, Any] | None = None
) -> httpx.Response:
    headers = {"authorization": token, "Idempotency-Key": key}
    async with api.client() as client:
        return await client.post(PATH, json=body or {"description": "x"}, headers=headers)


async def keys_made(ctx: Context) -> int:
    return await ProvisioningKey.of(ctx.tenant_id).count()


async def test_the_same_call_again_gets_the_same_answer_also_from_another_process(
    ctx: Context,
) -> None:
    _, token = await sign_in(ctx)
    first = await post(Api(ctx), token, "k1")
    again = await post(Api(ctx), token, "k1")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == first.headers["content-type"]
    assert await keys_made(ctx) == 1
    assert (await post(Api(ctx), token, "k2")).content != first.content


async def test_another_body_under_the_same_key_is_refused(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    await post(Api(ctx), token, "k")
    other = await post(Api(ctx), token, "k", {"description": "y"})
    assert other.status_code == 422
    assert other.json()["facts"]["field"] == "Idempotency-Key"
    assert await keys_made(ctx) == 1


async def test_another_person_has_keys_of_their_own(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    _, other = await sign_in(ctx, username="other", email="other@example.com")
    first = await post(Api(ctx), token, "k")
    assert (await post(Api(ctx), other, "k")).content != first.content


async def test_a_narrow_api_key_gets_no_answer_that_its_person_got(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    me = ctx.acting_as(Caller(user.role, user.tenant_id, user_id=user.id))
    narrow = await create_api_key(me, "narrow", scopes=["user:read"])
    assert (await post(Api(ctx), token, "k")).status_code == 201
    assert (await post(Api(ctx), f"Bearer {narrow.text}", "k")).status_code == 403


async def test_two_at_once_run_once(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    api = Api(ctx)
    answers = await asyncio.gather(*(post(api, token, "k") for _ in range(4)))
    assert min(answer.status_code for answer in answers) == 201
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert await keys_made(ctx) == 1


async def test_a_refusal_gives_the_key_back(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    refused = await post(Api(ctx), token, "k", {"maxDevices": 0})
    assert refused.status_code == 400
    assert (await post(Api(ctx), token, "k")).status_code == 201


async def test_a_crash_between_work_and_answer_never_runs_the_work_again(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = await sign_in(ctx)

    async def away(*_: object) -> None:
        raise Unavailable("database")

    with monkeypatch.context() as patch:
        patch.setattr(DatabaseKeptAnswers, "keep", away)
        assert (await post(Api(ctx), token, "k")).status_code == 201
    running = await post(Api(ctx), token, "k")
    assert (running.status_code, running.headers["retry-after"]) == (409, "1")
    await fetch(
        "update kept_answer set begun_at = begun_at - $1::interval where tenant_id = $2",
        timedelta(hours=1),
        ctx.tenant_id,
    )
    unknown = await post(Api(ctx), token, "k")
    assert unknown.status_code == 409
    assert "new key" in unknown.json()["message"]
    assert await keys_made(ctx) == 1


async def test_a_failure_of_unknown_outcome_keeps_the_key(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, token = await sign_in(ctx)

    async def away(*_: object) -> None:
        raise Unavailable("database")

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "run", away)
        assert (await post(Api(ctx), token, "k")).status_code == 503
    assert (await post(Api(ctx), token, "k")).status_code == 409


async def test_keys_expire_and_answers_are_sealed(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    first = await post(Api(ctx), token, "k")
    (row,) = await fetch(
        "select answer, key_hash from kept_answer where tenant_id = $1", ctx.tenant_id
    )
    assert first.json()["key"].encode() not in row["answer"]
    assert row["key_hash"] != b"k"
    await fetch("update kept_answer set expires_at = begun_at where tenant_id = $1", ctx.tenant_id)
    assert (await post(Api(ctx), token, "k")).content != first.content


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "ü"])
async def test_a_key_that_is_none_is_refused(ctx: Context, key: str) -> None:
    _, token = await sign_in(ctx)
    headers = {b"authorization": token.encode(), b"idempotency-key": key.encode()}
    async with Api(ctx).client() as client:
        answer = await client.post(PATH, json={}, headers=headers)
    assert answer.status_code == 422
