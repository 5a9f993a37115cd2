"""Idempotency-Key: the same call again gets the answer that was kept, and the work runs once."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response

from core.callers import Caller
from core.errors import AppError, ErrorCode, InvalidInput, Unavailable
from rest_compat.endpoints import Endpoint
from rest_compat.problem import TRANSIENT

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")
_HEADERS_KEPT: Final = frozenset({"content-type", "etag", "location", "link"})
_UNDECIDED: Final = TRANSIENT - {ErrorCode.RATE_LIMITED}


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as it went out."""

    status: int
    headers: dict[str, str]
    body: bytes


class KeptAnswers(Protocol):
    """Remembers answers by tenant, caller, endpoint and key, over restarts and processes."""

    async def begin(
        self, caller: Caller, endpoint: str, key: str, request: bytes
    ) -> KeptAnswer | None:
        """Return the kept answer, or take the key and return None: the work runs now.

        `request` is a digest. Raises Conflict when the key's work runs or its outcome is
        unknown, InvalidInput when the key belongs to another request.
        """
        ...

    async def keep(self, caller: Caller, endpoint: str, key: str, answer: KeptAnswer) -> None:
        """Keep the answer to the work."""
        ...

    async def release(self, caller: Caller, endpoint: str, key: str) -> None:
        """Give the key back: its work did nothing."""
        ...


async def answer_once(
    kept: KeptAnswers | None,
    endpoint: Endpoint,
    caller: Caller,
    request: Request,
    body: bytes,
    work: Callable[[], Awaitable[Response]],
) -> Response:
    """Do the work, unless the request's Idempotency-Key was used before.

    A refusal, which `work` raises as AppError, changes nothing, so it gives the key back. After any
    other failure nobody knows whether the work was done, and the key stays taken.
    """
    key = request.headers.get(HEADER)
    if kept is None or key is None or not endpoint.is_idempotent or not caller.tenant_id:
        return await work()
    if not _KEY.fullmatch(key):
        raise InvalidInput(HEADER, "must be 1 to 255 visible ASCII characters")
    found = await kept.begin(caller, endpoint.name, key, _digest(request, body))
    if found is not None:
        headers = {**found.headers, "Idempotency-Replayed": "true"}
        return Response(found.body, found.status, headers=headers)
    try:
        response = await work()
    except AppError as error:
        if error.code not in _UNDECIDED:
            await kept.release(caller, endpoint.name, key)
        raise
    headers = {k: v for k, v in response.headers.items() if k in _HEADERS_KEPT}
    answer = KeptAnswer(response.status_code, headers, bytes(response.body))
    with suppress(Unavailable):  # the work is done, and that is what the caller asks about
        await kept.keep(caller, endpoint.name, key, answer)
    return response


def _digest(request: Request, body: bytes) -> bytes:
    asked = f"{request.method} {request.url.path}?{request.url.query}\n"
    return sha256(asked.encode() + body).digest()
