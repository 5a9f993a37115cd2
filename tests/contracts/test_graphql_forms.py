"""Bodies, media types and statuses, by the specification of GraphQL over HTTP."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from core.context import Context
from core.errors import ErrorCode
from fleetgraph.graphql import negotiation
from fleetgraph.graphql.codes import CloseCode
from fleetgraph.graphql.encoding import STATUS
from fleetgraph.graphql.negotiation import Accepted, Form, Stream, accepted, is_json
from tests.contracts.serving import Api, sign_in

pytestmark = pytest.mark.slow

JSON = "application/json"
RESPONSE = "application/graphql-response+json"
MULTIPART = 'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
TYPENAME = {"query": "{ __typename }"}
ME = {"query": "{ me { username } }"}


@pytest.mark.parametrize(
    ("accept", "form", "stream"),
    [
        ("", Form.LEGACY, None),
        ("*/*", Form.LEGACY, None),
        ("application/*", Form.LEGACY, None),
        (JSON, Form.LEGACY, None),
        (RESPONSE, Form.RESPONSE, None),
        (f"{RESPONSE}; charset=utf-8", Form.RESPONSE, None),
        (RESPONSE.upper(), Form.RESPONSE, None),
        (f"{JSON}, {RESPONSE}", Form.RESPONSE, None),
        (f"{RESPONSE};q=0.8, {JSON};q=0.9", Form.LEGACY, None),
        (f"{JSON};q=0.5, */*;q=0.4", Form.LEGACY, None),
        (f"{JSON};q=0.5, */*", Form.RESPONSE, None),
        (f"{JSON};q=0, */*;q=0.1", Form.RESPONSE, None),
        (f"{JSON}, */*", Form.LEGACY, None),
        (f"{JSON};q=0", None, None),
        (f"{JSON};q=nonsense", None, None),
        ("text/plain", None, None),
        ("text/event-stream", None, Stream.SSE),
        ("text/event-stream, application/json", Form.LEGACY, Stream.SSE),
        (f"{MULTIPART}, {JSON}", Form.LEGACY, Stream.MULTIPART),
        ("multipart/mixed;subscriptionSpec=1.0", None, Stream.MULTIPART),
        ("multipart/mixed;deferSpec=20220824", None, None),
        (f"text/event-stream;q=0.5, {MULTIPART}", None, Stream.MULTIPART),
        (f"{MULTIPART};q=0, text/event-stream;q=0.1", None, Stream.SSE),
        ("text/*", None, None),
    ],
)
def test_the_best_accepted_form_is_chosen(
    accept: str, form: Form | None, stream: Stream | None
) -> None:
    assert accepted(accept) == Accepted(form, stream)


def test_no_more_is_remembered_of_a_header_than_of_one_that_makes_sense() -> None:
    caches = (negotiation._accepted, negotiation._is_json)
    assert accepted("x" * 10_000) == Accepted(None, None)
    before = [cache.cache_info().currsize for cache in caches]
    for each in range(5):
        assert accepted("x" * 10_000 + str(each)) == Accepted(None, None)
        assert not is_json(f"{JSON}; name={'x' * 10_000}{each}")
    assert [cache.cache_info().currsize for cache in caches] == before


@pytest.mark.parametrize(
    ("content_type", "is_served"),
    [
        (JSON, True),
        ("APPLICATION/JSON ; Charset=UTF-8", True),
        ('application/json; charset="utf-8"', True),
        ("application/json; charset=iso-8859-1", False),
        (RESPONSE, False),
        ("application/graphql", False),
        ("text/plain", False),
        ("application/x-www-form-urlencoded", False),
        ("multipart/form-data; boundary=x", False),
        ("text/plain; application/json", False),
        ("", False),
    ],
)
def test_requests_are_json_in_utf_8(content_type: str, is_served: bool) -> None:
    assert is_json(content_type) is is_served


async def post(api: Api, body: bytes | dict[str, Any], **headers: str) -> tuple[int, Any, Any]:
    """Return status, headers and body of one POST."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"content-type": JSON} | {name.replace("_", "-"): text for name, text in headers.items()}
    async with api.client() as client:
        answer = await client.post("/graphql", content=content, headers=sent)
    assert answer.headers["content-length"] == str(len(answer.content))
    return answer.status_code, answer.headers, answer.json()


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_what_any_page_can_post_never_runs(ctx: Context, content_type: str) -> None:
    user, _ = await sign_in(ctx)
    login = (
        f'mutation {{ login(username: "{user.username}", password: "correct horse battery") '
        "{ accessToken } }"
    )
    status, _, body = await post(Api(ctx), {"query": login}, content_type=content_type)
    assert status == 415
    assert "data" not in body
    assert body["errors"][0]["extensions"]["field"] == "Content-Type"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"null", "body"),
        (b"5", "body"),
        (b'"x"', "body"),
        (b"[]", "body"),
        (b"\xff{}", "body"),
        (b"[" * 300 + b"]" * 300, "body"),
        (b"{}", "query"),
        (b'{"query": null}', "query"),
        (b'{"query": ""}', "query"),
        (b'{"query": 5}', "query"),
        (b'{"query": "{ __typename }", "variables": "x"}', "variables"),
        (b'{"query": "{ __typename }", "variables": [1]}', "variables"),
        (b'{"query": "{ __typename }", "operationName": 5}', "operationName"),
        (b'{"query": "{ __typename }", "extensions": false}', "extensions"),
        (b'{"documentId": "x"}', "query"),
    ],
)
@pytest.mark.parametrize("accept", [JSON, RESPONSE])
async def test_what_is_no_request_is_400_in_every_form(
    ctx: Context, body: bytes, field: str, accept: str
) -> None:
    status, headers, answer = await post(Api(ctx), body, accept=accept)
    assert status == 400
    assert headers["content-type"] == f"{accept}; charset=utf-8"
    assert answer.keys() == {"errors"}
    extensions = answer["errors"][0]["extensions"]
    assert (extensions["code"], extensions["field"]) == ("INVALID_INPUT", field)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"query": "{"}, 400),
        ({"query": "{ nonsense }"}, 400),
        ({"query": "{ a: __typename } query B { b: __typename }"}, 400),
        ({"query": "query A { __typename }", "operationName": "B"}, 400),
        ({"query": "query($n: String!) { __type(name: $n) { name } }"}, 400),
        (ME, 401),
    ],
)
async def test_a_refused_operation_has_a_status_unless_the_client_is_old(
    ctx: Context, request_: dict[str, Any], status: int
) -> None:
    old = await post(Api(ctx), request_, accept=JSON)
    new = await post(Api(ctx), request_, accept=RESPONSE)
    assert old[0] == 200
    assert new[0] == status
    assert "data" not in old[2]
    assert "data" not in new[2]
    assert ("www-authenticate" in new[1]) is (status == 401)


