"""Sessions."""

from __future__ import annotations

from typing import Any

from core.context import Context
from models.unit_of_work import unit_of_work
from resolvers.auth import SignedIn
from tests.factories import make_user
from tests.schema.lists.case import Make


async def _sessions(ctx: Context, number: int) -> dict[str, Any]:
    user = await make_user(ctx, id=ctx.ids.uuid())
    for _ in range(number):
        async with unit_of_work(ctx) as work:
            await SignedIn.begin(ctx, work, user)
    return {"u": str(user.id)}


OF_USER = "query($u: UUID!) { sessionsOfUser(userId: $u) { %s } }"

CASES: dict[str, tuple[Make, str]] = {
    "SessionConnection.nodes": (_sessions, OF_USER % "totalCount nodes { id isCurrent }"),
    "SessionConnection.edges": (_sessions, OF_USER % "edges { cursor node { id userAgent } }"),
}
