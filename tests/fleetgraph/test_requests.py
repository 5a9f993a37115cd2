"""Every request has an id that everybody below sees, is counted, and is logged when it hurts."""

from __future__ import annotations

import logging

import pytest
import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from core import metrics
from fleetgraph.requests import RequestLog
from tests.doubles import CountingIds


async def tell(request: Request) -> Response:
    in_logs = structlog.contextvars.get_contextvars()["request_id"]
    assert in_logs == request.state.request_id
    return JSONResponse([request.state.request_id, request.headers["x-request-id"]])


async def fail(request: Request) -> Response:
    raise ValueError("broken")


async def socket(connection: WebSocket) -> None:
    await connection.accept()
    await connection.send_text(connection.state.request_id)
    await connection.close()


@pytest.fixture
def client() -> TestClient:
    app = Starlette(
        routes=[Route("/tell", tell), Route("/fail", fail), WebSocketRoute("/socket", socket)],
        middleware=[Middleware(RequestLog, ids=CountingIds())],
    )
    return TestClient(app, raise_server_exceptions=False)


def test_an_id_that_comes_in_is_kept(client: TestClient) -> None:
    assert client.get("/tell", headers={"X-Request-Id": "abc-1"}).json() == ["abc-1", "abc-1"]


def test_without_one_it_is_made(client: TestClient) -> None:
    first, second = (client.get("/tell").json() for _ in range(2))
    assert first[0] == first[1] != second[0]
    assert len(first[0]) == 32


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a b\tc{}", "abc"), ("x" * 500, "x" * 128), ("ok_-.:/+=@", "ok_-.:/+=@")],
)
def test_nothing_dangerous_gets_into_the_logs(client: TestClient, given: str, kept: str) -> None:
    assert client.get("/tell", headers={"X-Request-Id": given}).json()[0] == kept


def test_an_id_of_nothing_but_rubbish_is_replaced(client: TestClient) -> None:
    assert len(client.get("/tell", headers={"X-Request-Id": "{} ()"}).json()[0]) == 32


def test_sockets_have_ids_too(client: TestClient) -> None:
    with client.websocket_connect("/socket", headers={"X-Request-Id": "ws-1"}) as connection:
        assert connection.receive_text() == "ws-1"


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [("/tell", 200, logging.DEBUG), ("/none", 404, logging.DEBUG), ("/fail", 500, logging.WARNING)],
)
def test_counts_each_answer_and_warns_of_failures(
    client: TestClient, caplog: pytest.LogCaptureFixture, path: str, status: int, level: int
) -> None:
    caplog.set_level(logging.DEBUG, "fleetgraph.http")
    counter = metrics.HTTP_REQUESTS.labels("GET", str(status))
    before = counter._value.get()
    assert client.get(f"{path}?password=hunter2").status_code == status
    assert counter._value.get() == before + 1
    (record,) = [r for r in caplog.records if r.name == "fleetgraph.http"]
    assert record.levelno == level
    assert record.message.startswith(f"GET {path} answered {status} in ")
    assert "hunter2" not in record.message


async def test_a_client_that_goes_before_the_answer_is_no_failure_of_ours() -> None:
    async def goes(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.disconnect"

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    count = metrics.HTTP_REQUESTS.labels("GET", "499")._value
    before = count.get()
    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await RequestLog(goes, CountingIds())(scope, receive, send)
    assert count.get() == before + 1
