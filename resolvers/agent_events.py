"""What agents tell beside readings and state: events, update progress, status."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from core.access import Permission, allow
from core.context import Context
from core.errors import InvalidInput, PayloadTooLarge
from core.payloads import Undecodable, decode_object, storable, unpack
from models.agent_events import NewEvent, append_event
from models.unit_of_work import unit_of_work
from resolvers.own_agent import own_agent_id
from resolvers.update_progress import STATUSES, note_status

CHANNEL_CHARS_MAX: Final = 200
MESSAGE_ID_CHARS_MAX: Final = 200


@allow(Permission.AGENT_SELF)
async def record_agent_event(ctx: Context, channel: str, payload: bytes, *, retained: bool) -> bool:
    """Keep one message of the calling agent; False when it was kept before.

    `channel` is what follows the agent in the topic, such as `events/anomaly`. The payload may be
    JSON or MessagePack, compressed or not, or plain text. An object is known by its `msgId`, else
    by its content. A plain text (`online`, `offline`) has no time of its own and comes back
    rightly, so there only the same text twice in a row is a repeat. That also covers `retained`
    messages, which the broker hands out again at every subscription: they are the latest. What
    tells of an update of the agent's software moves that on.

    Raises InvalidInput for what is neither, PayloadTooLarge beyond the limit.
    """
    agent_id = own_agent_id(ctx)
    if not 1 <= len(channel) <= CHANNEL_CHARS_MAX or "\x00" in channel:
        raise InvalidInput("channel", f"must have 1 to {CHANNEL_CHARS_MAX} characters")
    limit = ctx.policy.state_report_bytes_max
    if len(payload) > limit:
        raise PayloadTooLarge("The message", limit_bytes=limit)
    content = _content(payload, limit)
    digest = hashlib.sha256(channel.encode() + b"\x00" + payload).hexdigest()
    event = NewEvent(
        channel=channel,
        dedup_key=_message_id(content) or digest,
        repeats_rightly=isinstance(content, str),
        payload=content,
    )
    async with unit_of_work(ctx) as work:
        is_new = await append_event(ctx.tenant_id, agent_id, event, ctx.clock.now())
        if is_new and channel == STATUSES:
            await note_status(ctx, work, content, retained=retained)
    return is_new


def _content(payload: bytes, limit_bytes: int) -> Any:
    try:
        unpacked = unpack(payload, limit_bytes=limit_bytes)
    except Undecodable as error:
        raise InvalidInput("payload", error.reason) from None
    try:
        return storable(decode_object(unpacked))
    except Undecodable as error:
        reason = error.reason
    try:
        text = unpacked.decode()
    except UnicodeDecodeError:
        raise InvalidInput("payload", reason) from None
    if not text.strip() or not text.isprintable():
        raise InvalidInput("payload", reason)
    return text


def _message_id(content: Any) -> str | None:
    found = content.get("msgId") if isinstance(content, dict) else None
    if isinstance(found, str) and 0 < len(found) <= MESSAGE_ID_CHARS_MAX:
        return found
    return None