async def test_what_ran_is_200_even_with_errors(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    query = 'query { me { username } agent(uuid: "00000000-0000-4000-8000-000000000000") { name } }'
    status, _, body = await post(Api(ctx), {"query": query}, accept=RESPONSE, authorization=token)
    assert status == 200
    assert "data" in body
    assert body["errors"][0]["extensions"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("accept", ["text/plain", "application/xml;q=0.9", f"{JSON};q=0"])
async def test_an_answer_nobody_takes_is_406(ctx: Context, accept: str) -> None:
    status, headers, body = await post(Api(ctx), TYPENAME, accept=accept)
    assert status == 406
    assert headers["content-type"].startswith(JSON)
    assert RESPONSE in body["errors"][0]["message"]


async def test_a_subscription_wants_a_stream(ctx: Context) -> None:
    _, token = await sign_in(ctx)
    query = {"query": "subscription { agentChanged { name } }"}
    status, _, body = await post(Api(ctx), query, accept="*/*", authorization=token)
    assert status == 406
    message = body["errors"][0]["message"]
    assert "text/event-stream" in message
    assert "multipart/mixed" in message
    assert "graphql-transport-ws" in message


async def test_bodies_may_come_packed(ctx: Context) -> None:
    packed = gzip.compress(json.dumps(TYPENAME).encode())
    status, _, body = await post(Api(ctx), packed, content_encoding="gzip")
    assert (status, body["data"]) == (200, {"__typename": "Query"})
    broken, _, body = await post(Api(ctx), packed[:-3], content_encoding="gzip")
    assert broken == 400
    unknown, _, body = await post(Api(ctx), packed, content_encoding="br")
    assert unknown == 400
    assert body["errors"][0]["extensions"]["field"] == "Content-Encoding"


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_large_body_is_refused_with_its_limit(ctx: Context, encoding: str) -> None:
    body = json.dumps({"query": "{ __typename }" + " " * 5_000}).encode()
    if encoding == "gzip":
        body = gzip.compress(body)
    api = Api(ctx, body_bytes_max=2_000)
    status, _, answer = await post(api, body, content_encoding=encoding)
    assert status == 413
    assert answer["errors"][0]["extensions"] == {"code": "PAYLOAD_TOO_LARGE", "limit_bytes": 2_000}


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "GET"])
@pytest.mark.parametrize(("is_on", "allow"), [(False, "POST"), (True, "GET, POST")])
async def test_other_methods_are_told_what_is_allowed(
    ctx: Context, method: str, is_on: bool, allow: str
) -> None:
    async with Api(ctx, get=is_on).client() as client:
        answer = await client.request(method, "/graphql", params=TYPENAME)
    if is_on and method == "GET":
        assert answer.status_code == 200
        return
    assert answer.status_code == 405
    assert answer.headers["allow"] == allow


