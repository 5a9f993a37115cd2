"""Who asks: an access token of a session that lasts as long as the benchmark."""

from __future__ import annotations

from datetime import timedelta

from core.clock import SystemClock
from core.ids import RandomIds
from core.tokens import Tokens
from models.sessions import Session
from models.users import User

SECRET = "benchmark-secret-of-no-value-anywhere"
DAY = timedelta(days=1)


async def access_token_of(user: User) -> str:
    """Return a token that programs with this SECRET take."""
    clock, ids = SystemClock(), RandomIds()
    now = clock.now()
    session = await Session.create(
        tenant_id=user.tenant_id,
        id=ids.uuid(),
        user_id=user.id,
        created_at=now,
        last_used_at=now,
        expires_at=now + DAY,
        remote_address="",
        user_agent="",
    )
    tokens = Tokens(SECRET, clock, ttl_seconds=int(DAY.total_seconds()))
    return tokens.issue(user.id, user.tenant_id, session.id)[0]
