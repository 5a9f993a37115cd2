"""One operation over a WebSocket, from `subscribe` to `complete`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from graphql import GraphQLError, OperationType

from core.errors import ErrorCode
from fleetgraph.graphql.codes import CloseCode
from fleetgraph.graphql.encoding import encode_answer
from fleetgraph.graphql.frames import message_frame, next_frame, next_prefix
from fleetgraph.graphql.wires import Wire
from schema.context import GraphQLContext
from schema.errors import MASKED_MESSAGE
from schema.execution.engine import Engine
from schema.execution.requests import GraphQLRequest, Refused
from schema.execution.shared import LiveSubscriptions, Ticket

_log = logging.getLogger("fleetgraph.graphql")


class Owner(Protocol):
    """The connection, as its operations see it."""

    @property
    def wire(self) -> Wire:
        """Where frames go."""
        ...

    def let_wait(self, operation: Operation) -> None:
        """Flush the operation when the wire has room again."""
        ...

    def forget(self, operation: Operation) -> None:
        """Set the operation's id free: it is over."""
        ...

    def close(self, code: CloseCode, reason: str) -> None:
        """End the connection."""
        ...


class Operation:
    """A query, a mutation, or a subscription, then the member of a live subscription."""

    __slots__ = ("_is_over", "_owner", "_prefix", "_task", "_ticket", "_wire", "id")

    def __init__(self, owner: Owner, id_: str) -> None:
        self.id = id_
        self._owner = owner
        self._wire = owner.wire
        self._prefix = next_prefix(id_)
        self._task: asyncio.Task[None] | None = None
        self._ticket: Ticket | None = None
        self._is_over = False

    @property
    def is_live(self) -> bool:
        """Whether a live subscription has to be left."""
        return self._ticket is not None

    def start(
        self,
        engine: Engine,
        live: LiveSubscriptions,
        request: GraphQLRequest,
        context: GraphQLContext,
    ) -> None:
        """Run in a task, which a subscription needs only until it is open."""
        self._task = asyncio.create_task(
            self._run(engine, live, request, context), name="socket operation"
        )

    async def end(self) -> None:
        """Cancel what runs and leave the live subscription; nothing is sent any more."""
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._ticket is not None:
            await self._ticket.close()

    def flush(self) -> None:
        """Send what waits."""
        if self._ticket is not None:
            self._ticket.flush()

    def refuse(self, errors: Sequence[GraphQLError]) -> None:
        """Say why nothing ran; that ends the operation."""
        self._finish(
            message_frame("error", id=self.id, payload=[error.formatted for error in errors])
        )

    # Member ----------------------------------------------------------------------------------

    def is_ready(self) -> bool:
        """Whether the wire takes more; if not, the operation is flushed once it does."""
        if self._wire.is_full:
            self._owner.let_wait(self)
            return False
        return True

    def send(self, payload: bytes) -> None:
        """Send one answer."""
        if not self._is_over:
            self._wire.write(next_frame(self._prefix, payload))

    def cut(self, reason: str) -> None:
        """End the connection: it was too slow for too long."""
        self._owner.close(CloseCode.TOO_SLOW, reason)

    def complete(self) -> None:
        """Tell the client that nothing more comes."""
        self._finish(message_frame("complete", id=self.id))

    # ------------------------------------------------------------------------------------------

    async def _run(
        self,
        engine: Engine,
        live: LiveSubscriptions,
        request: GraphQLRequest,
        context: GraphQLContext,
    ) -> None:
        try:
            prepared = engine.prepare(request, context)
            if prepared.type is OperationType.SUBSCRIPTION:
                ticket = await live.open(prepared, request.variables, context, self)
                if self._is_over:  # it ended before it had begun
                    await ticket.close()
                else:
                    self._ticket = ticket
            else:
                answer = await engine.run(prepared, request.variables, context)
                self.send(encode_answer(answer))
                self.complete()
        except Refused as refused:
            self.refuse(refused.answer.errors)
        except Exception:
            request_id = context.ctx.request_id
            _log.exception("unexpected error (request %s)", request_id)
            masked = {"code": ErrorCode.INTERNAL.value, "requestId": request_id}
            self.refuse([GraphQLError(MASKED_MESSAGE, extensions=masked)])
        self._task = None

    def _finish(self, last: bytes) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._wire.write(last)
        self._owner.forget(self)
