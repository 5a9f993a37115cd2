"""Logs that agents upload, and that people read."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.selectors import parse_selector
from resolvers import agent_logs, device_logs
from resolvers.agent_logs import LogPage
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import DateOrTime, Json, Long


@strawberry.type(description="What became of a batch of log lines.")
class LogReceipt:
    """The answer to an upload; read off the use case's value."""

    batch_id: str
    accepted: bool
    queued: bool = strawberry.field(
        resolver=lambda: True, description="Always true: what was accepted is stored."
    )
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


@strawberry.type(description="A page of lines, newest first.")
class AgentLogConnection:
    """Read off a LogPage."""

    @strawberry.field
    def edges(self, page: Parent[LogPage]) -> list[AgentLogEdge]:
        """Return the lines with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentLogEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentLogLine])
    def nodes(self, page: Parent[LogPage]) -> list[agent_logs.StoredLine]:
        """Return the lines alone."""
        return page.items

    @strawberry.field(
        description="How to go on. With `before`, `hasNextPage` says whether still newer lines follow."
    )
    def page_info(self, page: Parent[LogPage]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="`after` for lines that are older; null on an empty page.")
    def older_cursor(self, page: Parent[LogPage]) -> str | None:
        """Return the cursor of the last line."""
        return page.cursors[-1] if page.cursors else None

    @strawberry.field(
        description="`before` for lines that are newer; null when there are none yet."
    )
    def newer_cursor(self, page: Parent[LogPage]) -> str | None:
        """Return the cursor of the first line, or the one that was asked for."""
        return page.newer

    @strawberry.field(
        description="How many lines match in all; null when there are more than 10,000.",
        directives=[requires("agent_logs.count_logs")],
    )
    async def total_count(self, page: Parent[LogPage], info: Info) -> int | None:
        """Count the lines on all pages."""
        return await agent_logs.count_logs(info.context.ctx, page)

    @strawberry.field(
        description="How many lines these agents say, in reports of that time, they had to drop.",
        directives=[requires("agent_logs.count_dropped_logs")],
    )
    async def dropped_count(self, page: Parent[LogPage], info: Info) -> Long:
        """Return the sum over the agents' reports."""
        return Long(await agent_logs.count_dropped_logs(info.context.ctx, page))


@strawberry.input(description="Which lines; all conditions must hold.")
class AgentLogFilter:
    """Conditions on lines."""

    service: str | None = None
    services: list[str] | None = strawberry.field(
        default=None, description="Any of these services."
    )
    levels: list[str] | None = strawberry.field(default=None, description="Any of these levels.")
    min_level: str | None = strawberry.field(
        default=None,
        description="debug, info, warn or error: leaves out those below. Other words stay.",
    )
    since: DateOrTime | None = strawberry.field(
        default=None, name="from", description="Lines from this moment on, or from this day on."
    )
    until: DateOrTime | None = strawberry.field(
        default=None, name="to", description="Lines up to this moment, or to the end of this day."
    )
    since_id: Long | None = strawberry.field(
        default=None, description="Lines that were stored after the one with this id."
    )

    def to_filter(self, text: str | None) -> agent_logs.LogFilter:
        """Return the same for use cases."""
        return agent_logs.LogFilter(
            service=self.service,
            services=self.services,
            levels=self.levels,
            min_level=self.min_level,
            since=None if self.since is None else _start(self.since),
            until=None if self.until is None else _behind(self.until),
            text=text,
            since_id=self.since_id,
        )


@strawberry.input(description="Which lines of which agents; all conditions must hold.")
class LogFilter(AgentLogFilter):
    """Conditions on agents and on their lines."""

    agent_uuids: list[UUID] | None = strawberry.field(default=None, description="At most 1000.")
    fleet_uuid: UUID | None = None
    selector: str | None = strawberry.field(
        default=None, description="What the agents' tags are: `site=berlin, line in (a, b)`."
    )

    def to_agents(self) -> agent_logs.AgentsOfLogs:
        """Return whose lines; raises InvalidInput."""
        selector = self.selector
        parsed = None if selector is None else parse_selector(selector, "filter.selector")
        return agent_logs.AgentsOfLogs(self.agent_uuids, self.fleet_uuid, parsed)


def _start(value: date) -> datetime:
    return value if isinstance(value, datetime) else datetime.combine(value, time(), UTC)


def _behind(value: date) -> datetime | None:
    """Return the first moment that is no more in `value`; None if there is none."""
    length = timedelta(microseconds=1) if isinstance(value, datetime) else timedelta(days=1)
    try:
        return _start(value) + length
    except OverflowError:
        return None


_Q = Annotated[
    str | None,
    strawberry.argument(
        description='Words that stand in message or service: all of them, "phrases", -not, or.'
    ),
]
_BEFORE = Annotated[
    str | None,
    strawberry.argument(description="A `newerCursor`: lines that are newer, nearest to it."),
]
_OFFSET = Annotated[
    int, strawberry.argument(description="Lines to skip behind `after`, to 100000.")
]


@strawberry.type
class DeviceLogQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AgentLogConnection,
        description="Lines that an agent uploaded, newest first; `first` is at most 1000.",
        directives=[
            requires("agent_logs.list_agent_logs"),
            list_size(100, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def agent_logs(
        self,
        info: Info,
        agent_uuid: UUID,
        filter: AgentLogFilter | None = None,  # noqa: A002  (the contract's word)
        q: _Q = None,
        first: int = 100,
        after: str | None = None,
        before: _BEFORE = None,
        offset: _OFFSET = 0,
    ) -> LogPage:
        """Return a page of lines."""
        wanted = (filter or AgentLogFilter()).to_filter(q)
        return await agent_logs.list_agent_logs(
            info.context.ctx, agent_uuid, wanted, first, after, offset, before=before
        )

    @strawberry.field(
        graphql_type=AgentLogConnection,
        description="Lines of many agents together, newest first; `first` is at most 1000.",
        directives=[
            requires("agent_logs.search_logs"),
            list_size(100, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def logs(
        self,
        info: Info,
        filter: LogFilter | None = None,  # noqa: A002  (as above)
        q: _Q = None,
        first: int = 100,
        after: str | None = None,
        before: _BEFORE = None,
    ) -> LogPage:
        """Return a page of lines."""
        given = filter or LogFilter()
        place = agent_logs.LogPlace(first, after, before)
        return await agent_logs.search_logs(
            info.context.ctx, given.to_agents(), given.to_filter(q), place
        )

    @strawberry.field(
        description="The names of services that an agent has lines of.",
        directives=[requires("agent_logs.list_log_services")],
    )
    async def agent_log_services(self, info: Info, agent_uuid: UUID) -> list[str]:
        """Return the names in order."""
        return await agent_logs.list_log_services(info.context.ctx, agent_uuid)


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
            strawberry.argument(
                description="Name of the batch. The same under it again changes nothing; another "
                "content is another batch."
            ),
        ] = None,
        attempt: Annotated[
            int | None, strawberry.argument(description="How often the agent has sent it, from 1.")
        ] = None,
    ) -> device_logs.LogReceipt:
        """Store a batch of the calling agent."""
        return await device_logs.upload_logs(info.context.ctx, agent_uuid, batch_id, body, attempt)
