"""Logs that agents upload."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry

from resolvers import device_logs
from schema.context import Info
from schema.directives import requires


@strawberry.type(description="What became of a batch of log lines.")
class LogReceipt:
    """The answer to an upload; read off the use case's value."""

    batch_id: str
    accepted: bool
    duplicate: bool = strawberry.field(description="Whether this batch had come before.")
    received: int = strawberry.field(description="Lines stored, now or when it first came.")
    skipped: int = strawberry.field(description="Lines that could not be read.")


@strawberry.type
class DeviceLogMutation:
    """Fields of Mutation."""

    @strawberry.mutation(
        graphql_type=LogReceipt,
        description="For agents: upload log lines, as NDJSON or as a JSON array.",
        directives=[requires("device_logs.upload_logs")],
    )
    async def upload_device_logs(
        self,
        info: Info,
        agent_uuid: UUID,
        body: bytes,
        batch_id: Annotated[
            str | None,
            strawberry.argument(description="Name of the batch; a repeat changes nothing."),
        ] = None,
    ) -> device_logs.LogReceipt:
        """Store a batch of the calling agent."""
        return await device_logs.upload_logs(info.context.ctx, agent_uuid, batch_id, body)
