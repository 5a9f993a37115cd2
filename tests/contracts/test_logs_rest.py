"""Logs over REST: what agents send and are answered, what people search."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import zstandard

from core.context import Context
from core.errors import Unavailable
from models.agents import Agent
from resolvers.device_logs import upload_logs
from tests.contracts.serving import Api, give_key, sign_in
from tests.factories import make_agent
from tests.schema.asking import as_agent

pytestmark = pytest.mark.slow

LINES = b'{"message":"one","level":"info"}\n{"message":"two","level":"error"}\n'


@pytest.fixture
async def agent(ctx: Context) -> Agent:
    return await make_agent(ctx)


async def send(
    ctx: Context, agent: Agent, body: bytes, tail: str = "", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with Api(ctx).client(**{"x-device-api-key": await give_key(ctx, agent)}) as client:
        path = f"/api/v1/device/{agent.uuid}/logs{tail}"
        return await client.post(path, content=body, headers=named)


async def get(ctx: Context, path: str, **query: Any) -> httpx.Response:
    _, token = await sign_in(ctx, role="viewer")
    async with Api(ctx).client(authorization=token) as client:
        return await client.get(f"/api/v1/{path}", params=query)


def raw_deflate(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(body) + stream.flush()


async def test_an_upload_is_answered_for_old_and_for_new_agents(ctx: Context, agent: Agent) -> None:
    first = await send(ctx, agent, LINES, x_batch_id="odd/id?", x_batch_attempt="1")
    assert (first.status_code, first.json()) == (
        202,
        {
            "status": "ok",
            "batchId": "odd/id?",
            "accepted": True,
            "queued": True,
            "duplicate": False,
            "received": 2,
            "skipped": 0,
        },
    )
    again = await send(ctx, agent, LINES, x_batch_id="odd/id?", x_batch_attempt="2")
    assert again.status_code == 200
    assert again.json() == first.json() | {"duplicate": True}
    other = await send(ctx, agent, LINES + LINES, x_batch_id="odd/id?")
    assert (other.status_code, other.json()["batchId"]) == (202, "odd/id?")


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("deflate", bytes),
        ("zstd", zstandard.compress),
        ("identity", bytes),
        (None, gzip.compress),
        (None, bytes),
    ],
)
@pytest.mark.parametrize("media_type", ["application/x-ndjson", "text/plain", "application/json"])
async def test_every_packing_and_media_type_is_read(
    ctx: Context,
    agent: Agent,
    encoding: str | None,
    pack: Callable[[bytes], bytes],
    media_type: str,
) -> None:
    headers = {"content_type": media_type} | ({"content_encoding": encoding} if encoding else {})
    answer = await send(ctx, agent, pack(LINES), **headers)
    assert (answer.status_code, answer.json()["received"]) == (202, 2)
    array = json.dumps([json.loads(line) for line in LINES.splitlines()]).encode()
    answer = await send(ctx, agent, pack(array), **headers)
    assert (answer.status_code, answer.json()["received"]) == (202, 2)


@pytest.mark.parametrize(
    ("encoding", "body", "status", "said"),
    [
        ("br", LINES, 415, "send one of gzip, deflate, zstd, identity"),
        ("gzip, gzip", LINES, 415, "more than one encoding"),
        ("gzip", gzip.compress(LINES)[:-9], 400, "not a whole gzip stream: cut off"),
        ("gzip", gzip.compress(bytes(40_000_000)), 413, "larger than"),
        ("identity", b"x" * 11_000_000, 413, "larger than"),
    ],
    ids=["brotli", "twice", "cut off", "bomb", "large"],
)
async def test_what_cannot_be_unpacked_is_refused(
    ctx: Context, agent: Agent, encoding: str, body: bytes, status: int, said: str
) -> None:
    answer = await send(ctx, agent, body, content_encoding=encoding)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["message"]
    if encoding == "br":
        assert answer.headers["accept-encoding"] == "gzip, deflate, zstd, identity"


async def test_without_the_database_the_agent_is_told_to_come_again(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("database")

    with monkeypatch.context() as patched:
        patched.setattr("resolvers.device_logs.append_log_batch", away)
        answer = await send(ctx, agent, LINES, x_batch_id="b")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert (await send(ctx, agent, LINES, x_batch_id="b")).json()["duplicate"] is False


async def test_what_was_dropped_is_taken_and_shown(ctx: Context, agent: Agent) -> None:
    report = {"summaries": [{"totalCount": 7}, {"totalCount": 2}], "reportedAt": "2026-03-01"}
    for _ in range(2):
        answer = await send(
            ctx,
            agent,
            json.dumps(report).encode(),
            "/dropped-summaries",
            content_type="application/json",
        )
        assert answer.json() == {
            "status": "ok",
            "message": "Dropped summaries received",
            "received": 2,
        }
    found = (await get(ctx, f"agents/{agent.uuid}/logs/dropped-summaries")).json()
    assert (found["count"], found["summaries"][0]["totalCount"]) == (2, 2)
    assert (await get(ctx, f"agents/{agent.uuid}/logs")).json()["dropped"] == 9


@pytest.mark.parametrize(
    ("report", "received"),
    [
        ({"summaries": [None, 1, "x", [], {"totalCount": 3}]}, 1),
        ({"summaries": None}, 0),
        ({"summaries": []}, 0),
        ({"summaries": [{"totalCount": 2**70}], "reportedAt": {}}, 1),
        ({}, 0),
    ],
    ids=["items", "null", "empty", "huge", "nothing"],
)
async def test_a_report_of_what_was_dropped_is_never_sent_again(
    ctx: Context, agent: Agent, report: object, received: int
) -> None:
    body = json.dumps(report).encode()
    answer = await send(ctx, agent, body, "/dropped-summaries", content_type="application/json")
    assert (answer.status_code, answer.json().get("received")) == (200, received), answer.text


async def test_an_upload_larger_than_ten_megabytes_is_refused_while_it_is_unpacked(
    ctx: Context, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resolvers.device_logs.upload_logs", None)  # never asked
    packed = gzip.compress(bytes(10 * 1024 * 1024 + 1))
    answer = await send(ctx, agent, packed, content_encoding="gzip")
    assert answer.status_code == 413


async def test_people_search_by_words_levels_and_cursors(ctx: Context, agent: Agent) -> None:
    await upload_logs(as_agent(ctx, agent), agent.uuid, None, LINES)
    path = f"agents/{agent.uuid}/logs"
    everything = (await get(ctx, path)).json()
    assert (everything["count"], everything["total"]) == (2, 2)
    for query, found in (
        ({"q": "two"}, ["two"]),
        ({"minLevel": "warn"}, ["two"]),
        ({"services": "web,db"}, []),
        ({"since_id": everything["logs"][1]["id"]}, ["two"]),
        ({"before": everything["newerCursor"]}, []),
        ({"after": everything["olderCursor"]}, []),
    ):
        answer = (await get(ctx, path, **query)).json()
        assert [line["message"] for line in answer["logs"]] == found, query
    answer = (await get(ctx, "logs", q="one -two", agents=str(agent.uuid))).json()
    assert [line["agent_uuid"] for line in answer["logs"]] == [str(agent.uuid)]


@pytest.mark.parametrize(
    ("query", "title", "field"),
    [
        ({"minLevel": "loud"}, "Invalid parameters", "minLevel"),
        ({"q": "x" * 501}, "Invalid parameters", "q"),
        ({"since_id": "x"}, "Invalid parameters", "since_id"),
        ({"before": "x"}, "Invalid parameters", "before"),
        ({"after": "x", "before": "x"}, "Invalid parameters", "before"),
        ({"limit": 0}, "Invalid limit", "limit"),
    ],
)
async def test_a_bad_search_is_named(
    ctx: Context, agent: Agent, query: dict[str, Any], title: str, field: str
) -> None:
    answer = await get(ctx, f"agents/{agent.uuid}/logs", **query)
    assert (answer.status_code, answer.json()["error"]) == (400, title)
    assert answer.json()["facts"]["field"] == field
