"""Where the broker differed from its accounts here."""

from __future__ import annotations

from datetime import datetime

import strawberry
from strawberry import Parent

from models import broker_drift as rows
from resolvers import broker_drift
from resolvers.broker_drift import BrokerDrifts
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.enums import DriftKind


@strawberry.type(description="A difference between a broker and the accounts that it was given.")
class BrokerDrift:
    """Read off a row."""

    kind: DriftKind
    subject: str = strawberry.field(
        description="The name of the account, the file, or the copy of the accounts."
    )
    found_at: datetime
    repaired_at: datetime | None = strawberry.field(description="Null while it lasts.")


@strawberry.type
class BrokerDriftEdge:
    """A difference and its place in the list."""

    cursor: str
    node: BrokerDrift


@strawberry.type(description="A page of differences, newest first.")
class BrokerDriftConnection:
    """Read off a page and the state beside it."""

    is_in_sync: bool = strawberry.field(
        description="Whether the brokers whose accounts are kept here go by them now."
    )
    checked_at: datetime | None = strawberry.field(
        description="When that was last looked at; null: nobody looks."
    )

    @strawberry.field
    def edges(self, found: Parent[BrokerDrifts]) -> list[BrokerDriftEdge]:
        """Return the differences with their cursors."""
        pairs = zip(found.page.cursors, found.page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [BrokerDriftEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[BrokerDrift])
    def nodes(self, found: Parent[BrokerDrifts]) -> list[rows.BrokerDrift]:
        """Return the differences alone."""
        return found.page.items

    @strawberry.field
    def page_info(self, found: Parent[BrokerDrifts]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(found.page)

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, found: Parent[BrokerDrifts]) -> str | None:
        """Return the cursor of the last difference, if more come after it."""
        return found.page.cursors[-1] if found.page.has_next else None

    @strawberry.field(description="How many are kept in all, of the newest 1000.")
    def total_count(self, found: Parent[BrokerDrifts]) -> int:
        """Return the number of differences on all pages."""
        return found.page.total


@strawberry.type
class BrokerDriftQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=BrokerDriftConnection,
        description="Where brokers were found to differ from the accounts here, newest first; "
        "`first` is at most 500.",
        directives=[
            requires("broker_drift.list_broker_drift"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def broker_drift(
        self, info: Info, first: int = 50, after: str | None = None
    ) -> BrokerDrifts:
        """Return a page of differences."""
        return await broker_drift.list_broker_drift(info.context.ctx, first, after)
