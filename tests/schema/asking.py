"""Ask the schema as a client does, and write readings as ingest does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from core.callers import Caller, Role, system_caller
from core.clock import micros
from core.context import Context
from core.reading_store import AgentTelemetry
from core.readings import Kind, SeriesSpec, Telemetry
from models.agents import Agent
from models.users import User
from resolvers.readings import record_readings
from schema.context import GraphQLContext
from schema.execution.engine import Engine
from schema.execution.requests import Answer, GraphQLRequest, Refused
from schema.root import schema
from tests.factories import make_user

Reading = tuple[datetime, object]

ENGINE = Engine(schema)


async def answer(
    ctx: Context, text: str, variables: Mapping[str, object] | None = None, engine: Engine = ENGINE
) -> Answer:
    """Return the answer, be it a refusal."""
    context = GraphQLContext(ctx)
    try:
        prepared = engine.prepare(GraphQLRequest(text), context)
        return await engine.run(prepared, variables, context)
    except Refused as refused:
        return refused.answer


async def ask(ctx: Context, text: str, **variables: object) -> Any:
    """Return the data; errors fail the test."""
    found = await answer(ctx, text, variables)
    assert not found.errors, found.errors
    return found.data


async def refusal(ctx: Context, text: str, **variables: object) -> Mapping[str, Any]:
    """Return the first error as clients see it."""
    found = await answer(ctx, text, variables)
    assert found.errors
    return found.errors[0].formatted


@asynccontextmanager
async def follow(
    ctx: Context, text: str, **variables: object
) -> AsyncIterator[AsyncIterator[Answer]]:
    """Yield an iterator of answers, a refusal included; leaving the block unsubscribes."""
    answers = _answers(ctx, text, variables)
    async with aclosing(answers):
        yield answers


async def _answers(
    ctx: Context, text: str, variables: Mapping[str, object]
) -> AsyncGenerator[Answer, None]:
    context = GraphQLContext(ctx)
    try:
        prepared = ENGINE.prepare(GraphQLRequest(text), context)
        following = await ENGINE.subscribe(prepared, variables, context)
    except Refused as refused:
        yield refused.answer
        return
    async with aclosing(following.answers()) as answers:
        async for each in answers:
            yield each


def as_nobody(ctx: Context) -> Context:
    return ctx.acting_as(Caller(Role.NOBODY))


def as_role(ctx: Context, role: Role) -> Context:
    return ctx.acting_as(replace(ctx.caller, role=role))


def as_agent(ctx: Context, agent: Agent) -> Context:
    caller = Caller(Role.AGENT, ctx.tenant_id, agent_id=agent.id, agent_uuid=agent.uuid)
    return ctx.acting_as(caller)


async def as_person(ctx: Context, **changes: Any) -> tuple[Context, User]:
    user = await make_user(ctx, **changes)
    return ctx.acting_as(Caller(user.role, ctx.tenant_id, user_id=user.id)), user


async def record(
    ctx: Context,
    agent: Agent,
    metric: str,
    readings: Sequence[Reading],
    *,
    device: str = "press",
    unit: str = "°C",
) -> None:
    """Store readings of one series and tell listeners."""
    telemetry = Telemetry(
        specs=[SeriesSpec(device, metric, unit, "modbus", device, "")] * len(readings),
        times_us=np.array([micros(time) for time, _ in readings], dtype=np.int64),
        values=np.array([_number(value) for _, value in readings], dtype=np.float64),
        kinds=np.array([_kind(value) for _, value in readings], dtype=np.int8),
        qualities=np.zeros(len(readings), dtype=np.int8),
        texts={at: value for at, (_, value) in enumerate(readings) if isinstance(value, str)},
    )
    item = AgentTelemetry(agent.tenant_id, agent.id, agent.uuid, telemetry)
    await record_readings(ctx.acting_as(system_caller(agent.tenant_id)), [item])


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.BOOLEAN
    if isinstance(value, str):
        return Kind.TEXT
    return Kind.NULL if value is None else Kind.FLOAT


def _number(value: object) -> float:
    return float(value) if isinstance(value, (bool, int, float)) else float("nan")
