"""What REST answers is the data of the operation behind it: every operation of the catalog.

Each one is called over HTTP while the engine is overheard, and the body must be what its data
make by the rules of this file. Queries are asked over /graphql as well. An operation without a
case here fails.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from inspect import isawaitable
from typing import Any

import orjson
import pytest
from graphql import OperationType, print_ast

from core.context import Context
from models.current_states import CurrentState
from models.target_states import TargetState
from models.target_versions import put_version
from rest_compat.answer_rules import is_control
from rest_compat.catalog import load_catalog
from rest_compat.endpoints import Codec, Endpoint, Envelope, names_in_path
from rest_compat.rows import with_rows
from schema.execution.engine import Engine
from schema.root import schema
from tests.contracts import cases
from tests.contracts.cases.world import Case, World
from tests.contracts.serving import Api, give_key, sign_in
from tests.doubles import ManualClock
from tests.factories import make_agent
from tests.schema.asking import record

ENDPOINTS = load_catalog(schema._schema).endpoints

MODULES = [
    importlib.import_module(f"{cases.__name__}.{info.name}")
    for info in pkgutil.iter_modules(cases.__path__)
    if info.name != "world"
]
CASES: dict[str, Case] = {name: case for module in MODULES for name, case in module.CASES.items()}
ORDER = [name for module in MODULES for name in module.ORDER]


def _without_control(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: member for key, member in value.items() if not is_control(key)}


def _expected(endpoint: Endpoint, data: Mapping[str, Any]) -> Any:
    """Return the body that the endpoint's options make of the data."""
    root = _without_control(data[endpoint.root_key])
    answering = endpoint.answering
    if answering.codec is Codec.ETAG:
        return root["document"]
    body = dict(data) if answering.is_object else root
    if answering.rows:
        body = with_rows(body, answering.rows.member, answering.rows.newest_by)
    if answering.count:
        body = {"count": len(body[answering.count]), **body}
    for path in answering.omit_null:
        _omit(body, path)
    front = {"message": answering.message} if answering.message else {}
    if answering.envelope is Envelope.DATA:
        return {**front, "data": body} if isinstance(body, dict | list) else front
    if answering.envelope is Envelope.STATUS:
        return {"status": "ok", **front, **body}
    if answering.envelope is Envelope.SUCCESS:
        return {"success": True, **front, **(body if isinstance(body, dict) else {})}
    if answering.envelope is Envelope.LIST:
        return (
            body
            if isinstance(body, list)
            else next(v for v in body.values() if isinstance(v, list))
        )
    assert answering.envelope is Envelope.ROOT_FIELD, "say here what this envelope makes"
    return body


def _omit(value: Any, path: tuple[str, ...]) -> None:
    for each in value if isinstance(value, list) else [value]:
        if len(path) > 1:
            _omit(each[path[0]], path[1:])
        elif each.get(path[0]) is None:
            each.pop(path[0], None)


async def _world(ctx: Context, username: str, user_id: str, token: str) -> World:
    agent = await make_agent(ctx, name="press")
    await make_agent(ctx, name="oven", is_online=True)
    now = ctx.clock.now()
    start = now.replace(second=0, microsecond=0) - timedelta(minutes=3)
    await record(ctx, agent, "temp", [(start + timedelta(seconds=at), at / 2) for at in range(90)])
    await record(ctx, agent, "state", [(start, "running")])
    state: dict[str, Any] = {
        "tenant_id": ctx.tenant_id,
        "agent_id": agent.id,
        "version": 2,
        "apps": {"1": {}},
    }
    target = await TargetState.create(**state, config={}, etag="e", updated_at=now)
    await put_version(target, "somebody", "", keep=9)
    await CurrentState.create(**state, reported_at=now)
    return World(ctx, agent, username, user_id=user_id, authorization=token)


def _in_order(endpoints: tuple[Endpoint, ...]) -> list[Endpoint]:
    """Queries first, while the world stands still; then what later calls need."""

    def place(endpoint: Endpoint) -> tuple[bool, int]:
        name = _name(endpoint)
        is_change = endpoint.operation.operation is OperationType.MUTATION
        return is_change, ORDER.index(name) if name in ORDER else len(ORDER)

    return sorted(endpoints, key=place)


def _name(endpoint: Endpoint) -> str:
    assert endpoint.operation.name is not None
    return endpoint.operation.name.value


async def test_every_operation_of_the_catalog_answers_its_graphql_data(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {_name(endpoint) for endpoint in ENDPOINTS} == set(CASES)
    ctx = replace(ctx, clock=ManualClock(ctx.clock.now()))  # what tells the time tells the same
    user, token = await sign_in(ctx)
    world = await _world(ctx, user.username, str(user.id), token)
    key = await give_key(ctx, world.agent)
    heard: list[Any] = []
    run = Engine.run

    async def overheard(self: Engine, *arguments: Any) -> Any:
        answer = await run(self, *arguments)
        heard.append(answer)
        return answer

    monkeypatch.setattr(Engine, "run", overheard)
    for endpoint in _in_order(ENDPOINTS):
        name = _name(endpoint)
        case = CASES[name](world)
        sent = dict(await case if isawaitable(case) else case)
        given = dict.fromkeys(names_in_path(endpoint.path), str(world.agent.uuid))
        given |= sent.pop("path", {})
        if endpoint.is_subscription:
            continue  # streams have tests of their own
        is_agents = endpoint.auth.value == "AGENT"
        credential = {"x-device-api-key": key} if is_agents else {"authorization": token}
        if endpoint.auth.value == "NONE":
            credential = {}
        heard.clear()
        async with Api(ctx).client(**credential) as client:
            rest = await client.request(endpoint.method, endpoint.path.format(**given), **sent)
            assert rest.is_success, (name, rest.text)
            (answer,) = heard
            if endpoint.answering.envelope is Envelope.NONE:
                assert rest.content == b"", name
                continue
            assert rest.json() == _as_json(_expected(endpoint, _as_json(answer.data))), name
            if endpoint.operation.operation is OperationType.QUERY:
                request = {"query": print_ast(endpoint.document), "variables": given}
                graphql = (await client.post("/graphql", json=request)).json()
                assert "errors" not in graphql, (name, graphql)
                assert rest.json() == _expected(endpoint, graphql["data"]), name
        world.answered[name] = rest.json()


def _as_json(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
