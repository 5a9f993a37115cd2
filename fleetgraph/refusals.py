"""Refused calls on their way into the audit log: counted together, written off the calls' path."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from graphql import GraphQLError
from starlette.requests import Request

from core import metrics
from core.audit import AuditEntry, AuditType, Severity
from core.callers import NOBODY, Caller
from core.clock import Clock
from core.context import Context
from core.errors import AppError, ErrorCode, Unavailable
from resolvers.audit import record_refusals
from rest_compat.calls import CallerOf, Limiter
from rest_compat.endpoints import Endpoint

PERIOD_SECONDS: Final = 60.0
KINDS_MAX: Final = 500
"""Kinds of refusals of one tenant that are told apart in one period, and so the most rows that it
costs. Of each tenant, so that none fills the others' logs."""

_TYPES: Final[Mapping[ErrorCode, AuditType]] = {
    ErrorCode.FORBIDDEN: AuditType.UNAUTHORIZED_ACCESS,
    ErrorCode.UNAUTHENTICATED: AuditType.AUTHENTICATION_FAILED,
    ErrorCode.RATE_LIMITED: AuditType.RATE_LIMIT_EXCEEDED,
}
_RECORDED_BY_USE_CASE: Final = frozenset(
    {
        *("Mutation.login", "Mutation.refresh", "Mutation.changePassword"),
        *("Mutation.registerAgent", "Mutation.exchangeKey"),
    }
)
"""What is refused here leaves rows of its own, with more than is known here."""

_log = logging.getLogger(__name__)

MakeContext = Callable[[Caller, str, str, str], Context]
"""Makes a context from caller, request id, remote address and user agent."""


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """Who was refused, from where, asking for what."""

    caller: Caller
    address: str
    operation: str
    request_id: str = "-"
    user_agent: str = ""


@dataclass(slots=True)
class _Kind:
    first: RefusedCall
    first_at: datetime
    message: str
    count: int = 1


class Refusals:
    """Takes note of refusals; `flush` writes one row for all that are alike."""

    def __init__(self, make_ctx: MakeContext, clock: Clock) -> None:
        self._make_ctx = make_ctx
        self._clock = clock
        self._kinds: dict[tuple[object, ...], _Kind] = {}
        self._per_tenant: Counter[int] = Counter()

    def note(self, call: RefusedCall, code: ErrorCode, message: str) -> None:
        """Count one refusal; returns at once. What is beyond the bound is only counted."""
        is_recorded = call.operation in _RECORDED_BY_USE_CASE
        if code not in _TYPES or (is_recorded and code is not ErrorCode.RATE_LIMITED):
            return
        caller = call.caller
        who = (caller.tenant_id, caller.user_id, caller.api_key_id, caller.agent_uuid)
        key = (*who, call.address, code, call.operation)
        kind = self._kinds.get(key)
        if kind is not None:
            kind.count += 1
        elif self._per_tenant[caller.tenant_id] < KINDS_MAX:
            self._per_tenant[caller.tenant_id] += 1
            self._kinds[key] = _Kind(call, self._clock.now(), message)
        else:
            metrics.REFUSALS_DROPPED.inc()

    def note_error(self, call: RefusedCall, error: AppError) -> None:
        """Count a refusal by its error; a token that ran out is everyday life."""
        if not error.facts.get("expired"):
            self.note(call, error.code, error.message)

    def note_answer(self, ctx: Context, operation: str, error: GraphQLError) -> None:
        """Count an error in the answer to an operation, if it is a refusal."""
        facts = error.extensions or {}
        code = facts.get("code", "")
        if code in _TYPES and not facts.get("expired"):
            call = RefusedCall(
                ctx.caller, ctx.remote_address, operation, ctx.request_id, ctx.user_agent
            )
            self.note(call, ErrorCode(code), error.message)

    def caller_of(self, caller_of: CallerOf) -> CallerOf:
        """Return the same resolver of REST callers, whose refusals are noted."""

        async def noted(request: Request) -> Caller:
            try:
                return await caller_of(request)
            except AppError as error:
                self.note_error(_refused_request(NOBODY, request), error)
                raise

        return noted

    def limiter(self, limiter: Limiter) -> Limiter:
        """Return the same limiter of REST calls, whose refusals are noted."""

        async def noted(endpoint: Endpoint, caller: Caller, request: Request) -> Mapping[str, str]:
            try:
                return await limiter(endpoint, caller, request)
            except AppError as error:
                self.note_error(_refused_request(caller, request), error)
                raise

        return noted

    async def flush(self) -> None:
        """Write what was noted; while the database is away it is kept, within the bound."""
        kinds, self._kinds = self._kinds, {}
        self._per_tenant.clear()
        for key, kind in list(kinds.items()):
            try:
                await self._write(_TYPES[_code_in(key)], kind)
            except Unavailable:
                self._kinds = kinds | self._kinds
                self._per_tenant = Counter(
                    each.first.caller.tenant_id for each in self._kinds.values()
                )
                _log.warning("refused calls wait for the database")
                return
            del kinds[key]

    async def _write(self, type_: AuditType, kind: _Kind) -> None:
        call = kind.first
        ctx = self._make_ctx(call.caller, call.request_id, call.address, call.user_agent)
        entry = AuditEntry(
            type_,
            severity=Severity.WARNING,
            details={
                "operation": call.operation,
                "reason": kind.message,
                "count": kind.count,
                "first_at": kind.first_at,
            },
        )
        await record_refusals(ctx, [entry])


def _code_in(key: tuple[object, ...]) -> ErrorCode:
    return next(part for part in key if isinstance(part, ErrorCode))


def _refused_request(caller: Caller, request: Request) -> RefusedCall:
    client = request.client
    route = request.scope.get("route")
    path = getattr(route, "path", request.url.path)
    return RefusedCall(
        caller,
        client.host if client else "",
        f"{request.method} {path}",
        request.headers.get("x-request-id", "-"),
        request.headers.get("user-agent", ""),
    )
