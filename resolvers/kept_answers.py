"""Calls that carry a key run once: the same key again gets the answer that was kept.

Guaranteed: for 24 hours the work of one key (by tenant, caller and endpoint) is begun at most
once, over all processes and restarts. A process that dies between work and answer leaves the key
taken without an answer; the key then tells that the outcome is unknown, and never runs again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.access import Permission, allow
from core.context import Context
from core.errors import Conflict, InvalidInput
from core.ids import secret_hash
from core.sealing import seal, unseal
from models import kept_answers
from models.kept_answers import KeyName
from models.unit_of_work import database_errors

KEPT_HOURS: Final = 24
RUNNING_SECONDS: Final = 60
"""How long a key without an answer is taken for one whose work goes on."""

_PURPOSE: Final = "idempotency-key"
_FIELD: Final = "Idempotency-Key"


@allow(Permission.SELF, Permission.AGENT_SELF)
async def begin_once(ctx: Context, endpoint: str, key: str, request: bytes) -> bytes | None:
    """Take a key and return None, or return the answer kept under it.

    `request` is a digest of what is asked. Raises InvalidInput when the key belongs to another
    request; Conflict while its work runs, and when nobody knows what became of it.
    """
    name = _name(ctx, endpoint, key)
    now = ctx.clock.now()
    with database_errors():
        if await kept_answers.take_key(name, request, now, now + timedelta(hours=KEPT_HOURS)):
            return None
        taken = await kept_answers.find_key(name)
    if taken is None:  # given back between the two statements
        raise Conflict("This key was just in use, try again", retry_after_seconds=1)
    if taken.request != request:
        raise InvalidInput(_FIELD, "was used for another request")
    if taken.answer is not None:
        answer = unseal(_secret(ctx, name, key), taken.answer)
        if answer is not None:
            return answer
    elif now - taken.begun_at < timedelta(seconds=RUNNING_SECONDS):
        raise Conflict("The first request with this key is not done yet", retry_after_seconds=1)
    raise Conflict(
        "The first request with this key ended without an answer. Look whether it took effect,"
        " then use a new key",
        field=_FIELD,
    )


@allow(Permission.SELF, Permission.AGENT_SELF)
async def keep_once(ctx: Context, endpoint: str, key: str, answer: bytes) -> None:
    """Keep the answer to the work of a key, readable only with the key."""
    name = _name(ctx, endpoint, key)
    with database_errors():
        await kept_answers.keep_answer(name, seal(_secret(ctx, name, key), answer))


@allow(Permission.SELF, Permission.AGENT_SELF)
async def release_once(ctx: Context, endpoint: str, key: str) -> None:
    """Give a key back whose work changed nothing."""
    with database_errors():
        await kept_answers.drop_key(_name(ctx, endpoint, key))


def _name(ctx: Context, endpoint: str, key: str) -> KeyName:
    # An API key may do less than its person, so it gets none of the answers that they got.
    caller = str(ctx.caller.api_key_id or ctx.caller.user_id or ctx.caller.agent_uuid)
    return KeyName(ctx.tenant_id, caller, endpoint, secret_hash(_PURPOSE, key))


def _secret(ctx: Context, name: KeyName, key: str) -> str:
    return ctx.secrets.derive("kept-answer", name.tenant_id, name.caller, name.endpoint, key)
