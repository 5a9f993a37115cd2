from __future__ import annotations

import asyncio
import gzip
import random
import zlib
from collections.abc import Iterator

import pytest
import zstandard
from starlette.requests import Request
from starlette.testclient import TestClient
from starlette.types import Message

from core.errors import PayloadTooLarge
from rest_compat.bodies import read_body
from tests.rest_compat.harness import AGENT, LIMIT_BYTES
from tests.rest_compat.toy import KNOWN

AGENTS = "/api/v1/agents"
LOGS = f"/api/v1/device/{KNOWN}/logs"


def told(client: TestClient, query: str) -> str:
    answer = client.get(f"{AGENTS}?{query}")
    assert answer.status_code == 200, answer.text
    return str(answer.json()["agents"][0]["name"])


@pytest.mark.parametrize(
    ("query", "part"),
    [
        ("online=true", "online=True"),
        ("online=FALSE", "online=False"),
        ("online=1", "online=True"),
        ("online=", "online=None"),
        ("state=ACTIVE", "state=ACTIVE"),
        ("state=going-down", "state=GOING_DOWN"),
        ("ratio=1.5e2", "ratio=150.0"),
        ("ratio=-3", "ratio=-3.0"),
        (f"uuids={KNOWN},{KNOWN}", "uuids=2"),
        (f"uuids={KNOWN}&uuids={KNOWN}", "uuids=2"),
        (f"uuids[]={KNOWN}", "uuids=1"),
        ("uuids=", "uuids=[]"),
        ("nonsense=1", "online=None"),
    ],
)
def test_query_texts_become_values_of_their_types(
    client: TestClient, query: str, part: str
) -> None:
    assert part in told(client, query)


