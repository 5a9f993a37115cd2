"""Logs that agents upload, and that people read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import OpenSlice
from resolvers import device_logs
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import DateOrTime, Json, Long


@strawberry.type(description="What became of a batch of log lines.")
class LogReceipt:
    """The answer to an upload; read off the use case's value."""

    batch_id: str
    accepted: bool
    duplicate: bool = strawberry.field(description="Whether this batch had come before.")
    received: int = strawberry.field(description="Lines stored, now or when it first came.")
    skipped: int = strawberry.field(description="Lines that could not be read.")


@strawberry.type(description="A line that an agent uploaded.")
class AgentLogLine:
    """Read off the use case's value."""

    id: Long
    agent_uuid: UUID
    at: datetime = strawberry.field(description="When, by the agent's clock.")
    level: str = strawberry.field(description="debug, info, warn, error or the agent's own word.")
    service: str = strawberry.field(description="Of the container, or the agent's part; or empty.")
    message: str
    is_system: bool = strawberry.field(description="Of the agent itself, not of a container.")
    is_stderr: bool
    meta: Json
    received_at: datetime


@strawberry.type
class AgentLogEdge:
    """A line and its place in the list."""

    cursor: str
    node: AgentLogLine


@strawberry.type(description="A page of lines, newest first. They are too many to be counted.")
class AgentLogConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[device_logs.StoredLine]]) -> list[AgentLogEdge]:
        """Return the lines with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentLogEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentLogLine])
    def nodes(
        self, page: Parent[OpenSlice[device_logs.StoredLine]]
    ) -> list[device_logs.StoredLine]:
        """Return the lines alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[device_logs.StoredLine]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.input(description="Which lines; all conditions must hold.")
class AgentLogFilter:
    """Conditions on lines."""

    service: str | None = None
    levels: list[str] | None = strawberry.field(default=None, description="Any of these levels.")
    since: DateOrTime | None = strawberry.field(
        default=None, name="from", description="Lines from this moment on, or from this day on."
    )
    until: DateOrTime | None = strawberry.field(
        default=None, name="to", description="Lines up to this moment, or to the end of this day."
    )

    def to_filter(self) -> device_logs.LogFilter:
        """Return the same for use cases."""
        return device_logs.LogFilter(
            service=self.service,
            levels=self.levels,
            since=None if self.since is None else _start(self.since),
            until=None if self.until is None else _behind(self.until),
        )


def _start(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time(), UTC)


def _behind(value: date) -> datetime | None:
    """Return the first moment that is no more in `value`; None if there is none."""
    length = timedelta(microseconds=1) if isinstance(value, datetime) else timedelta(days=1)
    try:
        return _start(value) + length
    except OverflowError:
        return None


@strawberry.type
class DeviceLogQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AgentLogConnection,
        description="Lines that an agent uploaded, newest first; `first` is at most 1000.",
        directives=[
            requires("device_logs.list_agent_logs"),
            list_size(100, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_logs(
        self,
        info: Info,
        agent_uuid: UUID,
        filter: AgentLogFilter | None = None,  # noqa: A002  (the contract's word)
        first: int = 100,
        after: str | None = None,
        offset: Annotated[
            int, strawberry.argument(description="Lines to skip behind `after`, to 100000.")
        ] = 0,
    ) -> OpenSlice[device_logs.StoredLine]:
        """Return a page of lines."""
        wanted = (filter or AgentLogFilter()).to_filter()
        ctx = info.context.ctx
        return await device_logs.list_agent_logs(ctx, agent_uuid, wanted, first, after, offset)

    @strawberry.field(
        description="The names of services that an agent has lines of.",
        directives=[requires("device_logs.list_log_services")],
    )
    async def agent_log_services(self, info: Info, agent_uuid: UUID) -> list[str]:
        """Return the names in order."""
        return await device_logs.list_log_services(info.context.ctx, agent_uuid)


@strawberry.type
class DeviceLogMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=LogReceipt,
        description="For agents: upload log lines, as NDJSON or as a JSON array.",
        directives=[requires("device_logs.upload_logs")],
    )
    async def upload_device_logs(
        self,
        info: Info,
        agent_uuid: UUID,
        body: bytes,
        batch_id: Annotated[
            str | None,
            strawberry.argument(description="Name of the batch; a repeat changes nothing."),
        ] = None,
    ) -> device_logs.LogReceipt:
        """Store a batch of the calling agent."""
        return await device_logs.upload_logs(info.context.ctx, agent_uuid, batch_id, body)
