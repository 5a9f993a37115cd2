"""Target states: what should run on each agent."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from core.etag import state_etag
from core.target_documents import consequences
from models import target_states as rows
from resolvers import target_drafts, target_states
from schema.context import Info
from schema.directives import requires
from schema.scalars import Json
from schema.secret_documents import READABLE, document


@strawberry.type(description="A target state before it is published.")
class TargetDraft:
    """The draft of one agent."""

    stored_apps: strawberry.Private[dict[str, Any]]
    stored_config: strawberry.Private[dict[str, Any]]
    of_version: int = strawberry.field(
        description="The live version that it was made from; with another one live now, "
        "publishing it would undo somebody's change."
    )
    saved_at: datetime
    saved_by: UUID | None

    @strawberry.field(description=READABLE)
    def apps(self, info: Info) -> Json:
        """Return the apps."""
        return document(info, self.stored_apps)

    @strawberry.field(description=READABLE)
    def config(self, info: Info) -> Json:
        """Return the configuration."""
        return document(info, self.stored_config)

    @classmethod
    def of(cls, row: rows.TargetState) -> TargetDraft | None:
        """Return the draft in a row, if there is one."""
        if row.draft_of is None or row.draft_at is None:
            return None
        return cls(
            stored_apps=row.draft_apps or {},
            stored_config=row.draft_config or {},
            of_version=row.draft_of,
            saved_at=row.draft_at,
            saved_by=row.draft_by,
        )


@strawberry.type(
    description="What should run on an agent. An agent that was never given one has empty `apps` "
    "and `config`."
)
class TargetState:
    """The document of one agent."""

    agent_uuid: UUID
    version: int = strawberry.field(description="Grows by one with every change; starts at 1.")
    stored_apps: strawberry.Private[dict[str, Any]]
    stored_config: strawberry.Private[dict[str, Any]]
    etag: str = strawberry.field(description="Changes exactly when `apps` or `config` do.")
    updated_at: datetime | None
    updated_by: UUID | None = strawberry.field(description="The person who changed it last.")
    draft: TargetDraft | None = strawberry.field(
        default=None, description="A document that waits to be published; agents do not see it."
    )

    @strawberry.field(description=f"Containers, as an object keyed by app id. {READABLE}")
    def apps(self, info: Info) -> Json:
        """Return the apps."""
        return document(info, self.stored_apps)

    @strawberry.field(description=READABLE)
    def config(self, info: Info) -> Json:
        """Return the configuration."""
        return document(info, self.stored_config)

    @strawberry.field(description="Whether a draft waits to be published.")
    def needs_deployment(self) -> bool:
        """Return whether there is a draft."""
        return self.draft is not None

    @strawberry.field(description="When the live document last changed, as far as it ever did.")
    def last_deployed_at(self) -> datetime | None:
        """Return when agents were last given something else."""
        return self.updated_at

    @strawberry.field(
        description="What an agent makes of the configuration that its author may not expect: an "
        "empty list of endpoints takes none away."
    )
    def consequences(self) -> list[str]:
        """Return sentences for people."""
        return consequences(self.stored_config)

    @strawberry.field(description="How many apps should run.")
    def apps_count(self) -> int:
        """Return the number of apps."""
        return len(self.stored_apps)

    @classmethod
    def of(cls, agent_uuid: UUID, row: rows.TargetState | None) -> TargetState:
        """Return the target state in a row, or the empty one."""
        if row is None:
            return cls(
                agent_uuid=agent_uuid,
                version=1,
                stored_apps={},
                stored_config={},
                etag=state_etag({}, {}),
                updated_at=None,
                updated_by=None,
            )
        return cls(
            agent_uuid=agent_uuid,
            version=row.version,
            stored_apps=row.apps,
            stored_config=row.config,
            etag=row.etag,
            updated_at=row.updated_at,
            updated_by=row.updated_by,
            draft=TargetDraft.of(row),
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


IfVersion = Annotated[
    int | None,
    strawberry.argument(
        description="Refuse with PRECONDITION_FAILED unless this is the current version."
    ),
]


@strawberry.type
class TargetStateMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Replace an agent's target state as a whole; the agent applies it at its next "
        "poll. `apps` is an object keyed by app id, or a list of objects with a numeric `appId`. "
        "The same document again changes nothing, the version neither. Whatever is wrong with the "
        "document is told at once, in the extension `errors`.",
        directives=[requires("target_states.set_target_state")],
    )
    async def set_target_state(
        self,
        info: Info,
        agent_uuid: UUID,
        apps: Json,
        config: Json | None = None,
        if_version: IfVersion = None,
        draft: Annotated[
            bool,
            strawberry.argument(
                description="Keep it as the agent's draft, apart from what the agent polls."
            ),
        ] = False,
    ) -> TargetState:
        """Return the new target state."""
        ctx, body = info.context.ctx, apps
        put = target_drafts.save_target_draft if draft else target_states.set_target_state
        row = await put(ctx, agent_uuid, apps=body, config=config, if_version=if_version)
        return TargetState.of(agent_uuid, row)

    @strawberry.mutation(
        description="Empty an agent's target state; the agent goes idle, but keeps its endpoints.",
        directives=[requires("target_states.clear_target_state")],
    )
    async def clear_target_state(
        self, info: Info, agent_uuid: UUID, if_version: IfVersion = None
    ) -> TargetState:
        """Return the empty target state."""
        row = await target_states.clear_target_state(
            info.context.ctx, agent_uuid, if_version=if_version
        )
        return TargetState.of(agent_uuid, row)
