"""The call-backs of a broker's plugin over HTTP: who may ask, in what form, and what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from core.callers import system_caller
from core.context import Context
from core.errors import RateLimited
from core.events import ACCESS, BROKER_ACCOUNTS, AccessChanged, BrokerAccountsChanged
from core.rate_limits import NoRateLimits, RateScope, RateState
from fleetgraph import broker_callbacks
from fleetgraph.broker_callbacks import BrokerCallbacks
from models.mqtt_accounts import MqttAccount
from resolvers import broker_accounts
from resolvers.broker_accounts import AccountChanges
from resolvers.broker_callbacks import KnownAccounts
from tests.contracts.serving import sign_in
from tests.fleetgraph.applications import app_of
from tests.resolvers.broker_people import PASSWORD, another, make, named
from tests.resolvers.edge import provision
from tests.tools import until

SECRET = "a secret between two"
SHOWN = {"x-broker-secret": SECRET}
ALLOW, DENY = {"result": "allow"}, "deny"


@asynccontextmanager
async def asking(
    ctx: Context, secret: str | None = SECRET, known: KnownAccounts | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the call-backs, and of a route behind them that takes what they leave."""
    callbacks = BrokerCallbacks(
        lambda: ctx.acting_as(system_caller(0)), known or KnownAccounts(), secret
    )

    async def behind(request: Request) -> PlainTextResponse:
        return PlainTextResponse("behind")

    app = Starlette(
        routes=[*callbacks.routes(), Route("/mosquitto-auth/user", behind, methods=["POST", "GET"])]
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x", headers=SHOWN) as client:
        yield client


@pytest.fixture
async def mine(ctx: Context) -> Context:
    """The context of an owner of a tenant that is not the first."""
    return await another(ctx)


def as_json(client: httpx.AsyncClient, path: str, values: dict[str, str]) -> Any:
    return client.post(path, json=values)


def as_form(client: httpx.AsyncClient, path: str, values: dict[str, str]) -> Any:
    return client.post(path, data=values)


def in_the_query(client: httpx.AsyncClient, path: str, values: dict[str, str]) -> Any:
    return client.post(path, params=values)


@pytest.mark.parametrize("send", [as_json, as_form, in_the_query])
@pytest.mark.parametrize("root", ["/mosquitto-auth", "/internal/mqtt"])
async def test_a_plugin_is_answered_in_whatever_form_it_asks(
    mine: Context, send: Callable[..., Any], root: str
) -> None:
    name = await make(mine)
    async with asking(mine) as client:
        answer = await send(client, f"{root}/user", {"username": name, "password": PASSWORD})
        assert (answer.status_code, answer.json()) == (200, {**ALLOW, "is_superuser": False})
        answer = await send(client, f"{root}/user", {"username": name, "password": "wrong"})
        assert (answer.status_code, answer.json()["result"]) == (403, DENY)
        answer = await send(client, f"{root}/superuser", {"username": name})
        assert (answer.status_code, answer.json()["result"]) == (403, DENY)


@pytest.mark.parametrize(
    ("suffix", "asked", "status"),
    [
        ("state", {"acc": 2}, 200),
        ("state", {"acc": "2"}, 200),
        ("state", {"action": "publish"}, 200),
        ("state", {"acc": 1}, 403),
        ("state", {"action": "subscribe"}, 403),
        ("agent/update", {"acc": 1}, 200),
        ("agent/update", {"acc": 4}, 200),
        ("agent/update", {"action": "subscribe"}, 200),
        ("agent/update", {"action": "publish"}, 403),
        ("#", {"action": "subscribe"}, 403),
        ("state", {}, 403),
        ("state", {"acc": None}, 403),
        ("state", {"acc": True}, 403),
        ("state", {"acc": "22"}, 403),
        ("state", {"acc": [2]}, 200),  # forms are lists of texts, so a list means its last
        ("state", {"acc": []}, 403),
        ("state", {"acc": {"a": 2}}, 403),
        ("state", {"acc": 2.5}, 403),
        ("state", {"action": "whatever"}, 403),
    ],
)
async def test_access_is_asked_for_in_bits_or_by_action(
    mine: Context, suffix: str, asked: dict[str, Any], status: int
) -> None:
    await provision(mine)
    (row,) = await MqttAccount.of(mine.tenant_id)
    values = {"username": row.username, "clientid": "c", "topic": f"i/{row.username}/{suffix}"}
    async with asking(mine) as client:
        answer = await client.post("/mosquitto-auth/acl", json=values | asked)
    assert answer.status_code == status
    assert answer.json()["result"] == ("allow" if status == 200 else DENY)


@pytest.mark.parametrize(
    "shown", [{}, {"x-broker-secret": ""}, {"x-broker-secret": SECRET[:-1]}, {"secret": SECRET}]
)
async def test_without_the_secret_nobody_is_answered(
    mine: Context, shown: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    name = await make(mine)
    async with asking(mine) as client:
        client.headers.pop("x-broker-secret")
        for path in ("user", "superuser", "acl"):
            answer = await client.post(
                f"/internal/mqtt/{path}",
                json={"username": name, "password": PASSWORD},
                headers=shown,
            )
            assert (answer.status_code, answer.json()["result"]) == (403, DENY)
    assert caplog.text.count("wrong secret") == 1, "strangers do not fill the log"
    assert SECRET not in caplog.text


async def test_the_secret_may_stand_in_the_query(mine: Context) -> None:
    name = await make(mine)
    async with asking(mine) as client:
        client.headers.pop("x-broker-secret")
        answer = await client.post(
            "/mosquitto-auth/user",
            params={"secret": SECRET},
            json={"username": name, "password": PASSWORD},
        )
        assert answer.status_code == 200
        wrong = await client.post("/mosquitto-auth/user", params={"secret": "é"})
        assert wrong.status_code == 403


async def test_is_off_unless_there_is_a_secret(
    mine: Context, caplog: pytest.LogCaptureFixture
) -> None:
    name = await make(mine)
    async with asking(mine, secret=None) as client:
        answer = await client.post(
            "/mosquitto-auth/user", json={"username": name, "password": PASSWORD}
        )
    assert (answer.status_code, answer.json()["result"]) == (403, DENY)
    assert "FLEETGRAPH_MQTT_CALLBACK_SECRET" in caplog.text


@pytest.mark.parametrize("header", ["authorization", "x-device-api-key"])
async def test_what_comes_with_a_credential_is_no_call_back(mine: Context, header: str) -> None:
    async with asking(mine) as client:
        answer = await client.post("/mosquitto-auth/user", headers={header: "Bearer x"})
        assert answer.text == "behind"
        assert (await client.get("/mosquitto-auth/user")).text == "behind"


@pytest.mark.parametrize("body", [b"", b"[1]", b'"x"', b"{", b"null", b"\xff", b"7" * 200_000])
async def test_what_says_nothing_is_refused(mine: Context, body: bytes) -> None:
    async with asking(mine) as client:
        answer = await client.post("/mosquitto-auth/user", content=body)
    assert (answer.status_code, answer.json()["result"]) == (403, DENY)


async def test_while_nobody_can_know_the_answer_is_no_refusal(
    mine: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(username: str) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("resolvers.broker_callbacks.find_active_account", away)
    async with asking(mine) as client:
        answer = await client.post("/mosquitto-auth/superuser", json={"username": "x"})
    assert (answer.status_code, answer.json()["result"]) == (503, DENY)


async def test_a_fault_of_ours_is_told_as_one(
    mine: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> bool:
        raise ZeroDivisionError

    monkeypatch.setattr(broker_callbacks, "check_superuser", broken)
    async with asking(mine) as client:
        answer = await client.post("/mosquitto-auth/superuser", json={"username": "x"})
    assert (answer.status_code, answer.json()) == (500, {"result": DENY, "error": "internal error"})


async def test_who_guesses_too_often_is_refused(mine: Context) -> None:
    class Full(NoRateLimits):
        async def hit(self, scope: RateScope, *keys: str) -> RateState | None:
            raise RateLimited("too often", retry_after_seconds=9)

    name = await make(mine)
    async with asking(replace(mine, limits=Full())) as client:
        answer = await client.post(
            "/mosquitto-auth/user", json={"username": name, "password": PASSWORD}
        )
    assert answer.status_code == 403


async def test_hears_of_changes_and_forgets(mine: Context) -> None:
    known = KnownAccounts()
    callbacks = BrokerCallbacks(lambda: mine.acting_as(system_caller(0)), known, SECRET)
    name = await make(mine)
    task = asyncio.create_task(callbacks.run())
    try:
        await until(lambda: known._epoch == 1, "the subscription")
        async with asking(mine, known=known) as client:

            async def lets_in() -> bool:
                values = {"username": name, "password": PASSWORD}
                return (await client.post("/internal/mqtt/user", json=values)).status_code == 200

            assert await lets_in()
            await broker_accounts.update_account(mine, named(name), AccountChanges(is_active=False))
            await until(lambda: known._epoch == 2, "the change")
            assert not await lets_in()
        await mine.bus.publish(ACCESS, AccessChanged(mine.tenant_id, agent_id=1))
        await until(lambda: known._epoch == 3, "an agent's end")
        await mine.bus.publish(ACCESS, AccessChanged(mine.tenant_id, user_id=mine.ids.uuid()))
        await mine.bus.publish(BROKER_ACCOUNTS, BrokerAccountsChanged())
        await until(lambda: known._epoch == 4, "one more change")
        await asyncio.sleep(0)
        assert known._epoch == 4, "people have nothing to do with it"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_the_program_tells_management_and_call_backs_apart(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    body = {"username": f"user-{ctx.ids.secret_hex(5)}"}
    transport = httpx.ASGITransport(app_of(ctx))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        made = await client.post(
            "/mosquitto-auth/user", json=body, headers={"authorization": token}
        )
        assert made.status_code == 201
        asked = await client.post("/mosquitto-auth/user", json=body)
        assert (asked.status_code, asked.json()["result"]) == (403, DENY)
        for answer in (made, asked):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