async def test_get_asks_and_never_changes(ctx: Context) -> None:
    user, token = await sign_in(ctx)
    query = "query($n: String!) { me { username } __type(name: $n) { name } }"
    variables = json.dumps({"n": "Agent"})
    async with Api(ctx, get=True).client(authorization=token) as client:
        read = await client.get("/graphql", params={"query": query, "variables": variables})
        bad = await client.get("/graphql", params={"query": query, "variables": "{"})
        none = await client.get("/graphql", headers={"accept": RESPONSE})
        mutation = await client.get("/graphql", params={"query": "mutation { __typename }"})
    assert read.json()["data"] == {"me": {"username": user.username}, "__type": {"name": "Agent"}}
    assert read.headers["cache-control"] == "no-store"
    assert bad.status_code == none.status_code == 400
    assert bad.json()["errors"][0]["extensions"]["field"] == "variables"
    assert mutation.status_code == 405
    assert mutation.headers["allow"] == "POST"


async def test_the_callers_request_id_comes_back(ctx: Context) -> None:
    _, headers, _ = await post(Api(ctx), TYPENAME, x_request_id="a-1 <b>")
    assert headers["x-request-id"] == "a-1b"
    _, headers, _ = await post(Api(ctx), TYPENAME)
    assert len(headers["x-request-id"]) == 32


async def test_a_failure_of_our_own_is_masked(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(ctx)

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(api.endpoint.edge.engine, "prepare", fail)
    status, _, body = await post(api, TYPENAME, x_request_id="r-1")
    assert status == 500
    assert body["errors"][0]["extensions"] == {"code": "INTERNAL", "requestId": "r-1"}
    assert "secret" not in json.dumps(body)


def test_the_page_has_every_code_and_status() -> None:
    page = (Path(__file__).parents[2] / "docs" / "graphql.md").read_text("utf-8")
    assert [code for code in ErrorCode if f"`{code}`" not in page] == []
    assert STATUS.keys() == {*ErrorCode}
    closing = re.findall(r"^\| (\d{4}) \|", page, re.MULTILINE)
    assert closing == [str(code.value) for code in CloseCode]
    listed = set(re.findall(r"^\| (\d{3}) \|", page, re.MULTILINE))
    assert listed == {str(status) for status in {*STATUS.values(), 200, 405, 406, 415}}
