"""Makes this process forget agents that were locked out, deleted or let in again.

Ingest remembers whose topic a message came on. An event that was missed is made up for by the end
of that memory, a minute later.
"""

from __future__ import annotations

from core.context import Context
from core.events import ACCESS, AccessChanged
from resolvers.agents import forget_agents


class AccessChanges:
    """A listener: runs beside ingest, in the same process."""

    name = "access changes"

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    async def run(self) -> None:
        """Forget until cancelled; everything, when events may have been missed."""
        async with self._ctx.bus.subscribe(ACCESS) as events:
            await forget_agents(self._ctx, None)
            async for event in events:
                if not isinstance(event, AccessChanged):
                    await forget_agents(self._ctx, None)
                elif event.agent_id is not None:
                    await forget_agents(self._ctx, event.agent_id)
