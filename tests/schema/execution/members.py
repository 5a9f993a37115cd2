"""Members of live subscriptions that remember what they were told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson

from core.context import Context
from fleetgraph.graphql.encoding import encode_answer
from schema.context import GraphQLContext
from schema.execution.engine import Engine, Following
from schema.execution.requests import Answer, GraphQLRequest
from schema.execution.shared import LiveSubscriptions, Ticket
from schema.root import schema


class Recorder:
    """A member; `is_awake` says whether it takes frames, `room` how many more."""

    def __init__(self) -> None:
        self.is_awake = True
        self.room: int | None = None
        self.payloads: list[bytes] = []
        self.ends: list[str] = []

    def is_ready(self) -> bool:
        return self.is_awake and self.room != 0

    def send(self, payload: bytes) -> None:
        assert self.is_ready()
        if self.room is not None:
            self.room -= 1
        self.payloads.append(payload)

    def cut(self, reason: str) -> None:
        self.ends.append(reason)

    def complete(self) -> None:
        self.ends.append("complete")

    @property
    def answers(self) -> list[Any]:
        return [orjson.loads(payload) for payload in self.payloads]

    def data(self, field: str) -> list[Any]:
        return [answer["data"][field] for answer in self.answers]


class Counting:
    """How often answers were resolved and encoded."""

    def __init__(self) -> None:
        self.resolved = 0
        self.encoded = 0

    def encode(self, answer: Answer) -> bytes:
        self.encoded += 1
        return encode_answer(answer)

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """Count within the block."""
        resolve = Following.resolve

        async def counting(following: Following, event: object) -> Answer:
            self.resolved += 1
            return await resolve(following, event)

        Following.resolve = counting  # type: ignore[assignment,method-assign]
        try:
            yield
        finally:
            Following.resolve = resolve  # type: ignore[method-assign]


ENGINE = Engine(schema)


@asynccontextmanager
async def live(
    encode: Callable[[Answer], bytes] = encode_answer,
    *,
    queue_events: int = 100,
    slow_seconds: float = 30,
) -> AsyncIterator[LiveSubscriptions]:
    """Yield subscriptions that are stopped in the end."""
    subscriptions = LiveSubscriptions(
        ENGINE, encode, queue_events=queue_events, slow_seconds=slow_seconds
    )
    try:
        yield subscriptions
    finally:
        await subscriptions.stop()


async def join(
    subscriptions: LiveSubscriptions,
    ctx: Context,
    text: str,
    member: Recorder,
    **variables: object,
) -> Ticket:
    """Open a subscription as a transport does."""
    context = GraphQLContext(ctx)
    prepared = ENGINE.prepare(GraphQLRequest(text), context)
    return await subscriptions.open(prepared, variables, context, member)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - members tell no event
            await asyncio.sleep(0.005)
