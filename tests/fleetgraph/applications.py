"""The real application, as `serve` makes it, on the parts of a test or on none."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette

from core.callers import NOBODY, Caller
from core.clock import SystemClock
from core.context import Context
from core.ids import RandomIds
from core.rate_limits import NoRateLimits
from core.tokens import Tokens
from fleetgraph.app import create_app
from fleetgraph.setting_sections import HttpSettings
from fleetgraph.settings import Settings

SECRET = "a test secret of at least 32 bytes"


def app_of_nothing(**http: Any) -> Starlette:
    """The application without a database: for what is answered before one is asked."""
    clock = SystemClock()
    parts: Any = SimpleNamespace(
        clock=clock,
        ids=RandomIds(),
        context=None,
        take=None,
        limits=NoRateLimits(),
        tokens=Tokens(SECRET, clock),
    )
    return create_app(parts, parts, Settings(http=HttpSettings(**http)))


def app_of(ctx: Context) -> Starlette:
    """The application on the parts in `ctx`; it defers no reports."""

    def context(
        caller: Caller = NOBODY,
        request_id: str = "-",
        remote_address: str = "",
        user_agent: str = "",
    ) -> Context:
        return replace(
            ctx,
            caller=caller,
            request_id=request_id,
            remote_address=remote_address,
            user_agent=user_agent,
        )

    async def take(deferred: object) -> bool:
        return False

    parts: Any = SimpleNamespace(
        clock=ctx.clock,
        ids=ctx.ids,
        context=context,
        take=take,
        limits=ctx.limits,
        tokens=ctx.tokens,
    )
    return create_app(parts, parts, Settings())
