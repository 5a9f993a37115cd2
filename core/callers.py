"""Who makes a call: a user, an agent, the system itself, or nobody."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    """What a caller is to its tenant; people have one of the first five."""

    OWNER = "owner"
    ADMIN = "admin"
    MANAGER = "manager"
    OPERATOR = "operator"
    VIEWER = "viewer"
    AGENT = "agent"
    SYSTEM = "system"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Caller:
    """The resolved identity behind a call.

    `tenant_id` is 0 for NOBODY. `user_id` is set for people, and with it `session_id` for those
    who signed in or `api_key_id` for their programs; `scopes` are the permissions that an API key
    is narrowed to, None stands for all of the role. `agent_id` and `agent_uuid` are set for
    agents, `device_key_id` is the device key an agent came with. `expires_at` is when the
    credential ends by itself, if it does: what is open for the caller ends with it.
    """

    role: Role
    tenant_id: int = 0
    user_id: UUID | None = None
    session_id: UUID | None = None
    api_key_id: UUID | None = None
    scopes: frozenset[str] | None = None
    agent_id: int | None = None
    agent_uuid: UUID | None = None
    device_key_id: int | None = None
    device_key_superseded: bool = False
    expires_at: datetime | None = field(default=None, compare=False)

    @property
    def is_person(self) -> bool:
        """Whether a signed-in user made the call."""
        return self.user_id is not None


NOBODY = Caller(Role.NOBODY)


def system_caller(tenant_id: int) -> Caller:
    """Return the caller for work that the program does by itself for one tenant."""
    return Caller(Role.SYSTEM, tenant_id)
