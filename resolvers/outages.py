"""Outages of our own HTTP API: noticed at the next start, and healed."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from core.access import Permission, allow
from core.context import Context
from models.heartbeats import Heartbeat
from models.unit_of_work import database_errors
from resolvers.agents import request_session_drop

PART: Final = "http"
BEAT_SECONDS: Final = 5.0
OUTAGE_SECONDS: Final = 12.0
"""Shorter gaps cost an agent at most one error: its polls back off 15 s after the first."""

_LOOK_BACK: Final = timedelta(minutes=15)


@allow(Permission.SYSTEM)
async def note_outage(ctx: Context) -> timedelta | None:
    """Return how long the API was away, if long enough to have muted agents.

    Their MQTT sessions are then asked to be dropped once, which is what wakes them.
    """
    with database_errors():
        beat = await Heartbeat.filter(name=PART).first()
    now = ctx.clock.now()
    if beat is None or now - beat.beat_at < timedelta(seconds=OUTAGE_SECONDS):
        return None
    await request_session_drop(ctx, None, seen_since=beat.beat_at - _LOOK_BACK)
    return now - beat.beat_at


@allow(Permission.SYSTEM)
async def beat(ctx: Context) -> timedelta | None:
    """Say that the API answers now; returns how long it did not, if that was an outage.

    An outage is healed here and only here, once, whether this process was away or the database.
    """
    away = await note_outage(ctx)
    with database_errors():
        await Heartbeat.update_or_create(name=PART, defaults={"beat_at": ctx.clock.now()})
    return away
