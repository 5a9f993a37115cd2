"""What REST answers is the data of the operation behind it: every operation of the catalog.

Each one is called over HTTP while the engine is overheard, and the body must be what its data
make by the rules of this file. Queries are asked over /graphql as well. An operation without a
case here fails.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from graphql import OperationType, print_ast

from core.context import Context
from models.agents import Agent
from models.current_states import CurrentState
from models.target_states import TargetState
from rest_compat.answer_rules import is_control
from rest_compat.catalog import load_catalog
from rest_compat.endpoints import Codec, Endpoint, Envelope, names_in_path
from rest_compat.rows import with_rows
from schema.execution.engine import Engine
from schema.root import schema
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import record

ENDPOINTS = load_catalog(schema._schema).endpoints


@dataclass
class World:
    """What the calls are about; `private` is the key of an agent that `registration` describes."""

    ctx: Context
    agent: Agent
    username: str
    answered: dict[str, Any] = field(default_factory=dict)  # bodies by operation
    private: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    registered: dict[str, Any] = field(default_factory=dict)

    def registration(self) -> dict[str, Any]:
        pem = self.private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        self.registered = {
            "uuid": str(self.ctx.ids.uuid()),
            "deviceName": "new",
            "deviceType": "gateway",
            "deviceApiKey": f"v2_9f01ab23_{self.ctx.ids.secret_hex(32)}",
            "devicePublicKey": pem.decode(),
            "provisioningKey": self.answered["CreateProvisioningKey"]["key"],
        }
        return self.registered

    def proof(self) -> dict[str, Any]:
        challenge = self.answered["ReissueChallenge"]["challenge"]
        text = f"{self.registered['uuid']}:{challenge}".encode()
        return {"signature": base64.b64encode(self.private.sign(text)).decode()}


Case = Callable[[World], dict[str, Any]]
"""Makes what is sent beside method and path."""


def _nothing(world: World) -> dict[str, Any]:
    return {}


def _own_key(world: World) -> dict[str, str]:
    return {"x-agent-key": world.registered["deviceApiKey"]}


CASES: dict[str, Case] = {
    **dict.fromkeys(
        (
            *("ListAgents", "GetAgent", "PollTargetState", "FetchSelf", "ListProvisioningKeys"),
            *("LatestReadings", "Timeseries", "GetTargetState", "GetCurrentState"),
            "ClearTargetState",
        ),
        _nothing,
    ),
    "CreateProvisioningKey": lambda _: {"json": {"maxDevices": 2}},
    "Login": lambda world: {
        "json": {"username": world.username, "password": "correct horse battery"}
    },
    "ReportState": lambda world: {"json": {str(world.agent.uuid): {"apps": {}}}},
    "UploadDeviceLogs": lambda _: {
        "content": b'{"message": "hello"}\n',
        "headers": {"X-Batch-Id": "b1"},
    },
    "RegisterAgent": lambda world: {"json": world.registration()},
    "ReissueChallenge": lambda world: {"json": {}, "headers": _own_key(world)},
    "ExchangeKey": lambda world: {
        "json": world.proof(),
        "headers": _own_key(world),
    },
    "CreateTargetState": lambda _: {"json": {"apps": {}}},
    "ReplaceTargetState": lambda _: {"json": {"apps": {}, "config": {}}},
}

OF_THE_NEW_AGENT = {"ReissueChallenge", "ExchangeKey"}


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
        return {**front, "data": body}
    if answering.envelope is Envelope.STATUS:
        return {"status": "ok", **front, **body}
    assert answering.envelope is Envelope.ROOT_FIELD, "say here what this envelope makes"
    return body


def _omit(value: Any, path: tuple[str, ...]) -> None:
    for each in value if isinstance(value, list) else [value]:
        if len(path) > 1:
            _omit(each[path[0]], path[1:])
        elif each.get(path[0]) is None:
            each.pop(path[0], None)


async def _world(ctx: Context, username: str) -> World:
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
    await TargetState.create(**state, config={}, etag="e", updated_at=now)
    await CurrentState.create(**state, reported_at=now)
    return World(ctx, agent, username)


def _in_order(endpoints: tuple[Endpoint, ...]) -> list[Endpoint]:
    """Queries first, while the world stands still; then what later calls need."""
    order = ["CreateProvisioningKey", "RegisterAgent", "ReissueChallenge", "ExchangeKey"]

    def place(endpoint: Endpoint) -> tuple[bool, int]:
        name = _name(endpoint)
        is_change = endpoint.operation.operation is OperationType.MUTATION
        return is_change, order.index(name) if name in order else len(order)

    return sorted(endpoints, key=place)


def _name(endpoint: Endpoint) -> str:
    assert endpoint.operation.name is not None
    return endpoint.operation.name.value


async def test_every_operation_of_the_catalog_answers_its_graphql_data(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {_name(endpoint) for endpoint in ENDPOINTS} == set(CASES)
    user, token = await sign_in(ctx)
    world = await _world(ctx, user.username)
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
        sent = CASES[name](world)
        uuid = world.registered["uuid"] if name in OF_THE_NEW_AGENT else str(world.agent.uuid)
        given = dict.fromkeys(names_in_path(endpoint.path), uuid)
        is_agents = endpoint.auth.value == "AGENT"
        credential = {"x-device-api-key": key} if is_agents else {"authorization": token}
        if endpoint.auth.value == "NONE":
            credential = {}
        heard.clear()
        async with Api(ctx).client(**credential) as client:
            rest = await client.request(endpoint.method, endpoint.path.format(**given), **sent)
            assert rest.is_success, (name, rest.text)
            (answer,) = heard
            assert rest.json() == _as_json(_expected(endpoint, _as_json(answer.data))), name
            if endpoint.operation.operation is OperationType.QUERY:
                request = {"query": print_ast(endpoint.document), "variables": given}
                graphql = (await client.post("/graphql", json=request)).json()
                assert "errors" not in graphql, (name, graphql)
                assert rest.json() == _expected(endpoint, graphql["data"]), name
        world.answered[name] = rest.json()


def _as_json(value: Any) -> Any:
    return orjson.loads(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY))
