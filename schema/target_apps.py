"""Single apps of a target state."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import strawberry

from models.target_states import TargetState as TargetStateRow
from resolvers import target_apps
from schema.context import Info
from schema.directives import requires
from schema.scalars import Json, Long
from schema.target_states import IfVersion, TargetState


@strawberry.type(description="An app of an agent's target state, after a change.")
class TargetApp:
    """One app, and the version of the document that has it."""

    agent_uuid: UUID
    version: int
    app_id: Long
    app_name: str | None = strawberry.field(description="Null once the app is gone.")
    services: Json | None
    target_state: TargetState

    @classmethod
    def of(cls, agent_uuid: UUID, app_id: int, row: TargetStateRow) -> TargetApp:
        """Return one app of a row."""
        app: Any = row.apps.get(str(app_id)) or {}
        return cls(
            agent_uuid=agent_uuid,
            version=row.version,
            app_id=Long(app_id),
            app_name=app.get("appName"),
            services=Json(app["services"]) if "services" in app else None,
            target_state=TargetState.of(agent_uuid, row),
        )


AppName = Annotated[str | None, strawberry.argument(description="Default: the one it has.")]
Services = Annotated[
    Json | None,
    strawberry.argument(
        description="A list of `{serviceName, image, ports, environment, volumes, state, config}`; "
        "a service without `serviceId` keeps the id it has under its name, or gets a new one."
    ),
]


@strawberry.type
class TargetAppMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Add an app to an agent's target state. CONFLICT when it has one of this id.",
        directives=[requires("target_apps.add_app")],
    )
    async def add_app(
        self,
        info: Info,
        agent_uuid: UUID,
        app_id: Long,
        app_name: AppName = None,
        services: Services = None,
        if_version: IfVersion = None,
    ) -> TargetApp:
        """Return the app."""
        ctx = info.context.ctx
        row = await target_apps.add_app(
            ctx, agent_uuid, app_id, name=app_name, services=services, if_version=if_version
        )
        return TargetApp.of(agent_uuid, app_id, row)

    @strawberry.mutation(
        description="Add an app to an agent's target state, or replace the one of this id.",
        directives=[requires("target_apps.set_app")],
    )
    async def set_app(
        self,
        info: Info,
        agent_uuid: UUID,
        app_id: Long,
        app_name: AppName = None,
        services: Services = None,
        if_version: IfVersion = None,
    ) -> TargetApp:
        """Return the app."""
        ctx = info.context.ctx
        row = await target_apps.set_app(
            ctx, agent_uuid, app_id, name=app_name, services=services, if_version=if_version
        )
        return TargetApp.of(agent_uuid, app_id, row)

    @strawberry.mutation(
        description="Change name or services of an app; null leaves as is.",
        directives=[requires("target_apps.update_app")],
    )
    async def update_app(
        self,
        info: Info,
        agent_uuid: UUID,
        app_id: Long,
        app_name: AppName = None,
        services: Services = None,
        if_version: IfVersion = None,
    ) -> TargetApp:
        """Return the app."""
        ctx = info.context.ctx
        row = await target_apps.update_app(
            ctx, agent_uuid, app_id, name=app_name, services=services, if_version=if_version
        )
        return TargetApp.of(agent_uuid, app_id, row)

    @strawberry.mutation(
        description="Take an app away from an agent's target state.",
        directives=[requires("target_apps.remove_app")],
    )
    async def remove_app(
        self, info: Info, agent_uuid: UUID, app_id: Long, if_version: IfVersion = None
    ) -> TargetApp:
        """Return the app."""
        row = await target_apps.remove_app(
            info.context.ctx, agent_uuid, app_id, if_version=if_version
        )
        return TargetApp.of(agent_uuid, app_id, row)

    @strawberry.mutation(
        description="Give one service of an app another image.",
        directives=[requires("target_apps.set_service_image")],
    )
    async def set_service_image(
        self,
        info: Info,
        agent_uuid: UUID,
        app_id: Long,
        service_name: str,
        image: str,
        if_version: IfVersion = None,
    ) -> TargetApp:
        """Return the app."""
        row = await target_apps.set_service_image(
            info.context.ctx, agent_uuid, app_id, service_name, image, if_version=if_version
        )
        return TargetApp.of(agent_uuid, app_id, row)
