"""What every use case of an agent about itself checks first."""

from __future__ import annotations

from uuid import UUID

from core.callers import Role
from core.context import Context
from core.errors import Forbidden, NotFound


def own_agent_id(
    ctx: Context, agent_uuid: UUID | None = None, *, superseded_key: bool = False
) -> int:
    """Return the id of the agent that calls.

    Raises NotFound when it names another agent, and Forbidden when its device key has been
    superseded, unless the use case takes those too.
    """
    caller = ctx.caller
    assert caller.agent_id is not None
    if agent_uuid is not None and agent_uuid != caller.agent_uuid:
        raise NotFound("agent", agent_uuid)
    if caller.device_key_superseded and not superseded_key:
        raise Forbidden("This device key was replaced; only log upload still takes it")
    return caller.agent_id


def require_readable(ctx: Context, agent_uuid: UUID) -> None:
    """Raise NotFound when an agent asks about another agent; people may ask about all."""
    if ctx.caller.role is Role.AGENT:
        own_agent_id(ctx, agent_uuid)
