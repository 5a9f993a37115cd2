"""Device keys: rotation by agents, and what people see and end of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.paging import OpenSlice
from models import agents as agent_rows
from models import device_keys as rows
from resolvers import device_keys
from schema.agents import Agent, PageInfo
from schema.context import Info
from schema.directives import list_size, requires


@strawberry.type(description="A credential of an agent. Its text is known to the agent alone.")
class DeviceKey:
    """Read off a row."""

    id: int
    created_at: datetime
    proven_at: datetime | None = strawberry.field(
        description="When the agent proved itself with it; before that it holds for nothing."
    )
    first_used_at: datetime | None
    superseded_at: datetime | None = strawberry.field(
        description="From then on it is good for log upload only."
    )
    expires_at: datetime | None = strawberry.field(description="From then on it holds for nothing.")
    revoked_at: datetime | None
    reason: str


@strawberry.type
class DeviceKeyEdge:
    """A key and its place in the list."""

    cursor: str
    node: DeviceKey


@strawberry.type(description="A page of an agent's keys, newest first.")
class DeviceKeyConnection:
    """Read off an OpenSlice."""

    @strawberry.field
    def edges(self, page: Parent[OpenSlice[rows.DeviceKey]]) -> list[DeviceKeyEdge]:
        """Return the keys with their cursors."""
        pairs = zip(page.cursors, page.items, strict=True)
        # Strawberry reads the fields of `node` off the row.
        return [DeviceKeyEdge(cursor=c, node=row) for c, row in pairs]  # type: ignore[arg-type]

    @strawberry.field(graphql_type=list[DeviceKey])
    def nodes(self, page: Parent[OpenSlice[rows.DeviceKey]]) -> list[rows.DeviceKey]:
        """Return the keys alone."""
        return page.items

    @strawberry.field
    def page_info(self, page: Parent[OpenSlice[rows.DeviceKey]]) -> PageInfo:
        """Return how to go on."""
        return PageInfo.of(page)


@strawberry.type(description="A new device key, at the only moment at which its text is known.")
class RotatedKey:
    """Read off the use case's value."""

    key: str
    grace_ends_at: datetime = strawberry.field(
        description="Until then it has to be used once, or it ends. The old key is good for "
        "everything until it is used, and for log upload 24 hours longer."
    )


@strawberry.type(description="How the calling device key stands.")
class DeviceKeyStatus:
    """Read off the use case's value."""

    agent_uuid: UUID
    key: DeviceKey
    successor: DeviceKey | None = strawberry.field(
        description="A newer key that holds, or waits to be used for the first time."
    )


@strawberry.type(description="That the calling device key holds for everything.")
class DevicePing:
    """Read off the use case's value."""

    agent_uuid: UUID
    timestamp: datetime


@strawberry.type
class DeviceKeyQuery:
    """Fields of Query."""

    @strawberry.field(
        graphql_type=DevicePing,
        description="For agents: whether the device key holds for everything.",
        directives=[requires("device_keys.ping_device")],
    )
    async def device_ping(self, info: Info, agent_uuid: UUID) -> device_keys.Ping:
        """Confirm the calling key."""
        return await device_keys.ping_device(info.context.ctx, agent_uuid)

    @strawberry.field(
        graphql_type=DeviceKeyStatus,
        description="For agents: how the device key stands.",
        directives=[requires("device_keys.get_key_status")],
    )
    async def device_key_status(self, info: Info, agent_uuid: UUID) -> device_keys.KeyStatus:
        """Return the state of the calling key."""
        return await device_keys.get_key_status(info.context.ctx, agent_uuid)

    @strawberry.field(
        graphql_type=DeviceKeyConnection,
        description="The keys of an agent, newest first; `first` is at most 500.",
        directives=[
            requires("device_keys.list_device_keys"),
            list_size(50, argument="first", fields=["edges", "nodes"]),
        ],
    )
    async def device_keys(
        self, info: Info, agent_uuid: UUID, first: int = 50, after: str | None = None
    ) -> OpenSlice[rows.DeviceKey]:
        """Return a page of an agent's keys."""
        return await device_keys.list_device_keys(info.context.ctx, agent_uuid, first, after)


@strawberry.type
class DeviceKeyMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=RotatedKey,
        description="For agents: get a new device key. The old one holds until the new one is used.",
        directives=[requires("device_keys.rotate_device_key")],
    )
    async def rotate_device_key(
        self, info: Info, agent_uuid: UUID, reason: str = ""
    ) -> device_keys.RotatedKey:
        """Return the new key with its text."""
        return await device_keys.rotate_device_key(info.context.ctx, agent_uuid, reason=reason)

    @strawberry.mutation(
        graphql_type=Agent,
        description="End every key of an agent at once, and its login at the broker. The agent has "
        "to register again.",
        directives=[requires("device_keys.revoke_device_keys")],
    )
    async def revoke_device_keys(
        self,
        info: Info,
        agent_uuid: UUID,
        reason: Annotated[str, strawberry.argument(description="5 to 500 characters.")],
    ) -> agent_rows.Agent:
        """Return the agent as it is now."""
        return await device_keys.revoke_device_keys(info.context.ctx, agent_uuid, reason=reason)