def test_a_default_holds_only_for_what_is_absent(client: TestClient) -> None:
    assert client.get(AGENTS).json()["pagination"] == {"limit": 10}
    assert client.get(AGENTS, params={"limit": "3"}).json()["pagination"] == {"limit": 3}
    assert client.get(AGENTS, params={"limit": ""}).json()["pagination"] == {"limit": 10}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("online=maybe", "online"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=٣", "limit"),
        ("limit=99999999999", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("ratio=nan", "ratio"),
        ("ratio=inf", "ratio"),
        ("ratio=1e999", "ratio"),
        ("state=gone", "state"),
        ("state=%00", "state"),
        ("uuids=nope", "uuids[0]"),
    ],
)
def test_a_wrong_text_is_refused_by_name(client: TestClient, query: str, field: str) -> None:
    answer = client.get(f"{AGENTS}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_INPUT"
    assert answer.json()["facts"]["field"] == field
    assert len(answer.json()["message"]) < 500


def test_a_wrong_path_variable_is_refused_with_the_title_for_that_field(client: TestClient) -> None:
    answer = client.get(f"{AGENTS}/nope")
    assert answer.status_code == 400
    assert answer.json()["error"] == "Invalid agent UUID format"
    assert client.get(f"{AGENTS}/%00").status_code == 400


def created(client: TestClient, **body: object) -> dict[str, object]:
    answer = client.post(AGENTS, json={"deviceName": "x", **body})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def test_absent_and_null_are_told_apart(client: TestClient) -> None:
    assert "location" not in created(client)["given"]  # type: ignore[operator]
    assert created(client, location=None)["given"]["location"] is None  # type: ignore[index]
    assert created(client)["device"]["tags"] == ["new"]  # type: ignore[index]
    assert created(client, tags=None)["device"]["tags"] is None  # type: ignore[index]


def test_unknown_members_are_ignored_at_every_level(client: TestClient) -> None:
    body = created(client, extra=1, place={"city": "Riga", "kind": "going_down", "zip": 1})
    assert body["given"]["place"] == ["Riga", "GOING_DOWN"]  # type: ignore[index]


def test_a_variable_named_under_query_comes_from_the_query_string(client: TestClient) -> None:
    assert created(client, dryRun=True)["given"]["dryRun"] is None  # type: ignore[index]
    answer = client.post(f"{AGENTS}?dryRun=true", json={"deviceName": "x"})
    assert answer.json()["given"]["dryRun"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "deviceName"),
        (b"", "deviceName"),
        (b"null", "deviceName"),
        (b'{"deviceName": null}', "deviceName"),
        (b'{"deviceName": 5}', "deviceName"),
        (b'{"deviceName": "a\\u0000b"}', "deviceName"),
        (b'{"deviceName": "x", "tags": ["a", 7]}', "tags[1]"),
        (b'{"deviceName": "x", "place": {}}', "place"),
        (b'{"deviceName": "x", "place": {"city": 1}}', "place.city"),
        (b'{"deviceName": "x", "kind": "zzz"}', "kind"),
        (b"[1]", "body"),
        (b"{", "body"),
        (b'{"deviceName": NaN}', "body"),
        (b'\xff{"deviceName": "x"}', "body"),
        (b"[" * 5000, "body"),
        (b'{"deviceName": "x", "tags": ' + b"[" * 300 + b"]" * 300 + b"}", "body"),
    ],
)
def test_a_wrong_body_is_refused_by_name(client: TestClient, body: bytes, field: str) -> None:
    answer = client.post(AGENTS, content=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["facts"]["field"] == field


def test_a_form_is_a_body_too(client: TestClient) -> None:
    answer = client.post(AGENTS, data={"deviceName": "x", "tags": "a,b", "kind": "active"})
    assert answer.json()["device"]["tags"] == ["a", "b"]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post(AGENTS, content=b"\xff", headers=kind).status_code == 400
    many = b"deviceName=x" + b"&a=1" * 2000
    assert client.post(AGENTS, content=many, headers=kind).json()["facts"]["field"] == "body"


def packed() -> Iterator[tuple[str, bytes]]:
    text = b'{"deviceName": "packed"}'
    yield "gzip", gzip.compress(text)
    yield "deflate", zlib.compress(text)
    yield "zstd", zstandard.compress(text)


@pytest.mark.parametrize(("encoding", "body"), list(packed()), ids=["gzip", "deflate", "zstd"])
def test_a_packed_body_is_inflated(client: TestClient, encoding: str, body: bytes) -> None:
    answer = client.post(AGENTS, content=body, headers={"Content-Encoding": encoding})
    assert answer.json()["device"]["name"] == "packed"


@pytest.mark.parametrize("size", [LIMIT_BYTES + 1, 50_000_000])
def test_the_limit_counts_inflated_bytes(client: TestClient, size: int) -> None:
    bomb = gzip.compress(b" " * size)
    answer = client.post(AGENTS, content=bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 413
    assert answer.json()["facts"] == {"limit_bytes": LIMIT_BYTES}


async def test_others_get_their_turn_while_a_large_body_is_inflated() -> None:
    turns = 0

    async def receive() -> Message:
        body = gzip.compress(random.Random(1).randbytes(500_000))
        return {"type": "http.request", "body": body, "more_body": False}

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    headers = [(b"content-encoding", b"gzip")]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    assert len(await read_body(request, 10**6)) == 500_000
    task.cancel()
    assert turns >= 7


def test_a_plain_body_over_the_limit_is_refused_with_and_without_a_length(
    client: TestClient,
) -> None:
    assert client.post(AGENTS, content=b" " * (LIMIT_BYTES + 1)).status_code == 413
    parts = (b" " * 1000 for _ in range(LIMIT_BYTES // 1000 + 1))
    assert client.post(AGENTS, content=parts).status_code == 413


@pytest.mark.parametrize(("stated", "parts_read"), [(b"1001", 0), (b"10", 3), (None, 3)])
async def test_reading_stops_at_the_limit(stated: bytes | None, parts_read: int) -> None:
    read = 0

    async def receive() -> Message:
        nonlocal read
        read += 1
        return {"type": "http.request", "body": b" " * 400, "more_body": read < 100}

    headers = [(b"content-length", stated)] if stated else []
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    with pytest.raises(PayloadTooLarge):
        await read_body(request, 1000)
    assert read == parts_read


def test_a_broken_or_unknown_encoding_is_refused(client: TestClient) -> None:
    for encoding, body, status in (("gzip", b"no gzip", 400), ("br", b"{}", 415)):
        answer = client.post(AGENTS, content=body, headers={"Content-Encoding": encoding})
        assert answer.status_code == status


def test_the_raw_body_arrives_as_bytes_beside_headers(client: TestClient) -> None:
    body = b'\x00\xff{"a":1}\n'
    answer = client.post(LOGS, content=gzip.compress(body), headers={"Content-Encoding": "gzip"})
    assert answer.json() == {"batchId": "auto-generated", "accepted": True, "size": len(body)}
    answer = client.post(LOGS, content=body, headers={"X-Batch-Id": "b1", "X-Batch-Attempt": "2"})
    assert answer.json()["batchId"] == "b1"
    answer = client.post(LOGS, content=body, headers={"X-Batch-Attempt": "two"})
    assert answer.json()["facts"]["field"] == "X-Batch-Attempt"
    assert client.post(LOGS, content=b"").json()["size"] == 0


def test_the_whole_body_goes_to_one_variable(client: TestClient) -> None:
    url = "/api/v1/device/state"
    assert client.patch(url, json={"u": {"apps": {}}}).json() == {"status": "ok"}
    assert client.patch(url, json=[1]).json() == {"status": "ok"}
    answer = client.patch(url, content=b"", headers=AGENT)
    assert answer.json()["facts"]["field"] == "body"


def test_delete_reads_the_query_string_unless_told_otherwise(client: TestClient) -> None:
    url = f"{AGENTS}/{KNOWN}"
    assert client.delete(f"{url}?reason=old").status_code == 204
    answer = client.request("DELETE", f"{url}/tag", json={"reason": "worn"})
    assert answer.json() == {"status": "ok", "message": "Gone"}
