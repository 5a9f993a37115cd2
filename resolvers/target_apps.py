"""Edits of single apps within an agent's target state; each is live at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.errors import Conflict, InvalidInput, NotFound
from core.target_apps import app_of, new_services, with_image
from core.target_checks import APP_ID_MAX
from core.target_documents import checked_document
from models.agents import lock_agent
from models.target_states import TargetState, new_service_ids, present_state
from models.unit_of_work import unit_of_work
from resolvers.target_changes import Document, change_target_state

Apps = dict[str, Any]


@allow(Permission.DEVICE_WRITE)
async def add_app(
    ctx: Context,
    agent_uuid: UUID,
    app_id: int,
    *,
    name: str | None,
    services: object,
    if_version: int | None = None,
) -> TargetState:
    """Add an app. Raises Conflict when the agent has one of this id."""
    return await _put(ctx, agent_uuid, app_id, name, services, if_version=if_version, is_new=True)


@allow(Permission.DEVICE_WRITE)
async def set_app(
    ctx: Context,
    agent_uuid: UUID,
    app_id: int,
    *,
    name: str | None,
    services: object,
    if_version: int | None = None,
) -> TargetState:
    """Add an app, or replace the one of this id as a whole; services keep ids by their names."""
    return await _put(ctx, agent_uuid, app_id, name, services, if_version=if_version, is_new=None)


@allow(Permission.DEVICE_WRITE)
async def update_app(
    ctx: Context,
    agent_uuid: UUID,
    app_id: int,
    *,
    name: str | None,
    services: object,
    if_version: int | None = None,
) -> TargetState:
    """Change name or services of an app; null leaves as is. Raises NotFound."""
    return await _put(ctx, agent_uuid, app_id, name, services, if_version=if_version, is_new=False)


@allow(Permission.DEVICE_WRITE)
async def set_service_image(
    ctx: Context,
    agent_uuid: UUID,
    app_id: int,
    service_name: str,
    image: str,
    *,
    if_version: int | None = None,
) -> TargetState:
    """Give one service of an app another image. Raises NotFound for either."""

    def edit(apps: Apps) -> Apps:
        app = with_image(_found(apps, app_id), service_name, image)
        if app is None:
            raise NotFound("service", service_name)
        return apps | {str(app_id): app}

    return await _change(ctx, agent_uuid, edit, if_version, f"image of {service_name} set")


@allow(Permission.DEVICE_WRITE)
async def remove_app(
    ctx: Context, agent_uuid: UUID, app_id: int, *, if_version: int | None = None
) -> TargetState:
    """Take an app away. Raises NotFound."""

    def edit(apps: Apps) -> Apps:
        _found(apps, app_id)
        return {key: app for key, app in apps.items() if key != str(app_id)}

    return await _change(ctx, agent_uuid, edit, if_version, f"app {app_id} removed")


async def _put(
    ctx: Context,
    agent_uuid: UUID,
    app_id: int,
    name: str | None,
    services: object,
    *,
    if_version: int | None,
    is_new: bool | None,
) -> TargetState:
    """Put an app that has to be new, has to be there (and keeps what is not given), or may be either."""
    keeps = is_new is False
    if not 0 <= app_id <= APP_ID_MAX:
        raise InvalidInput("appId", f"must be between 0 and {APP_ID_MAX}", limit=APP_ID_MAX)
    if services is None and not keeps:
        services = []
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        state = await present_state(agent, if_version)
        present: Any = state.apps.get(str(app_id))
        if is_new and present is not None:
            raise Conflict(f"The agent has an app {app_id} already", app_id=app_id)
        if keeps:
            _found(state.apps, app_id)
        ids = iter(await new_service_ids(new_services(services, present)))
        app = app_of(app_id, name, services, present=present, next_id=lambda: next(ids))
        if not keeps:
            app = {key: app[key] for key in ("appId", "appName", "services")}
        comment = f"app {app_id} {'changed' if present else 'added'}"
        return await change_target_state(
            ctx,
            work,
            agent,
            lambda now: _checked(ctx, now, now.apps | {str(app_id): app}),
            comment=comment,
        )


async def _change(
    ctx: Context,
    agent_uuid: UUID,
    edit: Callable[[Apps], Apps],
    if_version: int | None,
    comment: str,
) -> TargetState:
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        return await change_target_state(
            ctx,
            work,
            agent,
            lambda now: _checked(ctx, now, edit(now.apps)),
            if_version=if_version,
            comment=comment,
        )


def _checked(ctx: Context, present: Document, apps: Apps) -> Document:
    limit = ctx.policy.target_state_bytes_max
    meant = Document(apps, present.config).unmasked(present)
    keyed, config = checked_document(
        meant.apps, present.config, bytes_max=limit, config_is_known=True
    )
    return Document(keyed, config)


def _found(apps: Apps, app_id: int) -> Apps:
    app = apps.get(str(app_id))
    if not isinstance(app, dict):
        raise NotFound("app", app_id)
    return app
