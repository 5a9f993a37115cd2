"""An update of an agent's software as people see it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import strawberry
from strawberry import Parent

from core.clock import moment_of
from core.paging import Slice
from models import agent_updates as rows
from resolvers.agent_updates import UpdateFilter, UpdateWish
from schema.agents import PageInfo
from schema.directives import list_size
from schema.enums import AgentUpdateState


@strawberry.type(description="One thing that an agent told about its update.")
class AgentUpdateStep:
    """Made of what the row keeps."""

    type: str = strawberry.field(description="As agents name it: `update_started`.")
    reason: str | None
    at: datetime = strawberry.field(description="When it arrived.")
    told_at: datetime | None = strawberry.field(description="When, by the agent's own clock.")

    @classmethod
    def of(cls, step: dict[str, Any]) -> AgentUpdateStep:
        """Return a step of a row."""
        try:
            told_at = None if step["agent_ms"] is None else moment_of(step["agent_ms"] * 1000)
        except OverflowError:
            told_at = None
        return cls(
            type=step["type"],
            reason=step["reason"],
            at=datetime.fromisoformat(step["at"]),
            told_at=told_at,
        )


@strawberry.type(description="A command to an agent to update its own software, and how it goes.")
class AgentUpdate:
    """Read off a row."""

    id: UUID
    agent_uuid: UUID
    from_version: str | None = strawberry.field(description="What the agent ran beforehand.")
    state: AgentUpdateState
    reason: str | None = strawberry.field(description="Why it ended, where there is a reason.")
    is_open: bool = strawberry.field(description="Whether it may still move.")
    is_forced: bool
    is_declared: bool = strawberry.field(description="Whether the target state says it too.")
    scheduled_at: datetime | None
    issued_at: datetime
    expires_at: datetime = strawberry.field(description="Until when the agent may begin.")
    requested_by: UUID | None = strawberry.field(description="The person who asked for it.")
    created_at: datetime
    acknowledged_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None

    @strawberry.field(description="What it is to run: x.y.z, or `latest`.")
    def version(self, row: Parent[rows.AgentUpdate]) -> str:
        """Return the version that was asked for."""
        return row.to_version

    @strawberry.field(
        description="What the agent told, oldest first: the latest 50 messages.",
        directives=[list_size(10)],
    )
    def progress(self, row: Parent[rows.AgentUpdate]) -> list[AgentUpdateStep]:
        """Return the steps."""
        return [AgentUpdateStep.of(step) for step in row.progress]


@strawberry.type
class AgentUpdateEdge:
    """An update and its place in the list."""

    cursor: str
    node: AgentUpdate


@strawberry.type(description="A page of updates, newest first.")
class AgentUpdateConnection:
    """Read off a Slice."""

    @strawberry.field
    def edges(self, page: Parent[Slice[rows.AgentUpdate]]) -> list[AgentUpdateEdge]:
        """Return the updates with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [AgentUpdateEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[AgentUpdate])
    def nodes(self, page: Parent[Slice[rows.AgentUpdate]]) -> list[rows.AgentUpdate]:
        """Return the updates alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[Slice[rows.AgentUpdate]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)

    @strawberry.field(description="How many match in all.")
    def total_count(self, page: Parent[Slice[rows.AgentUpdate]]) -> int:
        """Return the number of updates on all pages."""
        return page.total


@strawberry.type(description="Why an agent was not asked to update itself.")
class AgentUpdateRefusal:
    """Read off the use case's value."""

    agent_uuid: UUID
    message: str


@strawberry.type(description="What became of a wish for many agents.")
class AgentUpdateRequests:
    """Read off the use case's value."""

    updates: list[AgentUpdate]
    refused: list[AgentUpdateRefusal]


@strawberry.input(description="Which updates: all that is given must hold.")
class AgentUpdateFilter:
    """Narrows a list."""

    agent_uuid: UUID | None = None
    states: list[AgentUpdateState] | None = None

    def to_filter(self) -> UpdateFilter:
        """Return the same for the use case."""
        return UpdateFilter(self.agent_uuid, self.states)


@strawberry.input(description="What agents are asked to become.")
class AgentUpdateInput:
    """A wish."""

    version: str = strawberry.field(description="x.y.z, or `latest`.")
    scheduled_at: datetime | None = strawberry.field(
        default=None, description="When to begin; default: at once."
    )
    force: bool = strawberry.field(
        default=False, description="Update although the agent's checks beforehand fail."
    )
    expires_in_hours: int = strawberry.field(
        default=24, description="1 to 720: how long the agent may take to begin."
    )
    declarative: bool = strawberry.field(
        default=False,
        description="Put it into the target state too, for agents that poll but miss messages.",
    )
    replace: bool = strawberry.field(
        default=False, description="Give up an open update that has not begun."
    )

    def to_wish(self) -> UpdateWish:
        """Return the same for the use case."""
        return UpdateWish(
            version=self.version,
            scheduled_at=self.scheduled_at,
            is_forced=self.force,
            expires_in_hours=self.expires_in_hours,
            is_declared=self.declarative,
            replaces=self.replace,
        )
