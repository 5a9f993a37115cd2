"""How calls of the REST API are counted, and what an agent over its limit is spared."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from core.callers import Caller
from core.errors import RateLimited
from core.rate_limits import RateLimiter, count_call, state_in
from rest_compat.calls import Limiter
from rest_compat.endpoints import Endpoint, Fallback, Limit
from rest_compat.problem import rate_headers


def rest_limiter(limits: RateLimiter) -> Limiter:
    """Return what counts the calls of the REST API.

    The limits ADMIN and AUTH are counted by the use cases, for GraphQL as well; the calls behind
    them count like all others here.
    """

    async def count(endpoint: Endpoint, caller: Caller, request: Request) -> Mapping[str, str]:
        address = request.client.host if request.client else ""
        is_device_call = endpoint.limit is Limit.DEVICE
        try:
            state = await count_call(limits, caller, address, is_device_call=is_device_call)
        except RateLimited as error:
            if not _is_first_poll(endpoint, caller, request):
                raise
            state = state_in(error.facts)
        return rate_headers(state)

    return count


def _is_first_poll(endpoint: Endpoint, caller: Caller, request: Request) -> bool:
    """Whether an agent polls that has nothing yet: "not modified" would leave it with nothing."""
    return (
        endpoint.answering.when_unavailable is Fallback.NOT_MODIFIED
        and caller.agent_uuid is not None
        and "if-none-match" not in request.headers
    )
