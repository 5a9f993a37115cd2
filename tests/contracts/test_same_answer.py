"""What REST answers is what GraphQL answers to the operation behind it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from graphql import print_ast

from core.context import Context
from models.current_states import CurrentState
from models.target_states import TargetState
from rest_compat.answer_rules import is_control
from rest_compat.catalog import load_catalog
from rest_compat.endpoints import Codec, Endpoint, names_in_path
from rest_compat.rows import with_rows
from schema.root import schema
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import record


def _without_control(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: member for key, member in value.items() if not is_control(key)}


def _expected(endpoint: Endpoint, data: Mapping[str, Any]) -> Any:
    """Return the body that the envelope makes of the data."""
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
        for inner in [body] if len(path) == 1 else body[path[0]]:
            if inner[path[-1]] is None:
                del inner[path[-1]]
    return body


async def test_every_get_of_the_catalog_answers_as_graphql_does(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    agent = await make_agent(ctx, name="press")
    await make_agent(ctx, name="oven", is_online=True)
    key = await give_key(ctx, agent)
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
    variables = {"uuid": str(agent.uuid), "agent_uuid": str(agent.uuid)}
    compared = 0
    for endpoint in load_catalog(schema._schema).endpoints:
        if endpoint.method != "GET":
            continue
        is_agents = endpoint.auth.value == "AGENT"
        headers = {"x-device-api-key": key} if is_agents else {"authorization": token}
        given = {name: variables[name] for name in names_in_path(endpoint.path)}
        async with Api(ctx).client(**headers) as client:
            rest = await client.get(endpoint.path.format(**given))
            request = {"query": print_ast(endpoint.document), "variables": given}
            graphql = (await client.post("/graphql", json=request)).json()
        assert rest.status_code == 200, (endpoint.name, rest.text)
        assert "errors" not in graphql, (endpoint.name, graphql)
        assert rest.json() == _expected(endpoint, graphql["data"]), endpoint.name
        compared += 1
    assert compared >= 10
