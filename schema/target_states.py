"""Target states: what should run on each agent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core.etag import state_etag
from models import target_states as rows
from resolvers import target_states
from schema.context import Info
from schema.directives import requires
from schema.scalars import Json


@strawberry.type(
    description="What should run on an agent. An agent that was never given one has empty `apps` "
    "and `config`."
)
class TargetState:
    """The document of one agent."""

    agent_uuid: UUID
    version: int = strawberry.field(description="Grows by one with every change; starts at 1.")
    apps: Json = strawberry.field(description="Containers, as an object keyed by app id.")
    config: Json
    etag: str = strawberry.field(description="Changes exactly when `apps` or `config` do.")
    updated_at: datetime | None
    updated_by: UUID | None = strawberry.field(description="The person who changed it last.")

    @strawberry.field(description="Always false: a change is live at once.")
    def needs_deployment(self) -> bool:
        """Return false; drafts do not exist."""
        return False

    @classmethod
    def of(cls, agent_uuid: UUID, row: rows.TargetState | None) -> TargetState:
        """Return the target state in a row, or the empty one."""
        if row is None:
            return cls(
                agent_uuid=agent_uuid,
                version=1,
                apps=Json({}),
                config=Json({}),
                etag=state_etag({}, {}),
                updated_at=None,
                updated_by=None,
            )
        return cls(
            agent_uuid=agent_uuid,
            version=row.version,
            apps=Json(row.apps),
            config=Json(row.config),
            etag=row.etag,
            updated_at=row.updated_at,
            updated_by=row.updated_by,
        )


@strawberry.type(description="The target state in the form that agents poll.")
class DeviceState:
    """What a poll answers; read off the use case's value."""

    etag: str
    document: Json = strawberry.field(description="An object keyed by the agent's uuid.")


@strawberry.type
class TargetStateQuery:
    """Fields of Query."""

    @strawberry.field(
        description="What should run on an agent.",
        directives=[requires("target_states.get_target_state")],
    )
    async def target_state(self, info: Info, agent_uuid: UUID) -> TargetState:
        """Return one agent's target state."""
        row = await target_states.get_target_state(info.context.ctx, agent_uuid)
        return TargetState.of(agent_uuid, row)

    @strawberry.field(
        graphql_type=DeviceState,
        description="For agents: the own target state. A poll counts as a sign of life.",
        directives=[requires("target_states.poll_target_state")],
    )
    async def device_state(self, info: Info, agent_uuid: UUID) -> target_states.DeviceState:
        """Return what the calling agent should run."""
        return await target_states.poll_target_state(info.context.ctx, agent_uuid)


@strawberry.type
class TargetStateMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Replace an agent's target state as a whole; the agent applies it at its next "
        "poll. `apps` is an object keyed by app id, or a list of objects with a numeric `appId`.",
        directives=[requires("target_states.set_target_state")],
    )
    async def set_target_state(
        self,
        info: Info,
        agent_uuid: UUID,
        apps: Json,
        config: Json | None = None,
        if_version: Annotated[
            int | None,
            strawberry.argument(
                description="Refuse with PRECONDITION_FAILED unless this is the current version."
            ),
        ] = None,
    ) -> TargetState:
        """Return the new target state."""
        body: Any = apps
        row = await target_states.set_target_state(
            info.context.ctx, agent_uuid, apps=body, config=config, if_version=if_version
        )
        return TargetState.of(agent_uuid, row)

    @strawberry.mutation(
        description="Empty an agent's target state; the agent goes idle.",
        directives=[requires("target_states.clear_target_state")],
    )
    async def clear_target_state(self, info: Info, agent_uuid: UUID) -> TargetState:
        """Return the empty target state."""
        row = await target_states.clear_target_state(info.context.ctx, agent_uuid)
        return TargetState.of(agent_uuid, row)
