"""Versions of target states, drafts, and edits of single apps."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core import target_diff
from core.paging import OpenSlice
from models import target_versions as rows
from resolvers import target_drafts, target_history
from schema.agents import PageInfo
from schema.context import Info
from schema.directives import list_size, requires
from schema.scalars import Json
from schema.secret_documents import READABLE, document
from schema.target_states import IfVersion, TargetState


@strawberry.type(description="One difference between two target states.")
class TargetStateChange:
    """Read off the core's value."""

    path: str = strawberry.field(description="As RFC 6901 says, e.g. `/config/logging/level`.")
    op: str = strawberry.field(description="`add`, `remove` or `replace`.")
    before: Json | None = strawberry.field(
        description="Secrets are `***`; of a long value the beginning of its JSON."
    )
    after: Json | None


@strawberry.type(description="What a version changed.")
class TargetStateDiff:
    """Read off the core's value."""

    changes: list[TargetStateChange]
    is_complete: bool = strawberry.field(description="False when there are more changes.")


@strawberry.type(description="What an agent was to run, since when, and who said so.")
class TargetStateVersion:
    """Read off the model's value."""

    version: int
    etag: str
    author: str = strawberry.field(
        description="The user name, with an API key its name as well; `agent` or `system`."
    )
    comment: str
    created_at: datetime
    created_by: UUID | None

    @strawberry.field(description=READABLE)
    def apps(self, row: Parent[rows.TargetVersion], info: Info) -> Json:
        """Return the apps."""
        return document(info, row.apps)

    @strawberry.field(description=READABLE)
    def config(self, row: Parent[rows.TargetVersion], info: Info) -> Json:
        """Return the configuration."""
        return document(info, row.config)

    @strawberry.field(
        graphql_type=TargetStateDiff | None,
        description="Against the version before; null when that is not kept any more. Endpoints "
        "are matched by uuid, services and data points by name.",
        directives=[list_size(20, fields=["changes"])],
    )
    def diff(self, row: Parent[rows.TargetVersion]) -> target_diff.Diff | None:
        """Return what the version changed."""
        return target_history.diff_of_version(row)


@strawberry.type
class TargetStateVersionEdge:
    """A version and its place in the list."""

    cursor: str
    node: TargetStateVersion


@strawberry.type(description="A page of versions, newest first.")
class TargetStateVersionConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[rows.TargetVersion]]) -> list[TargetStateVersionEdge]:
        """Return the versions with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [TargetStateVersionEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[TargetStateVersion])
    def nodes(self, page: Parent[OpenSlice[rows.TargetVersion]]) -> list[rows.TargetVersion]:
        """Return the versions alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[rows.TargetVersion]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.type(description="A draft that has gone live.")
class TargetDeployment:
    """What is live now, and what was said of it."""

    agent_uuid: UUID
    version: int
    updated_at: datetime | None
    apps_count: int
    comment: str
    target_state: TargetState


@strawberry.type
class TargetHistoryQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=TargetStateVersionConnection,
        description="The versions of an agent's target state that are kept, newest first.",
        directives=[
            requires("target_history.list_target_versions"),
            list_size(20, argument="first", fields=["nodes", "edges"]),
        ],
    )
    async def target_state_versions(
        self, info: Info, agent_uuid: UUID, first: int = 20, after: str | None = None
    ) -> OpenSlice[rows.TargetVersion]:
        """Return one page of versions."""
        return await target_history.list_target_versions(info.context.ctx, agent_uuid, first, after)

    @strawberry.field(
        graphql_type=TargetStateVersion,
        description="One version of an agent's target state.",
        directives=[requires("target_history.get_target_version")],
    )
    async def target_state_version(
        self, info: Info, agent_uuid: UUID, version: int
    ) -> rows.TargetVersion:
        """Return one version."""
        return await target_history.get_target_version(info.context.ctx, agent_uuid, version)


@strawberry.type
class TargetHistoryMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Give an agent the document of an older version again, as a new version.",
        directives=[requires("target_history.roll_back_target_state")],
    )
    async def rollback_target_state(
        self, info: Info, agent_uuid: UUID, version: int, if_version: IfVersion = None
    ) -> TargetState:
        """Return the new target state."""
        row = await target_history.roll_back_target_state(
            info.context.ctx, agent_uuid, version, if_version=if_version
        )
        return TargetState.of(agent_uuid, row)

    @strawberry.mutation(
        description="Publish an agent's draft. CONFLICT when there is none, or when the live "
        "document has moved on since the draft was made.",
        directives=[requires("target_drafts.deploy_target_draft")],
    )
    async def deploy_target_state(
        self,
        info: Info,
        agent_uuid: UUID,
        if_version: IfVersion = None,
        override: Annotated[
            bool, strawberry.argument(description="Publish it whatever was changed meanwhile.")
        ] = False,
        comment: str = "",
    ) -> TargetDeployment:
        """Return what is live now."""
        row = await target_drafts.deploy_target_draft(
            info.context.ctx, agent_uuid, if_version=if_version, override=override, comment=comment
        )
        return TargetDeployment(
            agent_uuid=agent_uuid,
            version=row.version,
            updated_at=row.updated_at,
            apps_count=len(row.apps),
            comment=comment,
            target_state=TargetState.of(agent_uuid, row),
        )

    @strawberry.mutation(
        description="Drop an agent's draft. CONFLICT when there is none.",
        directives=[requires("target_drafts.cancel_target_draft")],
    )
    async def cancel_target_draft(self, info: Info, agent_uuid: UUID) -> TargetState:
        """Return what is live."""
        row = await target_drafts.cancel_target_draft(info.context.ctx, agent_uuid)
        return TargetState.of(agent_uuid, row)
