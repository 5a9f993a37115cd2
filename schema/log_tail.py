"""Log lines as they arrive."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import Parent

from core.feeds import Feed
from core.snapshots import Snapshot
from resolvers import log_tail
from resolvers.agent_logs import LogFilter, StoredLine
from resolvers.log_tail import TailBatch
from schema.context import Info
from schema.device_logs import AgentLogLine
from schema.directives import list_size, requires


@strawberry.type(
    description="Lines that an agent sent together, in its order. `cursor` names everything "
    "delivered up to and including this batch: subscribing `after` it gives exactly the rest."
)
class LogTailBatch:
    """Read off a TailBatch."""

    cursor: str
    agent_uuid: UUID
    missed: int = strawberry.field(
        description="Lines before these, matching or not, that had come since `after` and were too "
        "many to be told: 1000 are. `agentLogs` has them."
    )

    @strawberry.field(graphql_type=list[AgentLogLine])
    def lines(self, batch: Parent[TailBatch]) -> list[StoredLine]:
        """Return the lines that match."""
        return batch.lines


@strawberry.type
class LogTailSubscription:
    """Fields of Subscription."""

    @strawberry.subscription(
        graphql_type=LogTailBatch,
        description="Log lines as they are stored, without gap and without repeat: of an agent, of "
        "a fleet, or of all agents. Starts with what comes next, or `after` a cursor with what came "
        "since. A client that reads too slowly gets the newest batch of each agent, and "
        "`extensions.dropped` says how many it has missed; `after` the last cursor before that "
        "gives them.",
        directives=[requires("log_tail.follow_logs"), list_size(100, fields=["lines"])],
    )
    async def log_tail(
        self,
        info: Info,
        agent_uuid: UUID | None = None,
        fleet_uuid: UUID | None = None,
        min_level: Annotated[
            str | None,
            strawberry.argument(description="debug, info, warn or error: leaves out those below."),
        ] = None,
        services: list[str] | None = None,
        q: Annotated[
            str | None, strawberry.argument(description="Words, as for `agentLogs`.")
        ] = None,
        after: str | None = None,
    ) -> Feed[TailBatch, Snapshot]:
        """Return the feed."""
        wanted = LogFilter(services=services, min_level=min_level, text=q)
        tail = log_tail.LogTail(wanted, agent_uuid, fleet_uuid)
        return await log_tail.follow_logs(info.context.ctx, tail, after)
