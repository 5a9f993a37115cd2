"""The broker as operators see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Hashable
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Annotated

import strawberry
from strawberry import Parent

from core.access import USE_CASES, check
from core.context import Context
from core.events import BROKER
from core.feeds import Feed
from core.paging import Slice
from models import agent_traffic as rows
from models.patience import patiently
from resolvers import broker_view
from schema.agents import PageInfo
from schema.broker_types import AgentTraffic, Broker
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import AgentTrafficOrder


def follow_broker(ctx: Context) -> BrokerFeed:
    """Return the feed; raises Unauthenticated or Forbidden as reading the broker does."""
    check(ctx.caller, USE_CASES["broker_view.get_broker"])
    return BrokerFeed(ctx)


class BrokerFeed(Feed[Broker, datetime]):
    """The broker as it is, and then whenever something new is known of it."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    @asynccontextmanager
    async def live(self) -> AsyncIterator[AsyncIterator[Broker]]:
        """Listen on the bus; a gap in it is news as well."""
        async with (
            self._ctx.bus.subscribe(BROKER) as events,
            aclosing(self._changed(events)) as found,
        ):
            yield found

    async def prelude(
        self, since: datetime | None
    ) -> tuple[datetime, AsyncGenerator[Broker, None]]:
        """Return the broker as it is."""
        now = self._ctx.clock.now()
        return now, _each(await self._read())

    def beyond(self, event: Broker, mark: datetime) -> Broker | None:
        """Return the event: it was read when the poke came, and a repeat does no harm."""
        return event

    def is_past(self, event: Broker, mark: datetime) -> bool:
        """Say that all events are: each is the broker as it is by then."""
        return True

    def key(self, event: Broker) -> Hashable:
        """Return what is the same for all: only the newest counts."""
        return "broker"

    async def _changed(self, events: AsyncIterator[object]) -> AsyncGenerator[Broker, None]:
        async for _ in events:
            yield await self._read()

    async def _read(self) -> Broker:
        return Broker.of(await patiently(partial(broker_view.get_broker, self._ctx)))


@strawberry.type
class AgentTrafficEdge:
    """An agent's traffic and its place in the list."""

    cursor: str
    node: AgentTraffic


@strawberry.type(
    description="A page of agents' traffic; agents that never sent anything are left out."
)
class AgentTrafficConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.TrafficOfAgent]]) -> list[AgentTrafficEdge]:
        """Return the rows with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentTrafficEdge(cursor=cursor, node=row) for cursor, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentTraffic])
    def nodes(self, page: Parent[Slice[rows.TrafficOfAgent]]) -> list[rows.TrafficOfAgent]:
        """Return the rows alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.TrafficOfAgent]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many agents have sent anything.")
    def total_count(self, page: Parent[Slice[rows.TrafficOfAgent]]) -> int:
        """Return the number of rows on all pages."""
        return page.total


@strawberry.type
class BrokerViewQuery:
    """Fields of Query."""

    @strawberry.field(
        description="The broker: whether it is there, and its figures.",
        directives=[requires("broker_view.get_broker")],
    )
    async def broker(
        self,
        info: Info,
        connected: Annotated[
            bool,
            strawberry.argument(description="Answer UNAVAILABLE while the broker is away."),
        ] = False,
    ) -> Broker:
        """Return the broker."""
        return Broker.of(await broker_view.get_broker(info.context.ctx, connected=connected))

    @strawberry.field(
        graphql_type=AgentTrafficConnection,
        description="What agents have sent over MQTT, most or newest first; `first` is at most 500.",
        directives=[
            requires("broker_view.list_agent_traffic"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_traffic(
        self,
        info: Info,
        by: AgentTrafficOrder = AgentTrafficOrder.BYTES,
        first: int = 50,
        after: str | None = None,
    ) -> Slice[rows.TrafficOfAgent]:
        """Return a page of agents' traffic."""
        return await broker_view.list_agent_traffic(info.context.ctx, by, first, after)


@strawberry.type
class BrokerViewSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=Broker,
        description="The broker as it is, and then about every ten seconds, or when it goes or comes.",
        directives=[requires("broker_view.get_broker")],
    )
    async def broker_changed(self, info: Info) -> BrokerFeed:
        """Return the feed."""
        return follow_broker(info.context.ctx)


async def _each(broker: Broker) -> AsyncGenerator[Broker, None]:
    yield broker
