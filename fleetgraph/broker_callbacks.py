"""The HTTP call-backs of a broker's authentication plugin.

mosquitto-go-auth and EMQX post here instead of reading files. Whoever shows the shared secret may
ask; without one in the settings nobody may. The plugin goes by the status: 200 or 403. While nobody
can know it gets 503, as a refusal would cut a live fleet off.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from core.context import Context
from core.errors import AppError, Unavailable
from core.events import ACCESS, BROKER_ACCOUNTS
from core.pubsub.base import Resync
from resolvers.broker_callbacks import (
    SUBSCRIBE,
    KnownAccounts,
    check_login,
    check_superuser,
    check_topic,
)
from resolvers.mqtt_accounts import WRITE
from rest_compat.bodies import is_form, media_type_of, parse_form, parse_json, read_body

MANAGEMENT_PATH: Final = "/mosquitto-auth"
"""Also the path of accounts' management: what comes with a credential goes there."""

INTERNAL_PATH: Final = "/internal/mqtt"
SECRET_HEADER: Final = "x-broker-secret"  # noqa: S105  (its name)
BODY_BYTES_MAX: Final = 128 * 1024
WARNING_SECONDS: Final = 60.0
_CREDENTIALS: Final = frozenset({b"authorization", b"x-device-api-key"})
_EMQX_ACTIONS: Final = {"publish": WRITE, "subscribe": SUBSCRIBE}

_log = logging.getLogger(__name__)

Values = Mapping[str, Any]


class BrokerCallbacks:
    """The call-backs, and the worker that keeps what they remember up to date."""

    name = "broker call-backs"

    def __init__(
        self, system: Callable[[], Context], known: KnownAccounts, secret: str | None
    ) -> None:
        """`system` makes the program's own context; without a `secret` all are refused."""
        self._system = system
        self._known = known
        self._secret = None if secret is None else secret.encode()
        self._quiet_until = 0.0

    def routes(self) -> list[Route]:
        """Return the routes, to stand before those of the REST API."""
        checks = {"user": self._user, "superuser": self._superuser, "acl": self._acl}
        return [
            kind(f"{path}/{name}", self._endpoint(check), methods=["POST"])
            for path, kind in ((MANAGEMENT_PATH, _WithoutCredential), (INTERNAL_PATH, Route))
            for name, check in checks.items()
        ]

    async def run(self) -> None:
        """Forget what has changed, until cancelled."""
        bus = self._system().bus
        async with bus.subscribe(BROKER_ACCOUNTS) as accounts, bus.subscribe(ACCESS) as access:
            self._known.forget()  # for what went by while nobody listened
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_accounts(accounts))
                tasks.create_task(self._follow_access(access))

    async def _follow_accounts(self, changes: Any) -> None:
        async for _ in changes:
            self._known.forget()

    async def _follow_access(self, changes: Any) -> None:
        async for change in changes:
            if isinstance(change, Resync) or change.agent_id is not None:
                self._known.forget()

    def _endpoint(
        self, check: Callable[[Context, Values], Awaitable[dict[str, object] | None]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            reason = self._refusal(request)
            if reason is not None:
                return _deny(reason)
            try:
                more = await check(self._system(), await _values(request))
            except Unavailable as error:
                return _deny(error.message, status=503)
            except AppError as error:
                return _deny(error.message)
            except ClientDisconnect:
                raise
            except Exception:
                _log.exception("a broker's call-back failed")
                return _deny("internal error", status=500)
            return _deny("not allowed") if more is None else JSONResponse(_ALLOW | more)

        return endpoint

    def _refusal(self, request: Request) -> str | None:
        """Return why this caller may not ask, if it may not."""
        if self._secret is None:
            self._warn("set FLEETGRAPH_MQTT_CALLBACK_SECRET to answer")
            return "call-backs are switched off"
        shown = request.headers.get(SECRET_HEADER) or request.query_params.get("secret") or ""
        if hmac.compare_digest(shown.encode(), self._secret):
            return None
        self._warn("wrong secret")
        return "the shared secret is missing or wrong"

    def _warn(self, reason: str) -> None:
        """Log a refusal, once a minute: anybody can bring it about."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + WARNING_SECONDS
            _log.warning("refused a broker's call-back: %s", reason)

    async def _user(self, ctx: Context, values: Values) -> dict[str, object] | None:
        username, password = _text(values, "username"), _text(values, "password")
        is_right = await check_login(ctx, self._known, username, password)
        return {"is_superuser": False} if is_right else None

    async def _superuser(self, ctx: Context, values: Values) -> dict[str, object] | None:
        is_one = await check_superuser(ctx, self._known, _text(values, "username"))
        return {"is_superuser": True} if is_one else None

    async def _acl(self, ctx: Context, values: Values) -> dict[str, object] | None:
        username, topic = _text(values, "username"), _text(values, "topic")
        has_it = await check_topic(ctx, self._known, username, topic, _access(values))
        return {} if has_it else None


_ALLOW: Final[dict[str, object]] = {"result": "allow"}


class _WithoutCredential(Route):
    """Leaves calls with a credential to the routes behind it."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether this call is a broker's."""
        if any(name in _CREDENTIALS for name, _ in scope.get("headers", ())):
            return Match.NONE, {}
        match, child = super().matches(scope)
        return (match, child) if match is Match.FULL else (Match.NONE, {})


def _deny(reason: str, status: int = 403) -> Response:
    return JSONResponse({"result": "deny", "error": reason}, status_code=status)


async def _values(request: Request) -> Values:
    """Return what was sent: as JSON, as a form, or in the query."""
    body = await read_body(request, BODY_BYTES_MAX)
    read = parse_form if is_form(media_type_of(request)) else parse_json
    told = read(body)
    if not isinstance(told, dict):  # there is no body
        return request.query_params
    # A form's fields are lists.
    given = {
        name: value[-1] if isinstance(value, list) and value else value
        for name, value in told.items()
    }
    return {**request.query_params, **given}


def _text(values: Values, name: str) -> str:
    value = values.get(name)
    return value if isinstance(value, str) else ""


def _access(values: Values) -> int:
    """Return the bits that are asked for; 0, which nobody has, when nothing is."""
    acc = values.get("acc")
    if acc is None:
        return _EMQX_ACTIONS.get(_text(values, "action"), 0)
    if isinstance(acc, str) and acc.isascii() and acc.isdecimal() and len(acc) == 1:
        return int(acc)
    return acc if isinstance(acc, int) and not isinstance(acc, bool) else 0
