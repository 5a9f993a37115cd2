"""The audit log."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.audit_verification import Problem
from core.paging import Slice
from resolvers import audit
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json, Long


@strawberry.type(description="Something that somebody did, or was refused.")
class AuditEvent:
    """Read off a row of the log."""

    id: Long
    event_type: str
    severity: str = strawberry.field(description="info, warning, error or critical.")
    actor: str = strawberry.field(
        description="user, api_key, agent, system, or nobody: a caller without a credential."
    )
    user_id: UUID | None
    api_key_id: UUID | None
    session_id: UUID | None
    agent_uuid: UUID | None
    subject: str = strawberry.field(description="What it happened to, as `noun:key`.")
    ip_address: str
    user_agent: str
    request_id: str
    details: Json = strawberry.field(
        description="Often with `before` and `after`, or `changes` where those are long. Secrets "
        "are `***`."
    )
    created_at: datetime
    position: Long | None = strawberry.field(
        description="The place in the tenant's chain; null until it is chained, seconds later."
    )

    @strawberry.field(description="The hash in the chain, in hex.")
    def chain_hash(self, row: Parent[audit.AuditEvent]) -> str | None:
        """Return the hash as text."""
        return None if row.chain_hash is None else row.chain_hash.hex()


@strawberry.type
class AuditEventEdge:
    """An event and its place in the list."""

    cursor: str
    node: AuditEvent


@strawberry.type(description="A page of the audit log, newest first.")
class AuditEventConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[audit.AuditEvent]]) -> list[AuditEventEdge]:
        """Return the events with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AuditEventEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AuditEvent])
    def nodes(self, page: Parent[Slice[audit.AuditEvent]]) -> list[audit.AuditEvent]:
        """Return the events alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[audit.AuditEvent]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many events match in all.")
    def total_count(self, page: Parent[Slice[audit.AuditEvent]]) -> int:
        """Return the number of events on all pages."""
        return page.total

    @strawberry.field(description="Whether there are events behind this page.")
    def has_more(self, page: Parent[Slice[audit.AuditEvent]]) -> bool:
        """Return what pageInfo says, too."""
        return page.has_next

    @strawberry.field(description="`after` of the next page; null on the last one.")
    def next_cursor(self, page: Parent[Slice[audit.AuditEvent]]) -> str | None:
        """Return the cursor of the last event, if more come after it."""
        return page.cursors[-1] if page.has_next else None


@strawberry.input(description="Which events; all conditions must hold.")
class AuditFilter:
    """Conditions on events."""

    event_type: str | None = None
    types: list[str] | None = strawberry.field(default=None, description="Any of these types.")
    user_id: UUID | None = None
    api_key_id: UUID | None = None
    session_id: UUID | None = None
    agent_uuid: UUID | None = None
    ip_address: str | None = strawberry.field(
        default=None, description="Exactly as events tell it."
    )
    severity: str | None = None
    since: datetime | None = strawberry.field(
        default=None, name="from", description="Events from this moment on."
    )
    until: datetime | None = strawberry.field(
        default=None, name="to", description="Events before this moment."
    )
    text: str | None = strawberry.field(default=None, description="A part of the subject.")

    def to_filter(self) -> audit.AuditFilter:
        """Return the same for use cases."""
        types = self.types
        if self.event_type is not None:
            types = [self.event_type] if types is None or self.event_type in types else []
        return audit.AuditFilter(
            types=types,
            user_id=self.user_id,
            api_key_id=self.api_key_id,
            session_id=self.session_id,
            agent_uuid=self.agent_uuid,
            ip_address=self.ip_address,
            severity=self.severity,
            since=self.since,
            until=self.until,
            text=self.text,
        )


@strawberry.type(description="Something that is wrong with the log, at positions of its chain.")
class AuditProblem:
    """Read off a finding."""

    kind: str
    first: Long
    last: Long
    id: Long | None = strawberry.field(description="The event's id, where there is one.")
    message: str


@strawberry.type(description="What verifying the log came to.")
class AuditVerification:
    """Read off the use case's value."""

    is_intact: bool
    pending: int = strawberry.field(description="Events that are not chained yet.")
    public_key: str = strawberry.field(description="Verifies the checkpoints; Ed25519 in base64.")

    @strawberry.field(description="Events that were verified.")
    def events(self, found: Parent[audit.Verification]) -> Long:
        """Return their number."""
        return Long(found.check.rows)

    @strawberry.field(description="The chain begins behind this position: retention removed it.")
    def start(self, found: Parent[audit.Verification]) -> Long:
        """Return the position."""
        return Long(found.check.start)

    @strawberry.field(description="Where the chain ends.")
    def last_position(self, found: Parent[audit.Verification]) -> Long:
        """Return the position."""
        return Long(found.check.last_position)

    @strawberry.field(
        description="The hash there, in hex; compare it with what a log collector has."
    )
    def last_hash(self, found: Parent[audit.Verification]) -> str:
        """Return the hash as text."""
        return found.last_hash.hex()

    @strawberry.field(description="Findings in all; `problems` holds the first 100.")
    def problem_count(self, found: Parent[audit.Verification]) -> int:
        """Return their number."""
        return found.check.problem_count

    @strawberry.field(graphql_type=list[AuditProblem], directives=[list_size(100)])
    def problems(self, found: Parent[audit.Verification]) -> list[Problem]:
        """Return what was found."""
        return found.check.problems


@strawberry.type
class AuditQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=AuditEventConnection,
        description="The tenant's audit log, newest first; `first` is at most 500.",
        directives=[
            requires("audit.list_audit_events"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def audit_events(
        self,
        info: Info,
        filter: AuditFilter | None = None,  # noqa: A002  (the contract's word)
        first: int = 50,
        after: str | None = None,
        offset: Annotated[
            int, strawberry.argument(description="Events to skip behind `after`, to 100000.")
        ] = 0,
    ) -> Slice[audit.AuditEvent]:
        """Return a page of events."""
        wanted = (filter or AuditFilter()).to_filter()
        return await audit.list_audit_events(info.context.ctx, wanted, first, after, offset)

    @strawberry.field(
        graphql_type=AuditVerification,
        description="Verify the tenant's audit log from its start to its end, row by row.",
        directives=[requires("audit.verify_audit")],
    )
    async def verify_audit(self, info: Info) -> audit.Verification:
        """Return what was found."""
        return await audit.verify_audit(info.context.ctx)


@strawberry.type
class AuditSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=AuditEvent,
        description="The tenant's audit log of a time, oldest first; then it completes.",
        directives=[requires("audit.export_audit_events")],
    )
    async def audit_export(
        self,
        info: Info,
        since: Annotated[
            datetime | None, strawberry.argument(name="from", description="Default: the first.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(name="to", description="Exclusive. Default: now.")
        ] = None,
    ) -> AsyncGenerator[audit.AuditEvent, None]:
        """Return the events, read as they are taken."""
        return await audit.export_audit_events(info.context.ctx, since, until)
