"""Headers or connection parameters to a Caller. Nothing else ever sees a credential."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from core.callers import NOBODY, Caller
from core.context import Context
from core.errors import Unauthenticated
from resolvers.api_keys import API_KEY_MARK, caller_from_api_key
from resolvers.auth import caller_from_token
from resolvers.device_callers import caller_from_device_key

DEVICE_KEY_HEADER = "x-device-api-key"
_DEVICE_KEY_PREFIX = "v2_"


async def caller_of(
    ctx: Context, headers: Mapping[str, str], *, agent_uuid: UUID | None = None
) -> Caller:
    """Return who calls: a person by access token or API key, an agent by device key, else NOBODY.

    `agent_uuid` is the agent a path names; an agent with another uuid is refused. Raises
    Unauthenticated for a credential that does not hold: it is never ignored.
    """
    device_key = headers.get(DEVICE_KEY_HEADER)
    if device_key:
        return await caller_from_device_key(ctx, device_key, uuid=agent_uuid)
    authorization = headers.get("authorization")
    if not authorization:
        return NOBODY
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Authorization must be: Bearer <token>")
    return await caller_from_bearer(ctx, token.strip())


async def caller_from_bearer(ctx: Context, token: str) -> Caller:
    """Return who a Bearer credential belongs to: agents send their device key that way too."""
    if token.startswith(_DEVICE_KEY_PREFIX):
        return await caller_from_device_key(ctx, token, uuid=None)
    if token.startswith(API_KEY_MARK):
        return await caller_from_api_key(ctx, token)
    return await caller_from_token(ctx, token)


async def caller_of_connection(
    ctx: Context, headers: Mapping[str, str], parameters: Mapping[str, object] | None
) -> Caller:
    """Return who opened a connection: `connection_init` parameters first, then headers."""
    for name, value in (parameters or {}).items():
        if name.lower() == "authorization" and isinstance(value, str):
            return await caller_of(ctx, {"authorization": value})
    return await caller_of(ctx, headers)
