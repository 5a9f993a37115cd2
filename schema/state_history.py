"""What agents reported before."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import OpenSlice
from resolvers import state_history
from resolvers.state_history import StateRecord
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json
from schema.secret_documents import reported


@strawberry.type(description="A report that changed something, or one that came too late for that.")
class StateReportRecord:
    """Read off the use case's value."""

    at: datetime = strawberry.field(description="When it came.")
    is_replay: bool = strawberry.field(
        description="It had waited in the agent's queue, nobody knows since when."
    )
    version: int | None

    @strawberry.field(
        description="What it said; `_cut` names members that were too large to be kept. Secrets in "
        "connections of endpoints are masked, all others for callers without `device:write`."
    )
    def report(self, record: Parent[StateRecord], info: Info) -> Json:
        """Return the report as the caller may see it."""
        return reported(info, record.body)


@strawberry.type
class StateReportEdge:
    """A report and its place in the list."""

    cursor: str
    node: StateReportRecord


@strawberry.type(description="A page of reports, newest first. They are too many to be counted.")
class StateReportConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[StateRecord]]) -> list[StateReportEdge]:
        """Return the reports with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [StateReportEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[StateReportRecord])
    def nodes(self, page: Parent[OpenSlice[StateRecord]]) -> list[StateRecord]:
        """Return the reports alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[StateRecord]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.type
class StateHistoryQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=StateReportConnection,
        description="What an agent reported before: reports that changed apps, configuration, "
        "version, software or the status of an endpoint, and those that came late. Newest first; "
        "`first` is at most 500.",
        directives=[
            requires("state_history.list_state_history"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def state_history(
        self,
        info: Info,
        agent_uuid: UUID,
        since: Annotated[
            datetime | None, strawberry.argument(name="from", description="Default: the first.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(name="to", description="Exclusive. Default: now.")
        ] = None,
        first: int = 50,
        after: str | None = None,
    ) -> OpenSlice[StateRecord]:
        """Return a page of reports."""
        ctx = info.context.ctx
        return await state_history.list_state_history(ctx, agent_uuid, first, after, since, until)
