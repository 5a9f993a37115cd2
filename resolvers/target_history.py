"""Versions of target states: looked at, compared, and brought back."""

from __future__ import annotations

from uuid import UUID

from core.access import Permission, allow
from core.context import Context
from core.errors import NotFound
from core.paging import OpenSlice, page_size
from core.target_diff import Diff, diff_of
from core.target_documents import keeping_update
from models.agents import Agent, lock_agent
from models.target_states import TargetState
from models.target_versions import TargetVersion, find_version, page_of_versions
from models.unit_of_work import database_errors, unit_of_work
from resolvers.target_changes import Document, change_target_state

__all__ = ["TargetVersion"]


@allow(Permission.DEVICE_READ)
async def list_target_versions(
    ctx: Context, agent_uuid: UUID, first: int, after: str | None
) -> OpenSlice[TargetVersion]:
    """Return the versions that are kept of an agent's target state, newest first."""
    first = page_size(first)
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await page_of_versions(ctx.tenant_id, agent.id, first, after)


@allow(Permission.DEVICE_READ)
async def get_target_version(ctx: Context, agent_uuid: UUID, version: int) -> TargetVersion:
    """Return one version. Raises NotFound for one that is not kept, or never was."""
    with database_errors():
        agent = await Agent.find_row(ctx.tenant_id, uuid=agent_uuid)
        return await _version(ctx, agent, version)


@allow(Permission.DEVICE_WRITE)
async def roll_back_target_state(
    ctx: Context, agent_uuid: UUID, version: int, *, if_version: int | None = None
) -> TargetState:
    """Give an agent the document of an older version again, as a new version.

    What starts an update of its software stays as it is now. Raises NotFound for a version that
    is not kept, PreconditionFailed unless `if_version` is the present one, InvalidInput with the
    path of a `***` in it that stands for nothing now.
    """
    async with unit_of_work(ctx) as work:
        agent = await lock_agent(ctx.tenant_id, agent_uuid)
        old = await _version(ctx, agent, version)

        def edit(present: Document) -> Document:
            meant = Document(old.apps, old.config).unmasked(present)
            return Document(meant.apps, keeping_update(present.config, meant.config))

        comment = f"rollback to version {version}"
        return await change_target_state(
            ctx, work, agent, edit, if_version=if_version, comment=comment
        )


def diff_of_version(version: TargetVersion) -> Diff | None:
    """Return what a version changed; None when the one before is not kept any more."""
    if version.previous is not None:
        return diff_of(version.previous.document, version.document)
    is_first = version.version <= 2  # an agent that was never given a state has version 1
    return diff_of({"apps": {}, "config": {}}, version.document) if is_first else None


async def _version(ctx: Context, agent: Agent, version: int) -> TargetVersion:
    found = None
    if 0 < version < 2**31 - 1:
        found = await find_version(ctx.tenant_id, agent.id, version)
    if found is None:
        raise NotFound("target state version", version)
    return found
